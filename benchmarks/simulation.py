"""A world of cases whose truth is known, to see how a decision fares in it. Pure; every draw is the caller's `random`.

A case's difficulty is Beta(2, 1.5): the rate at which the original passes it. What the candidate adds has a standard
deviation of 15 points from case to case, and a rate stays between 0 and 1, so of 20 points on average about 17 are
left. An expectation shares its output's draw with probability one half, so those of one output hang together. Tokens
are log-normal, between cases and between runs of a case.
"""

from __future__ import annotations

import math
from random import Random
from statistics import NormalDist, fmean
from typing import NamedTuple

from mega_code.evaluation.decision import Score

DIFFICULTY = (2.0, 1.5)
LIFT_SD = 0.15
EXPECTATIONS = 4
SHARED = 0.5
TOKENS = 2000
CASE_TOKENS_SD = 0.5  # of the logarithm
RUN_TOKENS_SD = 0.3
STEPS = 4000


class World(NamedTuple):
    """What the candidate does to every case: `lift` of its pass rate on average, and `saving` of its tokens."""

    lift: float
    saving: float = 0.0
    lift_sd: float = LIFT_SD

    def case(self, random: Random) -> Case:
        """A case of this world."""
        before = random.betavariate(*DIFFICULTY)
        after = min(1.0, max(0.0, random.gauss(before + self.lift, self.lift_sd)))
        tokens = TOKENS * random.lognormvariate(0, CASE_TOKENS_SD)
        return Case(Arm(before, tokens), Arm(after, tokens * (1 - self.saving)))

    def true_lift(self) -> float:
        """The mean of what the candidate adds, over all cases there could be."""
        a, b = DIFFICULTY
        grid = [(step + 0.5) / STEPS for step in range(STEPS)]
        weights = [rate ** (a - 1) * (1 - rate) ** (b - 1) for rate in grid]
        after = [_mean_between_0_and_1(rate + self.lift, self.lift_sd) for rate in grid]
        return math.fsum(w * (new - old) for w, old, new in zip(weights, grid, after)) / math.fsum(weights)


class Arm(NamedTuple):
    """One case in one arm: the chance of an expectation to pass, and the median of a run's tokens."""

    rate: float
    tokens: float

    def output(self, random: Random, expectations: int = EXPECTATIONS) -> list[bool]:
        """Which expectations one output meets."""
        shared = random.random()
        draws = [shared if random.random() < SHARED else random.random() for _ in range(expectations)]
        return [draw < self.rate for draw in draws]

    def tokens_of_run(self, random: Random) -> float:
        """What one run takes, in and out."""
        return self.tokens * random.lognormvariate(0, RUN_TOKENS_SD)

    def score(self, random: Random, repeats: int, expectations: int = EXPECTATIONS) -> Score:
        """The mean over several runs."""
        passed = fmean(fmean(self.output(random, expectations)) for _ in range(repeats))
        return Score(passed, fmean(self.tokens_of_run(random) for _ in range(repeats)))


class Case(NamedTuple):
    """The same task in both arms."""

    original: Arm
    candidate: Arm


def _mean_between_0_and_1(mean: float, sd: float) -> float:
    """The mean of a normal variable that is set to 0 where it is below, and to 1 where it is above."""
    if sd == 0:
        return min(1.0, max(0.0, mean))
    normal = NormalDist(mean, sd)
    inside = normal.cdf(1) - normal.cdf(0)
    return mean * inside + sd * sd * (normal.pdf(0) - normal.pdf(1)) + 1 - normal.cdf(1)
