"""Whether a staging dir holds what was published, to the byte."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from mega_code.client.remote_enhance.manifest import File
from mega_code.errors import MegaCodeError

CHUNK = 1024 * 1024


def verify(folder: Path, files: Sequence[File]) -> None:
    """Whether `folder` holds exactly `files`, byte for byte as far as the manifest says.

    Raises MegaCodeError: `missing_staging` for a missing folder or file, `sha256_mismatch` for one that differs or
    does not belong there.
    """
    wanted = {file.relpath: file for file in files}
    if not is_folder(folder):
        raise MegaCodeError("missing_staging", f"There is no staging dir {str(folder)!r}.")
    present = set(_relpaths(folder))
    for relpath in sorted(set(wanted) - present):
        raise MegaCodeError("missing_staging", f"{relpath!r} is missing from the staging dir.")
    for relpath in sorted(present - set(wanted)):
        raise MegaCodeError("sha256_mismatch", f"{relpath!r} does not belong into the staging dir.")
    for file in files:
        size, digest = _digest(folder / file.relpath)
        if (file.sha256 and digest != file.sha256) or (file.size is not None and size != file.size):
            raise MegaCodeError("sha256_mismatch", f"{file.relpath!r} in the staging dir is not what was published.")


def is_whole(folder: Path, files: Sequence[File]) -> bool:
    """`verify` as a question."""
    try:
        verify(folder, files)
        return True
    except (MegaCodeError, OSError):
        return False


def _relpaths(folder: Path) -> Iterator[str]:
    """Everything in `folder` but plain folders; a link counts as the file it stands for."""
    for base, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(base, name))]
        for name in [*names, *links]:
            yield os.path.relpath(os.path.join(base, name), folder)


def _digest(path: Path) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            raise
        raise MegaCodeError("sha256_mismatch", f"{path.name!r} in the staging dir is no file.") from None
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise MegaCodeError("sha256_mismatch", f"{path.name!r} in the staging dir is no file.")
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            size += len(chunk)
            digest.update(chunk)
    return size, digest.hexdigest()


def is_folder(path: Path) -> bool:
    """Whether there is a folder at `path`, and no link to one."""
    return os.path.isdir(path) and not os.path.islink(path)
