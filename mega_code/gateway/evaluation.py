"""The real evaluator: the evaluation library, with the settings of this machine."""

from __future__ import annotations

import logging
import os
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Optional

from mega_code.gateway.folders import Folders
from mega_code.gateway.result import Outcome
from mega_code.gateway.worker import Progress
from mega_code.model_settings import MODEL, STATIC
from mega_code.settings import with_env_file

log = logging.getLogger(__name__)


def asked_model() -> str:
    """The model that a job which begins now is measured with, as its setting names it."""
    return with_env_file(os.environ).get(MODEL, "").strip() or STATIC


def spent(folders: Folders, job_id: str) -> Optional[dict[str, float]]:
    """What a job has used of models; None where it has used none, or where that cannot be read."""
    from mega_code import evaluation

    try:
        return evaluation.spent(folders.completions, job_id)
    except (OSError, sqlite3.Error):
        log.exception("job %s: what it has spent cannot be read", job_id)
        return None


class Evaluation:
    """Reads `<DATA_DIR>/.env` anew for every job, so that another model needs no restart; the environment wins.

    A job is measured by the model that was set when it was submitted.
    """

    def __init__(self, folders: Folders) -> None:
        self.folders = folders

    def __call__(self, skill_dir: Path, skill_id: str, progress: Progress, now: datetime) -> Outcome:
        """As `mega_code.evaluation.enhance`, which is imported with the first job: the server is up long before it."""
        from mega_code.evaluation import Room, enhance

        room = Room(
            {**with_env_file(os.environ), MODEL: progress.model},
            progress.workspace,
            self.folders.completions,
            progress.job_id,
        )
        outcome: Outcome = enhance(skill_dir, skill_id, progress, now, room)
        return outcome
