"""The search and its budget: what is resumed, what ends it, and that no job passes its plan."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any, Optional

import pytest

from mega_code.evaluation import Outcome, generate, plan
from mega_code.evaluation.budget import Budget, Limits, Spent
from mega_code.evaluation.material import gather
from mega_code.evaluation.models import choose
from mega_code.evaluation.models.base import Completion
from mega_code.evaluation.plan import TooSmall
from mega_code.evaluation.store import Store
from support.evaluation import BETTER, SKILL, Steps, evals, knowing, run, triggers, write_skill
from support.model_server import Answer, ModelServer, Reply

pytest.importorskip("gepa")


class Killed(BaseException):
    """As the gateway's own."""


class Stops(Steps):
    """Dies at iteration `at`."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def iteration(self, current: int, total: int) -> None:
        super().iteration(current, total)
        if current == self.at:
            raise Killed


def enhance(server: ModelServer, root: Path, steps: Optional[Steps] = None, **given: Any) -> Outcome:
    skill = root / "a skill"
    if not skill.exists():
        write_skill(skill, cases=evals(12), queries=given.pop("queries", triggers(4)))
    return run(root / "a job", skill, {**server.env, "MEGA_CODE_CONCURRENCY": "4", **given}, steps)


@pytest.mark.parametrize("left", [b"no pickle", None], ids=["garbage", "cut"])
def test_a_search_whose_state_cannot_be_read_starts_anew_and_ends_the_same(tmp_path: Path, left: Any) -> None:
    with ModelServer(knowing()) as server:
        with pytest.raises(Killed):
            enhance(server, tmp_path, Stops(3))
        (state,) = (tmp_path / "a job" / "job-1").glob("search-*/gepa_state.bin")
        state.write_bytes(state.read_bytes()[:-20] if left is None else left)
        again = enhance(server, tmp_path)
        assert server.count() == again.usage_snapshot["calls"]
    with ModelServer(knowing()) as server:
        whole = enhance(server, tmp_path / "undisturbed")
    assert again.artifact_kind == "enhanced"
    assert (again.lineage, again.files, again.usage_snapshot["calls"]) == (
        whole.lineage,
        whole.files,
        whole.usage_snapshot["calls"],
    )


def test_a_job_that_was_killed_tells_how_long_all_its_lives_took(tmp_path: Path) -> None:
    with ModelServer(knowing()) as server:
        with pytest.raises(Killed):
            enhance(server, tmp_path, Stops(3))
        with closing(Store(tmp_path / "a job" / "completions.sqlite3")) as store:
            before = store.usage("job-1").wall_s
            store.lived(store.live("job-1"), 1000.0)
        outcome = enhance(server, tmp_path)
    assert before > 0 and outcome.usage_snapshot["wall_s"] > 1000 + before


def test_another_limit_than_in_the_attempt_before_is_another_search(tmp_path: Path) -> None:
    with ModelServer(knowing()) as server:
        with pytest.raises(Killed):
            enhance(server, tmp_path, Stops(3))
        outcome = enhance(server, tmp_path, MEGA_CODE_MAX_OUTPUT_TOKENS="1999")
    assert outcome.artifact_kind == "enhanced"
    assert len(list((tmp_path / "a job" / "job-1").glob("search-*"))) == 2


def test_a_proposal_that_was_cut_is_no_candidate_and_proposals_that_give_none_end_the_search(tmp_path: Path) -> None:
    def answer(role: str, system: str, prompt: str) -> Answer:
        cut = Reply(f"~~~~\n{BETTER}", finish="length")
        return cut if role == "propose" else str(knowing()(role, system, prompt))

    with ModelServer(answer) as server:
        outcome = enhance(server, tmp_path)
        assert server.count("propose") == 4
    assert [entry["why"] for entry in outcome.lineage[1:]] == [
        "dropped: not usable, the answer was cut before its end"
    ] * 4
    assert outcome.artifact_kind == "source"


def test_a_budget_that_ends_in_the_search_leaves_what_the_decision_needs(tmp_path: Path) -> None:
    numbers = itertools.count()

    def answer(role: str, system: str, prompt: str) -> Answer:
        text = str(knowing(f"{BETTER}{next(numbers)}\n")(role, system, prompt))
        return Reply(text, usage={"prompt_tokens": 400, "completion_tokens": 100})

    with ModelServer(answer) as server:
        outcome = enhance(server, tmp_path, MEGA_CODE_MAX_TOKENS="60000", MEGA_CODE_MAX_OUTPUT_TOKENS="200")
    used = outcome.usage_snapshot
    assert used["input_tokens"] + used["output_tokens"] <= 60_000
    assert (outcome.status, outcome.artifact_kind) == ("succeeded", "enhanced"), outcome.reason
    assert 1 < len(outcome.lineage) < 10
    (note,) = outcome.evaluation["notes"]
    assert re.fullmatch(
        r"The budget ended the search after [1-9] of up to 10 iterations: MEGA_CODE_MAX_TOKENS is 60000; \d+ are used,"
        r" and \d+ more could be needed\.",
        note,
    )


def rude(malformed: int = 0) -> Any:
    """A model for which no two answers are alike, no proposal helps, and so many judgements have to be asked for twice."""
    numbers = itertools.count()
    asked: set[str] = set()

    def answer(role: str, system: str, prompt: str) -> Answer:
        text = str(knowing("# Demo\n\nAnswer rudely.\n")(role, system, prompt))
        if role == "judge" and "The skills:" not in prompt and prompt not in asked and len(asked) < malformed:
            asked.add(prompt)
            return "no grading"
        if role == "propose":
            return text.replace("rudely", f"rudely {next(numbers)}")
        return f"{text} {next(numbers)}" if role == "task" else text

    return answer


def test_the_least_budget_that_is_taken_has_an_iteration_in_it(tmp_path: Path) -> None:
    """81: two arms on 12 judged cases and 4 queries, one proposal that is run on all of train, and the comparison."""
    skill = write_skill(tmp_path / "a skill", cases=evals(12, ["It is signed"]), queries=triggers(4))
    with ModelServer(rude()) as server:
        env = {**server.env, "MEGA_CODE_CONCURRENCY": "4"}
        outcome = run(tmp_path / "a job", skill, {**env, "MEGA_CODE_MAX_CALLS": "80"})
        assert (outcome.status, outcome.usage_snapshot["calls"]) == ("enhancement_blocked", 0)
        assert outcome.reason == ("Nothing was spent: this job needs at least 81 calls, and MEGA_CODE_MAX_CALLS is 80.")
        outcome = run(tmp_path / "a job", skill, {**env, "MEGA_CODE_MAX_CALLS": "81"}, job="job-2")
        assert server.count("propose") == 1
    assert (outcome.status, outcome.artifact_kind, len(outcome.lineage)) == ("succeeded", "source", 2)


def test_a_job_whose_budget_is_gone_before_a_candidate_is_tried_is_blocked_and_tells_what_it_measured(
    tmp_path: Path,
) -> None:
    skill = write_skill(tmp_path / "a skill", cases=evals(12, ["It is signed"]), queries=triggers(4))
    with ModelServer(rude(malformed=24)) as server:
        outcome = run(tmp_path / "a job", skill, {**server.env, "MEGA_CODE_MAX_CALLS": "81"})
        assert (server.count("propose"), server.count()) == (0, outcome.usage_snapshot["calls"])
    assert (outcome.status, outcome.artifact_kind) == ("enhancement_blocked", "none")
    assert outcome.reason == (
        "The budget was spent before there was a decision: no candidate could be tried. MEGA_CODE_MAX_CALLS is 81; 76"
        " are made, and 29 more could be needed."
    )
    assert len(outcome.evaluation["cases"]) == 12 and outcome.evaluation["arms"].keys() == {"baseline", "original"}
    assert [entry["why"] for entry in outcome.lineage] == ["the skill as uploaded"]


def test_a_search_that_the_budget_ended_says_so_beside_that_nothing_was_better(tmp_path: Path) -> None:
    skill = write_skill(tmp_path / "a skill", cases=evals(12, ["It is signed"]), queries=triggers(4))
    with ModelServer(rude(malformed=1)) as server:
        outcome = run(tmp_path / "a job", skill, {**server.env, "MEGA_CODE_MAX_CALLS": "90"})
    assert (outcome.status, outcome.artifact_kind, len(outcome.lineage)) == ("succeeded", "source", 2)
    early = (
        "The budget ended the search after 1 of up to 2 iterations: MEGA_CODE_MAX_CALLS is 90; 62 are made, and 29 more"
        " could be needed."
    )
    assert outcome.evaluation["notes"] == [early]
    assert outcome.reason == (
        "No better: the one candidate did not do better than the skill as uploaded on the train cases."
        " It passes 0% of the expectations of 6 held-out cases, and 0% pass without a skill. Triggering: 2 of 2 held-out"
        f" queries are answered rightly with the description as uploaded. {early}"
    )


def test_what_was_measured_is_told_where_the_model_fails_in_the_search(tmp_path: Path) -> None:
    def answer(role: str, system: str, prompt: str) -> Answer:
        if role == "propose":
            return Reply(status=401)
        return str(knowing()(role, system, prompt))

    with ModelServer(answer) as server:
        outcome = enhance(server, tmp_path)
    assert outcome.status == "enhancement_blocked"
    assert str(outcome.reason).startswith("The model could not be used any longer: ")
    assert outcome.evaluation["arms"]["original"]["pass_rate"] == 0 and len(outcome.lineage) == 1


def test_what_was_measured_is_told_where_the_model_fails_in_the_standing_arms(tmp_path: Path) -> None:
    """24 answers without the skill, 6 with it on train, and 10 of the 18 on the held-out cases."""

    def answer(role: str, system: str, prompt: str) -> Answer:
        return Reply(status=404) if server.count() > 40 else str(knowing()(role, system, prompt))

    with ModelServer(answer) as server:
        outcome = enhance(server, tmp_path, MEGA_CODE_CONCURRENCY="1")
    assert (outcome.status, outcome.usage_snapshot["calls"], outcome.lineage) == ("enhancement_blocked", 41, [])
    assert str(outcome.reason).startswith("The model could not be used: The model's endpoint answers HTTP 404")
    arms = [(case["split"], sorted(case["arms"])) for case in outcome.evaluation["cases"]]
    both, alone = ["baseline", "original"], ["baseline"]
    assert sorted(arms) == [("held_out", alone)] * 3 + [("held_out", both)] * 3 + [("train", both)] * 6
    assert outcome.evaluation["arms"]["original"]["pass_rate"] == 0
    assert outcome.evaluation["notes"] == ["Only a part of the cases was measured; the figures are of those."]


def test_where_no_case_was_measured_there_is_no_evaluation(tmp_path: Path) -> None:
    with ModelServer(Reply(status=404)) as server:
        outcome = enhance(server, tmp_path)
    assert (outcome.status, outcome.evaluation, outcome.lineage) == ("enhancement_blocked", {}, [])


def test_a_model_that_is_not_there_is_named_and_nothing_counts_as_spent(tmp_path: Path) -> None:
    skill = write_skill(tmp_path / "a skill", cases=evals(20), queries=triggers(4))
    env = {"MEGA_CODE_MODEL": "openai:one", "MEGA_CODE_MODEL_URL": "http://127.0.0.1:9/v1"}
    outcome = run(tmp_path / "a job", skill, {**env, "MEGA_CODE_MODEL_PATIENCE_S": "3"})
    assert (outcome.status, outcome.usage_snapshot["calls"]) == ("enhancement_blocked", 0)
    assert outcome.reason == (
        "The model could not be used: The model's endpoint cannot be reached. After 2 attempts another one would come"
        " later than MEGA_CODE_MODEL_PATIENCE_S (3 s) allows. Once that is mended, run it again; what was answered"
        " before is not paid for twice."
    )


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(calls=6, tokens=700, cost_usd=1.0), ""),
        (Limits(calls=5), "MEGA_CODE_MAX_CALLS is 5; 4 are made, and 2 more could be needed."),
        (Limits(tokens=699), "MEGA_CODE_MAX_TOKENS is 699; 400 are used, and 300 more could be needed."),
        (Limits(cost_usd=0.6), "MEGA_CODE_MAX_COST_USD is 0.6; 0.4000 are spent, and 0.3000 more could be needed."),
    ],
)
def test_a_budget_says_which_limit_lacks_room_for_calls_to_come(limits: Limits, says: str) -> None:
    assert Budget(limits, Spent(4, 400, 0.4)).lacks(2) == says


def worst() -> Any:
    """A model for which every judge's answer is malformed, no two answers are alike, and each proposal is shorter."""
    numbers = itertools.count(1)
    lengths = (int(360 * 0.7**number) for number in itertools.count(1))

    def answer(role: str, system: str, prompt: str) -> Answer:
        if role == "generate" and "should_trigger" in prompt:
            return json.dumps(triggers(20))
        if role == "generate":
            made = [{"prompt": f"Question {next(numbers)}", "expectations": ["Good"]} for _ in range(8)]
            return json.dumps({"evals": made})
        if role == "propose":
            return f"~~~~\n# Demo\n\n{'x' * next(lengths)}\n~~~~"
        if "The skills:" in prompt:
            return "none"
        usage = {"prompt_tokens": len((system + prompt).encode()), "completion_tokens": 1}
        return Reply(f"word {next(numbers)}", usage=usage)

    return answer


