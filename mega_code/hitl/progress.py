"""How far a long step is: a line that lives on a terminal, and is said now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from mega_code.console import progress

EVERY_S = 5.0


class Line:
    """`<what> <done>/<total> [<seconds>s]`."""

    def __init__(self, what: str, total: int, clock: Callable[[], float]) -> None:
        self.what, self.total, self.clock = what, total, clock
        self.started = clock()
        self._told = (-1, float("-inf"))

    def tell(self, done: int) -> None:
        """Tell how far it is; a plain line is due where that is news."""
        now = self.clock()
        told, at = self._told
        last = done >= self.total
        if last and done == told:
            return
        due = done != told and (last or now - at >= EVERY_S)
        if due:
            self._told = (done, now)
        progress(f"{self.what} {done}/{self.total} [{now - self.started:.0f}s]", due, last)
