"""Gateways that die at a chosen moment, one after the other, without the half second that starting Python takes.

Run as a program it is the nursery: it has everything imported, and forks a gateway for each line on its stdin. A gateway
counts its moments, which are its file operations below the data folder and its SQL statements, and kills itself at the
one it was told, before that happens.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Optional

from mega_code.gateway.config import Config
from mega_code.gateway.server import serve
from mega_code.paths import DataDir
from support.gateway import ENHANCED, Outcome, clean_env

CHANGED = {"SKILL.md": ENHANCED, "notes/new.md": b"# new\n"}
# What happens before a file or folder changes; the names are Python's own audit events.
MOMENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod"}


class Nursery:
    """Starts doomed gateways on one data folder; at most one lives."""

    def __init__(self, home: Path) -> None:
        self.data = DataDir(home / "data dir")
        with open(home / "gateways.log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, __file__],
                env={**clean_env(home), "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def start(self, crash_at: Optional[int] = None) -> int:
        """A gateway's process id once it answers, or has died on the way there."""
        return int(self._ask({"start": crash_at}))

    def buried(self) -> int:
        """How many moments the present gateway had, once it is dead."""
        return int(self._ask({"bury": None}))

    def _ask(self, question: dict[str, Optional[int]]) -> Any:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *unused: object) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()  # which ends it, and it ends its gateway
        self.process.wait(20)
        self.process.stdout.close()


class Fate:
    """Counts moments into a file that outlives the process."""

    def __init__(self, data: Path, crash_at: Optional[int], count: int) -> None:
        self.data, self.crash_at, self.file, self.count = str(data), crash_at, count, 0

    def moment(self) -> None:
        self.count += 1
        os.pwrite(self.file, b"%10d" % self.count, 0)
        if self.count == self.crash_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in MOMENTS and str(arguments[0]).startswith(self.data):
            self.moment()

    def watch(self) -> None:
        """Count from now on."""
        connect = sqlite3.connect

        def traced(*arguments: Any, **named: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*arguments, **named)
            connection.set_trace_callback(lambda statement: self.moment())
            return connection

        sqlite3.connect = traced  # type: ignore[assignment]
        sys.addaudithook(self.audit)


def evaluator(skill_dir: Path, skill_id: str, progress: Any, now: datetime) -> Outcome:
    """Goes through every phase as fast as it can."""
    progress.phase("evaluation_setup")
    progress.workspace.mkdir(exist_ok=True)
    (progress.workspace / "calls").write_text(skill_id)
    progress.phase("iterating")
    progress.iteration(1, 1)
    return Outcome(files=CHANGED, lineage=[{"pid": os.getpid()}])


def born(data: DataDir, crash_at: Optional[int], count: int) -> int:
    """Fork a gateway; its process id once it answers or has died."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            Fate(data.root, crash_at, count).watch()
            serve(data, Config(lease_s=1.0), evaluator, ready=writer)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        stream.read()
    return pid


def main() -> None:
    """Answer each question on stdin with a number on stdout."""
    data = DataDir(Path(os.environ["MEGA_CODE_DATA_DIR"]))
    count = os.memfd_create("moments") if hasattr(os, "memfd_create") else os.open("moments", os.O_RDWR | os.O_CREAT)
    pid = 0
    for line in sys.stdin:
        question = json.loads(line)
        if "start" in question:
            os.ftruncate(count, 0)
            pid = born(data, question["start"], count)
            print(pid, flush=True)
        else:
            os.waitpid(pid, 0)
            pid = 0
            print(int(os.pread(count, 10, 0)), flush=True)
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
