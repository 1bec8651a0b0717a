"""A progress line that lives: rewritten in place on a terminal, said now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable

from mega_code.console import say

EVERY_S = 5.0


class Line:
    """`<what> <done>/<total> [<seconds>s]` on stderr."""

    def __init__(self, what: str, total: int, clock: Callable[[], float]) -> None:
        self.what, self.total, self.clock = what, total, clock
        self.started = clock()
        self._told = (-1, float("-inf"))

    def tell(self, done: int) -> None:
        """Tell how far it is, where that is news."""
        now = self.clock()
        told, at = self._told
        terminal = sys.stderr.isatty()
        if done == told or (not terminal and done < self.total and now - at < EVERY_S):
            return
        self._told = (done, now)
        text = f"{self.what} {done}/{self.total} [{now - self.started:.0f}s]"
        if terminal:
            sys.stderr.write(f"\r{text}" + ("\n" if done >= self.total else ""))
            sys.stderr.flush()
        else:
            say(text)
