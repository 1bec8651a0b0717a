"""How far a few held-out cases can be trusted: sign-flip tests, and the intervals that follow from them.

The unit is the case. Where two arms do the same, a case's difference is as likely to be there with the other sign
(Fisher 1935), whatever its size and however the expectations inside the case hang together. So the test compares the
sum that was seen with the sums of all 2^n ways to flip signs, and assumes neither a normal distribution nor equal
variances. A sum with the set A flipped is at least the one that was seen exactly where A itself sums to zero or less;
hence only the sums of the subsets are needed, and the limits of the inverted test are order statistics of the means of
the 2^n - 1 non-empty subsets, Hartigan's "typical values" (JASA 64, 1969, 1303-1317). Differences that tie, or are
zero, only make the test more careful, and limits come out as data do: skewed where these are skewed.

Everything is pure and gives the same figures for the same input, at any time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import compress
from operator import truediv
from random import Random
from statistics import NormalDist, fmean, stdev
from typing import Optional

ALPHA = 0.025  # one-sided
LEVEL = 0.95
POWER = 0.8
FEWEST_CASES = 6  # 2^-5 > ALPHA >= 2^-6
EXACT_CASES = 16
SAMPLED = (1 << EXACT_CASES) - 1
SEED = 1969
FLOAT_ERROR = 1e-12  # of the sum of the amounts: sums that differ by less are equal


class SignFlips:
    """Sign flips of `amounts`, one a case, for the ratio of their sum to the sum of `sizes` (1 a case by default).

    Without sizes that ratio is the mean. With the original's tokens as sizes and the tokens saved as amounts it is the
    relative saving in total. Sizes are not negative. Up to `EXACT_CASES` cases every subset counts; past them
    `SAMPLED` random ones stand for all, drawn with a fixed seed, and what was seen is counted among them, so that the
    p-value stays valid and is never zero.
    """

    def __init__(self, amounts: Sequence[float], sizes: Optional[Sequence[float]] = None) -> None:
        if sizes is not None and len(sizes) != len(amounts):
            raise ValueError(f"{len(amounts)} amounts and {len(sizes)} sizes")
        self.amounts = tuple(amounts)
        self.sizes = (1.0,) * len(self.amounts) if sizes is None else tuple(sizes)

    def p_value(self) -> float:
        """One-sided, greater than zero: the share of sign patterns whose sum is at least the one that was seen."""
        equal = FLOAT_ERROR * math.fsum(map(abs, self.amounts))
        if len(self.amounts) <= EXACT_CASES:
            return _at_most(equal, self.amounts) / (1 << len(self.amounts))
        return (1 + len([1 for total in _subset_sums(self.amounts) if total <= equal])) / (1 + SAMPLED)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Two-sided, with equal tails. A limit that so few cases cannot set is infinite."""
        tail = (1 - level) / 2
        return self.lower_bound(1 - tail), self.upper_bound(1 - tail)

    def lower_bound(self, level: float = LEVEL) -> float:
        """One-sided: the smallest ratio that the test of "greater" at `1 - level` does not reject."""
        rank = self._rank(level)
        return self._typical_values[rank - 1] if rank else -math.inf

    def upper_bound(self, level: float = LEVEL) -> float:
        """One-sided: the largest ratio that the test of "less" at `1 - level` does not reject."""
        rank = self._rank(level)
        return self._typical_values[-rank] if rank else math.inf

    def _rank(self, level: float) -> int:
        patterns = 1 + len(_subset_sums(self.sizes))
        without_ratio = patterns - 1 - len(self._typical_values)  # the test counts these whatever it is asked
        return max(0, int((1 - level) * patterns + FLOAT_ERROR) - without_ratio)

    @cached_property
    def _typical_values(self) -> list[float]:
        amounts, sizes = _subset_sums(self.amounts), _subset_sums(self.sizes)
        return sorted(map(truediv, compress(amounts, sizes), filter(None, sizes)))


def pass_rate_interval(rates: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Of the mean of one arm's pass rates, one a case, each 0 to 1; it never leaves that range.

    Wilson's score interval (JASA 22, 1927, 209-212) for the effective number of cases, that is the number of yes/no
    cases whose mean would vary as much as this one. The variance counts one more case than there are, as variable as a
    yes/no case: six cases that happen to agree do not make an arm certain. Sign flips are no use here, as a pass rate
    near 1 is not symmetric.
    """
    cases, mean = len(rates), fmean(rates)
    most = mean * (1 - mean)
    variance = (math.fsum((rate - mean) ** 2 for rate in rates) + most) / cases
    effective = cases * most / variance if most > 0 else cases
    z = NormalDist().inv_cdf((1 + level) / 2)
    shrink = 1 + z * z / effective
    middle = (mean + z * z / (2 * effective)) / shrink
    half = z * math.sqrt(most / effective + (z / (2 * effective)) ** 2) / shrink
    # The mean itself is in there, whatever rounding has made of the limits.
    return min(mean, max(0.0, middle - half)), max(mean, min(1.0, middle + half))


def cases_needed(differences: Sequence[float], alpha: float = ALPHA) -> Optional[int]:
    """How many cases find a mean above zero with power `POWER`, were mean and spread as observed; at least six.

    None where the mean is not positive, as no number of cases finds nothing, or where one case shows no spread. The
    sample size of the t-test with Guenther's correction (American Statistician 35, 1981, 243-244), which the sign-flip
    test needs as well: the two have the same power in the limit (Hoeffding 1952), and nearly so from seven cases on.
    """
    if len(differences) < 2 or fmean(differences) <= FLOAT_ERROR:
        return None
    z, power = NormalDist().inv_cdf(1 - alpha), NormalDist().inv_cdf(POWER)
    ratio = stdev(differences) / fmean(differences)
    return max(FEWEST_CASES, math.ceil(((z + power) * ratio) ** 2 + z * z / 2))


@lru_cache(maxsize=4)  # every mean asks for the sizes of the same subsets
def _subset_sums(values: tuple[float, ...]) -> list[float]:
    """The sums of the non-empty subsets, or of a sample of subsets; by position, the same for all of one length."""
    return _doubled(values)[1:] if len(values) <= EXACT_CASES else _sampled(values)


def _at_most(limit: float, values: Sequence[float]) -> int:
    """How many subsets, the empty one included, sum to `limit` or less: every half against all other halves."""
    half = len(values) // 2
    ordered = sorted(_doubled(values[half:]))
    return sum(bisect_right(ordered, limit - total) for total in _doubled(values[:half]))


def _doubled(values: Sequence[float]) -> list[float]:
    """The sums of all subsets; the bits of a position say which values belong to its subset."""
    sums = [0.0]
    for value in values:
        sums += [total + value for total in sums]
    return sums


def _sampled(values: Sequence[float]) -> list[float]:
    """The sums of random subsets: eight cases at a time, a random byte picks one of their 256 subsets."""
    random = Random(SEED)
    sums = [0.0] * SAMPLED
    for start in range(0, len(values), 8):
        table = _doubled(values[start : start + 8])
        table *= 256 // len(table)
        sums = [total + table[byte] for total, byte in zip(sums, random.randbytes(SAMPLED))]
    return sums
