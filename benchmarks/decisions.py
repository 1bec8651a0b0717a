"""How often a skill is published that should not be, or is not that should. Prints a Markdown table.

Every row draws held-out cases from a world whose truth is known, see simulation.py, and has the rule of
mega_code/evaluation/decision.py decide on 16 cases and 3 repeats. Beside it stands the rule that others use: mean lift
over 5 points, or no loss and 20 % fewer tokens; once on the four cases of three or four expectations, run once, that
it is used on, and once on the very draws that ours gets.

Usage: python benchmarks/decisions.py [--decisions 2000] [--seed 1]
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import fmean
from typing import NamedTuple, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.simulation import World
from mega_code.evaluation.decision import Score, decide, token_saving

CASES, REPEATS = 16, 3
THEIR_CASES, THEIR_EXPECTATIONS = 4, (3, 4)


class Bar(NamedTuple):
    """What a share of the decisions must at least, or at most, be."""

    side: str
    share: float

    def __str__(self) -> str:
        return f"{self.side} {self.share:.0%}"

    def missed_by(self, share: float, leeway: float) -> bool:
        """Whether a share is on the wrong side, by more than `leeway`."""
        return (share - self.share) * (1 if self.side == "≤" else -1) > leeway


COVERAGE = (Bar("≥", 0.93), Bar("≤", 0.97))


class Scenario(NamedTuple):
    """A world, and the bar for the share of decisions that publish in it, if there is one."""

    name: str
    world: World
    bar: Optional[Bar] = None


SCENARIOS = (
    Scenario("the same text twice", World(0, lift_sd=0), Bar("≤", 0.05)),
    Scenario("nothing gained on average", World(0), Bar("≤", 0.05)),
    Scenario("10 points worse", World(-0.1), Bar("≤", 0.01)),
    Scenario("20 points better", World(0.2), Bar("≥", 0.6)),
    Scenario("30 points better", World(0.3), Bar("≥", 0.9)),
    Scenario("30 % fewer tokens, nothing gained", World(0, saving=0.3)),
    # Not better, so by the other route if at all: its bound lets 5 % through at five points lost, and fewer beyond.
    Scenario("30 % fewer tokens, 10 points worse", World(-0.1, saving=0.3), Bar("≤", 0.05)),
)


class Result(NamedTuple):
    """Shares of the decisions on one scenario: who publishes, and how often the interval holds the true lift."""

    scenario: Scenario
    decisions: int
    ours: float
    theirs: float
    theirs_on_our_draws: float
    coverage: float

    def missed(self, errors: float = 0) -> list[str]:
        """The bars that are missed, by more than so many standard errors."""
        bars = [("published", self.ours, self.scenario.bar), *(("covered", self.coverage, bar) for bar in COVERAGE)]
        return [
            f"{self.scenario.name}: {what} {share:.1%}, the bar is {bar}"
            for what, share, bar in bars
            if bar and bar.missed_by(share, errors * math.sqrt(bar.share * (1 - bar.share) / self.decisions))
        ]

    def __str__(self) -> str:
        """Its line of the table."""
        shares = [f"{share:.1%}" for share in self[2:]]
        return f"| {' | '.join((self.scenario.name, *shares, str(self.scenario.bar or '–')))} |"


def simulate(scenario: Scenario, decisions: int, seed: int) -> Result:
    """So many decisions; the same for the same seed, whatever the other scenarios are."""
    random = Random(f"{seed} {scenario.name}")
    truth = scenario.world.true_lift()
    outcomes = []
    for _ in range(decisions):
        original, candidate = _draw(random, scenario.world, CASES, REPEATS, (4, 4))
        decision = decide(original, candidate)
        theirs = _their_rule(*_draw(random, scenario.world, THEIR_CASES, 1, THEIR_EXPECTATIONS))
        low, high = decision.ci95
        covered = low - 1e-9 <= truth <= high + 1e-9
        outcomes.append((decision.publish, theirs, _their_rule(original, candidate), covered))
    return Result(scenario, decisions, *(fmean(column) for column in zip(*outcomes)))


def _draw(
    random: Random, world: World, cases: int, repeats: int, expectations: tuple[int, int]
) -> tuple[list[Score], list[Score]]:
    """The scores of both arms on new cases, each with a number of expectations between the two."""
    pairs = []
    for _ in range(cases):
        case, expected = world.case(random), random.randint(*expectations)
        pairs.append((case.original.score(random, repeats, expected), case.candidate.score(random, repeats, expected)))
    original, candidate = zip(*pairs)
    return list(original), list(candidate)


def _their_rule(original: Sequence[Score], candidate: Sequence[Score]) -> bool:
    lift = fmean(new.passed - old.passed for old, new in zip(original, candidate))
    return lift > 0.05 or (lift >= 0 and token_saving(original, candidate) >= 0.2)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Exit 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--decisions", type=int, default=2000, help="on every scenario")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    print(
        "| scenario | published | threshold rule, 4 cases, 1 run | threshold rule, same draws | interval covers | bar |"
    )
    print("|---|---|---|---|---|---|")
    missed = []
    for scenario in SCENARIOS:
        result = simulate(scenario, args.decisions, args.seed)
        missed += result.missed()
        print(result, flush=True)
    print(f"\nThe interval of the lift is to cover the truth in {COVERAGE[0].share:.0%} to {COVERAGE[1].share:.0%}.")
    print("\n".join(missed or ["Every bar is met."]))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
