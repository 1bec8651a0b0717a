"""The decision to publish: the rule at its edges, the reasons, several models, and the figures of the result."""

from __future__ import annotations

import json
import math
import re
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mega_code.evaluation.decision import Decision, Score, decide, decide_for_models, figures, pool, too_few

SCORES = st.builds(Score, st.integers(0, 12).map(lambda n: n / 12), st.integers(1, 9000).map(float), st.just(1.0))
PAIRS = st.lists(st.tuples(SCORES, SCORES), min_size=0, max_size=10)


def arm(passed: list[float], tokens: float = 1000) -> list[Score]:
    return [Score(rate, tokens) for rate in passed]


def lifted(lifts: list[float], tokens: float = 1000) -> Decision:
    """The decision where the original passes half of everything, at 1000 tokens a run."""
    return decide(arm([0.5] * len(lifts)), arm([0.5 + lift for lift in lifts], tokens))


def test_a_clear_lift_is_published_and_the_reason_says_how_clear() -> None:
    found = lifted([0.25] * 14 + [-0.25] * 2, tokens=1100)
    assert (found.publish, found.kind, found.cases, found.cases_needed) == (True, "better", 16, None)
    assert (found.lift, found.p_value, found.token_p_value) == (0.1875, 137 / 2**16, 1)
    assert (*found.ci95, found.noninferior_bound) == pytest.approx((1 / 12, 0.25, 0.75 / 7))
    assert found.token_saving == pytest.approx(-0.1)
    assert found.reason == (
        "Better: on 16 held-out cases the pass rate rises by 18.8 points (95 % interval 8.3 to 25.0); noise alone does "
        "as well with probability 0.0021. Tokens rise by 10 %."
    )


def test_a_lift_that_noise_gives_as_well_is_inconclusive_and_names_the_cases_it_takes() -> None:
    found = lifted([0.5, -0.25] * 4 + [0.0] * 2)
    assert (found.publish, found.kind, found.cases_needed) == (False, "inconclusive", 103)
    assert found.reason == (
        "Inconclusive: on 10 held-out cases the pass rate rises by 10.0 points (95 % interval -18.8 to 37.5); noise "
        "alone does as well with probability 0.2578, too often to tell them apart. Tokens stay the same. "
        "If it is as it looks, 103 held-out cases would probably settle it."
    )


def test_the_cases_that_were_not_enough_are_not_said_to_be_enough() -> None:
    found = lifted([0.5] * 5 + [0.0])
    assert (found.kind, found.p_value, found.cases_needed) == ("inconclusive", 2**-5, 7)


def test_a_lift_of_rounding_errors_is_nothing() -> None:
    for lifts in ([0.1, -0.3, 0.2] * 4, [-0.1, 0.3, -0.2] * 4):
        found = lifted(lifts)
        assert (str(found.lift), found.kind) == ("0.0", "no better")


def test_nothing_changed_is_no_better_and_no_number_of_cases_is_promised() -> None:
    found = lifted([0.25, -0.25] * 8)
    assert (found.publish, found.kind, found.cases_needed) == (False, "no better", None)
    assert found.reason == (
        "No better: on 16 held-out cases the pass rate does not change (95 % interval -13.9 to 13.9); noise explains "
        "as much. Tokens stay the same. No number of cases finds a gain where there is none."
    )


def test_a_loss_beyond_noise_is_worse_however_many_tokens_it_saves() -> None:
    found = lifted([-0.25] * 8 + [0.0] * 2, tokens=500)
    assert (found.publish, found.kind, found.cases_needed) == (False, "worse", None)
    assert found.reason == (
        "Worse: on 10 held-out cases the pass rate falls by 20.0 points (95 % interval -25.0 to -12.5); more than noise "
        "explains. Tokens fall by 50 % (p = 0.0010). As a loss of 5 points or more is not ruled out, the saving does "
        "not count."
    )


def test_fewer_tokens_for_the_same_pass_rate_are_published_as_cheaper() -> None:
    alike = lifted([0.0] * 16, tokens=800)
    assert (alike.publish, alike.kind) == (True, "cheaper")
    assert alike.reason == (
        "Cheaper: on 16 held-out cases the pass rate does not change (95 % interval 0.0 to 0.0); no case came out "
        "differently. Tokens fall by 20 % (p less than 0.0001)."
    )
    nearly = lifted([1 / 12, -1 / 12] * 8, tokens=700)
    assert (nearly.publish, nearly.kind, nearly.cases_needed) == (True, "cheaper", None)
    assert "a loss of more than 3.6 points is ruled out with 95 % confidence" in nearly.reason


@pytest.mark.parametrize(("loss", "publish"), [(0.05, True), (0.051, False)])
def test_five_points_may_be_lost_for_a_saving_and_not_more(loss: float, publish: bool) -> None:
    assert lifted([-loss] * 16, tokens=500).publish is publish


