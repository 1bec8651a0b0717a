"""What an install, a clean-up or a restore displaced: kept whole, with a note of where it came from."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional

from mega_code.console import warn
from mega_code.errors import MegaCodeError
from mega_code.files import flush_folder, globbed, read_json, settle_folder, write_json
from mega_code.paths import DataDir, script

SUFFIX = "-backup"
NEW = "-install"  # of the folder with the note of an install that replaced nothing
KEYS = ("backup_path", "skill_name", "origin", "created_at", "reason")
# In the note of an install that was undone: the folder of the backup of what stood there until then.
UNDONE = "undone"
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
        _write_note(folder, origin, reason, now)
        flush_folder(data.enhancements)
        _move(content, kept)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    settle_folder(folder)
    return kept


def note_new(place: Path, data: DataDir) -> None:
    """Note that an install at `place` replaced nothing, so that an undo knows of it. Raises OSError."""
    now = datetime.now(timezone.utc)
    _write_note(_reserve(data.enhancements, now, NEW), place, "install", now, replaced=False)


def _write_note(folder: Path, origin: Path, reason: str, now: datetime, **more: bool) -> None:
    note = {
        "backup_path": str(folder / origin.name),
        "skill_name": origin.name,
        "origin": str(origin),
        "created_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "reason": reason,
        **more,
    }
    write_json(folder / f"{origin.name}.json", note)


def _reserve(enhancements: Path, now: datetime, suffix: str = SUFFIX) -> Path:
    """A new folder that nobody else has, named after the second, and with a number where it has had others."""
    enhancements.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = stem = now.strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while True:
        folder = enhancements / f"{stem}{suffix}"
        if not any(os.path.lexists(enhancements / f"{stem}{other}") for other in (SUFFIX, NEW)):
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                return folder
        number += 1
        stem = f"{stamp}-{number}"


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
            shutil.copytree(source, target, symlinks=True, copy_function=_copy_file)
        except shutil.Error as error:
            raise OSError(errno.EIO, f"could not be copied: {error.args[0][0][2]}") from None
    else:
        shutil.copy2(source, target)
    flush_tree(target)


def _copy_file(source: str, target: str) -> None:
    """A file, or a pipe that somebody keeps in a skill."""
    mode = os.lstat(source).st_mode
    if stat.S_ISFIFO(mode):
        os.mkfifo(target, stat.S_IMODE(mode))
    else:
        shutil.copy2(source, target)


def flush_tree(path: Path) -> None:
    """Bring every file and folder below `path` to the disk. Raises OSError."""
    if path.is_symlink() or not path.is_dir():
        return
    folders, files = [], []
    for base, _, names in os.walk(path, topdown=False):
        folders.append(base)
        files += [file for file in (os.path.join(base, name) for name in names) if stat.S_ISREG(os.lstat(file).st_mode)]
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
    notes = (_note(file) for file, _ in _newest_first(data))
    return [note for note in notes if note and (skill_name is None or note["skill_name"] == skill_name)]


def standing(data: DataDir, origins: Sequence[Path]) -> list[dict[str, Any]]:
    """The notes of the installs at `origins` that nobody has undone, newest first.

    `backup_path` is None for one that replaced nothing, and still stands there.
    """
    found = []
    for file, raw in _newest_first(data):
        if raw["reason"] == "install" and Path(raw["origin"]) in origins and UNDONE not in raw:
            new = raw.get("replaced") is False and os.path.lexists(raw["origin"])
            note = {**raw, "backup_path": None} if new else _note(file)
            found += [note] if note else []
    return found


def settle_restored(backup: dict[str, Any], displaced: Optional[Path], data: DataDir) -> None:
    """Note which installs are undone, now that `backup` stands where it came from and `displaced` stood there.

    Those are the one that made it and the later ones. Where `displaced` is put back itself, they count again.
    Raises OSError.
    """
    restored = Path(backup["backup_path"]).parent
    for file, raw in _newest_first(data):
        if raw["origin"] != backup["origin"] or raw["reason"] != "install":
            continue
        if raw.get(UNDONE) == restored.name:
            write_json(file, {key: value for key, value in raw.items() if key != UNDONE})
        elif UNDONE not in raw and _age(file, raw) >= (backup["created_at"], _sequence(restored)):
            write_json(file, {**raw, UNDONE: displaced.parent.name if displaced else ""})


def _newest_first(data: DataDir) -> list[tuple[Path, dict[str, Any]]]:
    """Every note, with its file, whatever is left of what it is about."""
    files = (file for suffix in (SUFFIX, NEW) for file in globbed(data.enhancements, f"*{suffix}/*.json"))
    notes = ((file, _raw(file)) for file in files)
    return sorted(((file, raw) for file, raw in notes if raw), key=lambda entry: _age(*entry), reverse=True)


def _age(file: Path, raw: dict[str, Any]) -> tuple[str, int]:
    return raw["created_at"], _sequence(file.parent)


def find(backup_dir: str, data: DataDir) -> dict[str, Any]:
    """The note of the backup whose `backup_path` is `backup_dir`. Raises MegaCodeError `invalid_path`."""
    path = Path(os.path.abspath(backup_dir))
    inside = path.parent.name.endswith(SUFFIX) and path.parent.parent.resolve() == data.enhancements.resolve()
    note = _note(path.parent / f"{path.name}.json") if backup_dir and inside else None
    if not note:
        raise MegaCodeError(
            "invalid_path", f"{backup_dir!r} is no backup; {script('skills.sh', 'backups')} shows them."
        )
    return note


def _note(note_file: Path) -> Optional[dict[str, Any]]:
    """A note whose backup is there, with the path where it is now; None for anything else."""
    raw, kept = _raw(note_file), note_file.with_suffix("")
    return {**{key: raw[key] for key in KEYS}, "backup_path": str(kept)} if raw and os.path.lexists(kept) else None


def _raw(note_file: Path) -> Optional[dict[str, Any]]:
    """A note as it is written; None for what is none."""
    note = read_json(note_file)
    if not isinstance(note, dict) or not all(isinstance(note.get(key), str) for key in KEYS):
        return None
    return note if note["skill_name"] == note_file.stem and os.path.isabs(note["origin"]) else None


def _sequence(folder: Path) -> int:
    """Which of the folders of one second this is."""
    number = folder.name.rpartition("-")[0].partition("-")[2]
    return int(number) if number.isdigit() else 1
