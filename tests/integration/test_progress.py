"""What a person sees of a running job on a terminal, rendered as it stands there, and what the transcript keeps of it."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.fake_gateway import BASE, Answer, FakeGateway, Handler
from support.room import REPOSITORY, Room, script
from support.screen import Screen

RUNNING = {"status": "running", "phase_public": "iterating", "current_iteration": 1, "total_iterations": 5}
LIVE = re.compile(r"iterating \[1/5\] \[\d+s\]")
SECONDS = 60.0  # what anything may take on a busy machine


class Held:
    """Holds every look at the job back until the test says what comes next."""

    def __init__(self, fake: FakeGateway) -> None:
        self.fake, self.changed, self.state = fake, threading.Event(), dict[str, Any](RUNNING)
        self.first = True
        fake.on("GET", f"{BASE}/skill-enhance/jobs/[^/]*$", self.answer)

    def answer(self, handler: Handler) -> Answer:
        if not self.first:
            self.changed.wait(SECONDS)
            self.changed.clear()
        self.first = False
        if "http" in self.state:
            return Answer(self.state["http"])
        body = {"job_id": self.fake.job_id, "skill_id": "demo-skill", "created_at": None, **self.state}
        return Answer(200, body, (("Preference-Applied", "wait=20"),))

    def next(self, **state: Any) -> None:
        self.state = state
        self.changed.set()


@pytest.fixture
def held(fake: FakeGateway) -> Held:
    return Held(fake)


@pytest.fixture
def env(room: Room, fake: FakeGateway) -> dict[str, str]:
    # Transcripts bear a time; a clock of our own makes it this test's.
    tools = room.root / "bin"
    tools.mkdir()
    stamp = f"{os.getpid() % 10**8:08d}-{int.from_bytes(os.urandom(2), 'big'):06d}"
    (tools / "date").write_text(f"#!/bin/sh\necho {stamp}\n")
    (tools / "date").chmod(0o755)
    path = f"{tools}:{room.env['PATH']}"
    return {**room.env, **fake.env, "PATH": path, "TERM": "xterm", "LC_ALL": "C.UTF-8", "STAMP": stamp}


@pytest.fixture
def log(env: dict[str, str]) -> Iterator[Path]:
    path = Path(f"/tmp/mega-code-enhance-{env['STAMP']}.log")
    yield path
    for file in path.parent.glob(f"{path.stem}*"):
        file.unlink()


def told(log: Path) -> list[str]:
    """The transcript without its envelopes, each age as `*`, and a line that is due again after ten seconds once.

    What is due when is for `tests/unit/test_polling.py`, with a clock of its own.
    """
    lines = [line for line in log.read_text("utf-8").splitlines() if not line.startswith("{")]
    return [line for line, _ in itertools.groupby(re.sub(r"\[\w+s\]$", "[*]", line) for line in lines)]


def poll(fake: FakeGateway) -> list[object]:
    return [REPOSITORY / "scripts" / "poll.sh", "--job-id", fake.job_id]


def showing(lines: Sequence[str]) -> bool:
    return bool(lines) and LIVE.fullmatch(lines[-1]) is not None


def ticking(screen: Screen) -> None:
    """See three ages in one place, each higher than the one before."""

    def age(lines: Sequence[str]) -> int:
        return int(lines[-1].split("[")[-1][:-2])

    first = seen = screen.until(showing)
    for _ in range(2):
        before = age(seen)
        seen = screen.until(lambda lines, before=before: showing(lines) and age(lines) > before)  # type: ignore[misc]
        assert seen[:-1] == first[:-1]


def test_the_line_lives_and_the_log_is_plain_and_the_question_stands_alone(
    room: Room, fake: FakeGateway, held: Held, env: dict[str, str], log: Path
) -> None:
    room.add_skill()
    with Screen([REPOSITORY / "scripts" / "enhance.sh", "demo-skill"], env, room.project, columns=300) as screen:
        ticking(screen)
        held.next(status="succeeded")
        screen.until(lambda lines: lines[-1].endswith("[n]o:"))
        screen.type("n\n")
        assert screen.end() == 0
    staged = room.data / "enhancements" / fake.job_id
    before = [
        "packed demo-skill: 1 file, 1 KiB",
        f"uploading demo-skill to {fake.url}",
        f"submitted as job {fake.job_id}",
    ]
    shown = screen.lines()
    ended = shown[len(before)]
    assert re.fullmatch(r"succeeded \[\d+s\]", ended)
    assert shown == [
        *before,
        ended,
        "2 files downloaded and verified",
        "Succeeded: an enhanced version is ready to install.",
        "ROI: +67% performance, 0% token savings, model=fake-model",
        f"Staged in {staged}",
        f"Report: {staged}.report.html",
        "Install demo-skill into project or global scope? [p]roject, [g]lobal, [n]o: n",
        "enhance: not installed.",
        f"To install: {script('install')} --job-id {fake.job_id} --skill-name demo-skill --scope project"
        f" --project-dir '{room.project}'",
    ]
    assert told(log) == [*before, "iterating [1/5] [*]", "succeeded [*]", "2 files downloaded and verified"]


def test_ctrl_c_leaves_nothing_of_the_line_but_what_comes_next(
    room: Room, fake: FakeGateway, held: Held, env: dict[str, str], log: Path
) -> None:
    command = [REPOSITORY / "scripts" / "enhance.sh", "--poll-existing", fake.job_id]
    with Screen(command, env, room.project, columns=200) as screen:
        screen.until(showing)
        screen.type("\x03")
        assert screen.end() == 130
    resume = f"To resume: {script('enhance')} --poll-existing {fake.job_id}"
    cancel = f"To cancel: {script('enhance')} --cancel {fake.job_id}"
    assert screen.lines() == [f"Interrupted; job {fake.job_id} goes on.", resume, cancel]
    assert told(log) == ["iterating [1/5] [*]"]


def test_messages_stand_above_the_line_and_a_narrow_window_cuts_it(
    room: Room, fake: FakeGateway, held: Held, env: dict[str, str], log: Path
) -> None:
    with Screen(poll(fake), env, room.project) as screen:
        screen.until(showing)
        held.next(http=503)
        message = "The server answered 503; it may be busy or broken. Trying on."
        screen.until(lambda lines: len(lines) == 2 and lines[0] == message and LIVE.fullmatch(lines[1]))
        screen.resize(12)
        screen.until(lambda lines: lines[-1] == "iterating …")
        screen.resize(80)
        screen.until(showing)
        held.next(status="failed")
        held.fake.result = {"status": "failed", "artifact_kind": "none", "artifact": None}
        assert screen.end() == 0
    kept = told(log)
    assert kept[:2] == ["iterating [1/5] [*]", message] and kept[-1] == "failed [*]"
    assert b"\x1b[36m" in screen.raw and "\x1b" not in log.read_text("utf-8")


def test_a_module_that_is_killed_leaves_no_line(
    room: Room, fake: FakeGateway, held: Held, env: dict[str, str], log: Path
) -> None:
    with Screen(poll(fake), env, room.project, columns=200) as screen:
        screen.until(showing)
        modules = [pid for pid in children(screen.pid) if b"remote_enhance" in command_line(pid)]
        assert modules
        for pid in modules:
            os.kill(pid, signal.SIGKILL)
        assert screen.end() == 137
    said = f"poll: the command ended with status 137 and no result; see {log}."
    result = log.with_suffix(".result.json")
    by_bash = [line for line in screen.lines() if "Killed" in line]
    assert screen.lines() == [*by_bash, f"LOG={log}", f"RESULT_JSON={result}", said]


def children(pid: int) -> list[int]:
    """Every process below `pid` that is still there when it is looked at."""
    try:
        found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return found + [below for child in found for below in children(child)]


def command_line(pid: int) -> bytes:
    """What a process was started with; nothing where it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@pytest.mark.parametrize(
    ("wanted", "escapes"),
    [
        ({"NO_COLOR": "1"}, {b"\x1b[J"}),
        ({"TERM": "dumb"}, set()),
        ({"NO_COLOR": ""}, {b"\x1b[J", b"\x1b[36m", b"\x1b[0m"}),
    ],
    ids=["no colour", "dumb", "colour"],
)
def test_the_terminal_gets_no_more_than_it_asked_for(
    room: Room,
    fake: FakeGateway,
    held: Held,
    env: dict[str, str],
    log: Path,
    wanted: dict[str, str],
    escapes: set[bytes],
) -> None:
    module = [sys.executable, "-m", "mega_code.client.remote_enhance", "--poll-existing", fake.job_id]
    with Screen(module, {**env, **wanted, "PYTHONPATH": str(REPOSITORY)}, room.project, columns=4000) as screen:
        screen.until(showing)
        held.next(status="succeeded")
        assert screen.end() == 0
    assert set(re.findall(rb"\x1b\[\d*[A-Za-z]", screen.raw)) == escapes
    shown = screen.lines()
    while not escapes and LIVE.fullmatch(shown[1]):
        del shown[1]  # due again on a machine that took ten seconds
    assert escapes or LIVE.fullmatch(shown.pop(0))
    assert re.fullmatch(r"succeeded \[\d+s\]", shown[0]) and shown[1] == "2 files downloaded and verified"