def test_a_saving_below_a_fifth_is_not_published() -> None:
    assert lifted([0.0] * 16, tokens=801).kind == "no better"


def test_a_saving_with_a_loss_not_ruled_out_names_the_cases_that_would_rule_it_out() -> None:
    found = lifted([0.25, -0.25] * 8, tokens=500)
    assert (found.publish, found.kind, found.cases_needed) == (False, "inconclusive", 167)
    assert found.reason.endswith(
        "noise explains as much. Tokens fall by 50 % (p less than 0.0001). As a loss of 5 points or more is not ruled out, the "
        "saving does not count. If it is as it looks, 167 held-out cases would probably settle it."
    )


def test_a_saving_that_chance_could_have_made_names_the_cases_that_would_settle_it() -> None:
    original, candidate = arm([0.5] * 6), [*arm([0.5] * 5, tokens=500), Score(0.5, 1100)]
    found = decide(original, candidate)
    assert (found.publish, found.kind, found.token_p_value, found.cases_needed) == (False, "inconclusive", 2 / 64, 7)
    assert found.reason == (
        "Inconclusive: on 6 held-out cases the pass rate does not change (95 % interval 0.0 to 0.0); noise explains as "
        "much. Tokens fall by 40 % (p = 0.0312). The saving does not count, as chance could have made it. If it is as it "
        "looks, 7 held-out cases would probably settle it."
    )


def test_a_saving_that_goes_with_a_loss_is_promised_nothing() -> None:
    lost = [*arm([0.4] * 5, tokens=500), Score(0.5, 1100)]
    assert decide(arm([0.5] * 6), lost).kind != "inconclusive"


def test_one_run_that_went_astray_makes_no_saving() -> None:
    noise = [Score(0.5, 1000 + 20 * (-1) ** n) for n in range(16)]
    astray = [Score(0.5, 60_000), *arm([0.5] * 15)]
    found = decide(astray, noise)
    assert found.token_saving > 0.7
    assert (found.publish, found.token_p_value > 0.2) == (False, True)


def test_one_large_case_that_saves_nothing_outweighs_small_ones_that_do() -> None:
    original = [Score(0.5, 100_000), *arm([0.5] * 15)]
    found = decide(original, [Score(0.5, 100_000), *arm([0.5] * 15, tokens=500)])
    assert not found.publish and found.token_saving == pytest.approx(7500 / 115_000)


def half_graded(arm: list[Score], cases: int, graded: float = 0.0) -> list[Score]:
    """The arm with so few of the runs of its first cases graded; none leaves no pass rate."""
    return [Score(one.passed if graded else 0.0, one.tokens, graded) for one in arm[:cases]] + arm[cases:]


def test_answers_that_nobody_graded_settle_nothing() -> None:
    none = half_graded(arm([0.0] * 8), 8)
    found = decide(none, half_graded(arm([0.0] * 8, tokens=500), 8))
    assert (found.publish, found.kind, found.cases, found.cases_needed) == (False, "inconclusive", 0, None)
    assert found.reason == (
        "Inconclusive: on 0 held-out cases the pass rate does not change; noise explains as much. Tokens stay the same. "
        "8 held-out cases without a graded answer in both arms did not count. With 0 held-out cases nothing can be "
        "settled: even if every one came out in favour, chance alone would do the same with probability 1, and 0.025 is "
        "the limit. It takes 6 at least."
    )
    assert figures(none, none, none, "m", 3) is None


@pytest.mark.parametrize(
    ("arms", "with_six"), [("original", "better"), ("candidate", "better"), ("both", "inconclusive")]
)
def test_six_cases_must_be_graded_in_both_arms_for_anything_to_be_published(arms: str, with_six: str) -> None:
    def published(ungraded: int, *scores: list[Score]) -> str:
        old, new = (
            half_graded(one, ungraded) if arms in (name, "both") else one
            for name, one in zip(("original", "candidate"), scores)
        )
        return decide(old, new).kind

    better = (arm([0.0] * 30), arm([1.0] * 30))
    assert (published(24, *better), published(25, *better)) == (with_six, "inconclusive")
    assert published(1, *better) == "better"
    cheaper = (arm([0.5] * 16), arm([0.5] * 16, tokens=500))
    assert published(0, *cheaper) == "cheaper"
    worse = (arm([1.0] * 16), arm([0.0] * 16))
    assert published(11, *worse) == "inconclusive"


