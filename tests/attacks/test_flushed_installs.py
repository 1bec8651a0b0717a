"""What is on the disk before what: the order of the system calls of an install, as strace records them.

A power cut cannot be tested; that every file and folder was flushed before the step that relies on it can.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mega_code import backups
from support import strace
from support.room import REPOSITORY, Room
from support.stage import NAME, Stage

pytestmark = pytest.mark.skipif(not strace.available(), reason="strace is not there, or may not trace")


def recorded(stage: Stage, mode: str, *answers: str) -> list[strace.Call]:
    trace = stage.room.tmp / "trace"
    assert stage.run(stage.reset(mode), strace.wrapper(trace, *answers)).returncode == 0
    stage.check(mode, answers)
    return strace.calls(trace, [stage.place.parent, stage.data.root])


def where(calls: list[strace.Call], name: str, *parts: str) -> list[int]:
    """The places in the record of the calls of that name whose arguments hold all the parts."""
    return [at for at, call in enumerate(calls) if call.name == name and all(part in call.arguments for part in parts)]


def flushed(calls: list[strace.Call], *parts: str) -> list[int]:
    return where(calls, "fsync", *parts)


@pytest.mark.parametrize("exchanges", [True, False])
def test_the_new_skill_is_on_the_disk_file_by_file_and_folder_by_folder_before_it_takes_the_place(
    room: Room, exchanges: bool
) -> None:
    stage = Stage(room)
    calls = recorded(stage, "install", *([] if exchanges else ["inject=?renameat2:error=EINVAL"]))
    if exchanges:
        (swapped,) = where(calls, "renameat2", "RENAME_EXCHANGE")
    else:
        swapped = where(calls, "rename", f'{stage.place}", "', "mega-old-")[0]
    (ready,) = where(calls, "rename", "mega-new-", "mega-ready-")
    for relpath in stage.new or ():
        flushes = flushed(calls, "mega-new-", f"/{relpath}>")
        written = where(calls, "write", "mega-new-", f"/{relpath}>")
        assert flushes and max(written, default=0) < min(flushes) and max(flushes) < ready < swapped, relpath
    assert any(at < ready for at in flushed(calls, "mega-new-") if calls[at].arguments.endswith(">")), "the root"
    assert any(ready < at < swapped for at in flushed(calls, f"<{stage.place.parent}>"))
    assert any(swapped < at for at in flushed(calls, f"<{stage.place.parent}>"))


def test_a_backup_has_its_note_and_its_folder_on_the_disk_before_the_old_skill_moves_in(room: Room) -> None:
    stage = Stage(room)
    calls = recorded(stage, "install")
    (moved,) = where(calls, "rename", "mega-ready-", "-backup/")
    noted = flushed(calls, "-backup/.", ".tmp>")
    assert noted and max(noted) < moved
    assert any(at < moved for at in flushed(calls, f"<{stage.data.enhancements}>"))
    assert any(at > moved for at in flushed(calls, "-backup>"))


def test_a_backup_that_has_to_be_copied_is_on_the_disk_before_the_old_skill_goes(room: Room, elsewhere: Path) -> None:
    stage = Stage(room, elsewhere / "data")
    calls = recorded(stage, "cleanup")
    (arrived,) = where(calls, "rename", f"/.{NAME}.part", f'/{NAME}"')
    (gone,) = where(calls, "rename", f'"{stage.place}"', "mega-junk-")
    for relpath in stage.old or ():
        if relpath != "link":
            flushes = flushed(calls, f"/.{NAME}.part/{relpath}>")
            assert flushes and max(flushes) < arrived, relpath
    assert any(arrived < at < gone for at in flushed(calls, "-backup>"))


def test_of_very_many_files_each_is_flushed_and_a_failure_of_one_is_a_failure(room: Room) -> None:
    folder = room.tmp / "many files"
    names = [f"{number % 7}/{number}.md" for number in range(backups.MANY + 20)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    code = "import sys, pathlib; from mega_code import backups; backups.flush_tree(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(folder)]
    trace = room.tmp / "trace"
    whole = subprocess.run([*strace.wrapper(trace), *command], cwd=REPOSITORY, capture_output=True, check=False)
    calls = [line for line in trace.read_text().splitlines() if " fsync(" in line]
    every = [*names, *{name.partition("/")[0] for name in names}]
    assert whole.returncode == 0 and all(any(f"/many files/{name}>" in line for line in calls) for name in every)
    assert len({line.split()[0] for line in calls}) > 1, "from more than one thread"
    failing = [*strace.wrapper(trace, "inject=fsync:error=EIO:when=5"), *command]
    broken = subprocess.run(failing, cwd=REPOSITORY, capture_output=True, check=False)
    assert broken.returncode != 0 and b"Input/output error" in broken.stderr
