"""Putting a whole folder into its place, so that whoever looks finds the old one or the new one.

Beside the destination live, for a moment, hidden siblings whose names say what they are:

    .NAME.mega-new-X     being built: rubbish if its maker is gone
    .NAME.mega-ready-I   complete; I is the inode of the new folder. After an exchange the same name holds the old
                         content, whose inode differs
    .NAME.mega-old-X     the old content, where no exchange exists
    .NAME.mega-junk-X    on its way out
    .NAME.mega-gone-X    empty: what stands at NAME is on its way out bit by bit, and whole in a backup

So a later run can tell what a killed one left, without a journal.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

from mega_code import backups, interrupt
from mega_code.console import say, warn
from mega_code.errors import MegaCodeError
from mega_code.exchange import exchange
from mega_code.files import flush_folder, settle_folder
from mega_code.paths import DataDir

_SIBLING = re.compile(r"\.(.+)\.mega-(new|ready|old|junk|gone)-([0-9A-Za-z_]+)")
Exchange = Callable[[Path, Path], bool]


class Put(NamedTuple):
    """Where the new content stands, and the backup of what stood there before."""

    path: Path
    backup_path: Optional[Path]


def put(place: Path, fill: Callable[[Path], None], reason: str, data: DataDir, swap: Exchange = exchange) -> Put:
    """Let `fill` build the new content at the path it is given, flush it, and swap it into `place`.

    What stood at `place` (a folder, a file, or a link, which is not followed) becomes a backup. Two puts below one
    folder wait for each other. Raises OSError and what `fill` raises; then `place` is as it was.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.parent):
        recover_locked(place.parent, data)
        building = _sibling(place, "new")
        try:
            fill(building)
            backups.flush_tree(building)
            # From here to the backup, a signal would only make work for the next run.
            with interrupt.held():
                return Put(place, _swap_in(building, place, reason, data, swap))
        finally:
            with contextlib.suppress(OSError):  # the next run removes it
                _remove(building)


def _sibling(place: Path, kind: str) -> Path:
    """A hidden name beside `place` that nobody has; it is not created, so that no kill leaves an empty one."""
    return place.with_name(f".{place.name}.mega-{kind}-{os.urandom(8).hex()}")


def _swap_in(building: Path, place: Path, reason: str, data: DataDir, swap: Exchange) -> Optional[Path]:
    if os.path.islink(place):
        warn(f"{place} was a link to {os.readlink(place)}; the link is replaced and kept, its target is not touched")
    if not os.path.lexists(place):
        os.rename(building, place)
        settle_folder(place.parent)
        if reason == "install":
            _note_new(place, data)
        return None
    ready = building.with_name(f".{place.name}.mega-ready-{os.lstat(building).st_ino}")
    os.rename(building, ready)
    displaced = None
    try:
        flush_folder(place.parent)
        displaced = _swap(ready, place, swap)
        flush_folder(place.parent)
        return backups.keep(displaced, place, reason, data)
    except OSError:
        with contextlib.suppress(OSError):  # what cannot be set right now is set right by the next run
            if displaced:
                _unswap(ready, place, displaced, swap)
            recover_locked(place.parent, data)
        raise


def _note_new(place: Path, data: DataDir) -> None:
    try:
        backups.note_new(place, data)
    except OSError as error:
        warn(f"that nothing was replaced at {place} could not be noted: {error.strerror}")


def _unswap(ready: Path, place: Path, displaced: Path, swap: Exchange) -> None:
    """Back to where nothing was swapped, or to where the old content only waits for its place.

    Without a backup the old content has to stand where it stood; nothing of it lies in a lower layer any more.
    """
    if displaced != ready:
        os.rename(place, ready)
    elif not swap(ready, place):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), str(place))


