"""Every call that writes, made to fail; disks that are full, read-only or not ours; files that may not grow.

A command then ends with one envelope that holds a code of the contract, and what stood before stands still; once the
trouble is over the same command ends well.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mega_code import envelope as envelopes
from mega_code.errors import CODES
from support import strace
from support.fake_gateway import KEY, FakeGateway
from support.room import Room
from support.stage import NAME, Stage, sample
from support.tally import tally

OFFLINE = {"install": "old", "first": "gone", "restore": "new", "cleanup": "old"}  # and what stands there before
ERRORS = ("ENOSPC", "EROFS", "EACCES", "EIO")
traced = pytest.mark.skipif(not strace.available(), reason="strace is not there, or may not trace")


@pytest.fixture
def stage(room: Room) -> Stage:
    return Stage(room)


def outcome(done: subprocess.CompletedProcess[str], where: Any) -> dict[str, Any]:
    """The one envelope of a run, which is as the contract has it however the run ended."""
    assert "Traceback" not in done.stderr and KEY not in done.stdout + done.stderr, (where, done.stderr)
    assert done.stdout.count("\n") == 1, (where, done.stdout, done.stderr)
    envelope: dict[str, Any] = json.loads(done.stdout)
    assert envelopes.exit_status(envelope) == done.returncode, (where, done)
    assert "error" not in envelope or envelope["error"]["code"] in CODES, (where, envelope)
    return envelope


def faults(calls: Sequence[strace.Call], size: int) -> Iterator[tuple[strace.Call, str]]:
    """A sample of the calls, the errors taking turns; every call with every error where the sample is all."""
    yield from sample([(call, error) for number, call in enumerate(calls) for error in turned(number)], size)


def turned(number: int) -> list[str]:
    return [ERRORS[(number + turn) % len(ERRORS)] for turn in range(len(ERRORS))]


@traced
@pytest.mark.slow
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("mode", OFFLINE)
def test_a_call_that_fails_leaves_what_stood_there_and_one_envelope(stage: Stage, mode: str, lasting: bool) -> None:
    trace = stage.room.tmp / "trace"
    assert stage.run(stage.reset(mode), strace.wrapper(trace)).returncode == 0
    cases = 0
    for call, error in faults(strace.calls(trace, [stage.place.parent, stage.data.root], folders=True), 5):
        where = (mode, call, error)
        if lasting and call.name == "write":
            continue  # then the envelope could not be written either
        fault = f"inject={call.name}:error={error}:when={call.number}{'+' if lasting else ''}"
        arguments = stage.reset(mode)
        envelope = outcome(stage.run(arguments, strace.wrapper(trace, fault)), where)
        if not lasting:  # what undoes a half-done swap cannot do so where every call fails
            assert (stage.state() == OFFLINE[mode]) == ("error" in envelope), (where, envelope)
        stage.run(stage.next_commands()[0])
        stage.check(mode, where)
        if "error" in envelope and stage.state() == OFFLINE[mode]:
            assert stage.run(arguments).returncode == 0, where
        cases += 1
    tally("install, restore or clean-up with a failing system call", cases)


def online(stage: Stage, fake: FakeGateway, mode: str) -> list[str]:
    """A skill and an empty DATA_DIR; the arguments of a run that asks the gateway."""
    stage.reset("install")
    stage.env.update(fake.env)
    (stage.place / "link").unlink()
    stage.data.result(stage.job_id).unlink()
    project = ["--project-dir", str(stage.room.project)]
    if mode == "submit":
        return ["--skill-name", NAME, "--no-wait", *project]
    return ["--poll-existing", fake.job_id, *project]


@traced
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["submit", "poll"])
def test_a_call_that_fails_while_submitting_or_fetching_costs_nothing_that_was_paid_for(
    stage: Stage, fake: FakeGateway, mode: str
) -> None:
    trace = stage.room.tmp / "trace"
    assert stage.run(online(stage, fake, mode), strace.wrapper(trace)).returncode == 0
    cases = 0
    for call, error in faults(strace.calls(trace, [stage.place.parent, stage.data.root], folders=True), 10):
        where = (mode, call, error)
        fault = f"inject={call.name}:error={error}:when={call.number}"
        arguments = online(stage, fake, mode)
        envelope = outcome(stage.run(arguments, strace.wrapper(trace, fault)), where)
        assert "error" not in envelope or mode == "submit" or envelope["error"]["job_id"] == fake.job_id, where
        staging = stage.data.staging(fake.job_id)
        assert staging.is_dir() == ("staging_dir" in envelope), (where, envelope)
        assert stage.run(arguments).returncode == 0, where
        strays = [name for name in os.listdir(stage.data.enhancements) if name.endswith((".part", ".tmp"))]
        assert strays == [] or mode == "submit", (where, strays)
        cases += 1
    tally("submission or download with a failing system call", cases)


@traced
def test_a_result_file_that_cannot_be_written_is_a_warning_and_changes_nothing_else(stage: Stage) -> None:
    trace, folder = stage.room.tmp / "trace", stage.room.root / "results"
    folder.mkdir()
    wanted = ["--result-json", str(folder / "result.json")]
    assert stage.run([*stage.reset("install"), *wanted], strace.wrapper(trace)).returncode == 0
    calls = strace.calls(trace, [folder])
    assert {call.name for call in calls} >= {"openat", "write", "fsync", "rename"}
    for call in calls:
        (folder / "result.json").unlink()
        fault = f"inject={call.name}:error=ENOSPC:when={call.number}"
        done = stage.run([*stage.reset("install"), *wanted], strace.wrapper(trace, fault))
        assert outcome(done, call)["installed"] and stage.check("install", call) == "new"
        written = (folder / "result.json").exists()
        assert done.stderr.count("warning: ") == (0 if written else 1), (call, done.stderr)
        assert os.listdir(folder) == (["result.json"] if written else []), call
        (folder / "result.json").touch()


@contextlib.contextmanager
def mounted(folder: Path, kind: str, options: str) -> Iterator[None]:
    """A file system of its own at `folder`; skips where nobody may mount."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", kind, "-o", options, kind, str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave no byte and no file free."""
    with contextlib.suppress(OSError), open(folder / "ballast", "wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@needs_root
@pytest.mark.parametrize("where", ["skills", "data"])
@pytest.mark.parametrize("mode", OFFLINE)
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_disk_that_is_full_or_read_only_leaves_what_stood_there(
    room: Room, mode: str, where: str, trouble: str
) -> None:
    folder = room.project if where == "skills" else room.root / "disk"
    with mounted(folder, "tmpfs", "size=256k,mode=755"):
        stage = Stage(room, None if where == "skills" else folder / "data")
        arguments = stage.reset(mode)
        if trouble == "full":
            fill(folder)
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        envelope = outcome(stage.run(arguments), trouble)
        assert (stage.state() == OFFLINE[mode]) == ("error" in envelope)
        assert stage.strays() == [] or trouble == "full"
        if trouble == "full":
            (folder / "ballast").unlink()
        else:
            subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        if "error" in envelope:
            assert stage.run(arguments).returncode == 0
        stage.check(mode, trouble)
    tally("commands on a full, read-only, foreign or capped disk", 1)


@needs_root
def test_a_log_and_a_result_file_on_a_full_disk_cost_the_install_nothing(stage: Stage) -> None:
    disk = stage.room.root / "disk"
    stage.reset("install")
    with mounted(disk, "tmpfs", "size=64k,mode=755"):
        (disk / "x.log").write_text("submitted\n")
        fill(disk)
        job = ["--job-id", stage.job_id, "--skill-name", NAME, "--scope", "project"]
        done = stage.room.script("install.sh", *job, "--log", disk / "x.log", env=stage.env)
        assert (done.returncode, stage.check("install", "full log")) == (0, "new"), done
        assert done.stdout == f"LOG={disk}/x.log\nRESULT_JSON={disk}/x.install.json\n"
        assert "could not be written" in done.stderr and "Traceback" not in done.stderr


@needs_root
@pytest.mark.parametrize("mode", OFFLINE)
def test_a_skill_of_an_overlays_lower_layer_is_replaced_and_removed_too(room: Room, mode: str) -> None:
    layers = room.root / "layers"
    stage = Stage(room)
    arguments = stage.reset(mode)
    with mounted(layers, "tmpfs", "size=4m,mode=755"):
        for name in ("upper", "work"):
            (layers / name).mkdir()
        lower = room.root / "lower"
        os.rename(room.project, lower)
        options = f"lowerdir={lower},upperdir={layers / 'upper'},workdir={layers / 'work'}"
        with mounted(room.project, "overlay", options):
            assert stage.run(arguments).returncode == 0
            stage.check(mode, "overlay")
            assert stage.state() != OFFLINE[mode]


@pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit is not there")
@pytest.mark.parametrize("mode", ["install", "first", "restore"])
def test_files_that_may_not_grow_leave_what_stood_there(stage: Stage, mode: str) -> None:
    arguments = stage.reset(mode)
    envelope = outcome(stage.run(arguments, ["prlimit", "--fsize=1000"]), mode)
    assert envelope["error"]["code"] == "install_failed"
    assert (stage.state(), stage.strays(), stage.run(arguments).returncode) == (OFFLINE[mode], [], 0)
    tally("commands on a full, read-only, foreign or capped disk", 1)


@pytest.mark.parametrize("mode", OFFLINE)
@pytest.mark.parametrize("where", ["skills", "data"])
def test_a_folder_that_is_not_ours_to_write_leaves_what_stood_there(
    stage: Stage, powerless: list[str], mode: str, where: str
) -> None:
    arguments = stage.reset(mode)
    closed = stage.place.parent if where == "skills" else stage.data.enhancements
    closed.chmod(0o555)
    envelope = outcome(stage.run(arguments, powerless), mode)
    closed.chmod(0o755)
    assert (stage.state() == OFFLINE[mode]) == ("error" in envelope) and stage.strays() == []
    assert "error" in envelope or (mode, where) == ("first", "data")
    tally("commands on a full, read-only, foreign or capped disk", 1)