def test_what_a_failed_grading_could_turn_is_neither_published_nor_called_worse() -> None:
    same, cheap = arm([0.5] * 16), arm([0.5] * 16, tokens=500)
    found = decide(same, half_graded(cheap, 4))
    assert (found.publish, found.kind, found.cases) == (False, "inconclusive", 12)
    assert found.reason == (
        "Inconclusive: on 12 held-out cases the pass rate does not change (95 % interval 0.0 to 0.0); answers that were "
        "not graded could turn that. Tokens fall by 50 % (p = 0.0002). 4 held-out cases without a graded answer in both "
        "arms did not count."
    )
    assert decide(half_graded(same, 4, 1 / 3), cheap).kind == "inconclusive"
    assert decide(arm([0.8] * 8), half_graded(arm([0.5] * 8), 8, 1 / 3)).kind == "inconclusive"
    assert decide(arm([0.9] * 8), half_graded(arm([0.5] * 8), 8, 1 / 3)).kind == "worse"
    assert decide(arm([1.0] * 8), half_graded(arm([0.0] * 8), 1)).kind == "worse"


OLD = st.builds(Score, st.sampled_from([0.0, 0.0, 0.25, 1.0]), st.just(1000.0), st.just(1.0))
NEW = st.builds(Score, st.sampled_from([1.0, 1.0, 0.75, 0.0]), st.sampled_from([500.0, 500.0, 3000.0]), st.just(1.0))
THIRDS = st.sampled_from([1.0, 1.0, 1.0, 2 / 3, 1 / 3, 0.0])


@given(st.lists(st.tuples(OLD, NEW, THIRDS, THIRDS), min_size=6, max_size=12))
def test_no_failed_grading_in_either_arm_ever_gets_a_candidate_published(
    cases: list[tuple[Score, Score, float, float]],
) -> None:
    def seen(passed: float, score: Score, graded: float) -> Score:
        """A third is a run; where some were not graded, the others had passed so often."""
        return Score(passed if graded else 0.0, score.tokens, graded)

    original = [seen(old.passed, old, graded) for old, _, graded, _ in cases]
    candidate = [seen(new.passed, new, graded) for _, new, _, graded in cases]
    if decide(original, candidate).publish:
        assert sum(bool(one.graded and other.graded) for one, other in zip(original, candidate)) >= 6
        assert decide(
            [Score(a.most, a.tokens) for a in original], [Score(b.least, b.tokens) for b in candidate]
        ).publish


def test_the_tokens_of_an_answer_that_nobody_graded_are_paid_all_the_same() -> None:
    original, candidate = arm([0.0] * 16), arm([0.0] * 16, tokens=700)
    assert decide(original, candidate).kind == "cheaper"
    dear = [Score(0.0, 9000, 0.0), *candidate[1:]]
    assert decide(original, dear).kind == "inconclusive"


@pytest.mark.parametrize("cases", range(6))
def test_fewer_than_six_cases_never_publish_and_it_can_be_said_before(cases: int) -> None:
    found = decide(arm([0.0] * cases), arm([1.0] * cases, tokens=1))
    assert (found.publish, found.kind) == (False, "inconclusive")
    said = too_few(cases)
    assert said and said in found.reason
    assert "It takes 6 at least." in said
    assert found.cases_needed == (6 if cases > 1 else None)


def test_six_cases_can_settle_it() -> None:
    assert too_few(6) is None
    assert decide(arm([0.0] * 6), arm([1.0] * 6)).kind == "better"


def test_the_sentence_for_too_few_cases_gives_the_odds() -> None:
    assert too_few(4) == (
        "With 4 held-out cases nothing can be settled: even if every one came out in favour, chance alone would do the "
        "same with probability 0.0625, and 0.025 is the limit. It takes 6 at least."
    )


def test_cases_that_are_not_paired_are_refused() -> None:
    with pytest.raises(ValueError, match="6 cases of the original and 7 of the candidate"):
        decide(arm([1.0] * 6), arm([1.0] * 7))
    with pytest.raises(ValueError, match="the models did not run the same cases"):
        pool([arm([1.0] * 6), arm([1.0] * 7)])


@given(PAIRS)
def test_the_decision_agrees_with_its_figures_and_the_two_arms_never_both_win(pairs: list[tuple[Score, Score]]) -> None:
    original, candidate = [old for old, _ in pairs], [new for _, new in pairs]
    found, swapped = decide(original, candidate), decide(candidate, original)
    assert found.publish == (found.kind in ("better", "cheaper"))
    assert (found.kind == "better") == (found.p_value <= 0.025)
    if found.kind == "cheaper":
        assert found.token_saving >= 0.2 - 1e-9 and found.token_p_value <= 0.025
        assert found.noninferior_bound >= -0.05 - 1e-9
    if found.kind == "better":
        assert swapped.kind in ("worse", "cheaper") and found.ci95[0] > 0
    if found.kind == "worse":
        assert swapped.kind == "better" and found.ci95[1] < 0
    assert found.ci95[0] <= found.noninferior_bound
    assert found.cases_needed is None or (found.kind == "inconclusive" and found.cases_needed > len(pairs))
    assert (str(found.cases_needed) in found.reason) == (found.cases_needed is not None) or not found.cases_needed
    assert not re.search(r"nan|inf\b|-0\.0|None", found.reason)


