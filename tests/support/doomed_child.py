"""A piece of work in a child of this process that dies, or runs out of disk, in the middle."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from typing import Any

KILLED = 9
STEPS = ("rename", "replace", "fsync", "mkdir")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do `work`, and die before the call number `step` of those that change what others see; whether it came to that."""

    def child() -> None:
        left = [step]

        def doomed(call: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    os._exit(KILLED)
                return call(*args, **named)

            return run

        for name in STEPS:
            setattr(os, name, doomed(getattr(os, name)))
        work()

    return _in_a_child(child) == KILLED


def without_room(size: int, work: Callable[[], object]) -> None:
    """Do `work` where no file can grow over `size` bytes; what it raises is let go."""

    def child() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        work()

    _in_a_child(child)


def _in_a_child(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
