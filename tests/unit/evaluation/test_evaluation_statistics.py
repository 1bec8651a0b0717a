"""The statistics of held-out cases: sign flips against brute force, the limits, and what they cover."""

from __future__ import annotations

import math
from itertools import product
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mega_code.evaluation import statistics
from mega_code.evaluation.statistics import (
    EXACT_CASES,
    SignFlips,
    cases_needed,
    pass_rate_interval,
)

# What pass rates do: twelfths, so that sums tie and floating point does not add up by itself.
TWELFTHS = st.integers(-12, 12)
FEW = st.lists(TWELFTHS, min_size=1, max_size=8)
CASES = st.lists(TWELFTHS, min_size=6, max_size=12)


def twelfths(values: list[int]) -> list[float]:
    return [value / 12 for value in values]


def brute_force_p(values: list[int]) -> float:
    sums = [sum(sign * value for sign, value in zip(signs, values)) for signs in product((1, -1), repeat=len(values))]
    return sum(total >= sum(values) for total in sums) / len(sums)


@given(FEW)
def test_the_p_value_is_that_of_all_sign_patterns_ties_counted(values: list[int]) -> None:
    assert SignFlips(twelfths(values)).p_value() == brute_force_p(values)


@given(FEW, st.integers(1, 40))
def test_a_limit_is_the_last_mean_that_the_test_does_not_reject(values: list[int], hundredths: int) -> None:
    flips = SignFlips(twelfths(values))
    level = 1 - hundredths / 100
    low = flips.lower_bound(level)
    assert math.isfinite(low) == (2 ** -len(values) <= hundredths / 100)
    if math.isfinite(low):  # a whole number of these units, as 840 is a multiple of the size of every subset
        units = round(12 * 840 * low)
        rejected = [brute_force_p([value * 840 - shift for value in values]) for shift in (units - 1, units)]
        assert rejected[0] <= hundredths / 100 < rejected[1]
    assert flips.upper_bound(level) == -SignFlips(twelfths([-value for value in values])).lower_bound(level)


@given(CASES)
def test_the_test_and_its_interval_agree(values: list[int]) -> None:
    flips = SignFlips(twelfths(values))
    low, high = flips.interval()
    assert (flips.p_value() <= 0.025) == (low > 1e-9)
    assert low <= fmean(twelfths(values)) + 1e-9 and fmean(twelfths(values)) <= high + 1e-9
    assert low <= flips.lower_bound() <= flips.upper_bound() <= high


@given(CASES, st.randoms(use_true_random=False), st.sampled_from((1e-9, 0.3, 7.0, 1e6)))
def test_order_and_unit_change_nothing(values: list[int], random: Random, unit: float) -> None:
    flips = SignFlips(twelfths(values))
    shuffled = random.sample(values, len(values))
    other = SignFlips([value / 12 * unit for value in shuffled])
    assert other.p_value() == flips.p_value()
    assert other.interval() == pytest.approx([limit * unit for limit in flips.interval()], rel=1e-9, abs=1e-9 * unit)


@given(CASES, st.integers(-12, 12))
def test_a_shift_of_all_differences_shifts_the_interval(values: list[int], shift: int) -> None:
    moved = SignFlips(twelfths([value + shift for value in values]))
    expected = [limit + shift / 12 for limit in SignFlips(twelfths(values)).interval()]
    assert moved.interval() == pytest.approx(expected, abs=1e-9)


@given(CASES, st.integers(0, 11), st.integers(1, 12))
def test_a_case_that_does_better_never_raises_the_p_value(values: list[int], index: int, gain: int) -> None:
    better = list(values)
    better[index % len(values)] += gain
    assert 0 < SignFlips(twelfths(better)).p_value() <= SignFlips(twelfths(values)).p_value() <= 1


@given(FEW)
def test_both_tails_and_the_tie_make_one(values: list[int]) -> None:
    less = SignFlips(twelfths([-value for value in values])).p_value()
    same = sum(
        sum(sign * value for sign, value in zip(signs, values)) == sum(values)
        for signs in product((1, -1), repeat=len(values))
    )
    assert SignFlips(twelfths(values)).p_value() + less == 1 + same / 2 ** len(values)


def test_cases_that_all_came_out_alike_have_an_interval_of_one_point() -> None:
    assert SignFlips([0.0] * 16).interval() == (0, 0)
    assert SignFlips([0.0] * 16).p_value() == 1
    assert SignFlips([0.25] * 16).interval() == (0.25, 0.25)
    assert SignFlips([0.25] * 16).p_value() == 2**-16


@pytest.mark.parametrize("cases", range(6))
def test_fewer_than_six_cases_set_no_limit(cases: int) -> None:
    flips = SignFlips([1.0] * cases)
    assert flips.interval() == (-math.inf, math.inf)
    assert flips.p_value() == 0.5**cases > 0.025


def test_six_cases_in_favour_are_the_fewest_that_settle() -> None:
    assert SignFlips([0.5, 0.25, 1, 0.75, 0.25, 0.5]).p_value() == 2**-6
    assert SignFlips([0.5, 0.25, 1, 0.75, 0.25, 0.5]).interval() == (0.25, 1)


