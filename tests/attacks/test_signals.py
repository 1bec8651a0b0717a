"""SIGINT and SIGTERM at any moment of any mode, and of the scripts.

A run ends with one envelope: `interrupted`, or what it had done already; stdout, `--result-json`
and the exit status agree; the same command then finishes what is left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest

from mega_code import envelope as envelopes
from support import strace
from support.fake_gateway import FakeGateway
from support.room import REPOSITORY, Room
from support.stage import NAME, Stage, sample
from support.tally import tally

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
SECONDS = 120.0  # what a script may take on a busy machine
BEFORE = {"install": "old", "restore": "new", "cleanup": "old"}
pytestmark = pytest.mark.slow


@pytest.fixture
def stage(room: Room) -> Stage:
    return Stage(room)


def prepare(stage: Stage, fake: FakeGateway, mode: str) -> list[str]:
    """The arguments of a run of any mode, with everything as it is before it."""
    if mode in BEFORE:
        return stage.reset(mode)
    stage.reset("install")
    stage.env.update(fake.env)
    (stage.place / "link").unlink()
    stage.data.result(stage.job_id).unlink()
    which = {
        "submit": ["--skill-name", NAME, "--no-wait"],
        "poll": ["--poll-existing", fake.job_id],
        "whole": ["--skill-name", NAME],
    }
    return [*which[mode], "--project-dir", str(stage.room.project)]


def agreed(done: subprocess.CompletedProcess[str], result_json: Path, where: Any) -> dict[str, Any]:
    """The envelope on which stdout, the file and the exit status agree."""
    assert "Traceback" not in done.stderr, (where, done.stderr)
    assert done.stdout.count("\n") == 1, (where, done)
    envelope: dict[str, Any] = json.loads(done.stdout)
    assert json.loads(result_json.read_text()) == envelope, where
    assert envelopes.exit_status(envelope) == done.returncode, (where, done)
    return envelope


@pytest.mark.skipif(not strace.available(), reason="strace is not there, or may not trace")
@pytest.mark.parametrize("mode", ["submit", "poll", "whole", *BEFORE])
def test_a_signal_at_any_moment_of_a_mode_ends_it_with_its_envelope_and_it_can_be_resumed(
    stage: Stage, fake: FakeGateway, mode: str
) -> None:
    result_json, trace = stage.room.root / "result.json", stage.room.tmp / "trace"
    arguments = [*prepare(stage, fake, mode), "--result-json", str(result_json)]
    assert stage.run(arguments, strace.everything(trace)).returncode == 0
    interrupted = 0
    points = sample(strace.moments(trace), 4)
    for at, call in enumerate(points):
        number = (signal.SIGINT, signal.SIGTERM)[at % 2]
        result_json.unlink()
        arguments = [*prepare(stage, fake, mode), "--result-json", str(result_json)]
        blow = f"inject={call.name}:signal={number.name}:when={call.number}"
        done = stage.run(arguments, [*strace.everything(trace), "-e", blow])
        envelope = agreed(done, result_json, (mode, call, number))
        assert done.returncode in (0, STATUS[number]), (mode, call, done)
        interrupted += "interrupted" in envelope
        assert_resumable(stage, arguments, mode, envelope, (mode, call))
    assert interrupted
    tally("commands signalled at a system call", len(points))


def assert_resumable(stage: Stage, arguments: Sequence[str], mode: str, envelope: dict[str, Any], where: Any) -> None:
    """Interrupted, nothing or part of it is done, and the same command does it; else it is done."""
    if mode in BEFORE:
        if "interrupted" in envelope:
            assert stage.state() == BEFORE[mode], where
            assert stage.run(arguments).returncode == 0, where
        assert stage.check(mode, where) != BEFORE[mode], where
        return
    again = stage.run(arguments)
    assert again.returncode == 0, (where, again)
    if mode != "submit":
        assert json.loads(again.stdout)["needs_install_location"], where
    left = [name for name in os.listdir(stage.data.enhancements) if name.endswith(".part")]
    assert left == [], where


@pytest.fixture
def transcripts(stage: Stage) -> Iterator[None]:
    """Transcripts bear a time of this test's own, so that those of killed scripts can be removed from /tmp too."""
    stamp = f"{uuid.uuid4().int % 10**8:08}-{os.getpid() % 10**6:06}"
    fake = stage.room.root / "bin" / "date"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\n[ "$*" = +%Y%m%d-%H%M%S ] && echo {stamp} || exec /bin/date "$@"\n')
    fake.chmod(0o755)
    stage.env["PATH"] = f"{fake.parent}:{stage.env['PATH']}"
    yield
    for path in Path("/tmp").glob(f"*mega-code-enhance-{stamp}*"):
        path.unlink()


