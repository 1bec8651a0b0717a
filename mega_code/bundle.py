"""A skill folder as a bundle: its files checked and read once, its content hash and its zip.

Files are opened relative to the descriptor of their folder and never through a link, as `selection` opens folders.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, Optional

from mega_code.collisions import collision
from mega_code.errors import MegaCodeError
from mega_code.secret_scan import SecretScanner
from mega_code.selection import Found, Selection
from mega_code.skill import SKILL_MD
from mega_code.zip_writer import ZipWriter

MIB = 1024 * 1024
CHUNK = 128 * 1024
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
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


def content_hash(entries: Collection[Entry]) -> str:
    """SHA-256 hex of the canonical JSON list of paths, hashes and sizes; permission bits do not count."""
    files = [{"path": e.path, "sha256": e.sha256, "size": e.size} for e in sorted(entries)]
    return hashlib.sha256(json.dumps({"files": files}, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def pack(root: Path, out: IO[bytes], *, allow_secret: Sequence[str] = (), limits: Limits = LIMITS) -> Bundle:
    """Write the zip of the skill folder `root` to the seekable stream `out`, which is empty.

    The same tree gives the same bytes at any time. Raises MegaCodeError: `missing_skill_dir`, `missing_skill_md`,
    `forbidden_path`, `secret_detected`, `symlink_rejected`, `invalid_path`, `size_exceeded`.
    """
    return _Packer(root, ZipWriter(out), frozenset(allow_secret), limits).run()


def scan(root: Path, *, allow_secret: Sequence[str] = ()) -> Bundle:
    """`pack` without a zip: the same checks and the same content hash."""
    return _Packer(root, None, frozenset(allow_secret), LIMITS).run()


class _Packer:
    def __init__(self, root: Path, archive: Optional[ZipWriter], allow_secret: frozenset[str], limits: Limits) -> None:
        self.root, self.archive, self.allow_secret, self.limits = root, archive, allow_secret, limits
        self.entries: list[Entry] = []
        self.run_metadata = 0
        self.unpacked = 0

    def run(self) -> Bundle:
        selection = Selection(self.root, self.limits.depth)
        for found in selection:
            self._add(found)
        if not any(entry.path == SKILL_MD for entry in self.entries):
            raise MegaCodeError("missing_skill_md", f"There is no {SKILL_MD} at the root of {str(self.root)!r}.")
        both = collision(entry.path for entry in self.entries)
        if both:
            raise MegaCodeError(
                "invalid_path", f"{both[0]!r} and {both[1]!r} are one path on some machines; rename one of them."
            )
        if self.archive:
            self.archive.close()
        self._check_compressed()
        left_out = selection.left_out + self.run_metadata
        compressed = self.archive.size if self.archive else 0
        return Bundle(tuple(sorted(self.entries)), content_hash(self.entries), left_out, compressed)

    def _check_compressed(self) -> None:
        if self.archive and self.archive.size > self.limits.compressed:
            raise MegaCodeError("size_exceeded", f"The bundle is over {self.limits.compressed // MIB} MiB compressed.")

    def _add(self, found: Found) -> None:
        try:
            descriptor = os.open(found.name, FILE_FLAGS, dir_fd=found.folder)
        except OSError as error:
            raise MegaCodeError("invalid_path", f"{found.path!r} cannot be read: {error.strerror}.") from None
        try:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                raise MegaCodeError("invalid_path", f"{found.path!r} changed while it was read.")
            if found.name == METADATA_JSON and _is_run_metadata(descriptor):
                self.run_metadata += 1
                return
            self.entries.append(self._copy(found.path, descriptor, state))
        finally:
            os.close(descriptor)

    def _copy(self, path: str, descriptor: int, state: os.stat_result) -> Entry:
        """One pass over a file: scanned, hashed and deflated chunk by chunk."""
        digest, size, mode = hashlib.sha256(), 0, stat.S_IMODE(state.st_mode) & 0o777
        secrets = None if path in self.allow_secret else SecretScanner(path)

        def checked() -> Iterator[bytes]:
            nonlocal size
            room = min(CHUNK, state.st_size + 1)  # a small file is not read into a large buffer
            while chunk := os.read(descriptor, room):
                size += len(chunk)
                self._count(len(chunk))
                if secrets:
                    secrets.feed(chunk)
                digest.update(chunk)
                yield chunk
                if size == state.st_size and len(chunk) < room:  # as much as it has, and there was room for more
                    break
            if secrets:
                secrets.finish()

        if self.archive:
            self.archive.add(path, mode, checked(), state.st_size)
        else:
            for _ in checked():
                pass
        return Entry(path, size, digest.hexdigest(), mode)

    def _count(self, size: int) -> None:
        """So many bytes more are read. Raises MegaCodeError `size_exceeded`."""
        self.unpacked += size
        if self.unpacked > self.limits.unpacked:
            raise MegaCodeError("size_exceeded", f"The skill is over {self.limits.unpacked // MIB} MiB unpacked.")
        self._check_compressed()


def _is_run_metadata(descriptor: int) -> bool:
    """Whether a metadata.json describes a run of the service and not the skill."""
    try:
        value: Any = json.loads(os.pread(descriptor, 25 * MIB, 0))
    except (ValueError, RecursionError):
        value = None
    return isinstance(value, dict) and "skill_id" in value and "run_id" in value
