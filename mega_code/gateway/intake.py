"""What an uploaded archive must be. Bytes in, entries out; every file is read through a cap and a hash.

The archive may lie about everything. Nothing of it is ever wholly in memory but SKILL.md, and no name of it
becomes part of a path before all names were checked.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Callable, NamedTuple, Protocol

from mega_code.bundle import CHUNK, MIB, Entry, content_hash
from mega_code.collisions import collision
from mega_code.errors import MegaCodeError
from mega_code.gateway.api_error import ApiError
from mega_code.paths import check_relpath
from mega_code.skill import SKILL_MD, parse_frontmatter

CENTRAL_ENTRY = b"PK\x01\x02"
LOCAL_HEADER_BYTES = 30  # without its name
ENCRYPTED = 0x1
EXECUTABLE, PLAIN = 0o755, 0o644
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


class Limits(NamedTuple):
    """Caps of one archive; sizes in bytes. A file over `file` could never be downloaded again."""

    unpacked: int = 100 * MIB
    file: int = 25 * MIB
    files: int = 2000
    central_entries: int = 20_000


class Writer(Protocol):
    """Where the bytes of one file go."""

    def write(self, data: bytes, /) -> object: ...


# Opens the place for one file, given its relpath and whether it is EXECUTABLE or PLAIN.
Sink = Callable[[str, int], contextlib.AbstractContextManager[Writer]]


class Package(NamedTuple):
    """The files of a good archive, sorted by path, and the hash that identifies them."""

    entries: tuple[Entry, ...]
    content_hash: str


class _Nowhere:
    def write(self, data: bytes, /) -> object:
        return len(data)


def discard(relpath: str, mode: int) -> contextlib.AbstractContextManager[Writer]:
    """The sink that keeps nothing: the checks alone."""
    return contextlib.nullcontext(_Nowhere())


def examine(archive: IO[bytes], sink: Sink = discard, limits: Limits = Limits()) -> Package:
    """Check the seekable zip `archive` whole and pass its files to `sink`.

    Raises ApiError: `invalid_archive`, `empty_archive`, `path_traversal`, `size_exceeded`, `missing_skill_md`,
    `skill_md_not_at_root`, `nested_package_not_supported`, `invalid_skill_md`. What `sink` has got by then is not
    to be used. Errors of the sink itself pass through.
    """
    _check_directory_size(archive, limits)
    with _readable():
        opened = zipfile.ZipFile(archive)
    with opened:
        members = _members(opened, limits)
        _check_overlap(opened)
        _check_shape([path for path, _ in members])
        skill_md = io.BytesIO()
        budget = limits.unpacked
        entries = []
        for path, info in members:
            entry = _copy(opened, path, info, sink, min(budget, limits.file), skill_md)
            budget -= entry.size
            entries.append(entry)
    _check_skill_md(skill_md.getvalue())
    return Package(tuple(sorted(entries)), content_hash(entries))


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """The zip library's many ways to say that an archive is broken, as one."""
    try:
        yield
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ApiError("invalid_archive", f"The archive cannot be read: {reason}.") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a seek to where a damaged header points; anything else is our disk
            raise
        raise ApiError("invalid_archive", "The archive cannot be read: an offset lies outside of it.") from None


def _check_directory_size(archive: IO[bytes], limits: Limits) -> None:
    """The library makes an object an entry before anybody can look; this bounds how many."""
    found, tail = 0, b""
    archive.seek(0)
    for chunk in iter(lambda: archive.read(MIB), b""):
        window = tail + chunk
        found += window.count(CENTRAL_ENTRY)
        tail = window[-len(CENTRAL_ENTRY) + 1 :]
    archive.seek(0)
    if found > limits.central_entries:
        raise ApiError("size_exceeded", f"The archive lists over {limits.central_entries} entries.")


def _members(opened: zipfile.ZipFile, limits: Limits) -> list[tuple[str, zipfile.ZipInfo]]:
    """The files to read with their checked relpaths; all names are checked before anything else."""
    infos = opened.infolist()
    paths = [_relpath(info) for info in infos]
    files = [(path, info) for path, info in zip(paths, infos) if not info.is_dir()]
    check_collisions([path for path, _ in files], [path for path, info in zip(paths, infos) if info.is_dir()])
    for path, info in zip(paths, infos):
        _check_kind(path, info)
    if not files:
        raise ApiError("empty_archive", "The archive holds no file.")
    if len(files) > limits.files:
        raise ApiError("size_exceeded", f"The archive holds {len(files)} files; {limits.files} are the most.")
    for path, info in files:
        if info.file_size > limits.file:
            raise ApiError("size_exceeded", f"{path!r} is over {limits.file // MIB} MiB.")
    if sum(info.file_size for _, info in files) > limits.unpacked:
        raise ApiError("size_exceeded", f"The archive is over {limits.unpacked // MIB} MiB unpacked.")
    return files