# The scripts: moments by the clock, the signal to the script alone or to its whole group, as a terminal sends it.


def script(stage: Stage, mode: str, fake: FakeGateway) -> list[str]:
    arguments = {
        "submit.sh": ["--skill-name", NAME],
        "poll.sh": ["--job-id", fake.job_id],
        "install.sh": ["--job-id", stage.job_id, "--skill-name", NAME, "--scope", "project"],
        "enhance.sh": [NAME, "--yes", "--scope", "project"],
    }[mode]
    prepare(stage, fake, "install" if mode == "install.sh" else "whole")
    stage.env.update(fake.env)
    return [str(REPOSITORY / "scripts" / mode), *arguments, "--project-dir", str(stage.room.project)]


def signalled(
    stage: Stage, command: Sequence[str], after: float, number: Optional[int], group: bool
) -> subprocess.CompletedProcess[str]:
    """Run a script and send it a signal so many seconds after its start; gives how it ended."""
    process = subprocess.Popen(
        command,
        env=stage.env,
        cwd=stage.room.project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=SECONDS if number is None else after)
    except subprocess.TimeoutExpired:
        assert number
        (os.killpg if group else os.kill)(process.pid, number)
        stdout, stderr = process.communicate(timeout=SECONDS)
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return subprocess.CompletedProcess(command, status, stdout, stderr)


def values(stdout: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in stdout.splitlines() if "=" in line)


@pytest.mark.usefixtures("transcripts")
@pytest.mark.parametrize("mode", ["submit.sh", "poll.sh", "install.sh", "enhance.sh"])
def test_a_signal_at_any_moment_of_a_script_leaves_its_stdout_its_envelope_and_its_status_agreed(
    stage: Stage, fake: FakeGateway, mode: str
) -> None:
    began = time.monotonic()
    assert signalled(stage, script(stage, mode, fake), 0, None, False).returncode == 0
    usual = time.monotonic() - began
    ways = [(number, group) for number in STATUS for group in (False, True)]
    moments = sample([usual * step / 200 for step in range(200)], 4)
    for at, after in enumerate(moments):
        number, group = ways[at % len(ways)]
        where = (mode, round(after, 3), number.name, group)
        command = script(stage, mode, fake)
        done = signalled(stage, command, after, number, group)
        assert "Traceback" not in done.stderr, (where, done.stderr)
        assert done.returncode in (0, STATUS[number]), (where, done)
        said = values(done.stdout)
        if mode != "enhance.sh" and "RESULT_JSON" in said:
            envelope = json.loads(Path(said["RESULT_JSON"]).read_text())
            assert envelopes.exit_status(envelope) == done.returncode, (where, done)
            assert (said["OUTCOME"] == "interrupted") == (done.returncode != 0), (where, done)
        elif mode != "enhance.sh":
            assert done.returncode != 0 and done.stdout == "", (where, done)  # before it had begun
        again = signalled(stage, command, 0, None, False)
        assert again.returncode == 0, (where, again)
        assert stage.strays() == [], where
    tally("scripts signalled", len(moments))
