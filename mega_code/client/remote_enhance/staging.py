"""The staging dir: one job's files, verified, complete, and not yet installed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mega_code.client.remote_enhance.verification import is_folder
from mega_code.files import settle_folder


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
    with _locked(left) if is_folder(left) else contextlib.nullcontext():
        _remove(left)


def _remove(left: Path) -> None:
    """Remove a folder, though another removes it too, or whatever else is there. Raises OSError."""
    if is_folder(left):
        shutil.rmtree(left, ignore_errors=True)
    elif os.path.lexists(left):
        left.unlink()
