"""The embedded gateway under load: its own process on a data folder of its own, over real HTTP. Prints Markdown rows.

    python benchmarks/gateway.py [--jobs 1000]

A hundred users queue 1,000 jobs of the smallest skill, which the gateway's one worker works through; for each that ends
another one is queued. Meanwhile each user's client follows its newest job as the real client does (`Prefer: wait=20`;
answered at once, it comes back after one second, growing to ten) and asks beside that for the plain status every second.
What is timed is the plain status call, from before it connects to its last byte; every call has a connection of its own,
as the real client's have. The process's memory is read until so many jobs have ended. The cost of a poll is that of plain
status calls, one after another, to an idle gateway that keeps 10 ended jobs and to one that keeps 10,000, in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import itertools
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Optional
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measure import PREFIX, REPOSITORY, Row, compared, counted, report
from mega_code.gateway.auth import Keys
from mega_code.gateway.config import utc_now
from mega_code.gateway.database import Database
from mega_code.gateway.folders import Folders
from mega_code.paths import DataDir
from mega_code.settings import API_BASE

CLIENTS = 100
QUEUED = 1000
UPLOADS_AT_ONCE = 4
KEPT = (10, 10_000)
CALLS = 1000
LOOK_S = 0.25
P99_MS, GROWTH, COST = 100.0, 1.1, 1.2
API = f"{API_BASE}/skill-enhance"


class Address(NamedTuple):
    """Where a gateway answers, and its process."""

    host: str
    port: int
    pid: int


class Answer(NamedTuple):
    """Status, head in lower case and body."""

    status: int
    head: str
    body: bytes


@contextlib.contextmanager
def gateway(data: Path, keys: int = 1, kept: int = 0) -> Iterator[tuple[Address, list[str]]]:
    """A running gateway with so many users' keys and so many ended jobs of the first of them."""
    folders = Folders(DataDir(data).gateway)
    folders.make()
    with closing(Database(folders.database)) as database:
        issued = [Keys(database, utc_now).issue(f"user-{number}") for number in range(keys)]
        keep(database, folders, kept)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MEGA_CODE_", "OTEL_"))}
    env.update(MEGA_CODE_DATA_DIR=str(data), MEGA_CODE_GATEWAY_MAX_QUEUED=str(2 * QUEUED))
    command = [sys.executable, "-m", "mega_code.gateway"]
    subprocess.run([*command, "start"], cwd=REPOSITORY, env=env, check=True, stdout=subprocess.DEVNULL)
    try:
        url = urlsplit(json.loads((data / "gateway/client.json").read_text())["server_url"])
        pid = int((data / "gateway/pid").read_text())
        yield Address(str(url.hostname), int(url.port or 0), pid), issued
    finally:
        subprocess.run([*command, "stop"], cwd=REPOSITORY, env=env, check=True, stdout=subprocess.DEVNULL)


def keep(database: Database, folders: Folders, count: int) -> None:
    """Put ended jobs into the store, as a year of work would."""
    result = json.dumps({"artifact_kind": "source", "roi": [], "reason": "Nothing to mend. " * 20})
    with database.transaction() as tx:
        for number in range(count):
            job_id = str(uuid.uuid4())
            folders.job(job_id).mkdir(parents=True)
            tx.execute(
                """INSERT INTO jobs (job_id, user_id, skill_id, content_hash, status, created_at, completed_at, result)
                VALUES (?, 'user-0', 'kept', ?, 'succeeded', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', ?)""",
                (job_id, f"{number:064x}", result),
            )


