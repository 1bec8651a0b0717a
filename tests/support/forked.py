"""The command's own `main` in forks of one warm process, killed before or after any step of theirs on the file system.

Run as a program it reads one JSON object a line: `argv`; `die_at`, the number of the step where the fork gets SIGKILL
(null: never; 0: not even counted, which is faster); `kernel`, what the kernel answers to an exchange of two folders: `exchange` (its own answer), `none` (it
has no such call), or `overlay` (it moves no folder that came with an image, the inode `lower`). It answers
`{"status", "steps"}`: as `subprocess` gives a status, and how many steps were taken.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Optional

import yaml  # noqa: F401 - all that a run imports should be here before the fork

from mega_code import exchange
from mega_code.client.remote_enhance import cli, install, manifest, modes  # noqa: F401
from support.room import REPOSITORY

KERNELS = ("exchange", "none", "overlay")
# What changes the file system or gives a lock, by the name of the C function.
STEPS = frozenset(
    "open mkdir rmdir unlink remove rename replace symlink fchmod chmod utime fsync sendfile write flush flock".split()
)


class Ended(NamedTuple):
    """How a fork ended and how many steps it took."""

    status: int
    steps: int


class Forks:
    """Starts the process that forks, and asks it."""

    def __init__(self, env: dict[str, str], cwd: os.PathLike[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "tests" / "support" / "forked.py")],
            env=env,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, argv: Sequence[str], die_at: Optional[int] = None, kernel: str = "exchange", lower: int = 0) -> Ended:
        """One run of the command."""
        assert self.process.stdin and self.process.stdout
        asked = {"argv": list(argv), "die_at": die_at, "kernel": kernel, "lower": lower}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return Ended(**json.loads(self.process.stdout.readline()))

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *unused: Optional[TracebackType]) -> None:
        self.process.kill()
        self.process.communicate()


class _Kernel:
    """The C library as far as `exchange` looks at it; refuses with `number`."""

    def __init__(self, number: int) -> None:
        self.number = number

    def renameat2(self, *unused: Any) -> int:
        ctypes.set_errno(self.number)
        return -1

    renamex_np = renameat2


def _pretend(kernel: str, lower: int) -> None:
    """Let this process see another kernel or file system."""
    if kernel == "exchange":
        return
    answer = _Kernel(errno.EXDEV if kernel == "overlay" else errno.EINVAL)
    ctypes.CDLL = lambda *unused, **named: answer  # type: ignore[misc,assignment]
    rename = os.rename

    def layered(source: Any, target: Any) -> None:
        if os.lstat(source).st_ino == lower:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, target)
        rename(source, target)

    if kernel == "overlay":
        os.rename = layered  # type: ignore[assignment]


def _run(argv: Sequence[str], die_at: Optional[int], report: int) -> int:
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(frame: FrameType, event: str, function: Any) -> None:
        if event in ("c_call", "c_return", "c_exception"):
            if function.__name__ in STEPS:
                step()
        elif frame.f_code is exchange.exchange.__code__:  # calls the C library in a way that is not watched
            step()

    if die_at != 0:
        sys.setprofile(watch)
    status = cli.main(argv)
    sys.setprofile(None)
    os.write(report, str(steps).encode())
    return status


def _fork(argv: Sequence[str], die_at: Optional[int], kernel: str, lower: int) -> Ended:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        _pretend(kernel, lower)
        os._exit(_run(argv, die_at, writer))
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        steps = int(told.read() or die_at or 0)
    status = os.waitpid(child, 0)[1]
    return Ended(os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status), steps)


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(_fork(**json.loads(line))._asdict()), flush=True)
