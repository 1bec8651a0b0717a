"""Which files of a skill folder belong into its bundle, which do not, and which must not.

Folders are opened relative to the descriptor of their parent and never through a link, so what was checked is what is
read, even while somebody changes the folder.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mega_code.errors import MegaCodeError
from mega_code.paths import check_relpath

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

FORBIDDEN_NAMES = (
    ".env",
    ".env.*",
    "*.key",
    "*.pem",
    "*.p12",
    "*.pfx",
    "*.jks",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*credentials*",
    ".netrc",
    ".pypirc",
)
FORBIDDEN_FOLDER = "secrets"
VERSION_CONTROL = (".git", ".svn", ".hg")
DEPENDENCIES = ("node_modules", ".venv", "venv", ".tox")
CACHES = ("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache")
OPAQUE_FOLDERS = frozenset((*VERSION_CONTROL, *DEPENDENCIES, *CACHES))
LEFT_OUT_FOLDERS = frozenset(("__MACOSX", ".vscode", ".idea"))
LEFT_OUT_NAMES = (
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    ".gitignore",
    ".git",  # in a worktree or a submodule a file, with a path of this machine in it
    "evidence.json",
    "injection.json",
    "*.pyc",
    "*.pyo",
)


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Shell patterns as one: a bundle may have thousands of files."""
    return re.compile("|".join(map(fnmatch.translate, patterns)))


_FORBIDDEN, _LEFT_OUT = _any_of(FORBIDDEN_NAMES), _any_of(LEFT_OUT_NAMES)


class Found(NamedTuple):
    """A file to bundle: its path below the root, and where it is opened."""

    path: str
    folder: int  # descriptor of the folder it lies in, open only while it is the current one
    name: str


class _Folder(NamedTuple):
    prefix: str
    descriptor: int
    bundled: bool
    secret: bool
    subfolders: list[str]  # those still to be visited


class Selection:
    """The files below `root`, at most `depth` folders deep. `left_out` counts what was passed over so far."""

    def __init__(self, root: Path, depth: int) -> None:
        self.root, self.depth = root, depth
        self.left_out = 0

    def __iter__(self) -> Iterator[Found]:
        """Every file to bundle, each folder's files before its subfolders; refuses what must not travel.

        One descriptor a level is open, however wide the tree is. Raises MegaCodeError: `missing_skill_dir`,
        `forbidden_path`, `symlink_rejected`, `invalid_path`.
        """
        try:
            # The root itself may be a link: a person who links a skill into place means the folder behind it.
            root = os.open(self.root, FOLDER_FLAGS)
        except OSError:
            raise MegaCodeError("missing_skill_dir", f"The skill folder {str(self.root)!r} cannot be opened.") from None
        open_folders = [_Folder("", root, True, False, [])]
        try:
            yield from self._files(open_folders[-1])
            while open_folders:
                folder = open_folders[-1]
                if not folder.subfolders:
                    os.close(open_folders.pop().descriptor)
                    continue
                if len(open_folders) > self.depth:
                    path = f"{folder.prefix}{folder.subfolders[0]}/"
                    raise MegaCodeError("invalid_path", f"Folders are nested too deep below {path[:80]!r}.")
                open_folders.append(self._enter(folder, folder.subfolders.pop(0)))
                yield from self._files(open_folders[-1])
        except OSError as error:
            raise MegaCodeError("invalid_path", f"The skill folder cannot be read: {error}.") from None
        finally:
            for folder in open_folders:
                os.close(folder.descriptor)

    @staticmethod
    def _enter(folder: _Folder, name: str) -> _Folder:
        return _Folder(
            prefix=f"{folder.prefix}{name}/",
            descriptor=os.open(name, FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=folder.descriptor),
            bundled=folder.bundled and name not in LEFT_OUT_FOLDERS,
            secret=folder.secret or name.lower() == FORBIDDEN_FOLDER,
            subfolders=[],
        )

    def _files(self, folder: _Folder) -> Iterator[Found]:
        """The files of one folder; its subfolders are noted in it."""
        with os.scandir(folder.descriptor) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            name, is_folder = entry.name, entry.is_dir(follow_symlinks=False)
            path = check_relpath(f"{folder.prefix}{name}")
            if name in OPAQUE_FOLDERS and (is_folder or entry.is_symlink()):
                self.left_out += 1
                continue
            _refuse(path, entry, folder.secret)
            if is_folder:
                folder.subfolders.append(name)
            elif folder.bundled and not _LEFT_OUT.match(name):
                yield Found(path, folder.descriptor, name)
            else:
                self.left_out += 1


def _refuse(path: str, entry: os.DirEntry[str], under_secrets: bool) -> None:
    if entry.is_symlink():
        raise MegaCodeError("symlink_rejected", f"{path!r} is a link; put the file itself into the skill folder.")
    if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
        raise MegaCodeError("invalid_path", f"{path!r} is neither a file nor a folder.")
    if under_secrets or _FORBIDDEN.match(entry.name.lower()):
        raise MegaCodeError(
            "forbidden_path", f"{path!r} looks like a secret by its name; move it out of the skill folder."
        )
