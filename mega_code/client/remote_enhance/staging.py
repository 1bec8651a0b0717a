"""The staging dir: one job's files, verified, complete, and not yet installed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mega_code.client.remote_enhance.manifest import File
from mega_code.errors import MegaCodeError
from mega_code.files import settle_folder

CHUNK = 1024 * 1024


def verify(folder: Path, files: Sequence[File]) -> None:
    """Whether `folder` holds exactly `files`, byte for byte as far as the manifest says.

    Raises MegaCodeError: `missing_staging` for a missing folder or file, `sha256_mismatch` for one that differs or
    does not belong there.
    """
    wanted = {file.relpath: file for file in files}
    if not _is_folder(folder):
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


@contextlib.contextmanager
def building(target: Path) -> Iterator[Path]:
    """A private folder beside `target` to fill; gone at the end unless it was moved away.

    What a killed run left is removed first; what a living one is filling is locked and stays.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    prefix = f".{target.name}."
    for left in target.parent.glob(f"{prefix}*.part"):
        with contextlib.suppress(OSError):
            _discard(left)
    with contextlib.ExitStack() as stack:
        folder = _private(target.parent, prefix, stack)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _private(parent: Path, prefix: str, stack: contextlib.ExitStack) -> Path:
    """A new folder, locked until `stack` is left."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".part", dir=parent))
        # Not locked yet, it looks like a leftover to another run for the same job, which then removes it.
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            stack.enter_context(_locked(folder))
            if folder.is_dir():
                return folder


@contextlib.contextmanager
def _locked(folder: Path, wait: int = fcntl.LOCK_NB) -> Iterator[None]:
    """Hold the folder's lock. Raises OSError where somebody else does, or with `wait` 0 waits for him."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | wait)
        yield
    finally:
        os.close(descriptor)


def withdraw(target: Path) -> None:
    """Remove a staging dir whose job has nothing to install any more. Raises OSError."""
    if os.path.lexists(target):
        with building(target) as folder, contextlib.suppress(FileNotFoundError):
            os.rename(target, folder / "old")


def publish(folder: Path, target: Path) -> None:
    """Move a complete `folder` to `target` in one rename; an older `target` goes away first."""
    old = folder.with_name(f"{folder.name}.old.part")
    with _locked(target.parent, wait=0):  # two that wait for one job may be done at once
        with contextlib.suppress(FileNotFoundError):
            os.rename(target, old)
        os.rename(folder, target)
    settle_folder(target.parent)
    # Its lock says nothing: who published it may not have let go of it yet.
    with contextlib.suppress(OSError):
        _remove(old)


def _discard(left: Path) -> None:
    """Remove what nobody is filling. Raises OSError."""
    with _locked(left) if _is_folder(left) else contextlib.nullcontext():
        _remove(left)


def _remove(left: Path) -> None:
    """Remove a folder, though another removes it too, or whatever else is there. Raises OSError."""
    if _is_folder(left):
        shutil.rmtree(left, ignore_errors=True)
    elif os.path.lexists(left):
        left.unlink()


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)