async def call(to: Address, key: str, method: str, path: str, headers: str = "", body: bytes = b"") -> Answer:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection(to.host, to.port)
    try:
        head = f"{method} {path} HTTP/1.1\r\nHost: {to.host}:{to.port}\r\nAuthorization: Bearer {key}\r\n{headers}"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answered, _, content = (await reader.read(-1)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    text = answered.decode("latin-1").lower()
    return Answer(int(text.split()[1]), text, content)


def upload_body(number: int, boundary: str) -> bytes:
    """The form with the smallest skill, unlike any other."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("SKILL.md", f"---\nname: small\ndescription: Shows things.\n---\n# Number {number}\n")
    parts = (
        b'"source"\r\n\r\napi',
        b'"skill_id"\r\n\r\nsmall',
        b'"archive"; filename="a.zip"\r\n\r\n' + archive.getvalue(),
    )
    mark = f"--{boundary}".encode()
    return (
        b"".join(mark + b"\r\nContent-Disposition: form-data; name=" + part + b"\r\n" for part in parts) + mark + b"--"
    )


class Load:
    """What one gateway is asked for; `jobs` by user, in the order of their submission."""

    def __init__(self, to: Address, keys: list[str]) -> None:
        self.to, self.keys = to, keys
        self.jobs: list[list[str]] = [[] for _ in keys]
        self.took_ms: list[float] = []
        self.polls = {"held": 0, "at once": 0}
        self._numbers = itertools.count()

    async def submit(self, count: int) -> None:
        """Queue so many jobs, in turn for each user."""

        async def some() -> None:
            while (number := next(self._numbers)) < until:
                user = number % len(self.keys)
                form = f"Content-Type: multipart/form-data; boundary={number:032}\r\n"
                body = upload_body(number, f"{number:032}")
                answer = await call(self.to, self.keys[user], "POST", f"{API}/uploads", form, body)
                assert answer.status == 201, answer
                self.jobs[user].append(json.loads(answer.body)["job_id"])

        until = sum(map(len, self.jobs)) + count
        self._numbers = itertools.count(until - count)
        await asyncio.gather(*(some() for _ in range(UPLOADS_AT_ONCE)))

    async def poll(self, enough: asyncio.Event) -> None:
        """All clients at once, each following its newest job."""
        users = range(len(self.keys))
        asking = [*(self._ask(user) for user in users), *(self._follow(user) for user in users)]
        tasks = [asyncio.ensure_future(one) for one in asking]
        await asyncio.wait([*tasks, asyncio.ensure_future(enough.wait())], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()  # raises what went wrong
            task.cancel()

    async def _ask(self, user: int) -> None:
        await asyncio.sleep(random.random())
        while True:
            began = time.perf_counter()
            answer = await call(self.to, self.keys[user], "GET", f"{API}/jobs/{self.jobs[user][-1]}")
            self.took_ms.append(1000 * (time.perf_counter() - began))
            assert answer.status == 200, answer
            await asyncio.sleep(max(0.0, began + 1 - time.perf_counter()))

    async def _follow(self, user: int) -> None:
        delay = 1.0
        await asyncio.sleep(random.random())
        while True:
            asked = call(self.to, self.keys[user], "GET", f"{API}/jobs/{self.jobs[user][-1]}", "Prefer: wait=20\r\n")
            answer = await asked
            if "preference-applied" in answer.head:
                self.polls["held"] += 1
                delay = 1.0
                continue
            self.polls["at once"] += 1
            await asyncio.sleep(delay * random.uniform(0.75, 1.0))
            delay = min(10.0, delay * 1.6)


def resident_mib(pid: int) -> float:
    """The resident memory of a process."""
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True, text=True).stdout
    return int(said) / 1024


class Measured(NamedTuple):
    """The status calls' times; memory (MiB) by the number of jobs ended; jobs a second."""

    load: Load
    curve: list[tuple[int, float]]
    rate: float


async def under_load(to: Address, keys: list[str], jobs: int, store: Path) -> Measured:
    """Queue, poll, and queue one more for each job that ends, until `jobs` have ended."""
    load, enough = Load(to, keys), asyncio.Event()
    await load.submit(QUEUED)
    began, first = time.perf_counter(), ended(store)
    polling = asyncio.ensure_future(load.poll(enough))
    curve = [(first, resident_mib(to.pid))]
    while curve[-1][0] < jobs and not polling.done():
        await asyncio.sleep(LOOK_S)
        curve.append((ended(store), resident_mib(to.pid)))
        await load.submit(curve[-1][0] - curve[-2][0])
    rate = (curve[-1][0] - first) / (time.perf_counter() - began)
    enough.set()
    await polling
    return Measured(load, curve, rate)


def ended(store: Path) -> int:
    """How many jobs have ended, all of them well."""
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as connection:
        counted = dict(connection.execute("SELECT status, COUNT(*) FROM jobs GROUP BY status"))
    assert set(counted) <= {"queued", "running", "succeeded"}, counted
    return int(counted.get("succeeded", 0))


async def cost(few: tuple[Address, str, str], many: tuple[Address, str, str]) -> tuple[float, float]:
    """Median milliseconds of a plain status call to each of two gateways, asked in turn."""
    took: list[list[float]] = [[], []]
    for _ in range(CALLS):
        for side, (to, key, job_id) in zip(took, (few, many)):
            began = time.perf_counter()
            answer = await call(to, key, "GET", f"{API}/jobs/{job_id}")
            side.append(1000 * (time.perf_counter() - began))
            assert answer.status == 200, answer
    return statistics.median(took[0]), statistics.median(took[1])


def kept_job(data: Path) -> str:
    """The id of a job in the middle of those that are kept."""
    with closing(Database(Folders(DataDir(data).gateway).database)) as database:
        row = database.one("SELECT job_id FROM jobs WHERE seq = (SELECT MAX(seq) / 2 FROM jobs)")
    assert row
    return str(row["job_id"])


def main(argv: Optional[list[str]] = None) -> int:
    """Exit 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="The embedded gateway under load.")
    parser.add_argument("--jobs", type=int, default=QUEUED, help=f"jobs in all (default: {QUEUED})")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as root:
        loaded, few, many = (Path(root) / name for name in ("load", "few", "many"))
        with gateway(loaded, CLIENTS) as (to, keys):
            store = Folders(DataDir(loaded).gateway).database
            measured = asyncio.run(under_load(to, keys, arguments.jobs, store))
        with gateway(few, 1, KEPT[0]) as (small, one), gateway(many, 1, KEPT[1]) as (large, other):
            cheap, dear = asyncio.run(cost((small, one[0], kept_job(few)), (large, other[0], kept_job(many))))
    kept = f"status call, gateway that keeps {KEPT[1]:,} jobs"
    return report([*load_rows(measured), compared(kept, [dear / 1000], f"{KEPT[0]} jobs", [cheap / 1000], COST)])


def load_rows(measured: Measured) -> list[Row]:
    """How long a status call takes and how memory grows; the curve goes to stderr."""
    load, curve = measured.load, measured.curve
    for count, mib in curve[:: max(1, len(curve) // 20)]:
        print(f"{count} jobs ended: {mib:.1f} MiB", file=sys.stderr)
    print(f"answers to Prefer: {load.polls}", file=sys.stderr)
    count, last = curve[-1]
    early, before = next(point for point in curve if point[0] >= count / 10)
    p99 = statistics.quantiles(load.took_ms, n=100)[98]
    asked = f"status call while {CLIENTS} clients poll and {QUEUED:,} jobs are queued, p99"
    shown = f"{p99:.0f} ms, median {statistics.median(load.took_ms):.0f} ms"
    memory = f"gateway's memory after {count:,} jobs, {measured.rate:.0f} a second"
    flat = Row(
        memory, f"{last:.1f} MiB", f"{before:.1f} MiB after {early:,}", f"{last / before:.2f}", last / before, GROWTH
    )
    return [counted(asked, p99, shown, P99_MS, " ms"), flat._replace(unit="×")]


if __name__ == "__main__":
    sys.exit(main())
