"""Asking a model in a slice of time: what has begun is let land, what has come is remembered."""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Optional

from mega_code.evaluation.calls import Calls
from mega_code.evaluation.models.base import Request

TURN_S = 0.1


class _Stopped(Exception):
    """The slice is over; what is on its way is given up."""


class Slice:
    """`max_wait_s` seconds in which to ask, 0 for as long as it takes. New calls begin in the first half of it only."""

    def __init__(self, max_wait_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.started = clock()
        self.begin_until = self.started + (max_wait_s / 2 or float("inf"))
        self.end_by = self.started + (max_wait_s or float("inf"))
        self._stop = threading.Event()

    def elapsed_s(self) -> float:
        """Seconds since the start, to the tenth."""
        return round(self.clock() - self.started, 1)

    def check(self) -> None:
        """The `check` of the calls in this slice."""
        if self._stop.is_set() or self.clock() > self.end_by:
            raise _Stopped

    def ask(self, calls: Calls, requests: Sequence[Request], tell: Callable[[int], object]) -> bool:
        """Have the answers to `requests` remembered, several at a time; whether all came within the slice.

        `tell` gets the number of answers that came so far, again and again. Raises what `Calls.complete` does.
        """
        waiting, landed = deque(requests), [0]
        lock = threading.Lock()

        def work() -> None:
            while not self._stop.is_set() and self.clock() < self.begin_until:
                try:
                    request = waiting.popleft()
                except IndexError:
                    return
                calls.complete(request)
                with lock:
                    landed[0] += 1

        workers = min(len(requests), calls.budget.limits.concurrency)
        with ThreadPoolExecutor(max(1, workers)) as pool:
            futures = [pool.submit(contextvars.copy_context().run, work) for _ in range(workers)]
            error: Optional[BaseException] = None
            try:
                while wait(futures, TURN_S).not_done and not error:
                    error = next((f.exception() for f in futures if f.done() and f.exception()), None)
                    tell(landed[0])
            finally:
                self._stop.set()
            wait(futures)
        tell(landed[0])
        errors = [error for error in (future.exception() for future in futures) if error]
        told = next((error for error in errors if not isinstance(error, _Stopped)), None)
        if told:
            raise told
        return landed[0] == len(requests)
