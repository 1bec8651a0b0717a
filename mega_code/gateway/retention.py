"""What becomes of jobs that ended long ago: their row stays, small; what came of them goes, in two steps.

First a job expires: its result is told no longer, so that no new artifact URL is made, and its content may come again.
Once every URL that was made before is good no longer, the files go, too.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from datetime import datetime, timezone

from mega_code.gateway.config import Clock, Config, timestamp
from mega_code.gateway.database import Database
from mega_code.gateway.folders import Folders, remove

INTERVAL_S = 3600.0
# A download that began with the last second of its URL is long done.
GRACE_S = 3600.0
DAY_S = 86400.0
BATCH = 100

log = logging.getLogger(__name__)


class Retention:
    """A thread that tidies up once an hour. What a kill leaves of a step, the next start or the next hour finishes."""

    def __init__(self, database: Database, folders: Folders, config: Config, clock: Clock) -> None:
        self.database = database
        self.folders = folders
        self.config = config
        self.clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Begin, at once."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is being removed may stay in part until the next start."""
        self._stopping.set()

    def join(self, timeout: float) -> bool:
        """Whether it has ended by then."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.tidy()
            except (OSError, sqlite3.Error):
                log.exception("old jobs could not be tidied up; trying again in %s s", INTERVAL_S)
            self._stopping.wait(INTERVAL_S)

    def tidy(self) -> None:
        """Both steps, for all jobs whose time has come."""
        now = self.clock().timestamp()
        self._expire(now)
        while not self._stopping.is_set():
            gone = self._forget(now - self.config.url_ttl_s - GRACE_S)
            for job_id in gone:
                remove(self.folders.job(job_id))
            if not gone:
                return
            log.info("%s old jobs tidied up", len(gone))

    def _expire(self, now: float) -> None:
        ended_by = datetime.fromtimestamp(max(0.0, now - self.config.keep_days * DAY_S), timezone.utc)
        with self.database.transaction() as tx:
            tx.execute(
                """UPDATE jobs SET expired_at = ?
                WHERE result IS NOT NULL AND completed_at < ? AND expired_at IS NULL""",
                (now, timestamp(ended_by)),
            )
            # No client repeats an upload after so long.
            tx.execute("DELETE FROM idempotency WHERE call = 'job' AND created_at < ?", (timestamp(ended_by),))

    def _forget(self, expired_by: float) -> list[str]:
        """The ids of some jobs whose files nobody can be fetching any more; the store knows of none from then on."""
        with self.database.transaction() as tx:
            rows = tx.execute(
                "SELECT job_id FROM jobs WHERE result IS NOT NULL AND expired_at < ? LIMIT ?", (expired_by, BATCH)
            ).fetchall()
            ids = [(row["job_id"],) for row in rows]
            tx.executemany("DELETE FROM files WHERE job_id = ?", ids)
            tx.executemany("UPDATE jobs SET result = NULL, folder = '' WHERE job_id = ?", ids)
        return [job_id for (job_id,) in ids]
