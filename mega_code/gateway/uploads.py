"""Taking in archives: checked, on disk, and then in the database, so that an accepted job is never lost."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Callable, NamedTuple, Optional

from mega_code.bundle import Limits
from mega_code.files import flush_folder
from mega_code.gateway.api_error import ApiError
from mega_code.gateway.config import timestamp
from mega_code.gateway.folders import ARCHIVE, Folders, remove
from mega_code.gateway.intake import Package, examine
from mega_code.gateway.jobs import Jobs

UPLOAD_KEY = re.compile("[!-~]{1,255}")
PREBUILT_KEY = re.compile("[A-Za-z0-9_-]{1,64}")
BUCKET = "mega-code-embedded"


class Accepted(NamedTuple):
    """The answer to an upload, and whether it is the repeat of an earlier one."""

    body: dict[str, Any]
    replayed: bool


class Request(NamedTuple):
    """One upload. `call` is `job` or `prebuilt`; `key` the Idempotency-Key, if any."""

    call: str
    user_id: str
    skill_id: str
    key: Optional[str]


class _Received(NamedTuple):
    folder: Path
    package: Package
    size: int


class Uploads:
    """Where archives become jobs or prebuilt bundles."""

    def __init__(self, jobs: Jobs, folders: Folders) -> None:
        self.jobs = jobs
        self.folders = folders

    def submit(self, user_id: str, skill_id: str, archive: IO[bytes], key: Optional[str]) -> Accepted:
        """Queue a job. Raises ApiError: the codes of `examine`, `idempotency_key_reused`, `duplicate_content_hash`,
        `queue_full`, `body_too_large`."""
        request = Request("job", user_id, skill_id, key)
        with self._received(archive) as received:
            job_id = str(uuid.uuid4())
            content_hash = received.package.content_hash
            answer = {
                "job_id": job_id,
                "content_hash": content_hash,
                "s3_uri": f"s3://{BUCKET}/jobs/{job_id}/{ARCHIVE}",
                **_measures(received),
            }
            accepted = self._accept(
                request,
                received,
                self.folders.job(job_id),
                answer,
                lambda tx: self.jobs.insert(tx, job_id, user_id, skill_id, content_hash),
            )
        self.jobs.queued.notify()
        return accepted

    def store_prebuilt(self, user_id: str, skill_id: str, archive: IO[bytes], key: str) -> Accepted:
        """Keep a bundle under a prefix. Raises ApiError: the codes of `examine`, `idempotency_key_reused`,
        `prefix_exists`, `body_too_large`."""
        request = Request("prebuilt", user_id, skill_id, key)
        with self._received(archive) as received:
            prebuilt_id = str(uuid.uuid4())
            content_hash = received.package.content_hash
            answer = {
                "id": prebuilt_id,
                "skill_id": skill_id,
                "s3_prefix": f"prebuilt/{user_id}/{skill_id}/{content_hash}/",
                "content_hash": content_hash,
                **_measures(received),
                "files": [
                    {"relpath": e.path, "sha256": e.sha256, "size": e.size, "mode": f"{e.mode:04o}"}
                    for e in received.package.entries
                ],
            }
            return self._accept(
                request,
                received,
                self.folders.prebuilt / prebuilt_id,
                answer,
                lambda tx: self._insert_prebuilt(tx, prebuilt_id, request, content_hash),
            )

    def _accept(
        self,
        request: Request,
        received: _Received,
        target: Path,
        answer: dict[str, Any],
        insert: Callable[[sqlite3.Connection], None],
    ) -> Accepted:
        """Files first, then the row: what a kill leaves between the two is a folder without a row, which is swept."""
        content_hash = received.package.content_hash
        with contextlib.ExitStack() as undo:
            os.rename(received.folder, target)
            undo.callback(remove, target)
            flush_folder(target.parent)
            with self.jobs.database.transaction() as tx:
                replay = _replay(tx, request, content_hash)
                if replay:
                    return Accepted(replay, True)
                insert(tx)
                self._remember(tx, request, content_hash, answer)
            undo.pop_all()
        return Accepted(answer, False)

    @contextlib.contextmanager
    def _received(self, archive: IO[bytes]) -> Iterator[_Received]:
        """The archive checked and flushed to disk, in a folder of its own; removed at the end unless moved away."""
        folder = self.folders.incoming / uuid.uuid4().hex
        os.mkdir(folder, 0o700)
        try:
            with open(folder / ARCHIVE, "w+b", opener=_private) as stored:
                shutil.copyfileobj(archive, stored)
                size = stored.tell()
                if size > Limits().compressed:
                    raise ApiError("body_too_large", "The archive is over 25 MiB.")
                package = examine(stored)
                stored.flush()
                os.fsync(stored.fileno())
            flush_folder(folder)
            yield _Received(folder, package, size)
        finally:
            remove(folder)

    def _insert_prebuilt(self, tx: sqlite3.Connection, prebuilt_id: str, request: Request, content_hash: str) -> None:
        same = (request.user_id, request.skill_id, content_hash)
        if tx.execute(
            "SELECT 1 FROM prebuilt WHERE user_id = ? AND skill_id = ? AND content_hash = ?", same
        ).fetchone():
            raise ApiError("prefix_exists", "This content is stored already.")
        tx.execute(
            "INSERT INTO prebuilt (id, user_id, skill_id, content_hash, created_at) VALUES (?, ?, ?, ?, ?)",
            (prebuilt_id, *same, timestamp(self.jobs.clock())),
        )

    def _remember(self, tx: sqlite3.Connection, request: Request, content_hash: str, answer: dict[str, Any]) -> None:
        if request.key is not None:
            row = (request.user_id, request.call, request.key, request.skill_id, content_hash, json.dumps(answer))
            tx.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, timestamp(self.jobs.clock())))


def check_idempotency_key(key: Optional[str], pattern: re.Pattern[str]) -> Optional[str]:
    """`key` itself. Raises ApiError `invalid_idempotency_key`."""
    if key is not None and not pattern.fullmatch(key):
        raise ApiError("invalid_idempotency_key", f"The Idempotency-Key must match {pattern.pattern}.")
    return key


def _replay(tx: sqlite3.Connection, request: Request, content_hash: str) -> Optional[dict[str, Any]]:
    """The answer that was given for this key before. Raises ApiError `idempotency_key_reused`."""
    if request.key is None:
        return None
    row = tx.execute(
        "SELECT * FROM idempotency WHERE user_id = ? AND call = ? AND key = ?",
        (request.user_id, request.call, request.key),
    ).fetchone()
    if row is None:
        return None
    if (row["skill_id"], row["content_hash"]) != (request.skill_id, content_hash):
        raise ApiError("idempotency_key_reused", "This Idempotency-Key was used for something else.")
    answer: dict[str, Any] = json.loads(row["answer"])
    return answer


def _measures(received: _Received) -> dict[str, Any]:
    return {
        "file_count": len(received.package.entries),
        "uploaded_bytes": received.size,
        "source_revision": received.package.content_hash[:16],
    }


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL, 0o600)
