"""The budget: no order of events lets a job pass a limit."""

from __future__ import annotations

import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mega_code.evaluation.budget import Budget, BudgetSpent, Limits, Spent
from mega_code.evaluation.models.base import Completion, Prices

PRICES = Prices(1.0, 5.0)


def answer(tokens_in: int, tokens_out: int, cost: float = 0.0) -> Completion:
    return Completion("", "m", tokens_in, tokens_out, cost)


@given(
    limits=st.builds(
        Limits,
        calls=st.integers(0, 12),
        tokens=st.none() | st.integers(0, 2000),
        cost_usd=st.none() | st.floats(0, 0.005),
        prices=st.just(PRICES),
    ),
    earlier=st.builds(Spent, st.integers(0, 5), st.integers(0, 500), st.floats(0, 0.001)),
    asked=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 300)), max_size=30),
    seed=st.integers(),
)
def test_no_limit_is_passed_whatever_lands_in_whatever_order(
    limits: Limits, earlier: Spent, asked: list[tuple[int, int]], seed: int
) -> None:
    chance, budget = random.Random(seed), Budget(limits, earlier)
    flying: list[tuple[Spent, tuple[int, int]]] = []
    calls, tokens, cost = earlier
    refused_beside_others = False

    def land() -> None:
        nonlocal tokens, cost
        held, sizes = flying.pop(chance.randrange(len(flying)))
        kind = chance.choice(["answered", "failed", "lost"])
        used = (chance.randint(0, sizes[0]), chance.randint(0, sizes[1])) if kind == "answered" else sizes
        if kind == "answered":
            budget.settle(held, answer(used[0], used[1], PRICES.cost_usd(*used)))
        elif kind == "lost":
            budget.forfeit(held)
        else:
            budget.release(held)
            used = (0, 0)
        tokens, cost = tokens + sum(used), cost + PRICES.cost_usd(*used)

    for sizes in asked:
        try:
            held = budget.reserve(*sizes)
        except BudgetSpent:
            refused_beside_others = bool(flying)
            break
        if held is not None:
            calls += 1
            flying.append((held, sizes))
        if flying and chance.random() < 0.5:
            land()
    while flying:
        land()
    assert not refused_beside_others
    assert calls <= max(limits.calls, earlier.calls)
    assert limits.tokens is None or tokens <= max(limits.tokens, earlier.tokens)
    assert limits.cost_usd is None or cost <= max(limits.cost_usd, earlier.cost_usd) + 1e-9


def test_threads_at_once_get_no_more_calls_than_there_are() -> None:
    budget, sent = Budget(Limits(calls=50)), []

    def ask() -> None:
        try:
            while True:
                held = budget.reserve(1, 1)
                if held:
                    sent.append(held)
                    budget.release(held)
        except BudgetSpent:
            return

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(sent) == 50


def test_what_does_not_fit_beside_others_waits_and_is_refused_only_alone() -> None:
    budget = Budget(Limits(tokens=100))
    first = budget.reserve(50, 10)
    assert first and budget.reserve(40, 10) is None
    budget.settle(first, answer(5, 5))
    second = budget.reserve(80, 10)
    assert second
    budget.forfeit(second)
    with pytest.raises(BudgetSpent, match="MEGA_CODE_MAX_TOKENS is 100; 100 are used, and the next call could take 2"):
        budget.reserve(1, 1)


def test_without_prices_the_first_call_goes_alone_and_says_what_a_token_costs() -> None:
    budget = Budget(Limits(cost_usd=1.0))
    first = budget.reserve(50, 50)
    assert first and budget.reserve(50, 50) is None
    budget.settle(first, answer(10, 10, 0.1))
    second = budget.reserve(50, 50)
    assert second and second.cost_usd == pytest.approx(0.5) and budget.reserve(50, 50) is None
    budget.settle(second, answer(10, 10))  # says no cost: taken as dear as the first
    third = budget.reserve(80, 80)
    assert third and third.cost_usd == pytest.approx(0.8)
    budget.settle(third, answer(80, 80, 0.8))
    with pytest.raises(BudgetSpent, match=r"MEGA_CODE_MAX_COST_USD is 1; 1\.0000 are spent"):
        budget.reserve(1, 1)


def test_calls_in_the_air_are_taken_to_cost_what_the_dearest_one_did_once_that_is_known() -> None:
    budget = Budget(Limits(cost_usd=1.0))
    first = budget.reserve(10, 10)
    assert first
    budget.settle(first, answer(10, 10, 0.0002))
    second, third = budget.reserve(10, 10), budget.reserve(10, 10)
    assert second and third and third.cost_usd == pytest.approx(0.0002)
    budget.settle(second, answer(10, 10, 0.4))
    assert budget.reserve(10, 10) is None  # the third may cost 0.4 too, and then it would be 1.2
    budget.settle(third, answer(10, 10, 0.0002))
    assert budget.reserve(10, 10)


def test_a_model_that_is_dearer_than_the_prices_that_are_set_is_taken_to_stay_so() -> None:
    budget = Budget(Limits(cost_usd=1.0, prices=Prices(1000.0, 1000.0)))
    first = budget.reserve(50, 50)
    assert first and first.cost_usd == pytest.approx(0.1)
    budget.settle(first, answer(50, 50, 0.4))
    second = budget.reserve(50, 50)
    assert second and second.cost_usd == pytest.approx(0.4) and budget.reserve(50, 50) is None


def test_a_limit_on_cost_is_no_limit_where_a_model_says_no_cost_and_is_refused() -> None:
    budget = Budget(Limits(cost_usd=1.0))
    first = budget.reserve(1, 1)
    assert first
    budget.settle(first, answer(1, 1))
    with pytest.raises(BudgetSpent, match="MEGA_CODE_PRICE_INPUT"):
        budget.reserve(1, 1)
