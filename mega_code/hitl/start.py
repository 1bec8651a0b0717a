"""Beginning an iteration: the skill folder copied, checked as a bundle is, whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Optional

from mega_code import backups, bundle, places, workspace
from mega_code.console import say, warn
from mega_code.envelope import Envelope
from mega_code.errors import MegaCodeError
from mega_code.evaluation import cases
from mega_code.files import flush_folder, write_atomic, write_json
from mega_code.hitl import testcases
from mega_code.paths import DataDir
from mega_code.skills import Skill
from mega_code.workspace import Iteration, Record

_UNFINISHED = re.compile(r"\.iteration-\d+\.new-[0-9a-f]+")


def start(skill: Skill, data: DataDir, now: datetime, allow_secret: Sequence[str] = ()) -> Envelope:
    """Begin the next iteration of a skill.

    Raises MegaCodeError: the refusals of `bundle.pack`, `invalid_path` where nothing can be written.
    """
    folder = data.skill_enhance / skill.name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with places.locked(folder):
            _sweep(folder)
            there = workspace.iterations(data, skill.name)
            iteration = workspace.at(data, skill.name, there[-1].number + 1 if there else 1)
            record = _build(skill, iteration, there[-1] if there else None, now, allow_secret)
    except OSError as error:
        raise MegaCodeError("invalid_path", f"The iteration could not be begun: {error}.") from None
    count = testcases.count(iteration)
    say(f"iteration {iteration.number} of {skill.name}, in {iteration.folder}")
    return {
        "started": {
            **record._asdict(),
            "iteration_dir": str(iteration.folder),
            "cases": count,
            "previous": there[-1].number if there else None,
        }
    }


def _sweep(folder: Path) -> None:
    """Remove what a killed start left; whoever holds the lock knows that its maker is gone."""
    for name in os.listdir(folder):
        if _UNFINISHED.fullmatch(name):
            shutil.rmtree(folder / name, ignore_errors=True)


def _build(
    skill: Skill, iteration: Iteration, previous: Optional[Iteration], now: datetime, allow_secret: Sequence[str]
) -> Record:
    """Build the iteration in a hidden sibling, and let it appear in one rename."""
    building = iteration.folder.with_name(f".{iteration.folder.name}.new-{os.urandom(8).hex()}")
    building.mkdir(mode=0o700)
    try:
        packed = copy_skill(skill.folder, building / workspace.ORIGINAL, allow_secret)
        made = f"{now:%Y-%m-%dT%H:%M:%SZ}"
        record = Record(
            skill.name, str(skill.path), skill.scope, iteration.number, made, packed.content_hash, list(allow_secret)
        )
        write_json(building / workspace.RECORD, record._asdict())
        _seed_cases(building, previous)
        backups.flush_tree(building)
        os.rename(building, iteration.folder)
        flush_folder(iteration.folder.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return record


def copy_skill(source: Path, target: Path, allow_secret: Sequence[str]) -> bundle.Bundle:
    """Copy what a bundle of `source` holds to `target`, which must not be there. Raises as `bundle.pack` does."""
    with tempfile.TemporaryFile() as stream:
        packed = bundle.pack(source, stream, allow_secret=allow_secret)
        stream.seek(0)
        _unpack(stream, target, packed)
    return packed


def _unpack(stream: IO[bytes], target: Path, packed: bundle.Bundle) -> None:
    target.mkdir(mode=0o755)
    with zipfile.ZipFile(stream) as archive:
        for entry in packed.entries:
            path = target / entry.path
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            with archive.open(entry.path) as reader, open(path, "xb") as writer:
                shutil.copyfileobj(reader, writer)
                os.fchmod(writer.fileno(), 0o644 | entry.mode & 0o111)


def _seed_cases(building: Path, previous: Optional[Iteration]) -> None:
    """Begin with the cases of the iteration before, so that the two can be compared, else with the skill's own."""
    candidates = [previous.folder / workspace.CASES] if previous else []
    for path in (*candidates, building / workspace.ORIGINAL / cases.PATH):
        try:
            data = path.read_bytes()
        except OSError:
            continue
        try:
            cases.read(data, path=path.name)
        except cases.CaseError as error:
            warn(f"{path} is left aside: {error.problems[0]}")
            continue
        write_atomic(building / workspace.CASES, data)
        return