def test_several_models_are_pooled_case_by_case() -> None:
    pooled = pool([[Score(1.0, 300), Score(0.5, 100)], [Score(0.0, 100), Score(1.0, 200)]])
    assert pooled == [Score(0.5, 200), Score(0.75, 150)]
    assert pool([]) == []


def test_a_model_that_the_candidate_is_worse_on_forbids_it_and_is_named() -> None:
    good = (arm([0.25] * 8), arm([1.0] * 8))
    bad = (arm([0.5] * 8), arm([0.25] * 8))
    found = decide_for_models({"large": good, "small": bad})
    assert (found.publish, found.kind, found.lift) == (False, "worse", 0.25)
    assert found.reason.startswith(
        "Worse on small (by 25.0 points), which a gain on other models does not make good. Over all models: Better: on 8 "
    )
    assert decide_for_models({"large": good}) == decide(*good)
    assert decide_for_models({"large": good, "medium": good}).publish


def test_a_model_on_which_answers_are_not_graded_forbids_what_it_could_be_worse_on() -> None:
    good = (arm([0.25] * 8), arm([1.0] * 8))
    unknown = (arm([0.5] * 8), half_graded(arm([0.5] * 8), 8))
    assert pool([[Score(1.0, 300, 0.5)], [Score(0.5, 100)]]) == [Score(2 / 3, 200, 0.75)]
    found = decide_for_models({"large": good, "small": unknown})
    assert (found.publish, found.kind) == (False, "inconclusive")
    assert found.reason.startswith(
        "Inconclusive: answers that were not graded could turn that to worse on small, which a gain on other models does "
        "not make good. Over all models: Better: on 8 held-out cases "
    )


def test_a_model_that_the_candidate_may_be_worse_on_does_not_forbid_it() -> None:
    good = (arm([0.25] * 8), arm([1.0] * 8))
    unclear = (arm([0.5] * 8), arm([0.25, 0.75, 0.25, 0.5, 0.5, 0.75, 0.25, 0.5]))
    assert decide_for_models({"large": good, "small": unclear}).publish


def test_a_small_but_sure_loss_forbids_a_saving_on_several_models_and_not_on_one() -> None:
    cheaper = (arm([0.5] * 8), arm([0.46] * 8, tokens=500))
    assert decide_for_models({"only": cheaper}).kind == "cheaper"
    assert decide_for_models({"large": cheaper, "small": cheaper}).reason.startswith(
        "Worse on large (by 4.0 points) and small (by 4.0 points), which "
    )


def test_the_figures_compare_with_no_skill_in_the_headline_and_with_the_original_in_the_interval() -> None:
    baseline, original = arm([0.25] * 16, tokens=500), arm([0.5] * 16, tokens=1000)
    candidate = arm([0.75] * 14 + [0.25] * 2, tokens=520)
    entry = figures(baseline, original, candidate, "some-model", 3)
    assert entry == {
        "model": "some-model",
        "performance_increase": "44%",
        "token_savings": "-4%",
        "vs_original": {
            "performance_increase": "19%",
            "token_savings": "48%",
            "ci95": [8.3, 25.0],
            "p_value": 0.00209045,
        },
        "cases": 16,
        "repeats": 3,
        "compared_with": "baseline",
    }


@pytest.mark.parametrize(
    ("lifts", "ci95", "p_value"),
    [
        ([0.5] * 4, None, 0.0625),  # too few for limits
        ([0.5] * 8, [50.0, 50.0], 0.00390625),  # 2^-8, as it is
        ([0.5] * 16, [50.0, 50.0], 1.52588e-05),  # never 0
        ([-0.0001, 0.0001] * 8, [-0.0, 0.0], 0.598190),
    ],
)
def test_the_figures_can_be_written_as_json_with_the_p_value_to_six_digits_that_count(
    lifts: list[float], ci95: Optional[list[float]], p_value: float
) -> None:
    same = arm([0.5] * len(lifts))
    text = json.dumps(figures(same, same, arm([0.5 + lift for lift in lifts]), "m", 1), allow_nan=False)
    against = json.loads(text)["vs_original"]
    assert (against["ci95"], against["p_value"]) == (ci95, p_value)
    assert "-0.0" not in text and '"-0%"' not in text


def test_a_run_without_tokens_saves_nothing() -> None:
    nothing = [Score(0.5, 0.0)] * 8
    assert (decide(nothing, nothing).token_saving, decide(nothing, arm([0.5] * 8)).token_saving) == (0, 0)
    assert not math.isnan(decide(arm([0.5] * 8), nothing).token_saving)
