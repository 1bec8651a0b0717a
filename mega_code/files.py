"""Writing files so that a reader sees the old content or the new, and a crash loses neither."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any, Optional, Union

PathLike = Union[str, "os.PathLike[str]"]
# What a file system answers that cannot flush a folder.
_UNFLUSHABLE = (errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM)


def write_atomic(path: PathLike, data: bytes, mode: int = 0o600) -> None:
    """Write `data` to a sibling, flush it, and rename it to `path`.

    The rename replaces a link of that name and never follows it. Raises OSError; then nothing is left behind.
    """
    folder, name = os.path.split(os.path.abspath(path))
    # A character has four bytes at most, and a name 255.
    sibling = os.path.join(folder, f".{name[:50]}.{os.urandom(8).hex()}.tmp")
    descriptor = os.open(sibling, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(sibling, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(sibling)
        raise
    settle_folder(folder)


def write_json(path: PathLike, value: object) -> None:
    """`write_atomic` for a JSON value, indented for a person who looks at the file."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
    write_atomic(path, json.dumps(value, indent=2).encode() + b"\n")


def read_json(path: PathLike, limit: int = 128 * 1024 * 1024) -> Optional[Any]:
    """The JSON value in a file, or None where the file is missing, unreadable, over `limit` bytes or corrupt."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(limit + 1)
        return json.loads(data) if len(data) <= limit else None
    except (OSError, ValueError, RecursionError):
        return None


def globbed(folder: Path, pattern: str) -> list[Path]:
    """What in `folder` fits a pattern of `Path.glob`; nothing where the folder cannot be read."""
    try:
        return list(folder.glob(pattern))
    except OSError:
        return []


def flush_folder(path: PathLike) -> None:
    """Make a rename inside `path` survive a power cut, where the file system can. Raises OSError where it fails."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNFLUSHABLE:
            raise
    finally:
        os.close(descriptor)


def settle_folder(path: PathLike) -> None:
    """`flush_folder` after a rename that stands whatever becomes of it: trouble is no failure any more."""
    with contextlib.suppress(OSError):
        flush_folder(path)
