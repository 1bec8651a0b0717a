"""What a person sees of a running job: one line that is due when it changes, and at least every ten seconds."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, Optional

from mega_code.job import ITERATING, PHASES, QUEUED, RUNNING, TERMINAL

REPEAT_S = 10.0
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d+))?([Zz]|[+-]\d\d:\d\d)?")


def age(seconds: float) -> str:
    """`42s`, `3m05s` or `2h07m`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def describe(job: dict[str, Any]) -> str:
    """A job's progress line without its age."""
    status, phase = job.get("status"), job.get("phase_public")
    if status == QUEUED:
        return "queued — waiting for worker"
    if status not in RUNNING:
        return str(status)[:80]
    if phase == ITERATING:
        current, total = job.get("current_iteration"), job.get("total_iterations")
        counted = all(isinstance(number, int) and not isinstance(number, bool) for number in (current, total))
        return f"iterating [{current}/{total}]" if counted else "iterating"
    return phase if phase in PHASES else "running"


Tell = Callable[[str, bool, bool], object]


class Progress:
    """Prints the lines. `wall` gives seconds since the epoch (a job's age), `clock` monotonic seconds.

    `tell` gets a line, whether it is due, and whether it is the last; without it those that are due are said.
    """

    def __init__(
        self,
        say: Callable[[str], object],
        clock: Callable[[], float],
        wall: Callable[[], float],
        tell: Optional[Tell] = None,
    ) -> None:
        self._say, self._clock, self._wall = say, clock, wall
        self._tell = tell or (lambda line, due, _: due and say(line))
        self._started = wall()
        self._created: Optional[float] = None
        self._line = ""
        self._said_at = float("-inf")
        self._warned: set[str] = set()

    def saw(self, job: dict[str, Any]) -> None:
        """A look at the job."""
        self._created = self._created or timestamp(job.get("created_at"))
        line = describe(job)
        self._warn_of_news(job)
        if line != self._line:
            self._line, self._said_at = line, float("-inf")
        self.tick(job.get("status") in TERMINAL)

    def unanswered(self) -> None:
        """There is nothing to be seen yet; what is in the way was said just now."""
        if not self._line:
            self._line, self._said_at = "no answer yet", self._clock()

    def tick(self, last: bool = False) -> None:
        """Time goes by: the line is due again when it is ten seconds old."""
        if not self._line:
            return
        due = self._clock() - self._said_at >= REPEAT_S
        if due:
            self._said_at = self._clock()
        self._tell(f"{self._line} [{age(self._wall() - (self._created or self._started))}]", due, last)

    def _warn_of_news(self, job: dict[str, Any]) -> None:
        status, phase = job.get("status"), job.get("phase_public")
        if status not in (QUEUED, *RUNNING, *TERMINAL):
            self._warn_once(f"unknown status {str(status)[:80]!r}; waiting on")
        if status in RUNNING and phase is not None and phase not in PHASES:
            self._warn_once(f"unknown phase {str(phase)[:80]!r}")

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._say(f"warning: {message}")


def timestamp(value: object) -> Optional[float]:
    """Seconds since the epoch of an ISO-8601 time with any fraction and zone, None where it is none."""
    match = _ISO.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return None
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{zone}")
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None