def _relpath(info: zipfile.ZipInfo) -> str:
    try:
        for name in (info.orig_filename, info.filename):  # they differ where a NUL or an extra field hides a name
            path = check_relpath(name[:-1] if name.endswith("/") else name)
    except MegaCodeError as error:
        raise ApiError("path_traversal", error.message) from None
    return path


def check_collisions(files: Sequence[str], folders: Sequence[str] = ()) -> None:
    """No two paths that exclude each other, wherever the files are put.

    Raises ApiError: `invalid_archive` for the very same path twice, else `path_traversal`.
    """
    both = collision(files, folders)
    if both and both[0] == both[1]:
        raise ApiError("invalid_archive", f"The archive holds {both[0]!r} twice.")
    if both:
        raise ApiError("path_traversal", f"{both[0]!r} and {both[1]!r} are one path on some machines.")


def _check_kind(path: str, info: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        raise ApiError("invalid_archive", f"{path!r} is a link or a device.")
    if info.is_dir() and info.file_size:
        raise ApiError("invalid_archive", f"{path!r} is a folder with content.")
    if info.flag_bits & ENCRYPTED:
        raise ApiError("invalid_archive", f"{path!r} is encrypted.")
    # The others can ask for gigabytes of memory in a few bytes.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ApiError("invalid_archive", f"{path!r} is compressed in an unsupported way; use deflate.")


def _check_overlap(opened: zipfile.ZipFile) -> None:
    """No two files in the same bytes: that way a few kilobytes are gigabytes (Python 3.9 to 3.11 do not look)."""
    end = opened.start_dir
    for info in sorted(opened.infolist(), key=lambda info: info.header_offset, reverse=True):
        if info.header_offset + LOCAL_HEADER_BYTES + info.compress_size > end:
            raise ApiError("invalid_archive", f"{info.filename!r} lies over another file of the archive.")
        end = info.header_offset


def _check_shape(paths: list[str]) -> None:
    """Exactly one SKILL.md, at the root."""
    deeper = [path for path in paths if path.endswith(f"/{SKILL_MD}")]
    if SKILL_MD not in paths:
        if deeper:
            raise ApiError("skill_md_not_at_root", f"{SKILL_MD} lies at {deeper[0]!r}, not at the root of the archive.")
        raise ApiError("missing_skill_md", f"There is no {SKILL_MD} in the archive.")
    if deeper:
        raise ApiError("nested_package_not_supported", f"There is another {SKILL_MD} at {deeper[0]!r}.")


def _copy(
    opened: zipfile.ZipFile, path: str, info: zipfile.ZipInfo, sink: Sink, budget: int, skill_md: IO[bytes]
) -> Entry:
    """One file from the archive to its place; the library checks the CRC at the file's end."""
    mode = EXECUTABLE if (info.external_attr >> 16) & 0o111 else PLAIN
    digest, size = hashlib.sha256(), 0
    with _readable():
        stream = opened.open(info)
    with stream, sink(path, mode) as target:
        while True:
            with _readable():
                chunk = stream.read(CHUNK)
            if not chunk:
                break
            size += len(chunk)
            if size > budget:
                raise ApiError("size_exceeded", f"{path!r} unpacks to more than the archive says.")
            digest.update(chunk)
            target.write(chunk)
            if path == SKILL_MD:
                skill_md.write(chunk)
    if size != info.file_size:
        raise ApiError("invalid_archive", f"{path!r} is shorter than the archive says.")
    return Entry(path, size, digest.hexdigest(), mode)


def _check_skill_md(data: bytes) -> None:
    try:
        frontmatter = parse_frontmatter(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise ApiError("invalid_skill_md", f"{SKILL_MD} is not UTF-8.") from None
    except MegaCodeError as error:
        raise ApiError("invalid_skill_md", error.message) from None
    for key in ("name", "description"):
        value = frontmatter.get(key)
        if not (isinstance(value, str) and value.strip()):
            raise ApiError("invalid_skill_md", f"The frontmatter of {SKILL_MD} has no {key}.")
