"""From the staging dir into a scope: verified once more, swapped in whole, and honest about which copy runs."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from mega_code import places, telemetry
from mega_code.client.remote_enhance import verification
from mega_code.client.remote_enhance.manifest import File
from mega_code.console import warn
from mega_code.errors import MegaCodeError
from mega_code.paths import DataDir, skills_root
from mega_code.skill import SKILL_MD, other_name, parse_frontmatter
from mega_code.skills import other_copy


class Installed(NamedTuple):
    """Where the skill stands now.

    `other_copy` is the SKILL.md of the same skill in the other scope, `shadowed_by` that one if Claude Code loads it
    instead, and `other_link` its folder if that is a link, which no clean-up follows; None where there is none.
    """

    path: Path
    backup_path: Optional[Path]
    other_copy: Optional[Path]
    shadowed_by: Optional[Path]
    other_link: Optional[Path]


def install(staged: Path, files: Sequence[File], name: str, scope: str, project: Path, data: DataDir) -> Installed:
    """Put the staged files of a job in place as the skill `name`.

    Raises MegaCodeError: `missing_staging`, `sha256_mismatch`, `install_failed`; then the old skill still stands.
    """
    with telemetry.span("verify", files=len(files)):
        verification.verify(staged, files)
    _compare_names(staged, name)
    place = skills_root(scope, project) / name
    try:
        done = places.put(place, lambda folder: _copy(staged, folder, files), "install", data)
    except OSError as error:
        raise MegaCodeError("install_failed", f"{str(place)!r} could not be replaced: {error}.") from None
    other = other_copy(name, scope, project)
    # Claude Code ranks global above project.
    shadowed_by = other if scope == "project" else None
    link = other.parent if other and other.parent.is_symlink() else None
    return Installed(done.path, done.backup_path, other, shadowed_by, link)


def _copy(staged: Path, folder: Path, files: Sequence[File]) -> None:
    """Copy exactly the manifest's files, each compared while it is copied."""
    folder.mkdir(mode=0o755)
    made = {folder}
    for file in files:
        target = folder / file.relpath
        if target.parent not in made:
            target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            made.add(target.parent)
        source = os.open(staged / file.relpath, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        digest = hashlib.sha256()
        with os.fdopen(source, "rb") as reader, open(target, "xb") as writer:
            for chunk in iter(lambda: reader.read(verification.CHUNK), b""):
                digest.update(chunk)
                writer.write(chunk)
            os.fchmod(writer.fileno(), 0o644 | os.fstat(source).st_mode & 0o111)
        if file.sha256 and digest.hexdigest() != file.sha256:
            raise MegaCodeError("sha256_mismatch", f"{file.relpath!r} changed while it was installed.")


def _compare_names(staged: Path, name: str) -> None:
    own = other_name(parse_frontmatter((staged / SKILL_MD).read_text("utf-8", "replace")), name)
    if own:
        warn(f"the skill calls itself {own!r}, its folder is {name!r}; Claude Code goes by the folder")


def _word_of_link(path: str) -> str:
    """How to take a link away that leads to where no clean-up goes."""
    spelt = Path(os.path.abspath(path))
    link = next((place for place in (spelt, spelt.parent) if place.is_symlink()), None)
    return f" It is behind a link, which goes by itself: {shlex.join(['rm', str(link)])}" if link else ""


def clean_up(path: str, project: Path, data: DataDir) -> tuple[Path, Path]:
    """Move a superseded copy of a skill into a backup; gives what was removed and its `backup_path`.

    `path` is the skill's folder or its SKILL.md. Raises MegaCodeError: `cleanup_unsafe_path` unless it resolves to
    something strictly inside a skills folder, `cleanup_path_missing`, `cleanup_failed`.
    """
    if not path:
        raise MegaCodeError("cleanup_unsafe_path", "An empty path names no skill folder; nothing was removed.")
    missing = MegaCodeError("cleanup_path_missing", f"There is nothing at {path!r}.")
    try:
        resolved = Path(os.path.realpath(path))
    except ValueError:
        raise MegaCodeError("cleanup_unsafe_path", "The path holds a NUL character.") from None
    named = os.path.lexists(resolved)
    if resolved.name == SKILL_MD and not resolved.is_dir():
        resolved = resolved.parent
    roots = [Path(os.path.realpath(skills_root(scope, project))) for scope in ("global", "project")]
    if not any(root in resolved.parents for root in roots):
        raise MegaCodeError(
            "cleanup_unsafe_path",
            f"{path!r} does not lie inside a skills folder; nothing was removed.{_word_of_link(path)}",
        )
    if not named:
        raise missing
    if not os.path.isdir(resolved):
        if not os.path.lexists(resolved):
            raise missing
        raise MegaCodeError("cleanup_unsafe_path", f"{path!r} is no skill folder; nothing was removed.")
    spelt = Path(os.path.abspath(path))
    if resolved.name not in (spelt.name, spelt.parent.name if spelt.name == SKILL_MD else ""):
        warn(f"{path!r} is a link; what it leads to is removed: {str(resolved)!r}")
    try:
        return resolved, places.take(resolved, "cleanup", data)
    except OSError as error:
        if not os.path.lexists(resolved):  # another clean-up was faster
            raise missing from None
        raise MegaCodeError("cleanup_failed", f"{path!r} could not be removed: {error}.") from None
