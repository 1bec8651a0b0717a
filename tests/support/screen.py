"""A terminal of one's own: what a command shows there, rendered as a person would see it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable, Optional

import pyte

DEADLINE_S = 60.0


class Screen:
    """Runs a command on a pseudo-terminal and renders what comes. `raw` is all that was written there."""

    def __init__(
        self, command: Sequence[object], env: Mapping[str, str], cwd: Path, columns: int = 80, rows: int = 24
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=500)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.status: Optional[int] = None
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child
            try:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.chdir(cwd)
                words = [str(word) for word in command]
                self._size(0, columns, rows)
                os.execvpe(words[0], words, dict(env))
            finally:
                os._exit(127)

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *unused: object) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self._reap()
        os.close(self.terminal)

    @staticmethod
    def _size(descriptor: int, columns: int, rows: int) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int = 24) -> None:
        """As a window that is dragged."""
        self._size(self.terminal, columns, rows)
        self.screen.resize(rows, columns)

    def type(self, keys: str) -> None:
        """Press keys; `\\x03` is Ctrl+C."""
        os.write(self.terminal, keys.encode())

    def lines(self) -> list[str]:
        """Every row that a person can see or scroll back to, without empty ones at the end."""
        above = ["".join(row[x].data for x in range(self.screen.columns)) for row in self.screen.history.top]
        rows = [row.rstrip() for row in [*above, *self.screen.display]]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def text(self) -> str:
        return "\n".join(self.lines())

    def until(self, wanted: Callable[[list[str]], object]) -> list[str]:
        """Wait until what is shown is as `wanted`; the lines then."""
        deadline = time.monotonic() + DEADLINE_S
        while not wanted(self.lines()):
            if not self.take(deadline):
                raise AssertionError(f"it never showed; in the end:\n{self.text()}")
        return self.lines()

    def end(self) -> int:
        """Wait for the end; the exit status, 128 and more for a signal."""
        deadline = time.monotonic() + DEADLINE_S
        while self.take(deadline):
            pass
        return self._reap()

    def take(self, deadline: float = float("inf")) -> bool:
        """Render what comes next; whether there was something."""
        ready = select.select([self.terminal], [], [], max(0.0, min(DEADLINE_S, deadline - time.monotonic())))[0]
        if not ready:
            raise AssertionError(f"too slow; it shows:\n{self.text()}")
        try:
            chunk = os.read(self.terminal, 65536)
        except OSError:  # Linux says so where the other side is closed
            return False
        self.raw += chunk
        self.stream.feed(chunk)
        return bool(chunk)

    def _reap(self) -> int:
        if self.status is None:
            status = os.waitpid(self.pid, 0)[1]
            self.status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        return self.status
