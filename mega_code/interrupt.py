"""SIGINT and SIGTERM as an exception, so that a command ends with its envelope."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Optional

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Raised in the main thread; a BaseException, so that no handler of errors swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def name(self) -> str:
        return signal.Signals(self.number).name


class _State:
    holding = False
    came: Optional[int] = None


def _handle(number: int, _frame: Optional[FrameType]) -> None:
    # The first signal decides; the end is under way, and further ones, of which one may be pending, change nothing.
    if _State.came is not None:
        return
    _State.came = number
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    if not _State.holding:
        raise Interrupted(number)


def listen() -> None:
    """Turn the first of the signals into `Interrupted`, raised in the main thread unless they are held back."""
    for number in SIGNALS:
        signal.signal(number, _handle)


def hold() -> None:
    """Hold the signals back: one that comes is only noted."""
    _State.holding = True


def release() -> None:
    """Raise `Interrupted` for a signal that was held back, and from now on for one that comes."""
    _State.holding = False
    if _State.came is not None:
        raise Interrupted(_State.came)


def came() -> bool:
    """Whether one of the signals has come since `listen`."""
    return _State.came is not None


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Hold the signals back for a few steps that belong together; one that came meanwhile is raised behind them."""
    hold()
    try:
        yield
    finally:
        release()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold the signals back for a few steps that belong together and are the last of a command.

    One that comes from here on finds the work done, and the envelope says what was done; it is raised only where the
    steps failed.
    """
    hold()
    try:
        yield
    except BaseException:
        release()
        raise