@pytest.mark.parametrize(
    ("cases", "queries", "models", "calls"),
    [
        (12, 4, "openai:one", 900),
        (13, 7, "openai:one,openai:two", 900),
        (None, None, "openai:one", 900),
        (12, 4, "openai:one", 81),
    ],
)
def test_no_job_makes_more_calls_or_takes_more_tokens_than_its_plan(
    tmp_path: Path, cases: Optional[int], queries: Optional[int], models: str, calls: int
) -> None:
    with ModelServer(worst()) as server:
        skill = write_skill(
            tmp_path / "a skill",
            SKILL.replace("Answer politely.", "Answer politely. " + "Long. " * 60),
            None if cases is None else evals(cases, ["Good", {"contains": "word"}]),
            None if queries is None else triggers(queries),
        )
        env = {**server.env, "MEGA_CODE_MODEL": models, "MEGA_CODE_MAX_CALLS": str(calls)}
        limits = Limits.from_env(env)
        planned = plan.plan(gather(skill, "demo").sizes(choose(models, env), limits.output_tokens), calls)
        outcome = run(tmp_path / "a job", skill, {**env, "MEGA_CODE_CONCURRENCY": "8"})
        assert server.count() <= planned.calls <= calls
    used = outcome.usage_snapshot
    assert used["input_tokens"] + used["output_tokens"] <= planned.tokens
    assert outcome.evaluation.get("plan", planned.as_json()) == planned.as_json()


