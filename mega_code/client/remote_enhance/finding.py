"""Which skill a person means: by its name in the scopes, or a folder anywhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

from mega_code import skills
from mega_code.console import warn
from mega_code.errors import MegaCodeError
from mega_code.paths import SCOPES, DataDir, check_skill_name, skills_root
from mega_code.skill import SKILL_MD
from mega_code.skills import Skill


def find_skill(data: DataDir, name: Optional[str], folder: Optional[str], project: Path) -> Skill:
    """The skill to submit: by name in the scopes, or a folder anywhere, which may be that of a scope's skill.

    Raises MegaCodeError: `missing_skill_name`, `invalid_skill_name`, `skill_not_found`, `missing_skill_dir`,
    `missing_skill_md`.
    """
    if folder is None:
        if not name:
            raise MegaCodeError("missing_skill_name", "Name the skill: --skill-name NAME.")
        return _told_of_other_copy(skills.resolve(name, project, data), project)
    path = skills.folder_of(folder)
    name = check_skill_name(name or path.name)
    for scope in SCOPES:
        place = skills_root(scope, project) / name
        if os.path.realpath(place) == os.path.realpath(path):
            return _told_of_other_copy(skills.read(name, place / SKILL_MD, scope), project)
    return skills.read(name, path / SKILL_MD, None)


def _told_of_other_copy(skill: Skill, project: Path) -> Skill:
    """`skill` itself, with a warning where it is not the one that Claude Code uses."""
    other = skills.other_copy(skill.name, "project", project) if skill.scope == "project" else None
    if other:
        warn(f"this is the project's {skill.name}; Claude Code uses the global one, {str(other)!r}")
    return skill
