"""Where an enhancement reads and writes: the data folder, its .env, the project and the skills."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Optional

from mega_code import places, skills
from mega_code.client.doctor.facts import Fact, missing, ok, quoted, unbroken, warning
from mega_code.errors import BAD_INPUT, MegaCodeError
from mega_code.paths import MEGA_DIR, SCOPES, DataDir, project_dir, script, skills_root
from mega_code.settings import open_quotes, strange_lines

LITTLE = 500 * 1024 * 1024
SHOWN = 5


def data_folder(data: DataDir) -> Fact:
    """Whether it can be written, and how much room there is."""
    there = data.root
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        mend = f"export MEGA_CODE_DATA_DIR={quoted(Path.home() / 'mega-code-data')}"
        return missing("data folder", f"{unbroken(there)} is no folder", mend, BAD_INPUT)
    try:
        free, owner = shutil.disk_usage(there).free, _owner(there)
    except OSError as error:
        return missing("data folder", f"{unbroken(there)}: {error.strerror}", _own(there), BAD_INPUT)
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        return missing(
            "data folder",
            f"{unbroken(there)} cannot be read and written (it belongs to {owner})",
            _own(there),
            BAD_INPUT,
        )
    state = f"of {owner}" if there == data.root else "not there yet; it is made on first use"
    room = f"{free / 1024**3:.1f} GiB free"
    if free < LITTLE:
        return warning("data folder", f"{unbroken(data.root)} ({state}) has only {room}", f"df -h {quoted(there)}")
    return ok("data folder", f"{unbroken(data.root)} ({state}), {room}")


def _owner(path: Path) -> str:
    number = os.stat(path).st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _own(path: Path) -> str:
    """The command that makes `path` ours to read and write."""
    try:
        mine = os.stat(path).st_uid == os.geteuid()
    except OSError:
        mine = False
    mode = "u+rwx" if path.is_dir() else "600"
    return f"chmod {mode} {quoted(path)}" if mine else f'sudo chown -R "$(id -un)" {quoted(path)}'


def env_file(data: DataDir) -> Iterator[Fact]:
    """The settings, and what in them is none; nothing where there is no file."""
    path = data.env_file
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        text = path.read_text("utf-8-sig", "replace")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        yield missing(".env", f"{unbroken(path)} cannot be read: {reason}", _own(path), BAD_INPUT)
        return
    wrong = []
    if mode & 0o077:
        wrong.append((f"others can read it (mode {mode:04o})", f"chmod 600 {quoted(path)}"))
    for lines, why in (
        (strange_lines(text), "no setting, and not read, is line"),
        (open_quotes(text), "a quote that nothing closes stands in line"),
    ):
        if lines:
            wrong.append((f"{why} {', '.join(map(str, lines[:SHOWN]))}", edit(path)))
    for found, mend in wrong:
        yield warning(".env", f"{unbroken(path)}: {found}", mend)
    if not wrong:
        yield ok(".env", f"{unbroken(path)}, mode {mode:04o}")


def edit(path: Path) -> str:
    """The command that opens a file."""
    return f'"${{EDITOR:-vi}}" {quoted(path)}'


def project(given: Optional[str], env: Mapping[str, str]) -> tuple[Fact, Optional[Path]]:
    """The project folder as the scripts would take it."""
    try:
        found = project_dir(given, env)
    except MegaCodeError as error:
        return missing(
            "project", f"{error.message} [{error.code}]", _other_project(given, env), error.exit_status
        ), None
    there = skills_root("project", found)
    while not os.path.lexists(there) and there != found:
        there = there.parent
    so = "so no skill can be installed into the project"
    if not there.is_dir():
        return warning("project", f"{unbroken(there)} is no folder, {so}"), found
    if not os.access(there, os.W_OK | os.X_OK):
        return warning("project", f"{unbroken(there)} cannot be written, {so}", _own(there)), found
    return ok("project", unbroken(found)), found


def _other_project(given: Optional[str], env: Mapping[str, str]) -> str:
    """The command after which the project is one that there is, wherever its name came from."""
    named = env.get("CLAUDE_PROJECT_DIR")
    if not given or (named and os.path.abspath(given) == os.path.abspath(named)):
        return f"export CLAUDE_PROJECT_DIR={quoted(Path.home())}"
    if not os.path.lexists(given):
        return f"mkdir -p {quoted(os.path.abspath(given))}"
    return script("enhance.sh", "doctor", "--project-dir", str(Path.home()))


def skills_here(folder: Path, data: DataDir) -> Iterator[Fact]:
    """How many there are, and which copies Claude Code never loads."""
    found = {scope: skills.names(skills_root(scope, folder)) for scope in SCOPES}
    hidden = [name for name in found["project"] if skills.other_copy(name, "project", folder)]
    counts = ", ".join(f"{len(names)} {scope}" for scope, names in found.items())
    yield ok("skills", counts)
    for name in hidden[:SHOWN]:
        winner = skills_root("global", folder) / name
        found_ = f"the project's {name} is never loaded: the global one of that name wins"
        yield warning("shadowed", found_, script("install.sh", "--cleanup-original", str(winner)))
    if len(hidden) > SHOWN:
        yield warning("shadowed", f"{len(hidden) - SHOWN} more of the project's skills are never loaded")


def leftovers(folder: Path) -> Iterator[Fact]:
    """What an install that was killed has left; the command finishes it or rolls it back."""
    for scope in SCOPES:
        root = skills_root(scope, folder)
        left = places.abandoned(root)
        if left:
            module = f"{quoted(sys.executable)} -m mega_code.client.remote_enhance"
            mend = f"cd {quoted(MEGA_DIR)} && {module} --list-backups --project-dir {quoted(folder)}"
            yield warning(
                "leftovers", f"an install of {', '.join(left[:SHOWN])} in {unbroken(root)} was interrupted", mend
            )
