"""The SQLite file that remembers every completion, and every attempt that a job has paid for."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

from mega_code.errors import MegaCodeError
from mega_code.evaluation.budget import Spent
from mega_code.evaluation.models.base import Completion

BUSY_S = 30.0
WITHOUT_TEXT = ("refused", "empty")  # outcomes
# An attempt is open from before it is sent until its end is known: one whose process was killed stays open for good.
FIRST = (
    """CREATE TABLE completions (
        key TEXT PRIMARY KEY,
        text TEXT NOT NULL,
        model TEXT NOT NULL,
        input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        cost_usd REAL NOT NULL,
        outcome TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE ledger (
        ticket INTEGER PRIMARY KEY,
        job TEXT NOT NULL,
        key TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'failed', 'answered')),
        tokens_at_most INTEGER NOT NULL,
        cost_at_most REAL NOT NULL,
        input_tokens INTEGER NOT NULL DEFAULT 0,
        output_tokens INTEGER NOT NULL DEFAULT 0,
        cost_usd REAL NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX attempts ON ledger (job, key)",
    "CREATE TABLE reused (job TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (job, key)) WITHOUT ROWID",
)
LIVES = ("CREATE TABLE lives (life INTEGER PRIMARY KEY, job TEXT NOT NULL, wall_s REAL NOT NULL DEFAULT 0)",)
SCHEMA = (FIRST, LIVES)  # what each version has added
VERSION = len(SCHEMA)


class Usage(NamedTuple):
    """What a job has used over all its lives: attempts sent, distinct requests that another job had paid for, and
    what the answers have cost; and for how long it was worked on."""

    calls: int
    cached_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    wall_s: float = 0.0


