"""A place with an old skill, a staged job with a new one, and what has to hold however a command on them ended."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, TypeVar

from mega_code import backups
from mega_code.paths import DataDir
from support.fake_gateway import SKILL_MD
from support.room import REPOSITORY, Room

NAME = "demo-skill"
COMMAND = "mega_code.client.remote_enhance"
SCALE = float(os.environ.get("MEGA_CODE_ATTACK_SCALE", "1"))  # read on import: a test's environment is a clean room
Snapshot = dict[str, tuple[int, bytes]]  # relative path: mode with type, content or link target
OLD = {
    "SKILL.md": b"---\nname: demo-skill\n---\n# Old\n",
    "scripts/run.sh": b"#!/bin/sh\n",
    "old/deep/a.md": b"o" * 9999,
}
NEW = {"SKILL.md": SKILL_MD.encode(), "scripts/run.sh": b"#!/bin/sh\nexit 0\n", "new/b.md": b"n" * 9999}

T = TypeVar("T")


def sample(points: Sequence[T], size: int) -> list[T]:
    """About `size` of the points, spread evenly; MEGA_CODE_ATTACK_SCALE times as many by hand."""
    wanted = size * SCALE
    if wanted >= len(points):
        return list(points)
    return [points[int(index * len(points) / wanted)] for index in range(max(1, int(wanted)))]


def snapshot(folder: Path) -> Optional[Snapshot]:
    """Everything below a folder; None where nothing is there."""
    if not os.path.lexists(folder):
        return None
    return {str(path.relative_to(folder)): _entry(path) for path in sorted(folder.rglob("*"))}


def _entry(path: Path) -> tuple[int, bytes]:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return stat.S_IFLNK, os.fsencode(os.readlink(path))
    return mode, path.read_bytes() if stat.S_ISREG(mode) else b""


def make(folder: Path, files: Mapping[str, bytes]) -> None:
    """A skill folder; what starts with `#!` may be executed."""
    for relpath, content in files.items():
        path = folder / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if content.startswith(b"#!") else 0o644)


class Stage:
    """One room for many runs: `reset` before each, `check` behind it."""

    def __init__(self, room: Room, data: Optional[Path] = None) -> None:
        self.room = room
        self.data = DataDir(data or room.data)
        self.place = room.project / ".claude" / "skills" / NAME
        self.job_id = str(uuid.uuid4())
        self.env = {
            **{name: value for name, value in room.env.items() if not name.startswith("COVERAGE_")},
            "MEGA_CODE_DATA_DIR": str(self.data.root),
            "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
        }
        make(room.root / "old", OLD)
        (room.root / "old" / "link").symlink_to("SKILL.md")
        make(room.root / "new", NEW)
        self.old, self.new = snapshot(room.root / "old"), snapshot(room.root / "new")
        self.backup = self.data.enhancements / "20260101T000000Z-backup" / NAME

    def reset(self, mode: str) -> list[str]:
        """As it is before a run of `mode` (`install`, `first`, `restore`, `cleanup`); gives the run's arguments."""
        shutil.rmtree(self.place.parent, ignore_errors=True)
        shutil.rmtree(self.data.root, ignore_errors=True)
        self.place.parent.mkdir(parents=True)
        self.data.enhancements.mkdir(parents=True)
        if mode != "first":
            shutil.copytree(self.room.root / ("new" if mode == "restore" else "old"), self.place, symlinks=True)
        project = ["--project-dir", str(self.room.project)]
        if mode == "cleanup":
            return ["--cleanup-original", str(self.place), *project]
        if mode == "restore":
            self._add_backup()
            return ["--restore-backup", str(self.backup), *project]
        self.add_job(self.job_id, self.room.root / "new")
        return self.install(self.job_id)

    def install(self, job_id: str) -> list[str]:
        """The arguments that install a staged job."""
        project = ["--project-dir", str(self.room.project)]
        return ["--install-existing", job_id, "--install-location", "project", "--skill-name", NAME, *project]

    def _add_backup(self) -> None:
        shutil.copytree(self.room.root / "old", self.backup, symlinks=True)
        note = {"backup_path": str(self.backup), "skill_name": NAME, "origin": str(self.place), "reason": "install"}
        note["created_at"] = "2026-01-01T00:00:00Z"
        self.backup.with_name(f"{NAME}.json").write_text(json.dumps(note))

    def add_job(self, job_id: str, skill: Path) -> None:
        """Stage the files of a folder as what a job made."""
        shutil.copytree(skill, self.data.staging(job_id))
        files = [
            {
                "relpath": str(path.relative_to(skill)),
                "url": "",
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in skill.rglob("*")
            if path.is_file()
        ]
        result = {"status": "succeeded", "artifact_kind": "enhanced", "artifact": {"files": files}, "skill_name": NAME}
        self.data.result(job_id).write_text(json.dumps(result))

    def next_commands(self) -> list[list[str]]:
        """Commands that touch the place's folder and change nothing themselves: each sets right what it finds."""
        project = ["--project-dir", str(self.room.project)]
        return [
            ["--cleanup-original", str(self.place.parent / "nobody"), *project],
            ["--restore-backup", str(self.data.enhancements / "nobody"), *project],
            ["--skill-name", "nobody", "--no-wait", *project],
        ]

    def run(self, arguments: Sequence[str], wrapper: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """The real command in a process of its own, behind a wrapper such as strace."""
        return subprocess.run(
            [*wrapper, sys.executable, "-m", COMMAND, *arguments],
            cwd=self.room.project,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def backups(self) -> list[Optional[Snapshot]]:
        """The content of every backup that a person is shown."""
        return [snapshot(Path(note["backup_path"])) for note in backups.listing(self.data)]

    def strays(self) -> list[str]:
        """What stands beside the place and should not."""
        return [name for name in os.listdir(self.place.parent) if name != NAME]

    def state(self) -> str:
        """`old`, `new` or `gone`; anything else is a failure."""
        found = snapshot(self.place)
        for name, wanted in (("old", self.old), ("new", self.new), ("gone", None)):
            if found == wanted:
                return name
        raise AssertionError(f"neither the old skill nor the new one: {sorted(found or ())}")

    def check(self, mode: str, where: Any) -> str:
        """Old or new, whole; the other one in a backup where it was displaced; nothing beside it. Gives the state."""
        state = self.state()
        allowed = {"install": "old new", "first": "gone new", "restore": "new old", "cleanup": "old gone"}[mode]
        assert state in allowed.split(), (where, state)
        before = {"install": "old", "first": "gone", "restore": "new", "cleanup": "old"}[mode]
        if state != before and before != "gone":
            assert getattr(self, before) in self.backups(), (where, "what was displaced is gone")
        assert self.strays() == [], where
        return state
