"""Answers that wait for news (RFC 7240 `Prefer: wait`), and the wake-up calls between threads behind them."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from typing import Callable, Optional, Protocol, TypeVar

MAX_WAIT_S = 30
REMEMBERED = 4096
_WAIT = re.compile(r'\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;.*)?', re.IGNORECASE | re.DOTALL)


class Changes:
    """A count that goes up; threads wait for it to move. Once closed, nobody waits any more."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0
        self._closed = False

    @property
    def count(self) -> int:
        """How often `notify` was called; read it before looking at what it stands for."""
        return self._count

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def notify(self) -> None:
        """Something changed."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout: Optional[float]) -> None:
        """Until the count is not `seen` any more, at most `timeout` seconds."""
        with self._condition:
            self._condition.wait_for(lambda: self._count != seen or self._closed, timeout)

    def close(self) -> None:
        """Wake everybody, for good."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()


class Watched(Protocol):
    """What is waited for: a version that goes up with each visible change, from 0."""

    @property
    def job_id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def terminal(self) -> bool: ...


J = TypeVar("J", bound=Watched)


class LongPoll:
    """Holds answers back until there is news for that user; a bounded number of them at once."""

    def __init__(self, changed: Changes, max_holds: int) -> None:
        self.changed = changed
        self._room = threading.BoundedSemaphore(max_holds)
        self._lock = threading.Lock()
        self._told: OrderedDict[tuple[str, str], int] = OrderedDict()

    def answer(self, user_id: str, read: Callable[[], J], wait_s: int) -> tuple[J, bool]:
        """What `read` gives, as soon as the user was not told it yet, it is final, or `wait_s` is over.

        Also whether the wish to wait was honoured: False where there was none, or no room for one more.
        """
        job = read()
        applied = wait_s > 0 and self._room.acquire(blocking=False)
        if applied:
            try:
                job = self._wait(job, user_id, read, time.monotonic() + min(wait_s, MAX_WAIT_S))
            finally:
                self._room.release()
        self._remember((user_id, job.job_id), job)
        return job, applied

    def _wait(self, job: J, user_id: str, read: Callable[[], J], deadline: float) -> J:
        with self._lock:
            # Who uploaded a job knows it as it was made; that is version 0.
            told = self._told.get((user_id, job.job_id), 0)
        while True:
            seen = self.changed.count
            job = read()
            left = deadline - time.monotonic()
            if job.terminal or job.version != told or left <= 0 or self.changed.closed:
                return job
            self.changed.wait(seen, left)

    def _remember(self, key: tuple[str, str], job: Watched) -> None:
        with self._lock:
            self._told[key] = job.version
            self._told.move_to_end(key)
            if job.terminal:
                del self._told[key]
            elif len(self._told) > REMEMBERED:
                self._told.popitem(last=False)


def wait_seconds(prefer: Optional[str]) -> int:
    """The N of `wait=N` in a Prefer header, the first one if several; 0 where there is none."""
    for preference in (prefer or "").split(","):
        match = _WAIT.fullmatch(preference)
        if match:
            return int(match.group(1))
    return 0
