"""The iterations of the local flow: one folder each, `<DATA_DIR>/data/skill-enhance/<skill>/iteration-N/`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple, Optional

from mega_code import bundle
from mega_code.errors import MegaCodeError
from mega_code.files import read_json
from mega_code.paths import DataDir, check_skill_name

RECORD = "iteration.json"
ORIGINAL = "original"
CASES = "test-cases.json"
AUDIT = "audit.json"
RUNS = "runs.json"
TO_GRADE = "to-grade.json"
GRADINGS = "gradings.json"
BENCHMARK = "benchmark.json"
BENCHMARK_MD = "benchmark.md"
FEEDBACK = "feedback.json"
DRAFT = "draft-skill.md"
ACCEPTED = "accepted"
ACCEPTANCE = "acceptance.json"
PUBLISHED = "published.json"
INSTALLING, STANDING, UNDONE = "installing", "accepted", "undone"  # the states of an acceptance
COMPLETIONS = "completions.sqlite3"  # beside the iterations of a skill
_NAME = re.compile(r"iteration-([1-9]\d{0,5})")


class Record(NamedTuple):
    """What an iteration began with. `skill_path` is the SKILL.md; `scope` None for a pending skill."""

    skill_name: str
    skill_path: str
    scope: Optional[str]
    iteration: int
    created_at: str
    content_hash: str
    allow_secret: list[str]


class Iteration(NamedTuple):
    """One round of one skill."""

    skill_name: str
    number: int
    folder: Path

    @property
    def original(self) -> Path:
        """The skill folder as it was at the start."""
        return self.folder / ORIGINAL

    @property
    def store(self) -> Path:
        """Every completion of all iterations of the skill."""
        return self.folder.parent / COMPLETIONS

    def record(self) -> Record:
        """What it began with. Raises MegaCodeError `missing_iteration` where that is not known any more."""
        value = read_json(self.folder / RECORD)
        try:
            record = Record(**{key: value[key] for key in Record._fields})  # type: ignore[index]
        except (KeyError, TypeError):
            raise MegaCodeError("missing_iteration", f"{str(self.folder / RECORD)!r} cannot be read.") from None
        if record.skill_name != self.skill_name or not os.path.isabs(str(record.skill_path)):
            raise MegaCodeError("missing_iteration", f"{str(self.folder / RECORD)!r} is of another skill.")
        return record

    def read(self, name: str) -> Optional[dict[str, Any]]:
        """The JSON object in one of its files; None where there is none."""
        value = read_json(self.folder / name)
        return value if isinstance(value, dict) else None

    def needed(self, name: str, command: str) -> dict[str, Any]:
        """As `read`. Raises MegaCodeError `out_of_order`, which names the command that makes the file."""
        value = self.read(name)
        if value is None:
            raise self.out_of_order(name, command)
        return value

    def out_of_order(self, name: str, command: str) -> MegaCodeError:
        """The error for a file that is not there, or not in order."""
        return self.out_of_turn(f"has no usable {name} yet: {command}")

    def untouched(self) -> Path:
        """`original`, as long as it is what the iteration began with: figures and audits are of that.

        Raises MegaCodeError: `out_of_order` where it is not, and as `bundle.scan`.
        """
        record = self.record()
        if bundle.scan(self.original, allow_secret=record.allow_secret).content_hash != record.content_hash:
            raise self.out_of_turn(
                f"began with another text than stands in {str(self.original)!r} now; put that back, or run start again"
            )
        return self.original

    def out_of_turn(self, why: str) -> MegaCodeError:
        """The error for a step that is not this iteration's turn; `why` goes on with the sentence about it."""
        return MegaCodeError("out_of_order", f"Iteration {self.number} of {self.skill_name} {why}.")


def at(data: DataDir, skill_name: str, number: int) -> Iteration:
    """Iteration `number`, there or not. Raises MegaCodeError `invalid_skill_name`."""
    name = check_skill_name(skill_name)
    return Iteration(name, number, data.skill_enhance / name / f"iteration-{number}")


def iterations(data: DataDir, skill_name: str) -> list[Iteration]:
    """Every iteration of a skill, the oldest first."""
    try:
        names = os.listdir(data.skill_enhance / check_skill_name(skill_name))
    except OSError:
        return []
    return [at(data, skill_name, number) for number in sorted(int(m[1]) for m in map(_NAME.fullmatch, names) if m)]


def find(data: DataDir, skill_name: str, number: Optional[int] = None) -> Iteration:
    """Iteration `number` of a skill, or its newest. Raises MegaCodeError: `missing_iteration`, `invalid_skill_name`."""
    found = {iteration.number: iteration for iteration in iterations(data, skill_name)}
    if not found:
        raise MegaCodeError("missing_iteration", f"{skill_name} has no iteration yet.")
    if number is None:
        return found[max(found)]
    if number not in found:
        raise MegaCodeError(
            "missing_iteration", f"{skill_name} has no iteration {number}; there are {', '.join(map(str, found))}."
        )
    return found[number]


def accepted(data: DataDir, skill_name: str) -> list[Iteration]:
    """The iterations whose draft was accepted, and not taken back, the oldest first."""
    return [one for one in iterations(data, skill_name) if (one.read(ACCEPTANCE) or {}).get("state") == STANDING]
