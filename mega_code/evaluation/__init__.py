"""Measuring a skill and making it better: one core for the gateway and for a person in the loop."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Optional

from mega_code.evaluation.outcome import Outcome, Progress
from mega_code.evaluation.room import Room
from mega_code.model_settings import is_static

__all__ = ["Outcome", "Progress", "Room", "check", "enhance", "spent"]


def enhance(skill_dir: Path, skill_id: str, progress: Progress, now: datetime, room: Room) -> Outcome:
    """Look for a better version of the skill in `skill_dir`, with the model that `room.env` names.

    `skill_dir` is only read; its name does not matter. Raises what `progress` raises, OSError where a folder cannot be
    read or written, and MegaCodeError for settings that cannot be used.
    """
    if is_static(room.env):
        from mega_code.evaluation import static

        return static.enhance(skill_dir, skill_id, progress, now)
    from mega_code.evaluation import enhancement

    return enhancement.enhance(skill_dir, skill_id, progress, now, room)


def check(env: Mapping[str, str]) -> None:
    """Raises MegaCodeError for settings that no enhancement could work with; nothing is asked or spent."""
    if not is_static(env):
        from mega_code.evaluation import enhancement

        enhancement.check_here(env)


def spent(store: Path, job_id: str) -> Optional[dict[str, float]]:
    """What a job has used of models so far, in the shape of a `usage_snapshot`; None where no job has used any.

    Raises sqlite3.Error where the store cannot be read.
    """
    if not store.exists():
        return None
    from mega_code.evaluation.store import Store

    with closing(Store(store)) as opened:
        used = opened.usage(job_id)
    return used._asdict() if used.calls or used.cached_calls else None
