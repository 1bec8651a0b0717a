"""The gateway's SQLite file: its schema and its transactions."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

from mega_code.errors import MegaCodeError

BUSY_S = 10.0
# A job in one of these says nothing about its content, so the same content may be submitted again.
_RETRYABLE = "('failed', 'cancelled', 'enhancement_blocked')"
# Said in just these words by the queries that are not to look at every job that is kept: SQLite goes by the text.
OPEN = "status IN ('queued', 'running')"
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        """CREATE TABLE keys (
            key_hash TEXT PRIMARY KEY,
            user_id TEXT NOT NULL,
            purpose TEXT NOT NULL CHECK (purpose IN ('client', 'user')),
            created_at TEXT NOT NULL,
            revoked_at TEXT
        )""",
        """CREATE TABLE jobs (
            seq INTEGER PRIMARY KEY,
            job_id TEXT NOT NULL UNIQUE,
            user_id TEXT NOT NULL,
            skill_id TEXT NOT NULL,
            content_hash TEXT NOT NULL,
            status TEXT NOT NULL,
            phase TEXT CHECK (phase IN ('intake', 'evaluation_setup', 'iterating', 'publishing')),
            current_iteration INTEGER,
            total_iterations INTEGER,
            version INTEGER NOT NULL DEFAULT 0,
            created_at TEXT NOT NULL,
            phase_started_at TEXT,
            completed_at TEXT,
            attempts INTEGER NOT NULL DEFAULT 0,
            lease TEXT UNIQUE,
            lease_expires REAL,
            cancel_requested INTEGER NOT NULL DEFAULT 0,
            result TEXT,
            folder TEXT NOT NULL DEFAULT ''
        )""",
        f"CREATE UNIQUE INDEX one_job_a_content ON jobs (user_id, content_hash) WHERE status NOT IN {_RETRYABLE}",
        f"CREATE INDEX open_jobs ON jobs (seq) WHERE {OPEN}",
        """CREATE TABLE files (
            job_id TEXT NOT NULL REFERENCES jobs (job_id),
            relpath TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            size INTEGER NOT NULL,
            mode TEXT NOT NULL,
            PRIMARY KEY (job_id, relpath)
        ) WITHOUT ROWID""",
        """CREATE TABLE prebuilt (
            id TEXT PRIMARY KEY,
            user_id TEXT NOT NULL,
            skill_id TEXT NOT NULL,
            content_hash TEXT NOT NULL,
            created_at TEXT NOT NULL,
            UNIQUE (user_id, skill_id, content_hash)
        )""",
        """CREATE TABLE idempotency (
            user_id TEXT NOT NULL,
            call TEXT NOT NULL,
            key TEXT NOT NULL,
            skill_id TEXT NOT NULL,
            content_hash TEXT NOT NULL,
            answer TEXT NOT NULL,
            created_at TEXT NOT NULL,
            PRIMARY KEY (user_id, call, key)
        )""",
    ),
    (
        "ALTER TABLE jobs ADD COLUMN model TEXT NOT NULL DEFAULT 'static'",
        "DROP INDEX one_job_a_content",
        f"CREATE UNIQUE INDEX one_job_a_content ON jobs (user_id, content_hash, model) WHERE status NOT IN {_RETRYABLE}",
    ),
    ("ALTER TABLE jobs ADD COLUMN trace TEXT NOT NULL DEFAULT '{}'",),
    (
        "ALTER TABLE jobs ADD COLUMN expired_at REAL",
        "DROP INDEX one_job_a_content",
        f"""CREATE UNIQUE INDEX one_job_a_content ON jobs (user_id, content_hash, model)
        WHERE status NOT IN {_RETRYABLE} AND expired_at IS NULL""",
        "CREATE INDEX kept_jobs ON jobs (completed_at) WHERE result IS NOT NULL",
    ),
)

Row = sqlite3.Row


class Database:
    """Two connections, each used by one thread at a time: who reads does not wait for what is flushed to disk.

    Processes wait for each other through the file.
    """

    def __init__(self, path: Path) -> None:
        """Opens or makes the file (mode 0600, as are its side files).

        Raises MegaCodeError `invalid_path` for a file that a newer version made, sqlite3.Error where it is no database.
        """
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self._writing, self._reading = threading.RLock(), threading.Lock()
        with contextlib.ExitStack() as undo:
            self._writer = undo.enter_context(contextlib.closing(_connect(path)))
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = FULL")  # an accepted job survives a power cut
            self._migrate(path)
            self._reader = undo.enter_context(contextlib.closing(_connect(path)))
            self._reader.execute("PRAGMA query_only = ON")
            undo.pop_all()

    def _migrate(self, path: Path) -> None:
        with self.transaction() as tx:
            version = tx.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise MegaCodeError("invalid_path", f"{str(path)!r} was made by a newer mega-code; update this one.")
            for migration in MIGRATIONS[version:]:
                for statement in migration:
                    tx.execute(statement)
            tx.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and alone: the write lock is taken at the start. Not nested."""
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def one(self, query: str, values: Sequence[Any] = ()) -> Optional[Row]:
        """The first row of a reading query, or None; it sees what is committed."""
        with self._reading:
            row: Optional[Row] = self._reader.execute(query, values).fetchone()
            return row

    def all(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a reading query."""
        with self._reading:
            return self._reader.execute(query, values).fetchall()

    def meta(self, name: str) -> Optional[str]:
        """A value kept by name, or None."""
        row = self.one("SELECT value FROM meta WHERE name = ?", (name,))
        return None if row is None else str(row["value"])

    def set_meta(self, name: str, value: str) -> None:
        """Keep a value by name."""
        with self.transaction() as tx:
            tx.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Fold the write-ahead log into the file; every later use raises sqlite3.ProgrammingError."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = Row
    return connection