def test_a_plan_never_passes_its_limit_and_says_what_the_least_is(tmp_path: Path) -> None:
    skill = write_skill(tmp_path / "a skill", cases=evals(16, ["Good"]), queries=triggers(6))
    models = choose("openai:one", {"MEGA_CODE_MODEL_URL": "http://127.0.0.1:1"})
    size = gather(skill, "demo").sizes(models, 2048)
    found = {}
    for calls in range(1, 700):
        with contextlib.suppress(TooSmall):
            found[calls] = plan.plan(size, calls)
    assert list(found) == list(range(min(found), 700))
    assert all(one.calls <= calls for calls, one in found.items())
    assert [one.repeats for one in found.values()] == sorted(one.repeats for one in found.values())
    with pytest.raises(TooSmall, match=f"at least {min(found)} calls"):
        plan.plan(size, 1)


def test_a_plan_leaves_room_for_one_whole_iteration_and_takes_fewer_repeats_for_it(tmp_path: Path) -> None:
    skill = write_skill(tmp_path / "a skill", cases=evals(32, ["Good"]), queries=triggers(8))
    models = choose("openai:one", {"MEGA_CODE_MODEL_URL": "http://127.0.0.1:1"})
    size = gather(skill, "demo").sizes(models, 2048)
    one_more = plan.plan(size, 419)  # 364 for all that is fixed, 37 for a whole iteration, twice 9 for dropped ones
    assert (one_more.repeats, one_more.iterations, one_more.room) == (3, 3, 100 + 37)
    for calls in (400, 418):
        planned = plan.plan(size, calls)
        assert (planned.repeats, planned.iterations, planned.room) == (2, 10, 68 + 37)


