"""What an install, a clean-up or a restore displaced: kept whole, with a note of where it came from."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional

from mega_code.console import warn
from mega_code.errors import MegaCodeError
from mega_code.files import flush_folder, read_json, settle_folder, write_json
from mega_code.paths import DataDir

SUFFIX = "-backup"
REASONS = ("install", "cleanup", "restore")
MANY = 100  # files; fewer are flushed sooner than threads are started
FLUSHERS = 4


def keep(content: Path, origin: Path, reason: str, data: DataDir) -> Path:
    """Move `content`, which stood at `origin`, into a backup of its own and return its `backup_path`.

    The note is written before the content arrives, so that no backup is without one. Raises OSError; then `content`
    is still where it was.
    """
    now = datetime.now(timezone.utc)
    folder = _reserve(data.enhancements, now)
    kept = folder / origin.name
    try:
        note = {
            "backup_path": str(kept),
            "skill_name": origin.name,
            "origin": str(origin),
            "created_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "reason": reason,
        }
        write_json(folder / f"{origin.name}.json", note)
        flush_folder(data.enhancements)
        _move(content, kept)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    settle_folder(folder)
    return kept


def _reserve(enhancements: Path, now: datetime) -> Path:
    """A new folder that nobody else has, named after the second."""
    enhancements.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while True:
        folder = enhancements / (f"{stamp}{SUFFIX}" if number == 1 else f"{stamp}-{number}{SUFFIX}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            return folder
        number += 1


def _move(content: Path, kept: Path) -> None:
    try:
        os.rename(content, kept)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_tree(content, kept.with_name(f".{kept.name}.part"))
        os.rename(kept.with_name(f".{kept.name}.part"), kept)
        flush_folder(kept.parent)
        discard(content)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder, a file or a link as it is, and flush it. Raises OSError."""
    if source.is_symlink():
        os.symlink(os.readlink(source), target)
    elif source.is_dir():
        try:
            shutil.copytree(source, target, symlinks=True)
        except shutil.Error as error:
            raise OSError(errno.EIO, f"could not be copied: {error.args[0][0][2]}") from None
    else:
        shutil.copy2(source, target)
    flush_tree(target)


def flush_tree(path: Path) -> None:
    """Bring every file and folder below `path` to the disk. Raises OSError."""
    if path.is_symlink() or not path.is_dir():
        return
    folders, files = [], []
    for base, _, names in os.walk(path, topdown=False):
        folders.append(base)
        files += [file for file in (os.path.join(base, name) for name in names) if not os.path.islink(file)]
    if len(files) < MANY:
        for file in files:
            _flush(file)
    else:
        _flush_at_once(files)
    for folder in folders:
        flush_folder(folder)


def _flush(file: str) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_at_once(files: Sequence[str]) -> None:
    """Flush many files from a few threads: a file system writes down once what several of them wait for."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(FLUSHERS) as pool:
        try:
            for _ in pool.map(_flush, files):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)  # whoever interrupts does not wait for the rest
            raise


def discard(path: Path) -> None:
    """Remove a folder, file or link; it disappears from its place in one rename, then goes bit by bit.

    Raises OSError; then it still stands.
    """
    junk = _beside(path, "junk")
    try:
        os.rename(path, junk / "content")
    except OSError as error:
        os.rmdir(junk)
        if error.errno != errno.EXDEV:
            raise
        _wear_away(path)
    else:
        shutil.rmtree(junk, ignore_errors=True)


def _wear_away(path: Path) -> None:
    """Remove a folder of an overlay's lower layer, which can be removed but not moved.

    A mark beside it says so meanwhile: where the removal stops half way, the next run goes on with it.
    """
    mark = _beside(path, "gone")
    flush_folder(path.parent)
    try:
        shutil.rmtree(path)
        os.rmdir(mark)
    except OSError as error:
        warn(f"{path} is not gone yet ({error.strerror}); the next command goes on with it")


def _beside(path: Path, kind: str) -> Path:
    """A new hidden folder beside `path`, named as `places` names them."""
    return Path(tempfile.mkdtemp(prefix=f".{path.name}.mega-{kind}-", dir=path.parent))


def listing(data: DataDir, skill_name: Optional[str] = None) -> list[dict[str, Any]]:
    """The notes of all whole backups, newest first."""
    found = []
    for note_file in data.enhancements.glob(f"*{SUFFIX}/*.json"):
        note = _note(note_file)
        if note and (skill_name is None or note["skill_name"] == skill_name):
            found.append((note["created_at"], _sequence(note_file.parent), note))
    return [note for _, _, note in sorted(found, key=lambda entry: entry[:2], reverse=True)]


def find(backup_dir: str, data: DataDir) -> dict[str, Any]:
    """The note of the backup whose `backup_path` is `backup_dir`. Raises MegaCodeError `invalid_path`."""
    path = Path(os.path.abspath(backup_dir))
    inside = path.parent.name.endswith(SUFFIX) and path.parent.parent.resolve() == data.enhancements.resolve()
    note = _note(path.parent / f"{path.name}.json") if inside else None
    if not note:
        raise MegaCodeError("invalid_path", f"{backup_dir!r} is no backup; --list-backups shows them.")
    return note


def _note(note_file: Path) -> Optional[dict[str, Any]]:
    """A note whose backup is there, with the path where it is now; None for anything else."""
    note = read_json(note_file)
    keys = ("backup_path", "skill_name", "origin", "created_at", "reason")
    kept = note_file.with_suffix("")
    if not isinstance(note, dict) or not all(isinstance(note.get(key), str) for key in keys):
        return None
    if not os.path.lexists(kept) or note["skill_name"] != kept.name or not os.path.isabs(note["origin"]):
        return None
    return {**{key: note[key] for key in keys}, "backup_path": str(kept)}


def _sequence(folder: Path) -> int:
    """Which of the backups of one second this is."""
    number = folder.name[: -len(SUFFIX)].partition("-")[2]
    return int(number) if number.isdigit() else 1
