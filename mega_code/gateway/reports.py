"""The page of every ended job, beside its history."""

from __future__ import annotations

import logging

from mega_code.files import write_atomic
from mega_code.gateway.folders import REPORT, Folders
from mega_code.gateway.jobs import Jobs

log = logging.getLogger(__name__)


class Reports:
    """Draws pages from what the store knows of a job; a page that cannot be drawn is a line in the log."""

    def __init__(self, jobs: Jobs, folders: Folders) -> None:
        self.jobs = jobs
        self.folders = folders

    def write(self, job_id: str) -> None:
        """Draw the page of a job that has ended."""
        try:
            from mega_code.pages import job_report

            body = self.jobs.ended(job_id)
            if body is not None:
                write_atomic(self.folders.job(job_id) / REPORT, job_report.render(body).encode())
        except Exception:
            log.exception("job %s: its report could not be drawn", job_id)

    def catch_up(self) -> None:
        """Draw what a process that was killed between a job's end and its page left undrawn."""
        for job_id, _ in self.jobs.folders():
            if not (self.folders.job(job_id) / REPORT).exists():
                self.write(job_id)
