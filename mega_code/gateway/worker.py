"""Working on jobs: claim, unpack, evaluate, publish, finish; and a heartbeat meanwhile."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Optional, Protocol

from mega_code import telemetry
from mega_code.errors import MegaCodeError
from mega_code.files import write_json
from mega_code.gateway.artifacts import PublishError, publish
from mega_code.gateway.folders import HISTORY, Folders, FolderSink, remove
from mega_code.gateway.intake import examine
from mega_code.gateway.jobs import CANCELLED, NO_ARTIFACT, Job, Jobs, LeaseLost
from mega_code.gateway.result import Artifact, Outcome, Result, from_outcome, without_artifact
from mega_code.job import ITERATING, PHASES, TERMINAL

log = logging.getLogger(__name__)


class Interrupted(BaseException):
    """Raised out of a progress call to end an evaluation: cancelled, lease lost, or the gateway stops.

    No Exception, like asyncio's CancelledError: an evaluation's own `except Exception` must not swallow it.
    """


class Cancelled(Interrupted):
    """Its user wants the job no longer."""


class Abandoned(Interrupted):
    """Somebody else has the job, or will have it; whatever is computed from here on is thrown away."""


class Evaluator(Protocol):
    """Measures and improves the skill in a folder; calls `progress` as it goes, from any thread."""

    def __call__(self, skill_dir: Path, skill_id: str, progress: Progress, now: datetime, /) -> Outcome: ...


class Progress:
    """An evaluation's side of its job: where it says how far it is, and where it keeps what a next attempt can use.

    Every call may raise Interrupted, and does so again once it has.
    """

    def __init__(self, jobs: Jobs, job: Job, lease: str, workspace: Path, stopping: threading.Event) -> None:
        self.jobs = jobs
        self.job_id = job.job_id
        self.model = job.model
        self.lease = lease
        self.workspace = workspace
        self.stopping = stopping
        self.phases = telemetry.phases()
        self._worked = False

    def phase(self, name: str) -> None:
        """The job is in phase `name` now. Raises ValueError for a name that is none."""
        if name not in PHASES:
            raise ValueError(f"There is no phase {name!r}.")
        # Who looks at a job that iterates is to see in which iteration it is, so that is told with the first one.
        self._advance(None if name == ITERATING else name, None)
        self.phases.enter(name)

    def iteration(self, current: int, total: int) -> None:
        """The job is in iteration `current` of at most `total`."""
        self._advance(ITERATING, (int(current), int(total)))

    def worked(self) -> None:
        """The attempt has got further than any before: dying now is not dying of the same thing again."""
        if not self._worked:
            self._worked = True
            self.jobs.forgive(self.lease)

    def _advance(self, phase: Optional[str], iteration: Optional[tuple[int, int]]) -> None:
        if self.stopping.is_set():
            raise Abandoned
        try:
            if self.jobs.advance(self.lease, phase, iteration):
                raise Cancelled
        except LeaseLost:
            raise Abandoned from None


class Worker:
    """One thread that works on one job at a time, for ever."""

    def __init__(self, jobs: Jobs, folders: Folders, evaluator: Evaluator, name: str) -> None:
        self.jobs = jobs
        self.folders = folders
        self.evaluator = evaluator
        self.lease: Optional[str] = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the worker to end; a job in hand is left at its next progress call."""
        self._stopping.set()

    def join(self, timeout: float) -> bool:
        """Whether it has ended by then. A job still in hand is given back either way."""
        self._thread.join(timeout)
        lease = self.lease
        if lease:
            self.jobs.release(lease)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            seen = self.jobs.queued.count
            try:
                worked = self.work_once()
                timeout = self.jobs.seconds_to_expiry()
            except Exception:
                if self._stopping.is_set():
                    return
                log.exception("trying again in %s s", self.jobs.config.lease_s)
                worked, timeout = False, self.jobs.config.lease_s
            if not worked:
                self.jobs.queued.wait(seen, timeout)

    def work_once(self) -> bool:
        """Work on the next job; False where there is none."""
        job = self.jobs.claim()
        if job is None or job.lease is None:
            return False
        self.lease = job.lease
        log.info("job %s: claimed", job.job_id)
        try:
            with _traced(job), _heartbeat(self.jobs, job.lease):
                self._work(job, job.lease)
        finally:
            self.lease = None
            remove(self.folders.work(job.job_id, job.lease))
        return True

    def _work(self, job: Job, lease: str) -> None:
        kept = ""
        try:
            try:
                status, result, artifact = self._outcome(job, lease)
            except Cancelled:
                status, result, artifact = "cancelled", without_artifact(CANCELLED), NO_ARTIFACT
            ended = self.jobs.finish(lease, status, result, artifact)
            _tell(telemetry.current(), ended, result.artifact_kind)
            kept = artifact.folder if ended == status else ""
            for needless in (self.folders.workspace(job.job_id), self.folders.archive(job.job_id)):
                remove(needless)
            log.info("job %s: %s", job.job_id, ended)
        except (Abandoned, LeaseLost):
            self.jobs.release(lease)
            telemetry.current().fail("left_to_another_attempt")
            log.info("job %s: left to another attempt", job.job_id)
        finally:
            if not kept:
                remove(self.folders.artifact(job.job_id, lease))

    def _outcome(self, job: Job, lease: str) -> tuple[str, Result, Artifact]:
        """Evaluate and publish. Whatever goes wrong in there is the job's failure and not the worker's."""
        workspace = self.folders.workspace(job.job_id)
        progress = Progress(self.jobs, job, lease, workspace, self._stopping)
        try:
            with progress.phases:
                return self._go_through(job, lease, progress)
        except Interrupted:
            raise
        except PublishError as error:
            log.exception("job %s: not publishable", job.job_id)
            return "failed", without_artifact(f"The enhanced skill cannot be published: {error}."), NO_ARTIFACT
        except MegaCodeError as error:
            log.exception("job %s: failed", job.job_id)
            return "failed", without_artifact(error.message), NO_ARTIFACT
        except BaseException as error:  # a library's sys.exit() must not end the worker either
            log.exception("job %s: failed", job.job_id)
            return "failed", without_artifact(_explain(error)), NO_ARTIFACT

    def _go_through(self, job: Job, lease: str, progress: Progress) -> tuple[str, Result, Artifact]:
        progress.phases.enter("intake")
        outcome = self._evaluate(job, lease, progress)
        if outcome.status not in TERMINAL:
            raise ValueError(f"The evaluation ended with the unknown status {outcome.status!r}.")
        artifact = NO_ARTIFACT
        if outcome.status == "succeeded" and outcome.artifact_kind == "enhanced":
            progress.phase("publishing")
            target = self.folders.artifact(job.job_id, lease)
            with open(self.folders.archive(job.job_id), "rb") as archive:
                artifact = publish(archive, job.content_hash, outcome.files, target)
        write_json(self.folders.job(job.job_id) / HISTORY, outcome.lineage or [])
        return outcome.status, from_outcome(outcome), artifact

    def _evaluate(self, job: Job, lease: str, progress: Progress) -> Outcome:
        work = self.folders.work(job.job_id, lease)
        with open(self.folders.archive(job.job_id), "rb") as archive:
            examine(archive, FolderSink(work, durable=False))
        return self.evaluator(work, job.skill_id, progress, self.jobs.clock())


@contextlib.contextmanager
def _traced(job: Job) -> Iterator[None]:
    """A span of this attempt at a job, part of the trace that its upload was part of, however long ago."""
    told = json.loads(job.trace)
    with telemetry.part_of(told), telemetry.span("job", job_id=job.job_id, skill_name=job.skill_id):
        yield


def _tell(span: telemetry.Span, status: str, artifact_kind: str) -> None:
    """How a job has ended, in its span."""
    span.set(status=status, artifact_kind=artifact_kind)
    if status == "failed":
        span.fail(status)


def _explain(error: BaseException) -> str:
    """One line for the person whose job failed; the traceback is for the log."""
    said = " ".join(str(error).split())[:300]
    kind = type(error).__name__
    return (
        f"The evaluation stopped with an error of its own ({kind}{': ' + said if said else ''}); see the gateway's log."
    )


@contextlib.contextmanager
def _heartbeat(jobs: Jobs, lease: str) -> Iterator[None]:
    """Keeps a lease alive from a thread of its own, since an evaluation may say nothing for minutes."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(jobs.config.lease_s / 3):
            try:
                jobs.extend(lease)
            except LeaseLost:
                return  # the next progress call says so
            except sqlite3.Error:
                log.exception("a lease could not be extended; trying again")

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