@pytest.mark.parametrize("seed", range(4))
def test_sampled_flips_come_close_to_all_of_them(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(seed)
    amounts = [random.gauss(0.1, 0.3) for _ in range(18)]
    sizes = [random.lognormvariate(0, 0.5) for _ in range(18)]
    sampled = [SignFlips(amounts), SignFlips(amounts, sizes)]
    found = [(flips.p_value(), *flips.interval()) for flips in sampled]
    monkeypatch.setattr(statistics, "EXACT_CASES", 18)
    statistics._subset_sums.cache_clear()
    exact = [(flips.p_value(), *flips.interval()) for flips in (SignFlips(amounts), SignFlips(amounts, sizes))]
    statistics._subset_sums.cache_clear()
    for (p_value, *limits), (exact_p, *exact_limits) in zip(found, exact):
        assert p_value == pytest.approx(exact_p, abs=0.006)
        assert limits == pytest.approx(exact_limits, abs=0.01)


@pytest.mark.parametrize("cases", [EXACT_CASES + 1, 24, 61])
def test_sampled_flips_give_the_same_every_time_and_never_a_p_value_of_zero(cases: int) -> None:
    first = SignFlips([1.0] * cases)
    assert 0 < first.p_value() < 1e-4
    assert first.interval() == (1, 1)
    random = Random(cases)
    amounts = [random.gauss(0, 1) for _ in range(cases)]
    once = (SignFlips(amounts).p_value(), SignFlips(amounts).interval())
    statistics._subset_sums.cache_clear()
    again = SignFlips(amounts)
    assert (again.p_value(), again.interval()) == once
    assert (once[0] <= 0.025) == (once[1][0] > 0)


def test_sampled_limits_are_no_surer_than_the_test() -> None:
    flips = SignFlips([1.0] * (EXACT_CASES + 1))
    p_value = flips.p_value()
    assert p_value > 2**-16  # some samples flip nothing, and set no limit
    assert flips.lower_bound(1 - p_value * 0.99) == -math.inf
    assert flips.lower_bound(1 - p_value * 1.01) == 1


def test_the_p_value_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    random = Random(11)
    for cases in (6, 9, 12):
        amounts = [random.gauss(0.1, 0.3) for _ in range(cases)]
        expected = stats.permutation_test(
            (amounts,), fmean, permutation_type="samples", alternative="greater", n_resamples=math.inf
        )
        assert SignFlips(amounts).p_value() == pytest.approx(expected.pvalue, abs=1e-12)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=30))
def test_the_interval_of_a_pass_rate_holds_the_rate_and_stays_between_nothing_and_all(passed: list[int]) -> None:
    low, high = pass_rate_interval(twelfths(passed))
    assert 0 <= low <= fmean(twelfths(passed)) <= high <= 1
    assert low < high
    failed = pass_rate_interval([1 - rate for rate in twelfths(passed)])
    assert failed == pytest.approx((1 - high, 1 - low))


def test_more_cases_narrow_a_pass_rate_and_a_full_house_stays_open_to_doubt() -> None:
    widths = [high - low for low, high in (pass_rate_interval([0.5, 0.75, 1, 0.25] * n) for n in (1, 2, 4, 8))]
    assert widths == sorted(widths, reverse=True)
    assert pass_rate_interval([1.0] * 6) == pytest.approx((0.61, 1), abs=0.01)  # Wilson's for 6 of 6


@pytest.mark.parametrize(("a", "b", "cases"), [(2, 1.5, 16), (8, 1, 16), (20, 0.5, 10), (2, 1.5, 6), (1, 6, 30)])
def test_the_interval_of_a_pass_rate_covers_the_truth(a: float, b: float, cases: int) -> None:
    random = Random(cases)
    covered = 0
    for _ in range(1000):
        rates = [random.betavariate(a, b) for _ in range(cases)]
        low, high = pass_rate_interval([fmean(random.random() < rate for _ in range(12)) for rate in rates])
        covered += low <= a / (a + b) <= high
    assert 925 <= covered <= 990


@pytest.mark.parametrize(("mean", "spread"), [(0.3, 0.25), (0.2, 0.25)])
def test_the_cases_that_are_said_to_be_needed_give_the_power_that_is_asked(mean: float, spread: float) -> None:
    random = Random(7)
    pattern = [mean + spread * math.sqrt(15 / 16) * sign for sign in (1, -1) * 8]
    needed = cases_needed(pattern)
    assert needed is not None
    assert 6 <= needed <= EXACT_CASES
    found = sum(SignFlips([random.gauss(mean, spread) for _ in range(needed)]).p_value() <= 0.025 for _ in range(1000))
    assert found / 1000 == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("differences", [[], [0.5], [0.0] * 16, [-0.1] * 16, [0.25, -0.25] * 8])
def test_no_number_of_cases_settles_a_lift_of_nothing(differences: list[float]) -> None:
    assert cases_needed(differences) is None


@settings(max_examples=50)
@given(CASES, st.integers(1, 6))
def test_a_smaller_lift_needs_more_cases(values: list[int], less: int) -> None:
    many, few = cases_needed(twelfths([value - less for value in values])), cases_needed(twelfths(values))
    assert many is None or (few is not None and 6 <= few <= many)
