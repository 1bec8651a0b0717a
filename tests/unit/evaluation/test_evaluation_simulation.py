"""The rule in simulated worlds: a small size of `python benchmarks/decisions.py`, and the worlds themselves."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest

from benchmarks.decisions import SCENARIOS, Bar, Result, Scenario, main, simulate
from benchmarks.simulation import Arm, World

pytestmark = pytest.mark.slow  # thousands of decisions each

DECISIONS = 100
STANDARD_ERRORS = 3  # so small a size strays; the full size allows for nothing


@pytest.mark.parametrize("scenario", SCENARIOS[1:5], ids=lambda scenario: scenario.name)
def test_the_rule_keeps_its_bars_in_a_world_whose_truth_is_known(scenario: Scenario) -> None:
    result = simulate(scenario, DECISIONS, seed=1)
    assert result.missed(STANDARD_ERRORS) == []


def test_the_threshold_rule_publishes_what_changes_nothing() -> None:
    result = simulate(SCENARIOS[0], 30, seed=1)
    assert result.theirs > 0.25 > 0.1 > result.ours


def test_a_missed_bar_is_named_and_a_share_on_the_bar_is_not_missed() -> None:
    def result(ours: float, coverage: float) -> Result:
        return Result(Scenario("a world", World(0), Bar("≤", 0.05)), 100, ours, 0.5, 0.25, coverage)

    assert result(0.05, 0.93).missed() == []
    assert result(0.05, 0.97).missed() == []
    assert result(0.06, 0.92).missed() == [
        "a world: published 6.0%, the bar is ≤ 5%",
        "a world: covered 92.0%, the bar is ≥ 93%",
    ]
    assert result(0.06, 0.98).missed(errors=3) == []
    assert result(0.2, 0.85).missed(errors=3) != []
    assert Bar("≥", 0.6).missed_by(0.59, 0) and not Bar("≥", 0.6).missed_by(0.61, 0)
    assert str(result(0.06, 0.92)) == "| a world | 6.0% | 50.0% | 25.0% | 92.0% | ≤ 5% |"


def test_the_command_prints_a_row_a_scenario_and_exits_1_where_it_names_a_missed_bar(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["--decisions", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[2 : 2 + len(SCENARIOS)]] == [f"| {s.name}" for s in SCENARIOS]
    assert "the bar is" in lines[-1]  # two decisions cover nothing, half or all, never 93 to 97 %
    assert status == 1


def test_the_same_seed_draws_the_same() -> None:
    assert simulate(SCENARIOS[2], 3, seed=4) == simulate(SCENARIOS[2], 3, seed=4)
    assert simulate(SCENARIOS[2], 3, seed=4) != simulate(SCENARIOS[2], 3, seed=5)


@pytest.mark.parametrize("world", [World(0), World(-0.1), World(0.3), World(0.3, lift_sd=0)], ids=str)
def test_the_true_lift_is_the_mean_of_many_cases(world: World) -> None:
    random = Random(2)
    cases = [world.case(random) for _ in range(20_000)]
    assert fmean(case.candidate.rate - case.original.rate for case in cases) == pytest.approx(
        world.true_lift(), abs=0.004
    )
    assert fmean(case.original.rate for case in cases) == pytest.approx(2 / 3.5, abs=0.006)


def test_expectations_of_one_output_pass_at_the_rate_and_hang_together() -> None:
    random = Random(3)
    arm = Arm(0.6, 2000)
    outputs = [arm.output(random, 2) for _ in range(20_000)]
    assert fmean(fmean(output) for output in outputs) == pytest.approx(0.6, abs=0.01)
    both = fmean(all(output) for output in outputs)
    # Both share the output's draw one time in four, and are independent else.
    assert both == pytest.approx(0.25 * 0.6 + 0.75 * 0.36, abs=0.012)


def test_a_saving_is_of_every_cases_tokens() -> None:
    case = World(0, saving=0.3).case(Random(5))
    assert case.candidate.tokens == pytest.approx(0.7 * case.original.tokens)
    random = Random(6)
    runs = sorted(Arm(1, 1000).tokens_of_run(random) for _ in range(2001))
    assert runs[1000] == pytest.approx(1000, rel=0.05)
    assert runs[0] < 600 and runs[-1] > 1800
