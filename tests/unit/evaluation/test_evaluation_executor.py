"""The threads that model calls run in: no more of them than calls at a time, and none that outlives its executor."""

from __future__ import annotations

import threading

import pytest

from mega_code.evaluation.executor import Threads

PATIENCE_S = 10


@pytest.fixture
def before() -> set[threading.Thread]:
    return set(threading.enumerate())


def test_a_thread_that_is_done_takes_the_next_call() -> None:
    threads = Threads()
    used = {threads.submit(threading.get_ident).result(PATIENCE_S) for _ in range(50)}
    assert len(used) == 1
    threads.shutdown()


def test_calls_at_a_time_each_have_a_thread_and_a_failed_call_costs_none() -> None:
    threads, together = Threads(), threading.Barrier(4)

    def meet(fails: bool) -> int:
        together.wait(PATIENCE_S)
        if fails:
            raise SystemExit("a library that ends the process")
        return threading.get_ident()

    used: set[int] = set()
    for _ in range(3):
        calls = [threads.submit(meet, number == 0) for number in range(4)]
        used.update(call.result(PATIENCE_S) for call in calls[1:])
        with pytest.raises(SystemExit, match="a library that ends the process"):
            calls[0].result(PATIENCE_S)
    assert len(used) <= 4
    threads.shutdown()


def test_a_shut_executor_ends_its_threads_and_what_was_submitted_is_still_answered(
    before: set[threading.Thread],
) -> None:
    threads, go = Threads(), threading.Event()
    calls = [threads.submit(go.wait, PATIENCE_S) for _ in range(3)]
    mine = set(threading.enumerate()) - before
    threads.shutdown()
    with pytest.raises(RuntimeError, match="take no more calls"):
        threads.submit(len, "")
    go.set()
    assert [call.result(PATIENCE_S) for call in calls] == [True] * 3
    for thread in mine:
        thread.join(PATIENCE_S)
    assert len(mine) == 3 and not any(thread.is_alive() for thread in mine)
