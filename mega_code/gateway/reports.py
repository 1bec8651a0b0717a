"""The page of every ended job, beside its history. What goes wrong with one is a line in the log and no more."""

from __future__ import annotations

import logging
from typing import Any, Optional

from mega_code.files import write_atomic
from mega_code.gateway.folders import REPORT, Folders

log = logging.getLogger(__name__)


class Reports:
    """Drawing is apart from keeping: the one takes its time, the other is done while the store waits."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders

    def draw(self, body: dict[str, Any]) -> Optional[bytes]:
        """The page of a result body; None where it cannot be drawn."""
        from mega_code.pages import job_report  # with the first job that ends: the server is up long before it

        try:
            return job_report.render(body).encode()
        except Exception:
            log.exception("job %s: its report could not be drawn", body.get("job_id"))
            return None

    def keep(self, job_id: str, page: bytes) -> None:
        """Write the page of a job."""
        try:
            write_atomic(self.folders.job(job_id) / REPORT, page)
        except OSError:
            log.exception("job %s: its report could not be kept", job_id)
