"""Running another program for one answer: bounded in time and output, and never left behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable, NamedTuple

from mega_code.evaluation.models.base import ModelError

MIB = 1024 * 1024
OUTPUT_BYTES = 64 * MIB
CHUNK = 64 * 1024
SAID = 300
EXIT_S = 2.0
TURN_S = 0.5
SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")

TakeLine = Callable[[bytes], bool]


class Ended(NamedTuple):
    """How a program ended; `said` is the end of its stderr."""

    status: int
    said: str


class Programs:
    """The processes of one model that are running; a pickled copy has none of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def __reduce__(self) -> tuple[type[Programs], tuple[()]]:
        return Programs, ()

    def close(self) -> None:
        """End what runs, with all that it has started; nothing is started from then on."""
        with self._lock:
            self._closed = True
            for process in self._running:
                _signal(process, signal.SIGTERM)

    def run(
        self, command: Sequence[str], room: Path, given: str, env: Mapping[str, str], timeout_s: float, line: TakeLine
    ) -> Ended:
        """Run `command` in the folder `room/work` with `given` on stdin; every line of stdout goes to `line`, which
        says whether the program must not go on.

        Raises ModelError where it cannot be started, takes too long or says too much.
        """
        work, stdin, stderr = room / "work", room / "stdin", room / "stderr"
        stdin.write_bytes(given.encode("utf-8", "replace"))
        with open(stdin, "rb") as source, open(stderr, "wb") as errors:
            process = self._start(command, cwd=work, env=dict(env), stdin=source, stderr=errors)
        try:
            if self._read(process, time.monotonic() + timeout_s, line):
                _signal(process, signal.SIGKILL)
        finally:
            self._end(process)
        self._check_open()
        return Ended(process.returncode, without_secrets(_tail(stderr), env))

    def _start(self, command: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
        with self._lock:
            self._check_open()
            try:
                process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, **options)  # type: ignore[call-overload]
            except OSError as error:
                raise ModelError(f"{command[0]} cannot be started: {error.strerror}.") from None
            self._running.add(process)
            return process  # type: ignore[no-any-return]

    def _check_open(self) -> None:
        if self._closed:
            raise ModelError("The model is closed.")

    def _read(self, process: subprocess.Popen[bytes], until: float, line: TakeLine) -> bool:
        """Hand on lines until `line` says stop (True) or the output ends (False)."""
        assert process.stdout is not None
        taken, rest = 0, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                self._check_open()
                if time.monotonic() > until:
                    raise ModelError("The model did not answer in time.", transient=True, charged=True)
                if not selector.select(TURN_S):
                    continue
                chunk = os.read(process.stdout.fileno(), CHUNK)
                if not chunk:
                    process.stdout.close()
                    return bool(rest) and line(rest)
                taken += len(chunk)
                if taken > OUTPUT_BYTES:
                    raise ModelError(f"The model's program printed over {OUTPUT_BYTES // MIB} MiB.", charged=True)
                *lines, rest = (rest + chunk).split(b"\n")
                if any(line(text) for text in lines):
                    return True

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Let the process end in order, for it may be writing its own files; then end it and what it has started."""
        if process.stdout and not process.stdout.closed:
            _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(EXIT_S)
        _signal(process, signal.SIGKILL)
        process.wait()
        with self._lock:
            self._running.discard(process)
        if process.stdout:
            process.stdout.close()


def find(name: str) -> str:
    """The program `name` on PATH. Raises ModelError."""
    path = shutil.which(name)
    if path is None:
        raise ModelError(f"{name} is not on PATH where the call runs.")
    return os.path.abspath(path)


def without_secrets(text: str, env: Mapping[str, str]) -> str:
    """`text` without the values of variables that are named like secrets, in one line of bounded length."""
    for name, value in env.items():
        if value and len(value) >= 6 and any(word in name.upper() for word in SECRETS):
            text = text.replace(value, "***")
    return " ".join(text.split())[-SAID:]


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Tell the process and all that it has started and that has stayed in its group."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, number)


def _tail(path: Path) -> str:
    with open(path, "rb") as stream:
        stream.seek(max(0, os.path.getsize(path) - 4096))
        return stream.read().decode("utf-8", "replace")
