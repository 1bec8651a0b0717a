"""A skill folder as a bundle: what goes in, what is refused, its content hash and its zip.

Folders and files are opened relative to the descriptor of their parent and never through a link, so what was
checked is what is read, even while somebody changes the folder.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import stat
import zipfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, Optional

from mega_code.errors import MegaCodeError
from mega_code.paths import check_relpath
from mega_code.secret_scan import SecretScanner
from mega_code.skill import SKILL_MD

MIB = 1024 * 1024
CHUNK = 128 * 1024
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
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
    "evidence.json",
    "injection.json",
    "*.pyc",
    "*.pyo",
)
METADATA_JSON = "metadata.json"


class Limits(NamedTuple):
    """Caps of one bundle; sizes in bytes."""

    compressed: int = 25 * MIB
    unpacked: int = 100 * MIB
    depth: int = 256


LIMITS = Limits()


class Entry(NamedTuple):
    """One bundled file: POSIX path below the root, size in bytes, SHA-256 hex, permission bits."""

    path: str
    size: int
    sha256: str
    mode: int


class Bundle(NamedTuple):
    """What was packed. `left_out` counts the files and folders that do not belong into a bundle."""

    entries: tuple[Entry, ...]
    content_hash: str
    left_out: int
    compressed: int


class _Folder(NamedTuple):
    prefix: str
    descriptor: int
    bundled: bool
    subfolders: list[str]  # those still to be visited


class _Found(NamedTuple):
    path: str
    folder: int  # descriptor of the folder it lies in, open only while it is the current one
    name: str


def content_hash(entries: Collection[Entry]) -> str:
    """SHA-256 hex of the canonical JSON list of paths, hashes and sizes; permission bits do not count."""
    files = [{"path": e.path, "sha256": e.sha256, "size": e.size} for e in sorted(entries)]
    return hashlib.sha256(json.dumps({"files": files}, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def pack(root: Path, out: IO[bytes], *, allow_secret: Sequence[str] = (), limits: Limits = LIMITS) -> Bundle:
    """Write the zip of the skill folder `root` to the seekable stream `out`.

    The same tree gives the same bytes at any time. Raises MegaCodeError: `missing_skill_dir`, `missing_skill_md`,
    `forbidden_path`, `secret_detected`, `symlink_rejected`, `invalid_path`, `size_exceeded`.
    """
    packer = _Packer(root, out, frozenset(allow_secret), limits)
    return packer.run()


def scan(root: Path, *, allow_secret: Sequence[str] = ()) -> Bundle:
    """`pack` without keeping the zip: the same checks and the same content hash."""
    with open(os.devnull, "wb") as nowhere:
        return _Packer(root, nowhere, frozenset(allow_secret), LIMITS, archive=False).run()


class _Packer:
    def __init__(
        self, root: Path, out: IO[bytes], allow_secret: frozenset[str], limits: Limits, archive: bool = True
    ) -> None:
        self.root, self.out, self.allow_secret, self.limits = root, out, allow_secret, limits
        self.archive = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) if archive else None
        self.entries: list[Entry] = []
        self.folded: dict[str, str] = {}
        self.left_out = 0
        self.unpacked = 0

    def run(self) -> Bundle:
        try:
            for found in self._walk():
                self._add(found)
            if not any(entry.path == SKILL_MD for entry in self.entries):
                raise MegaCodeError("missing_skill_md", f"There is no {SKILL_MD} at the root of {str(self.root)!r}.")
        finally:
            if self.archive:
                self.archive.close()
        compressed = self.out.tell() if self.archive else 0
        self._check_compressed(compressed)
        return Bundle(tuple(sorted(self.entries)), content_hash(self.entries), self.left_out, compressed)

    def _check_compressed(self, size: int) -> None:
        if size > self.limits.compressed:
            raise MegaCodeError("size_exceeded", f"The bundle is over {self.limits.compressed // MIB} MiB compressed.")

    def _walk(self) -> Iterator[_Found]:
        """Every file to bundle, each folder's files before its subfolders; refuses what must not travel.

        One descriptor a level is open, however wide the tree is.
        """
        try:
            # The root itself may be a link: a person who links a skill into place means the folder behind it.
            root = os.open(self.root, FOLDER_FLAGS)
        except OSError:
            raise MegaCodeError("missing_skill_dir", f"The skill folder {str(self.root)!r} cannot be opened.") from None
        open_folders = [_Folder("", root, True, [])]
        try:
            yield from self._files(open_folders[-1])
            while open_folders:
                folder = open_folders[-1]
                if not folder.subfolders:
                    os.close(open_folders.pop().descriptor)
                    continue
                name = folder.subfolders.pop(0)
                path = f"{folder.prefix}{name}/"
                if len(open_folders) > self.limits.depth:
                    raise MegaCodeError("invalid_path", f"Folders are nested too deep below {path[:80]!r}.")
                child = os.open(name, FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=folder.descriptor)
                open_folders.append(_Folder(path, child, folder.bundled and name not in LEFT_OUT_FOLDERS, []))
                yield from self._files(open_folders[-1])
        except OSError as error:
            raise MegaCodeError("invalid_path", f"The skill folder cannot be read: {error}.") from None
        finally:
            for folder in open_folders:
                os.close(folder.descriptor)

    def _files(self, folder: _Folder) -> Iterator[_Found]:
        """The files of one folder; its subfolders are noted in it."""
        for name in sorted(os.listdir(folder.descriptor)):
            path = check_relpath(f"{folder.prefix}{name}")
            kind = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False).st_mode
            if name in OPAQUE_FOLDERS and (stat.S_ISDIR(kind) or stat.S_ISLNK(kind)):
                self.left_out += 1
                continue
            self._refuse(path, name, kind)
            if stat.S_ISDIR(kind):
                folder.subfolders.append(name)
            elif folder.bundled and not self._is_left_out(name):
                yield _Found(path, folder.descriptor, name)
            else:
                self.left_out += 1

    def _refuse(self, path: str, name: str, kind: int) -> None:
        if stat.S_ISLNK(kind):
            raise MegaCodeError("symlink_rejected", f"{path!r} is a link; put the file itself into the skill folder.")
        if not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
            raise MegaCodeError("invalid_path", f"{path!r} is neither a file nor a folder.")
        lower = name.lower()
        under_secrets = FORBIDDEN_FOLDER in (part.lower() for part in path.split("/")[:-1])
        if under_secrets or any(fnmatch.fnmatchcase(lower, pattern) for pattern in FORBIDDEN_NAMES):
            raise MegaCodeError(
                "forbidden_path", f"{path!r} looks like a secret by its name; move it out of the skill folder."
            )

    @staticmethod
    def _is_left_out(name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in LEFT_OUT_NAMES)

    def _add(self, found: _Found) -> None:
        try:
            descriptor = os.open(found.name, FILE_FLAGS, dir_fd=found.folder)
        except OSError as error:
            raise MegaCodeError("invalid_path", f"{found.path!r} cannot be read: {error.strerror}.") from None
        with os.fdopen(descriptor, "rb") as stream:
            kind = os.fstat(descriptor)
            if not stat.S_ISREG(kind.st_mode):
                raise MegaCodeError("invalid_path", f"{found.path!r} changed while it was read.")
            if found.name == METADATA_JSON and _is_run_metadata(stream):
                self.left_out += 1
                return
            self._check_collision(found.path)
            self.entries.append(self._copy(found.path, stream, stat.S_IMODE(kind.st_mode) & 0o777))

    def _check_collision(self, path: str) -> None:
        other = self.folded.setdefault(path.casefold(), path)
        if other != path:
            raise MegaCodeError(
                "invalid_path", f"{path!r} and {other!r} are one file where case does not count; rename one of them."
            )

    def _copy(self, path: str, stream: IO[bytes], mode: int) -> Entry:
        digest, size = hashlib.sha256(), 0
        secrets = None if path in self.allow_secret else SecretScanner(path)
        with _Member(self.archive, path, mode) as member:
            for chunk in iter(lambda: stream.read(CHUNK), b""):
                size += len(chunk)
                self.unpacked += len(chunk)
                if self.unpacked > self.limits.unpacked:
                    raise MegaCodeError(
                        "size_exceeded", f"The skill is over {self.limits.unpacked // MIB} MiB unpacked."
                    )
                if secrets:
                    secrets.feed(chunk)
                digest.update(chunk)
                member.write(chunk)
                if self.archive:
                    self._check_compressed(self.out.tell())
        return Entry(path, size, digest.hexdigest(), mode)


class _Member:
    """One file of the zip, with nothing in its header that depends on when or where it was packed."""

    def __init__(self, archive: Optional[zipfile.ZipFile], path: str, mode: int) -> None:
        self.archive = archive
        self.info = zipfile.ZipInfo(path, date_time=(1980, 1, 1, 0, 0, 0))
        self.info.compress_type = zipfile.ZIP_DEFLATED
        self.info.create_system = 3
        self.info.external_attr = (stat.S_IFREG | mode) << 16
        self.stream: Optional[IO[bytes]] = None

    def __enter__(self) -> _Member:
        if self.archive:
            self.stream = self.archive.open(self.info, "w")
        return self

    def write(self, chunk: bytes) -> None:
        if self.stream:
            self.stream.write(chunk)

    def __exit__(self, *unused: object) -> None:
        if self.stream:
            self.stream.close()


def _is_run_metadata(stream: IO[bytes]) -> bool:
    """Whether a metadata.json describes a run of the service and not the skill."""
    try:
        value: Any = json.loads(stream.read(25 * MIB))
    except (ValueError, RecursionError):
        value = None
    stream.seek(0)
    return isinstance(value, dict) and "skill_id" in value and "run_id" in value