@pytest.mark.parametrize(
    ("encoding", "line", "columns", "shown"),
    [
        ("utf-8", "queued — waiting [9s]", 80, "queued — waiting [9s]"),
        ("latin-1", "queued — waiting [9s]", 80, "queued - waiting [9s]"),
        ("ascii", "naïve — [9s]", 80, "na?ve - [9s]"),
        ("utf-8", "技能技能 [9s]", 8, "技能技…"),
        ("utf-8", "技能技能 [9s]", 7, "技能…"),
        ("utf-8", "e\N{COMBINING ACUTE ACCENT}e\N{COMBINING ACUTE ACCENT} [9s]", 8, "éé [9s]"),
        ("utf-8", "anything", 2, "…"),
    ],
)
def test_the_line_fits_the_terminal_in_columns_and_in_its_encoding(
    room: Room, env: dict[str, str], encoding: str, line: str, columns: int, shown: str
) -> None:
    code = "import sys; from mega_code.console import progress; progress(sys.argv[1], True); sys.stdin.read(1)"
    given = {**env, "PYTHONPATH": str(REPOSITORY), "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    with Screen([sys.executable, "-c", code, line], given, room.project, columns) as screen:
        while b"\x1b[J" not in screen.raw:
            assert screen.take(), screen.text()
        assert screen.lines() == [shown]


def test_a_long_step_of_the_local_flow_counts_in_place(room: Room, env: dict[str, str]) -> None:
    code = (
        "import time\nfrom mega_code.hitl.progress import Line\n"
        "now = [0.0]\nline = Line('runs', 3, lambda: now[0])\n"
        "for done in (0, 0, 1, 3, 3):\n    line.tell(done)\n    now[0] += 1\n"
    )
    with Screen([sys.executable, "-c", code], {**env, "PYTHONPATH": str(REPOSITORY)}, room.project) as screen:
        assert screen.end() == 0
    assert re.findall(r"runs \d/3 \[\ds\]", screen.raw.decode()) == [
        "runs 0/3 [0s]",
        "runs 0/3 [1s]",
        "runs 1/3 [2s]",
        "runs 3/3 [3s]",
    ]
    assert screen.lines() == ["runs 3/3 [3s]"]


def test_ctrl_c_before_anything_has_begun_is_no_traceback(room: Room, env: dict[str, str], log: Path) -> None:
    room.add_skill()
    statuses = []
    for delay in range(0, 150, 10):
        with Screen([REPOSITORY / "scripts" / "enhance.sh", "demo-skill"], env, room.project, columns=200) as screen:
            deadline = time.monotonic() + 2 * SECONDS
            while b"enhance.sh" not in command_line(screen.pid):
                assert time.monotonic() < deadline
                time.sleep(0.001)  # until then it is this process's own child, and a signal is lost on it
            time.sleep(delay / 1000)
            screen.type("\x03")
            while screen.take(deadline):
                if screen.text().endswith("[n]o:"):
                    screen.type("\x03")  # Bash forgets one that comes while a child of its ends in order
            statuses.append(screen.end())
        assert "Traceback" not in screen.text() and "nothing was changed" not in screen.text(), (delay, screen.text())
    assert 130 in statuses
