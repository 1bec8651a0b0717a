"""What a job may spend on models, and the guard that stops it before it has spent more.

| variable | default | meaning |
|---|---|---|
| `MEGA_CODE_MAX_CALLS` | 400 | attempts sent to models |
| `MEGA_CODE_MAX_TOKENS` | no limit | input and output tokens together |
| `MEGA_CODE_MAX_COST_USD` | no limit | US dollars |
| `MEGA_CODE_CONCURRENCY` | 8 | attempts in flight at a time |
| `MEGA_CODE_MAX_OUTPUT_TOKENS` | 2048 | tokens of one answer |
| `MEGA_CODE_MODEL_PATIENCE_S` | 300 | seconds for which a model that fails is asked again |
| `MEGA_CODE_PRICE_INPUT`, `MEGA_CODE_PRICE_OUTPUT` | what the model says | US dollars a million tokens |
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from mega_code.evaluation.models.base import Completion, Prices, Request, prices, size
from mega_code.variables import MAX_CALLS, decimal, whole

CAUTION = 1.5


class Limits(NamedTuple):
    """The limits of one job; None is no limit."""

    calls: int = MAX_CALLS
    tokens: Optional[int] = None
    cost_usd: Optional[float] = None
    concurrency: int = 8
    output_tokens: int = 2048
    patience_s: float = 300.0
    prices: Optional[Prices] = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Limits:
        """Raises MegaCodeError `invalid_arguments` naming the variable."""
        found: dict[str, Any] = {
            "calls": whole(env, "MEGA_CODE_MAX_CALLS"),
            "tokens": whole(env, "MEGA_CODE_MAX_TOKENS"),
            "cost_usd": decimal(env, "MEGA_CODE_MAX_COST_USD"),
            "concurrency": whole(env, "MEGA_CODE_CONCURRENCY"),
            "output_tokens": whole(env, "MEGA_CODE_MAX_OUTPUT_TOKENS"),
            "patience_s": decimal(env, "MEGA_CODE_MODEL_PATIENCE_S"),
            "prices": prices(env),
        }
        return cls()._replace(**{name: value for name, value in found.items() if value is not None})


class Spent(NamedTuple):
    """What a job may have used; an attempt whose end is not known counts at its most."""

    calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0


class BudgetSpent(Exception):
    """The next call could pass a limit; the message names its variable."""


def most_tokens(request: Request, overhead_tokens: int = 0) -> tuple[int, int]:
    """The most input and output tokens that a request can use, for a model that adds `overhead_tokens`."""
    return overhead_tokens + size(request.system) + size(request.prompt), request.max_output_tokens


class Budget:
    """Counts what is spent and what is in flight. Thread-safe; one for all models of a job."""

    def __init__(self, limits: Limits, spent: Spent = Spent()) -> None:
        """`spent` is what the ledger says that the job has spent in earlier lives."""
        self.limits = limits
        self._lock = threading.Lock()
        self._spent = spent
        self._in_flight: list[Spent] = []
        self._rate = 0.0
        self._dearer = 1.0
        self._unpriced = False
        self._learn(spent.tokens, spent.cost_usd)

    def reserve(self, input_tokens: int, output_tokens: int) -> Optional[Spent]:
        """Set aside the most that a call can use; None where it does not fit beside the calls in flight.

        Raises BudgetSpent where it does not fit though none is in flight. What is set aside is given back to
        `settle`, `release`, `withdraw` or `forfeit`, once.
        """
        with self._lock:
            held = Spent(1, input_tokens + output_tokens, self._cost_at_most(input_tokens, output_tokens))
            passed = self._passed(held)
            if passed and not self._in_flight:
                raise BudgetSpent(passed)
            if passed:
                return None
            self._in_flight.append(held)
            return held

    def lacks(self, calls: int) -> str:
        """Which limit has no room for so many more calls, as a sentence; empty where all have.

        Each is taken to use what those before it did, and somewhat more: the most that it can is many times that.
        """
        with self._lock:
            total, limits = _sum([self._spent, *self._in_flight]), self.limits
        share = CAUTION * calls / max(1, total.calls)
        tokens, cost = round(share * total.tokens), share * total.cost_usd
        if total.calls + calls > limits.calls:
            return f"MEGA_CODE_MAX_CALLS is {limits.calls}; {total.calls} are made, and {calls} more could be needed."
        if limits.tokens is not None and total.tokens + tokens > limits.tokens:
            return (
                f"MEGA_CODE_MAX_TOKENS is {limits.tokens}; {total.tokens} are used, and {tokens} more could be needed."
            )
        if limits.cost_usd is not None and total.cost_usd + cost > limits.cost_usd:
            return (
                f"MEGA_CODE_MAX_COST_USD is {limits.cost_usd:g}; {total.cost_usd:.4f} are spent, and {cost:.4f} more"
                " could be needed."
            )
        return ""

    def settle(self, held: Spent, completion: Completion) -> None:
        """A call is answered."""
        tokens = completion.input_tokens + completion.output_tokens
        with self._lock:
            self._learn(tokens, completion.cost_usd)
            self._compare(completion)
            # An answer that says no cost among others that do is taken to cost what they do.
            self._book(held, Spent(1, tokens, completion.cost_usd or self._rate * tokens))

    def release(self, held: Spent) -> None:
        """A call has failed and has cost nothing."""
        with self._lock:
            self._book(held, Spent(1))

    def withdraw(self, held: Spent) -> None:
        """A call was never sent."""
        with self._lock:
            self._book(held, Spent())

    def forfeit(self, held: Spent) -> None:
        """Nobody knows what a call has cost: it counts in full."""
        with self._lock:
            self._book(held, held)

    def _revalued(self, held: Spent) -> Spent:
        """A call in flight at what a token is taken to cost by now."""
        return held if self.limits.prices else held._replace(cost_usd=max(held.cost_usd, self._rate * held.tokens))

    def _book(self, held: Spent, used: Spent) -> None:
        self._in_flight.remove(held)
        self._spent = _sum([self._spent, used])

    def _learn(self, tokens: int, cost_usd: float) -> None:
        """The dearest token so far is what a token of a call to come is taken to cost, where no prices are set."""
        if tokens:
            self._unpriced = self._unpriced or not cost_usd
            self._rate = max(self._rate, cost_usd / tokens)

    def _compare(self, completion: Completion) -> None:
        """Where a model says that it costs more than the prices that are set, those to come are taken to do so too."""
        if self.limits.prices:
            priced = self.limits.prices.cost_usd(completion.input_tokens, completion.output_tokens)
            self._dearer = max(self._dearer, completion.cost_usd / priced if priced else 1.0)

    def _cost_at_most(self, input_tokens: int, output_tokens: int) -> float:
        if self.limits.prices:
            return self._dearer * self.limits.prices.cost_usd(input_tokens, output_tokens)
        return self._rate * (input_tokens + output_tokens)

    def _passed(self, held: Spent) -> str:
        """What stands against one more call, or an empty string."""
        limits = self.limits
        total = _sum([self._spent, *map(self._revalued, self._in_flight), held])
        if total.calls > limits.calls:
            return f"MEGA_CODE_MAX_CALLS is {limits.calls}, and {self._spent.calls} calls are made."
        if limits.tokens is not None and total.tokens > limits.tokens:
            return (
                f"MEGA_CODE_MAX_TOKENS is {limits.tokens}; {self._spent.tokens} are used, and the next call could take"
                f" {held.tokens}."
            )
        if limits.cost_usd is None:
            return ""
        if total.cost_usd > limits.cost_usd:
            return (
                f"MEGA_CODE_MAX_COST_USD is {limits.cost_usd:g}; {self._spent.cost_usd:.4f} are spent, and the next"
                f" call could take {held.cost_usd:.4f}."
            )
        if limits.prices is None and not self._rate and self._unpriced:
            return (
                "MEGA_CODE_MAX_COST_USD cannot be kept: the model does not say what a call costs. Set"
                " MEGA_CODE_PRICE_INPUT and MEGA_CODE_PRICE_OUTPUT, or MEGA_CODE_MAX_TOKENS instead."
            )
        if limits.prices is None and not self._rate and self._in_flight:
            return "The first call says what a token costs."  # it is waited for, never raised
        return ""


def _sum(parts: list[Spent]) -> Spent:
    calls, tokens, costs = zip(*parts)
    return Spent(sum(calls), sum(tokens), sum(costs))
