"""Many runs of a command in one process of its own, each watched: what it said, wrote, took and used.

Starting Python costs more than most attacks. Run as a program it reads a line of JSON a run and answers with one.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

from mega_code import envelope as envelopes
from mega_code.client.remote_enhance.transport import Transport
from mega_code.client.remote_enhance.wire import Pace
from mega_code.errors import CODES
from support.client import Client
from support.fake_gateway import KEY

REMOTE = "mega_code.client.remote_enhance.cli"
LATER = tuple(f"mega_code.client.remote_enhance.{name}" for name in ("api", "polling", "download", "install"))
MOST_MB = 300
LATEST_S = 240.0  # what does not end by itself, such as a peer that goes on for ever, is ended then
# What a transfer may take where it is not about that: a busy machine is no slow peer.
CALM = Pace(connect=60.0, read=60.0, stall=60.0, transfer=120.0)
UNFORESEEN = "This could not be done"
UPSTREAM = re.compile(r"[A-Za-z0-9_.:-]{1,64}")  # a code of the server's own, or http_<status>
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Ended(NamedTuple):
    """How a run ended. `peak_mb` is the most resident memory meanwhile."""

    status: int
    envelope: dict[str, Any]
    stderr: str
    peak_mb: float

    @property
    def code(self) -> str:
        """The error code, or an empty string."""
        return str(self.envelope.get("error", {}).get("code", ""))


class Batch:
    """A process that runs commands for one client, whose transfers may take what `pace` says.

    `run` holds each to what every run must hold to.
    """

    def __init__(self, client: Client, pace: Pace = CALM) -> None:
        path = os.pathsep.join([client.env["PYTHONPATH"], str(Path(__file__).resolve().parents[1])])
        self.room = str(client.data.parent)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.batch", self.room, json.dumps(pace)],
            cwd=client.project,
            env={**client.env, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *unused: object) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()

    def run(self, *arguments: str, module: str = REMOTE) -> Ended:
        """One run: a code of the contract, one envelope, nothing written outside of the room, no token, no trace."""
        assert self.process.stdin and self.process.stdout
        overdue = threading.Timer(LATEST_S, self.process.kill)
        overdue.start()
        try:
            print(json.dumps([module, arguments]), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        finally:
            overdue.cancel()
        assert line, f"no end after {LATEST_S} s: {arguments}"
        told = json.loads(line)
        assert told["stdout"].count("\n") == 1 and told["outside"] == [], str(told)[:2000]
        for text in (told["stdout"], told["stderr"]):
            assert KEY not in text and "Traceback" not in text and UNFORESEEN not in text, text[:2000]
        ended = Ended(told["status"], json.loads(told["stdout"]), told["stderr"], told["peak_mb"])
        assert envelopes.exit_status(ended.envelope) == ended.status
        assert ended.code in ("", *CODES) or (ended.status == 4 and UPSTREAM.fullmatch(ended.code)), ended
        assert ended.peak_mb < MOST_MB, ended.peak_mb
        return ended


def _serve(room: str, pace: Pace) -> None:
    Transport.__init__.__defaults__ = (pace,)
    outside: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes)) and arguments[2] & WRITING:
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if not path.startswith((f"{room}/", "/dev/", "/proc/")) and "__pycache__" not in path:
                outside.append(path)

    for module in (REMOTE, *LATER):  # their loading is no part of any run
        importlib.import_module(module)
    sys.addaudithook(watch)
    for line in sys.stdin:
        module, arguments = json.loads(line)
        # Files, not strings: what was said must not count as memory of the command.
        with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
            _forget_peak()
            with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
                status = importlib.import_module(module).main(arguments)
            told = {"status": status, "peak_mb": _peak_mb(), "outside": outside}
            stdout.seek(0)
            stderr.seek(0)
            told.update(stdout=stdout.read(), stderr=stderr.read())
        print(json.dumps(told), flush=True)


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    """The most resident memory; `ru_maxrss` where there is no better, since it counts the parent's at the fork too."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    used = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1 << 20 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    _serve(os.path.realpath(sys.argv[1]), Pace(*json.loads(sys.argv[2])))
