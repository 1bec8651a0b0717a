"""Many at once: readers, installs to one place, runs that share one DATA_DIR, and a holder of the lock that dies."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.fake_gateway import SKILL_MD
from support.forked import Forks
from support.gateway import Outcome, running
from support.room import REPOSITORY, Room
from support.stage import COMMAND, NAME, SCALE, Stage, make, snapshot
from support.tally import tally

AT_ONCE = 8
SWAPS = 200


@pytest.fixture
def stage(room: Room) -> Stage:
    return Stage(room)


def versions(stage: Stage, count: int) -> list[tuple[str, Path]]:
    """As many staged jobs, each with content of its own in every file: their ids, and folders of the same content."""
    found = []
    for number in range(count):
        folder = stage.room.root / f"version {number}"
        line = f"\n# version {number}".encode()
        make(folder, {"SKILL.md": SKILL_MD.encode() + line, "scripts/run.sh": b"#!/bin/sh" + line, "which": line * 999})
        job_id = str(uuid.uuid4())
        stage.add_job(job_id, folder)
        found.append((job_id, folder))
    return found


@contextlib.contextmanager
def reader_of(place: Path) -> Iterator[subprocess.Popen[str]]:
    """Somebody who looks at the skill all the time; a line on its stdin makes it say what it saw."""
    command = [sys.executable, str(REPOSITORY / "tests" / "support" / "reader.py"), str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_reader_never_finds_a_skill_missing_or_mixed_while_it_is_installed_over_and_over(quick_room: Room) -> None:
    stage = Stage(quick_room)
    stage.reset("first")
    jobs = versions(stage, 2)
    with Forks(stage.env, stage.room.project) as forks:
        assert forks.run(stage.install(jobs[0][0])).status == 0
        swaps = int(SWAPS * max(1.0, SCALE))
        with reader_of(stage.place) as reader:
            for number in range(swaps):
                assert forks.run(stage.install(jobs[(number + 1) % 2][0]), 0).status == 0
            saw = json.loads(reader.communicate("enough\n", timeout=60)[0])
    assert (saw["missing"], saw["mixed"]) == (0, 0) and saw["looks"] > swaps
    assert len(stage.backups()) == swaps
    tally("installs under a reader, which found the skill missing or mixed 0 times", swaps)
    tally("looks of that reader", saw["looks"])


def test_eight_installs_to_one_place_leave_one_whole_and_every_other_in_a_backup(stage: Stage) -> None:
    stage.reset("install")
    jobs = versions(stage, AT_ONCE)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(lambda job: stage.run(stage.install(job[0])), jobs))
    assert [done.returncode for done in ended] == [0] * AT_ONCE, [done.stderr for done in ended]
    found = [snapshot(stage.place), *stage.backups()]
    wanted = [stage.old, *(snapshot(folder) for _, folder in jobs)]
    assert len(found) == len(wanted) and all(content in found for content in wanted)
    assert stage.strays() == []


def enhanced(skill_dir: Path, skill_id: str, progress: Any, now: Any) -> Outcome:
    """An evaluation that gives each skill back with its own name in it."""
    return Outcome(files={"SKILL.md": SKILL_MD.replace(NAME, skill_id).encode(), "who": skill_id.encode()})


def test_eight_runs_that_share_a_data_dir_and_a_gateway_do_not_disturb_each_other(room: Room) -> None:
    with running(room.root / "gateway", enhanced) as gateway:
        stage = Stage(room)
        stage.env["MEGA_CODE_SERVER_URL"] = gateway.url
        stage.env["MEGA_CODE_API_KEY"] = gateway.keys.issue("someone")
        stage.env["MEGA_CODE_CLIENT_MODE"] = "remote"
        names = [f"skill-{number}" for number in range(AT_ONCE)]

        def whole_flow(name: str) -> dict[str, Any]:
            room.add_skill(name=name)
            submitted = answer(stage, "--skill-name", name, "--no-wait")["submitted"]
            ready = answer(stage, "--poll-existing", submitted["job_id"])
            assert (ready["skill_name"], ready["original_scope"]) == (name, "project")
            return answer(stage, *stage.install(ready["job_id"])[:-4], "--skill-name", name)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            installed = list(pool.map(whole_flow, names))
    for name, done in zip(names, installed):
        assert (Path(done["installed_path"]) / "who").read_text() == name
        assert f"# {name}" in (Path(done["backup_path"]) / "SKILL.md").read_text()
    assert sorted(os.listdir(stage.place.parent)) == names


def test_eight_waiting_for_the_same_job_all_find_it_whole(room: Room) -> None:
    with running(room.root / "gateway", enhanced) as gateway:
        stage = Stage(room)
        stage.env["MEGA_CODE_SERVER_URL"] = gateway.url
        stage.env["MEGA_CODE_API_KEY"] = gateway.keys.issue("someone")
        stage.env["MEGA_CODE_CLIENT_MODE"] = "remote"
        room.add_skill()
        job_id = answer(stage, "--skill-name", NAME, "--no-wait")["submitted"]["job_id"]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ready = list(pool.map(lambda _: answer(stage, "--poll-existing", job_id), range(AT_ONCE)))
    assert {done["staging_dir"] for done in ready} == {str(stage.data.staging(job_id))}
    assert (stage.data.staging(job_id) / "who").read_text() == NAME
    assert [name for name in os.listdir(stage.data.enhancements) if name.startswith(".")] == []


def answer(stage: Stage, *arguments: str) -> dict[str, Any]:
    """The envelope of a run that ends well."""
    done = stage.run(arguments)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    envelope: dict[str, Any] = json.loads(done.stdout)
    return envelope


HOLDER = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from mega_code import places\n"
    "with places.locked(Path(sys.argv[1])):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(600)"
)


def test_the_lock_of_a_run_that_dies_is_free_at_once(stage: Stage) -> None:
    arguments = stage.reset("install")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(stage.place.parent)], env=stage.env, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    waiting = subprocess.Popen(
        [sys.executable, "-m", COMMAND, *arguments],
        env=stage.env,
        cwd=stage.room.project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stderr and "waiting for it" in waiting.stderr.readline()
    assert waiting.poll() is None and stage.state() == "old"
    holder.kill()
    holder.communicate()
    waiting.communicate(timeout=60)
    assert (waiting.returncode, stage.state()) == (0, "new")
