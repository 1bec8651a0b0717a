"""Answers that wait for news (RFC 7240 `Prefer: wait`), and the wake-up calls between threads behind them."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
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


class News:
    """Wakes those who wait for news of one job, and nobody else. Once closed, nobody waits any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listening: dict[str, set[threading.Event]] = {}
        self.closed = False

    def notify(self, *job_ids: str) -> None:
        """Something changed about these jobs."""
        with self._lock:
            for job_id in job_ids:
                for event in self._listening.get(job_id, ()):
                    event.set()

    @contextlib.contextmanager
    def listening(self, job_id: str) -> Iterator[threading.Event]:
        """Gives an event that is set with every change of the job; clear it before looking at the job."""
        event = threading.Event()
        with self._lock:
            self._listening.setdefault(job_id, set()).add(event)
        try:
            yield event
        finally:
            with self._lock:
                self._listening[job_id].discard(event)
                if not self._listening[job_id]:
                    del self._listening[job_id]

    def close(self) -> None:
        """Wake everybody, for good."""
        self.closed = True
        self.notify(*list(self._listening))


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
    """Holds answers back until there is news for that user; a bounded number of them at once, and of one user fewer."""

    def __init__(self, changed: News, max_holds: int, max_holds_a_user: int) -> None:
        self.changed = changed
        self.max_holds = max_holds
        self.max_holds_a_user = max_holds_a_user
        self._lock = threading.Lock()
        self._holds: Counter[str] = Counter()
        self._told: OrderedDict[tuple[str, str], int] = OrderedDict()

    def answer(self, user_id: str, read: Callable[[], J], wait_s: int) -> tuple[J, bool]:
        """What `read` gives, as soon as the user was not told it yet, it is final, or `wait_s` is over.

        Also whether the wish to wait was honoured: False where there was none, or no room for one more.
        """
        job = read()
        applied = wait_s > 0 and self._hold(user_id)
        if applied:
            try:
                job = self._wait(job, user_id, read, time.monotonic() + min(wait_s, MAX_WAIT_S))
            finally:
                self._let_go(user_id)
        self._remember((user_id, job.job_id), job)
        return job, applied

    def _hold(self, user_id: str) -> bool:
        with self._lock:
            room = sum(self._holds.values()) < self.max_holds and self._holds[user_id] < self.max_holds_a_user
            self._holds[user_id] += room
            return room

    def _let_go(self, user_id: str) -> None:
        with self._lock:
            self._holds[user_id] -= 1
            if not self._holds[user_id]:
                del self._holds[user_id]

    def _wait(self, job: J, user_id: str, read: Callable[[], J], deadline: float) -> J:
        with self._lock:
            # Who uploaded a job knows it as it was made; that is version 0.
            told = self._told.get((user_id, job.job_id), 0)
        with self.changed.listening(job.job_id) as news:
            while True:
                news.clear()
                job = read()
                left = deadline - time.monotonic()
                if job.terminal or job.version != told or left <= 0 or self.changed.closed:
                    return job
                news.wait(left)

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
