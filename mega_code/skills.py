"""Which skills there are: project scope first, then global, then pending ones."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

from mega_code.errors import MegaCodeError
from mega_code.paths import SCOPES, SKILL_NAME, DataDir, check_skill_name, skills_root
from mega_code.skill import FRONTMATTER_BYTES, SKILL_MD, authors_of, parse_frontmatter

OUR_MARK = "megacode.ai"
SHOWN = 20


class Skill(NamedTuple):
    """A skill on this machine. `path` is its SKILL.md; `scope` None for one that is pending."""

    name: str
    path: Path
    scope: Optional[str]
    frontmatter: dict[str, Any]

    @property
    def state(self) -> str:
        return "installed" if self.scope else "pending"

    @property
    def folder(self) -> Path:
        return self.path.parent


def discover(project: Path, data: DataDir, wanted: Optional[Callable[[Skill], bool]] = None) -> list[Skill]:
    """One skill a name among those that are `wanted` (default: all), the first place winning.

    One that cannot be read has an empty frontmatter, and hides nobody.
    """
    found: dict[str, Skill] = {}
    for skill in _everywhere(project, data):
        if wanted is None or wanted(skill):
            found.setdefault(skill.name, skill)
    return list(found.values())


def _everywhere(project: Path, data: DataDir) -> Iterator[Skill]:
    for scope in SCOPES:
        yield from _below(skills_root(scope, project), scope)
    yield from _below(data.pending_skills, None)


def _below(root: Path, scope: Optional[str]) -> Iterator[Skill]:
    for name in names(root):
        yield read(name, root.joinpath(name, SKILL_MD), scope)


def names(root: Path) -> list[str]:
    """The skills below a scope's folder, in order; none where it cannot be read."""
    try:
        listed = sorted(os.listdir(root))
    except OSError:
        return []
    return [
        name for name in listed if SKILL_NAME.fullmatch(name) and os.path.isfile(os.path.join(root, name, SKILL_MD))
    ]


def misnamed(project: Path) -> list[Path]:
    """Folders in the scopes that hold a SKILL.md, and whose name is none that a skill can have."""
    found = []
    for root in (skills_root(scope, project) for scope in SCOPES):
        with contextlib.suppress(OSError):
            found += [root / name for name in sorted(os.listdir(root)) if not SKILL_NAME.fullmatch(name)]
    return [folder for folder in found if os.path.isfile(folder / SKILL_MD)]


def read(name: str, path: Path, scope: Optional[str]) -> Skill:
    """The skill whose SKILL.md is `path`; its frontmatter is empty where that cannot be read."""
    try:
        with open(path, "rb") as stream:
            frontmatter = parse_frontmatter(stream.read(FRONTMATTER_BYTES + 16).decode("utf-8", "replace"))
    except (OSError, MegaCodeError):
        frontmatter = {}
    return Skill(name, path, scope, frontmatter)


def folder_of(given: str) -> Path:
    """The skill folder that a person names by its path. Raises MegaCodeError: `missing_skill_dir`, `missing_skill_md`."""
    path = Path(os.path.abspath(given))
    if os.path.isfile(path):
        raise MegaCodeError("missing_skill_dir", f"{given!r} is a file; name the skill's folder: {str(path.parent)!r}.")
    if not given or not os.path.isdir(path):
        raise MegaCodeError("missing_skill_dir", f"There is no skill folder {given!r}.")
    if not os.path.isfile(path / SKILL_MD):
        raise MegaCodeError("missing_skill_md", f"There is no {SKILL_MD} at the root of {given!r}.")
    return path


def is_ours(skill: Skill) -> bool:
    """Whether the skill's author names this product."""
    return OUR_MARK in authors_of(skill.frontmatter).lower()


def resolve(name: str, project: Path, data: DataDir, prefix: bool = False) -> Skill:
    """The skill called `name`; with `prefix`, else the only one whose name starts so.

    Raises MegaCodeError: `invalid_skill_name`, `skill_not_found`, `ambiguous_skill`, and `missing_skill_md` where there
    is a folder of that name without one; each with `candidates`: those that begin so, else all.
    """
    skills = discover(project, data)
    try:
        check_skill_name(name.rstrip("-") if prefix else name)
    except MegaCodeError as error:
        meant = [skill.name for skill in skills if skill.name.startswith(name.lower())]
        raise MegaCodeError(error.code, error.message, candidates=meant or [s.name for s in skills]) from None
    for skill in skills:
        if skill.name == name:
            return skill
    starting = [skill for skill in skills if skill.name.startswith(name)]
    if prefix and len(starting) == 1:
        return starting[0]
    candidates = [skill.name for skill in starting or skills]
    if prefix and starting:
        raise MegaCodeError(
            "ambiguous_skill", f"{name!r} fits {_some(candidates)}; give one name in full.", candidates=candidates
        )
    for folder in (skills_root(scope, project) / name for scope in SCOPES):
        if folder.is_dir():
            raise MegaCodeError(
                "missing_skill_md", f"There is no {SKILL_MD} in {str(folder)!r}.", candidates=candidates
            )
    there = f"there are: {_some(candidates)}" if candidates else "there are no skills at all"
    there = f"what begins so: {_some(candidates)}" if starting else there
    raise MegaCodeError("skill_not_found", f"There is no skill {name!r}; {there}.", candidates=candidates)


def _some(names: list[str]) -> str:
    """Names for a sentence, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def other_copy(name: str, scope: str, project: Path) -> Optional[Path]:
    """The SKILL.md of the same name in the other scope; None where both scopes are one folder."""
    here, there = (skills_root(root, project) / name for root in (scope, "project" if scope == "global" else "global"))
    same = os.path.realpath(there) == os.path.realpath(here)
    return there / SKILL_MD if os.path.isfile(there / SKILL_MD) and not same else None