def _swap(ready: Path, place: Path, swap: Exchange) -> Path:
    """Put `ready` into `place`; gives where the old content lies now. Raises OSError; `recover_locked` rolls back."""
    try:
        return ready if swap(ready, place) else _rename_twice(ready, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return _copy_aside(ready, place)


def _copy_aside(ready: Path, place: Path) -> Path:
    """For an overlay file system, which renames no folder of a lower layer (a skill that came with an image).

    There the place cannot be swapped in one step; what a kill leaves is told apart by its three names and rolled back.
    """
    building, old = _sibling(place, "new"), _sibling(place, "old")
    backups.copy_tree(place, building)
    os.rename(building, old)
    flush_folder(place.parent)
    _remove(place)
    os.rename(ready, place)
    return old


def _rename_twice(ready: Path, place: Path) -> Path:
    """The exchange of a platform without one."""
    old = _sibling(place, "old")
    os.rename(place, old)
    os.rename(ready, place)
    return old


def restore(backup: dict[str, Any], data: DataDir) -> Put:
    """Put a backup back where it came from; what stands there becomes a backup itself, and this one stays.

    Raises MegaCodeError `install_failed`.
    """
    origin, kept = Path(backup["origin"]), Path(backup["backup_path"])
    try:
        done = put(origin, lambda folder: backups.copy_tree(kept, folder), "restore", data)
    except OSError as error:
        raise MegaCodeError("install_failed", f"{str(origin)!r} could not be restored: {error}.") from None
    try:
        backups.settle_restored(backup, done.backup_path, data)
    except OSError as error:
        warn(f"that an install of {origin.name} is undone could not be noted: {error.strerror}")
    return done


def take(place: Path, reason: str, data: DataDir) -> Path:
    """Move what stands at `place` into a backup and return its `backup_path`. Raises OSError; then it still stands."""
    with locked(place.parent), interrupt.held():
        recover_locked(place.parent, data)
        kept = backups.keep(place, place, reason, data)
        settle_folder(place.parent)
        return kept


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a skills folder; the kernel lets go of it when its holder dies. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another command works in {folder}; waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def recover(folder: Path, data: DataDir) -> None:
    """Finish or roll back what a killed run left in `folder`; never waits for a living one.

    Trouble is a warning: the command that comes after has its own say.
    """
    if not _leftovers(folder):
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            recover_locked(folder, data)
        finally:
            os.close(descriptor)
    except BlockingIOError:
        pass  # its owner lives and cleans up itself
    except OSError as error:
        warn(f"an interrupted install in {folder} could not be cleaned up: {error.strerror}")


def abandoned(folder: Path) -> list[str]:
    """The names in `folder` of which a killed run has left something; none while a living one works there."""
    left = sorted({name for _, name, _, _ in _leftovers(folder)})
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
    except OSError:
        return []
    return left


def recover_locked(folder: Path, data: DataDir) -> None:
    """`recover` for the holder of the lock. Raises OSError."""
    for path, name, kind, tag in _leftovers(folder):
        place = folder / name
        if kind in ("new", "junk"):
            _remove(path)
        elif kind == "gone":
            if os.path.lexists(place):
                backups.keep(place, place, "cleanup", data)  # what somebody put there since is not lost either
            _remove(path)
            say(f"finished an interrupted removal of {place}")
        elif kind == "old" and (not os.path.lexists(place) or _is_unswapped(folder, name)):
            _remove(place)
            os.rename(path, place)
            say(f"rolled back an interrupted install of {place}")
        elif kind == "ready" and str(os.lstat(path).st_ino) == tag:
            _remove(path)
        else:
            kept = backups.keep(path, place, "install", data)
            say(f"finished an interrupted install of {place}; what it replaced is in {kept}")


def _is_unswapped(folder: Path, name: str) -> bool:
    """Whether the new content of `name` still waits for its place, so that the place may be half removed."""
    waiting = [(path, tag) for path, other, kind, tag in _leftovers(folder) if (other, kind) == (name, "ready")]
    return any(str(os.lstat(path).st_ino) == tag for path, tag in waiting)


def _leftovers(folder: Path) -> list[tuple[Path, str, str, str]]:
    """Hidden siblings with their parts, `old` before `ready`: a roll-back comes before the rubbish goes."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    matches = [_SIBLING.fullmatch(name) for name in names]
    found = [(folder / match[0], match[1], match[2], match[3]) for match in matches if match]
    return sorted(found, key=lambda entry: (("junk", "gone", "new", "old", "ready").index(entry[2]), entry[0]))


def _remove(path: Path) -> None:
    if not os.path.lexists(path):
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