class Store:
    """One connection for all threads of a process; processes wait for each other through the file."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file (mode 0600); its folder must be there.

        Raises MegaCodeError `invalid_path` for a file that a newer version made, sqlite3.Error where it is no database.
        """
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            self._write_ahead()
            self._connection.execute("PRAGMA synchronous = FULL")  # an answer that was paid for survives a power cut
            self._prepare(path)
        except BaseException:
            self._connection.close()
            raise

    def _write_ahead(self) -> None:
        """Two that make the change at once are not kept waiting by SQLite: one of them is turned away."""
        until = time.monotonic() + BUSY_S
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def _prepare(self, path: Path) -> None:
        with self._transaction() as tx:
            version = tx.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise MegaCodeError("invalid_path", f"{str(path)!r} was made by a newer mega-code; update this one.")
            if version < VERSION:
                for statement in itertools.chain(*SCHEMA[version:]):
                    tx.execute(statement)
                tx.execute(f"PRAGMA user_version = {VERSION}")

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is noted in the block goes to the disk at its end, in one go, also where the block ends with an error.

        A flush takes milliseconds, in which nothing else can be noted.
        """
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                if self._connection.in_transaction:  # SQLite ends it by itself where the disk is full
                    self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def get(self, job: str, key: str) -> Optional[Completion]:
        """The completion of a key, or None; noted as reused where it was not `job` that paid for it.

        An answer without text is there for the job that got it and no other: asked again, the model may say something.
        """
        with self._lock:
            found = self._completion(key)
            if found is None or self._one("SELECT 1 FROM reused WHERE job = ? AND key = ?", job, key):
                return found
            if self._one("SELECT 1 FROM ledger WHERE job = ? AND key = ? AND state = 'answered'", job, key):
                return found
            if found.outcome in WITHOUT_TEXT:
                return None
            self._connection.execute("INSERT OR IGNORE INTO reused (job, key) VALUES (?, ?)", (job, key))
            return found

    def knows(self, job: str, key: str) -> bool:
        """Whether `get` would find a completion; nothing is noted."""
        query = f"""SELECT 1 FROM completions WHERE key = ? AND (outcome NOT IN {WITHOUT_TEXT}
            OR EXISTS (SELECT 1 FROM ledger WHERE job = ? AND key = completions.key AND state = 'answered'))"""
        return self._one(query, key, job) is not None

    def begin(self, job: str, key: str, at_most: Spent) -> int:
        """Note an attempt that is about to be sent and may use `at_most`; its ticket."""
        with self._transaction() as tx:
            row = (job, key, "open", at_most.tokens, at_most.cost_usd)
            sent = tx.execute(
                "INSERT INTO ledger (job, key, state, tokens_at_most, cost_at_most) VALUES (?, ?, ?, ?, ?)", row
            )
            assert sent.lastrowid is not None
            return sent.lastrowid

    def settle(self, ticket: int, completion: Completion) -> Completion:
        """Keep an attempt's answer and what it has cost, both or neither; the completion that its key has from now on.

        That is another one where somebody else's answer to the same request came first, and was one with a text.
        """
        with self._transaction() as tx:
            tx.execute(
                "UPDATE ledger SET state = 'answered', input_tokens = ?, output_tokens = ?, cost_usd = ?"
                " WHERE ticket = ?",
                (completion.input_tokens, completion.output_tokens, completion.cost_usd, ticket),
            )
            key = tx.execute("SELECT key FROM ledger WHERE ticket = ?", (ticket,)).fetchone()[0]
            tx.execute(f"DELETE FROM completions WHERE key = ? AND outcome IN {WITHOUT_TEXT}", (key,))
            tx.execute("INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?, ?, ?, ?)", (key, *completion))
            return self._completion(key) or completion

    def fail(self, ticket: int) -> None:
        """Note that an attempt has brought nothing and has cost nothing."""
        with self._transaction() as tx:
            tx.execute("UPDATE ledger SET state = 'failed' WHERE ticket = ?", (ticket,))

    def withdraw(self, ticket: int) -> None:
        """Note that an attempt was never sent, as if there had been none."""
        with self._transaction() as tx:
            tx.execute("DELETE FROM ledger WHERE ticket = ?", (ticket,))

    def live(self, job: str) -> int:
        """Note that a job is worked on from now on; the number of this life of it."""
        with self._transaction() as tx:
            life = tx.execute("INSERT INTO lives (job) VALUES (?)", (job,)).lastrowid
            assert life is not None
            return life

    def lived(self, life: int, wall_s: float) -> None:
        """Note how long a life has lasted by now."""
        with self._transaction() as tx:
            tx.execute("UPDATE lives SET wall_s = ? WHERE life = ?", (wall_s, life))

    def usage(self, job: str) -> Usage:
        """What a job has used so far."""
        with self._lock:
            calls, *used = self._row(
                "SELECT COUNT(*), TOTAL(input_tokens), TOTAL(output_tokens), TOTAL(cost_usd) FROM ledger WHERE job = ?",
                job,
            )
            (cached,) = self._row("SELECT COUNT(*) FROM reused WHERE job = ?", job)
            (wall_s,) = self._row("SELECT TOTAL(wall_s) FROM lives WHERE job = ?", job)
        return Usage(int(calls), int(cached), int(used[0]), int(used[1]), used[2], round(wall_s, 3))

    def spent(self, job: str) -> Spent:
        """What counts against the limits of a job."""
        calls, tokens, cost = self._row(
            """SELECT COUNT(*),
                TOTAL(CASE state WHEN 'open' THEN tokens_at_most ELSE input_tokens + output_tokens END),
                TOTAL(CASE state WHEN 'open' THEN cost_at_most ELSE cost_usd END)
            FROM ledger WHERE job = ?""",
            job,
        )
        return Spent(int(calls), int(tokens), cost)

    def close(self) -> None:
        """Every later use raises sqlite3.ProgrammingError."""
        with self._lock:
            self._connection.close()

    def _completion(self, key: str) -> Optional[Completion]:
        row = self._one("SELECT * FROM completions WHERE key = ?", key)
        return None if row is None else Completion(*row[1:])

    def _row(self, query: str, *values: str) -> tuple[float, ...]:
        row = self._one(query, *values)
        assert row is not None
        return row

    def _one(self, query: str, *values: str) -> Optional[tuple]:  # type: ignore[type-arg]
        with self._lock:
            row: Optional[tuple] = self._connection.execute(query, values).fetchone()  # type: ignore[type-arg]
            return row