def test_a_plan_whose_questions_alone_pass_the_limit_on_tokens_is_none(tmp_path: Path) -> None:
    skill = write_skill(tmp_path / "a skill", cases=evals(12, ["Good"]), queries=triggers(4))
    models = choose("openai:one", {"MEGA_CODE_MODEL_URL": "http://127.0.0.1:1"})
    size = gather(skill, "demo").sizes(models, 2048)
    with pytest.raises(TooSmall) as caught:
        plan.plan(size, 400, 1)
    said = re.fullmatch(
        r"the questions of the shortest job with these cases are about ([\d,]+) tokens, and MEGA_CODE_MAX_TOKENS is 1",
        str(caught.value),
    )
    assert said
    least = int(said[1].replace(",", ""))
    assert (plan.plan(size, 400, least).repeats, plan.plan(size, 400, 3 * least).repeats) == (1, 3)
    assert plan.plan(size, 400, least).tokens == least
    with pytest.raises(TooSmall, match="are about"):
        plan.plan(size, 400, least - 1)


class Writes:
    """A model that writes what it is told, call by call."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.prompts: list[str] = []

    def complete_all(self, requests: Any) -> list[Completion]:
        self.prompts.append(requests[0].prompt)
        text = self.answers.pop(0)
        return [Completion(text if isinstance(text, str) else json.dumps(text), "m", 1, 1, 0.0)]


def made(*prompts: str) -> list[dict[str, Any]]:
    return [{"prompt": prompt, "expectations": ["Good"]} for prompt in prompts]


def test_generated_cases_are_of_use_different_and_numbered_and_the_rest_is_named() -> None:
    model = Writes(
        {"evals": [*made("One", " one ", "x" * 5000), {"prompt": "", "expectations": ["Good"]}]},
        "Sorry.",
        {"tests": made("Two")},
        made(*(f"More {n}" for n in range(30))),
    )
    found = generate.generate_cases(SKILL, model)
    assert [case.id for case in found.items] == [str(n) for n in range(1, 25)]
    assert [case.prompt for case in found.items][:3] == ["One", "Two", "More 0"]
    assert found.notes == [
        "evals[3].prompt must be a text of 1 to 65536 characters.",
        "A task was written twice, and counts once.",
        "A task or its expectations are over 4096 bytes.",
        "Call 2 for cases gave no list of them.",
    ]
    assert "- One\n" in model.prompts[1] and SKILL in model.prompts[0]


def test_queries_are_generated_in_two_calls_at_most() -> None:
    found = generate.generate_triggers(SKILL, Writes("Sorry.", {"queries": [*triggers(30), {"query": 1}]}))
    assert len(found.items) == 20 and found.notes == [
        "Call 1 for triggers gave no list of them.",
        "triggers[30].query must be a text of 1 to 4096 characters.",
    ]
