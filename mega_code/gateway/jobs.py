"""Jobs: their rows, who may work on one, and how one ends.

A job is claimed with a lease. Only the holder of its present lease can change or end it, so a job has exactly one
result, however many workers have begun it.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from typing import Any, Callable, NamedTuple, Optional

from mega_code import telemetry
from mega_code.gateway.api_error import ApiError
from mega_code.gateway.config import Clock, Config, timestamp
from mega_code.gateway.database import OPEN, Database, Row
from mega_code.gateway.longpoll import Changes, News
from mega_code.gateway.reports import Reports
from mega_code.gateway.result import Artifact, Ending, PublishedFile, Result, without_artifact
from mega_code.job import TERMINAL
from mega_code.model_settings import STATIC
from mega_code.paths import is_job_id

RETRY_AFTER_S = 2
CANCELLED = "Cancelled on request."
NO_ARTIFACT = Artifact()
_COLUMNS = """job_id, user_id, skill_id, content_hash, status, phase, current_iteration, total_iterations, version,
    created_at, phase_started_at, completed_at, model, lease, trace"""


class LeaseLost(Exception):
    """Another worker has the job now, or the job has ended."""


class Job(NamedTuple):
    """One row, without its result."""

    job_id: str
    user_id: str
    skill_id: str
    content_hash: str
    status: str
    phase: Optional[str]
    current_iteration: Optional[int]
    total_iterations: Optional[int]
    version: int
    created_at: str
    phase_started_at: Optional[str]
    completed_at: Optional[str]
    model: str
    lease: Optional[str]
    trace: str = "{}"

    @property
    def terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in TERMINAL

    def public(self) -> dict[str, Any]:
        """What the API says of a job."""
        return {
            "job_id": self.job_id,
            "skill_id": self.skill_id,
            "status": self.status,
            "phase_public": self.phase,
            "current_iteration": self.current_iteration,
            "total_iterations": self.total_iterations,
            "created_at": self.created_at,
            "phase_started_at": self.phase_started_at,
        }


class Jobs:
    """`queued` is told when a job waits for a worker, `changed` when anything visible of a job changed.

    `reports` keeps the page of a job that ends, so that it is there when the end is seen. `model` says what a job that
    comes now is measured by: the same content may come once for each. `spent` gives what a job has used of models: one
    that ends before its evaluation does tells that too.
    """

    def __init__(
        self,
        database: Database,
        config: Config,
        clock: Clock,
        reports: Optional[Reports] = None,
        model: Callable[[], str] = lambda: STATIC,
        spent: Callable[[str], Any] = lambda job_id: None,
    ) -> None:
        self.database = database
        self.reports = reports
        self.config = config
        self.clock = clock
        self.model = model
        self.spent = spent
        self.queued = Changes()
        self.changed = News()

    def get(self, job_id: str, user_id: str) -> Job:
        """A user's job. Raises ApiError `not_found`, for another user's just the same."""
        row = None
        if is_job_id(job_id):
            query = f"SELECT {_COLUMNS} FROM jobs WHERE job_id = ? AND user_id = ?"
            row = self.database.one(query, (job_id.lower(), user_id))
        if row is None:
            raise ApiError("not_found", "There is no such job.")
        return Job(*row)

    def result(self, job_id: str) -> Optional[Result]:
        """How a job ended, or None for one that has not, or so long ago that it is kept no longer."""
        row = self.database.one("SELECT result FROM jobs WHERE job_id = ? AND expired_at IS NULL", (job_id,))
        return Result(**json.loads(row["result"])) if row and row["result"] else None

    def files(self, job_id: str) -> list[PublishedFile]:
        """What a job published, sorted by path."""
        query = "SELECT relpath, sha256, size, mode FROM files WHERE job_id = ? ORDER BY relpath"
        return [PublishedFile(*row) for row in self.database.all(query, (job_id,))]

    def published(self, job_id: str, relpath: str) -> Optional[str]:
        """Where a published file lies below its job's folder; the path comes from the manifest, never from who asks."""
        row = self.database.one(
            "SELECT folder, relpath FROM jobs JOIN files USING (job_id) WHERE job_id = ? AND relpath = ?",
            (job_id, relpath),
        )
        return None if row is None else f"{row['folder']}/{row['relpath']}"

    def folders(self) -> list[tuple[str, str, bool]]:
        """The id of every job that is kept with the name of its artifact folder, if any, and whether it has ended."""
        rows = self.database.all(
            "SELECT job_id, folder, completed_at FROM jobs WHERE result IS NOT NULL UNION ALL"
            f" SELECT job_id, folder, completed_at FROM jobs WHERE {OPEN}"
        )
        return [(row["job_id"], row["folder"], row["completed_at"] is not None) for row in rows]

    def insert(self, tx: sqlite3.Connection, job_id: str, user_id: str, skill_id: str, content_hash: str) -> None:
        """Queue a job, within the caller's transaction; the caller tells `queued` once that is committed.

        The same content may be measured once by each model. Raises ApiError `duplicate_content_hash`, `queue_full`.
        """
        model = self.model()
        row = tx.execute(
            """SELECT job_id FROM jobs WHERE user_id = ? AND content_hash = ? AND model = ?
            AND status NOT IN ('failed', 'cancelled', 'enhancement_blocked') AND expired_at IS NULL""",
            (user_id, content_hash, model),
        ).fetchone()
        if row:
            raise ApiError(
                "duplicate_content_hash", "This content was submitted before.", {"existing_job_id": row["job_id"]}
            )
        (waiting,) = tx.execute(f"SELECT COUNT(*) FROM jobs WHERE {OPEN}").fetchone()
        if waiting >= self.config.max_queued:
            raise ApiError(
                "queue_full",
                f"{waiting} jobs wait already; try again later.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        tx.execute(
            """INSERT INTO jobs (job_id, user_id, skill_id, content_hash, model, trace, status, created_at)
            VALUES (?, ?, ?, ?, ?, ?, 'queued', ?)""",
            (job_id, user_id, skill_id, content_hash, model, json.dumps(telemetry.headers()), timestamp(self.clock())),
        )

    def claim(self) -> Optional[Job]:
        """The next job to work on, now under a lease of the caller's; None where there is none."""
        now, lease = self.clock(), uuid.uuid4().hex
        with self.database.transaction() as tx:
            given_up = self._give_up_exhausted(tx)
            taken = tx.execute(
                f"""UPDATE jobs SET status = 'running', phase = 'intake', phase_started_at = ?,
                current_iteration = NULL, total_iterations = NULL,
                lease = ?, lease_expires = ?, attempts = attempts + 1, version = version + 1
                WHERE seq = (SELECT seq FROM jobs WHERE {OPEN} AND (status = 'queued' OR lease_expires <= ?)
                ORDER BY seq LIMIT 1)""",
                (timestamp(now), lease, now.timestamp() + self.config.lease_s, now.timestamp()),
            ).rowcount
            row = tx.execute(f"SELECT {_COLUMNS} FROM jobs WHERE lease = ?", (lease,)).fetchone() if taken else None
        self.changed.notify(*given_up, *([row["job_id"]] if row else []))
        return Job(*row) if row else None

    def _give_up_exhausted(self, tx: sqlite3.Connection) -> list[str]:
        """A job whose workers keep dying ends here, or it would take every worker down for ever; the ids of such."""
        rows = tx.execute(
            f"""SELECT job_id, skill_id, attempts, cancel_requested FROM jobs
            WHERE {OPEN} AND status = 'running' AND lease_expires <= ? AND attempts >= ?""",
            (self.clock().timestamp(), self.config.max_attempts),
        ).fetchall()
        for row in rows:
            if row["cancel_requested"]:
                self._end_early(tx, row, "cancelled", CANCELLED)
                continue
            reason = f"The gateway died {row['attempts']} times while it worked on this job; its log may say why."
            self._end_early(tx, row, "failed", reason)
        return [row["job_id"] for row in rows]

    def seconds_to_expiry(self) -> Optional[float]:
        """How long until the first lease runs out; None where no job is running."""
        row = self.database.one(f"SELECT MIN(lease_expires) AS first FROM jobs WHERE {OPEN} AND status = 'running'")
        if row is None or row["first"] is None:
            return None
        return max(0.0, float(row["first"]) - self.clock().timestamp())

    def extend(self, lease: str) -> None:
        """A sign of life. Raises LeaseLost."""
        expires = self.clock().timestamp() + self.config.lease_s
        with self.database.transaction() as tx:
            held = tx.execute(
                "UPDATE jobs SET lease_expires = ? WHERE lease = ? AND status = 'running'", (expires, lease)
            ).rowcount
        if not held:
            raise LeaseLost

    def advance(self, lease: str, phase: Optional[str], iteration: Optional[tuple[int, int]]) -> bool:
        """Note how far a job is; None leaves a value as it is. True: cancel it. Raises LeaseLost."""
        with self.database.transaction() as tx:
            row = _held(tx, lease)
            before = (row["phase"], row["current_iteration"], row["total_iterations"])
            after = (phase or before[0], *(iteration or before[1:]))
            if row["cancel_requested"] or after == before:
                return bool(row["cancel_requested"])
            started = row["phase_started_at"] if after[0] == before[0] else timestamp(self.clock())
            tx.execute(
                """UPDATE jobs SET phase = ?, current_iteration = ?, total_iterations = ?, phase_started_at = ?,
                version = version + 1 WHERE lease = ?""",
                (*after, started, lease),
            )
        self.changed.notify(row["job_id"])
        return False

    def forgive(self, lease: str) -> None:
        """Forget the attempts before; does nothing for a lease that is held no longer."""
        with self.database.transaction() as tx:
            tx.execute("UPDATE jobs SET attempts = 0 WHERE lease = ?", (lease,))

    def finish(self, lease: str, status: str, result: Result, artifact: Artifact = NO_ARTIFACT) -> str:
        """End the job; the status it ended with, which is `cancelled` where that was asked for. Raises LeaseLost."""
        row = self.database.one("SELECT job_id, skill_id FROM jobs WHERE lease = ?", (lease,))
        if row is None:
            raise LeaseLost
        if result.usage_snapshot is None:
            result = result._replace(usage_snapshot=self.spent(row["job_id"]))
        ending = Ending(row["job_id"], row["skill_id"], status, timestamp(self.clock()), result, artifact.files)
        page = (
            self.reports.draw(ending.body()) if self.reports else None
        )  # may take long, so not within the transaction
        with self.database.transaction() as tx:
            row = _held(tx, lease)
            if row["cancel_requested"]:
                status = "cancelled"
                self._end_early(tx, row, status, CANCELLED)
            else:
                self._end(tx, ending, artifact.folder, page)
        self.changed.notify(ending.job_id)
        return status

    def _end_early(self, tx: sqlite3.Connection, row: Row, status: str, reason: str) -> None:
        """End a job that nothing came of."""
        now = timestamp(self.clock())
        result = without_artifact(reason)._replace(usage_snapshot=self.spent(row["job_id"]))
        ending = Ending(row["job_id"], row["skill_id"], status, now, result)
        self._end(tx, ending, "", self.reports.draw(ending.body()) if self.reports else None)

    def _end(self, tx: sqlite3.Connection, ending: Ending, folder: str, page: Optional[bytes]) -> None:
        result = json.dumps(ending.result._asdict(), allow_nan=False)
        tx.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?)", ((ending.job_id, *file) for file in ending.files))
        tx.execute(
            """UPDATE jobs SET status = ?, result = ?, folder = ?, completed_at = ?, lease = NULL, lease_expires = NULL,
            version = version + 1 WHERE job_id = ?""",
            (ending.status, result, folder, ending.completed_at, ending.job_id),
        )
        if self.reports and page is not None:
            self.reports.keep(ending.job_id, page)

    def release(self, lease: str) -> None:
        """Give a job back unfinished, as if it had not been begun; for an orderly stop."""
        with self.database.transaction() as tx:
            tx.execute(
                """UPDATE jobs SET lease = NULL, lease_expires = 0, attempts = attempts - 1
                WHERE lease = ? AND status = 'running'""",
                (lease,),
            )

    def expire_all(self) -> None:
        """Let every running job be claimed at once; for a process that knows itself to be the only one."""
        with self.database.transaction() as tx:
            tx.execute(f"UPDATE jobs SET lease_expires = 0 WHERE {OPEN} AND status = 'running'")

    def cancel(self, job_id: str, user_id: str) -> Job:
        """Cancel a queued job at once, a running one at its next step.

        Raises ApiError `not_found`, `already_terminal`.
        """
        job = self.get(job_id, user_id)
        with self.database.transaction() as tx:
            row = tx.execute("SELECT job_id, skill_id, status FROM jobs WHERE job_id = ?", (job.job_id,)).fetchone()
            if row["status"] in TERMINAL:
                raise ApiError("already_terminal", f"The job has ended already: {row['status']}.")
            if row["status"] == "queued":
                self._end_early(tx, row, "cancelled", CANCELLED)
            else:
                tx.execute("UPDATE jobs SET cancel_requested = 1 WHERE job_id = ?", (job.job_id,))
        self.changed.notify(job.job_id)
        return self.get(job_id, user_id)


def _held(tx: sqlite3.Connection, lease: str) -> Row:
    row: Optional[Row] = tx.execute("SELECT * FROM jobs WHERE lease = ? AND status = 'running'", (lease,)).fetchone()
    if row is None:
        raise LeaseLost
    return row
