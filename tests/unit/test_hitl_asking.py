"""Asking in a slice of time: what may still begin, what is let land, and what is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mega_code.evaluation.budget import Budget, Limits
from mega_code.evaluation.calls import Calls
from mega_code.evaluation.executor import Threads
from mega_code.evaluation.models.base import Completion, ModelError, Request
from mega_code.evaluation.store import Store
from mega_code.hitl.asking import Slice


class Slow:
    """A model whose answers take `seconds` of a clock of its own, and which fails at the prompt `broken`."""

    name = "slow"
    overhead_tokens = 0

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now = seconds, 100.0
        self.asked: list[str] = []

    def key(self) -> str:
        return self.name

    def complete(self, request: Request) -> Completion:
        self.asked.append(request.prompt)
        self.now += self.seconds
        if request.prompt == "broken":
            raise ModelError("It is broken.")
        return Completion("yes", self.name, 1, 1, 0.0)

    def learn(self, lesson: str) -> None:
        """It has nothing to teach."""

    def close(self) -> None:
        """Nothing is in flight."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "completions.sqlite3")
    yield made
    made.close()


def calls(model: Slow, store: Store, own: Slice) -> Calls:
    return Calls(model, store, "job", Budget(Limits(concurrency=1)), Threads(), 1, own.check)


def requests(*prompts: str) -> list[Request]:
    return [Request("task", "", prompt) for prompt in prompts]


@pytest.mark.parametrize(("max_wait_s", "begun"), [(0.0, 4), (100.0, 4), (10.0, 2)])
def test_calls_begin_in_the_first_half_and_land_in_the_second(store: Store, max_wait_s: float, begun: int) -> None:
    model, told = Slow(3.0), list[int]()
    own = Slice(max_wait_s, lambda: model.now)
    done = own.ask(calls(model, store, own), requests("a", "b", "c", "d"), told.append)
    assert (done, len(model.asked), told[-1]) == (begun == 4, begun, begun)
    assert own.elapsed_s() == 3.0 * begun


def test_the_first_trouble_ends_it_and_what_came_before_is_kept(store: Store) -> None:
    model = Slow(1.0)
    own = Slice(0.0, lambda: model.now)
    asking = calls(model, store, own)
    with pytest.raises(ModelError, match="It is broken"):
        own.ask(asking, requests("a", "broken", "c"), lambda landed: None)
    assert model.asked == ["a", "broken"]
    assert [store.knows(asking.job, asking.key(request)) for request in requests("a", "broken", "c")] == [
        True,
        False,
        False,
    ]


def test_nothing_to_ask_is_done_at_once(store: Store) -> None:
    model = Slow(1.0)
    own = Slice(0.0, lambda: model.now)
    assert own.ask(calls(model, store, own), [], lambda landed: None)
