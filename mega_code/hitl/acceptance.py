"""Accepting a draft and taking that back: the whole skill folder swapped in one step, the old one kept."""

from __future__ import annotations

import contextlib
import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any, Optional

from mega_code import backups, bundle, places, skills, workspace
from mega_code.console import say, warn
from mega_code.envelope import Envelope
from mega_code.errors import MegaCodeError
from mega_code.files import flush_folder, write_json
from mega_code.hitl import draft
from mega_code.paths import SCOPES, DataDir, script
from mega_code.skill import SKILL_MD
from mega_code.workspace import ACCEPTANCE, ACCEPTED, INSTALLING, STANDING, UNDONE, Iteration, Record


def accept(iteration: Iteration, data: DataDir, now: datetime, as_measured: bool = False) -> Envelope:
    """Install what was drafted in the place of the skill.

    It may be run again after a kill at any instant. Raises MegaCodeError: those of `draft.finish`, `out_of_order` where
    the iteration is accepted already, `skill_changed` where the skill is not what it was at the start, the refusals of
    `bundle.scan`, `install_failed`.
    """
    record, kept = iteration.record(), iteration.read(ACCEPTANCE) or {}
    place = Path(record.skill_path).parent
    standing = _standing(place, record, data)
    if kept.get("state") == INSTALLING and standing == kept.get("content_hash"):
        return _accepted(iteration, {**kept, "backup_path": _backup_of(place, record, data)}, place, record)
    if kept.get("state") == STANDING:
        raise iteration.out_of_turn(f"accepted version {kept.get('version')} already; undo it first")
    if standing != record.content_hash:
        raise _changed(record, f"it is not what iteration {iteration.number} began with")
    final = draft.finish(iteration, now, as_measured)
    try:
        content_hash = _prepare(iteration, record, final.text)
        note = {
            "state": INSTALLING,
            "skill_name": record.skill_name,
            "iteration": iteration.number,
            "version": final.version,
            "content_hash": content_hash,
            "measured": final.measured,
            "roi": final.roi,
            "installed_path": str(place),
            "accepted_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        }
        write_json(iteration.folder / ACCEPTANCE, note)
        done = places.put(place, lambda new: _fill(new, place, final.text, record, content_hash), "install", data)
    except OSError as error:
        raise MegaCodeError("install_failed", f"{str(place)!r} could not be replaced: {error}.") from None
    backup = str(done.backup_path) if done.backup_path else None
    return _accepted(iteration, {**note, "backup_path": backup}, place, record)


def _prepare(iteration: Iteration, record: Record, text: str) -> str:
    """Keep what is accepted in the iteration, for publishing; its content hash. Raises OSError."""
    target = iteration.folder / ACCEPTED
    building = iteration.folder / f".{ACCEPTED}.new"
    for left in (building, target):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(iteration.original, building)
    (building / SKILL_MD).write_bytes(text.encode())
    content_hash = bundle.scan(building, allow_secret=record.allow_secret).content_hash
    backups.flush_tree(building)
    os.rename(building, target)
    flush_folder(iteration.folder)
    return content_hash


def _fill(new: Path, place: Path, text: str, record: Record, content_hash: str) -> None:
    """Everything that stands at `place`, what no bundle holds included, with the new SKILL.md."""
    backups.copy_tree(Path(os.path.realpath(place)), new)
    (new / SKILL_MD).write_bytes(text.encode())
    if bundle.scan(new, allow_secret=record.allow_secret).content_hash != content_hash:
        raise _changed(record, "it was changed while the new version was put in its place")


def _accepted(iteration: Iteration, note: dict[str, Any], place: Path, record: Record) -> Envelope:
    note = {**note, "state": STANDING}
    _write(iteration, note)
    other = skills.other_copy(record.skill_name, record.scope, place.parents[2]) if record.scope in SCOPES else None
    shadowed = other if record.scope == "project" else None
    say(f"Installed version {note['version']} at {place}.")
    if not note["measured"]:
        say("Its figures are not measured yet; the next iteration measures them.")
    if note["backup_path"]:
        say(f"What it replaced is in {note['backup_path']}")
    if shadowed:
        warn(f"Claude Code will load {shadowed} instead; a global skill wins over a project's.")
    told = {key: value for key, value in note.items() if key != "state"}
    return {"accepted": {**told, "active": shadowed is None, "shadowed_by": str(shadowed) if shadowed else None}}


def _write(iteration: Iteration, note: dict[str, Any]) -> None:
    try:
        write_json(iteration.folder / ACCEPTANCE, note)
    except OSError as error:
        warn(f"{ACCEPTANCE} could not be written ({error.strerror}); run the command again once there is room")


def _standing(place: Path, record: Record, data: DataDir) -> str:
    """The content hash of what stands there, once an install that was killed is finished or rolled back."""
    places.recover(place.parent, data)
    return bundle.scan(place, allow_secret=record.allow_secret).content_hash


def _backup_of(place: Path, record: Record, data: DataDir) -> Optional[str]:
    """The newest backup of what the iteration began with, where an accept was killed before it could note it."""
    for entry in backups.listing(data, place.name):
        with contextlib.suppress(MegaCodeError):
            kept = bundle.scan(Path(entry["backup_path"]), allow_secret=record.allow_secret)
            if entry["origin"] == str(place) and kept.content_hash == record.content_hash:
                return str(entry["backup_path"])
    return None


def _changed(record: Record, how: str) -> MegaCodeError:
    return MegaCodeError("skill_changed", f"Nothing was changed at {record.skill_path!r}: {how}.")


def undo(iteration: Iteration, data: DataDir, now: datetime) -> Envelope:
    """Put back what the iteration's accept replaced; what stands there becomes a backup itself.

    Raises MegaCodeError: `out_of_order` where nothing is accepted, `skill_changed` where something else stands there by
    now, `invalid_path` where the backup is gone, `install_failed`.
    """
    record, note = iteration.record(), iteration.read(ACCEPTANCE) or {}
    place = Path(record.skill_path).parent
    if note.get("state") != STANDING:
        raise _nothing_to_undo(iteration, data)
    standing = _standing(place, record, data)
    restored: dict[str, Optional[str]] = {"restored": str(place), "backup_path": None}
    if standing == note.get("content_hash"):
        done = places.restore(backups.find(str(note.get("backup_path")), data), data)
        restored["backup_path"] = str(done.backup_path) if done.backup_path else None
    elif standing != record.content_hash:  # which is what a killed undo leaves
        raise _changed(
            record,
            f"it is not what iteration {iteration.number} accepted; to put the older version back all the same:"
            f" {script('install.sh', '--undo', str(note.get('backup_path')))}",
        )
    _write(iteration, {**note, "state": UNDONE, "undone_at": f"{now:%Y-%m-%dT%H:%M:%SZ}"})
    say(f"Restored {place}.")
    head = {"skill_name": record.skill_name, "iteration": iteration.number}
    return {"undone": {**head, **restored}}


def _nothing_to_undo(iteration: Iteration, data: DataDir) -> MegaCodeError:
    others = workspace.accepted(data, iteration.skill_name)
    there = f"the last that did is --iteration {others[-1].number}" if others else "no other did either"
    return iteration.out_of_turn(f"accepted nothing that could be undone; {there}")
