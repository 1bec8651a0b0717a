"""The embedded gateway under load: its own process on a data folder of its own, over real HTTP. Prints Markdown rows.

    python benchmarks/gateway.py [--jobs 10000]

A hundred users queue 1,000 jobs of the smallest skill, which the gateway's one worker works through; for each that ends
another one is queued. Meanwhile their clients ask, see `load.py`. What is timed is the plain status call, from before it
connects to its last byte. The process's memory is read until so many jobs have ended: how much it grows with each is the
slope of a line through the last half of that, and its highest point is compared with where it was after a tenth.

The cost of a poll is that of calls, one after another, to a gateway that keeps 10 ended jobs and to one that keeps
10,000, in turn; each of the two has one job more that waits. Where there are more cores than two, two are used.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
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
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Optional
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.load import API, PREFER, Address, Load, call
from benchmarks.measure import PREFIX, REPOSITORY, Row, compared, counted, report, two_cores
from mega_code.gateway.auth import Keys
from mega_code.gateway.config import timestamp, utc_now
from mega_code.gateway.database import Database
from mega_code.gateway.folders import Folders
from mega_code.paths import DataDir

CLIENTS = 100
JOBS = 10_000
QUEUED = 1000
KEPT = (10, 10_000)
CALLS = 1000
LOOK_S = 0.25
P99_MS, GROWTH_KIB, HIGHEST, COST = 100.0, 0.5, 1.1, 1.2
INSERT = """INSERT INTO jobs (job_id, user_id, skill_id, content_hash, status, created_at, completed_at, result)
    VALUES (?, 'user-0', 'kept', ?, ?, ?, ?, ?)"""
RESULT = json.dumps({"artifact_kind": "source", "roi": [], "reason": "Nothing to mend. " * 20})
Curve = Sequence[tuple[int, float]]


@contextlib.contextmanager
def gateway(data: Path, keys: int = 1, kept: Optional[int] = None) -> Iterator[tuple[Address, list[str]]]:
    """A running gateway with so many users' keys, and with what `keep` puts there."""
    folders = Folders(DataDir(data).gateway)
    folders.make()
    with closing(Database(folders.database)) as database:
        issued = [Keys(database, utc_now).issue(f"user-{number}") for number in range(keys)]
        if kept is not None:
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
    """Put jobs of the first user into the store: so many that have just ended, and two more.

    The worker takes the first of the two and waits for its archive, a pipe that nobody writes to; so the second waits.
    """
    now = timestamp(utc_now())
    states = [*[("succeeded", now, now, RESULT)] * count, *[("queued", now, None, None)] * 2]
    with database.transaction() as tx:
        for number, state in enumerate(states):
            job_id = str(uuid.uuid4())
            folders.job(job_id).mkdir(parents=True)
            tx.execute(INSERT, (job_id, f"{number:064x}", *state))
            if number == count:
                os.mkfifo(folders.archive(job_id))


def resident_mib(pid: int) -> float:
    """The resident memory of a process."""
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True, text=True).stdout
    return int(said) / 1024


class Measured(NamedTuple):
    """The status calls' times; memory (MiB) by the number of jobs ended; jobs a second."""

    load: Load
    curve: Curve
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


class Kept(NamedTuple):
    """A gateway, its key, and the ids of its ended jobs and of the one that is queued."""

    to: Address
    key: str
    ended: list[str]
    queued: list[str]


def kept_by(data: Path, to: Address, key: str, count: int) -> Kept:
    """What a gateway keeps; an AssertionError where that is not what was put there, or is kept no longer."""
    with closing(Database(Folders(DataDir(data).gateway).database)) as database:
        rows = database.all("SELECT job_id, status FROM jobs WHERE result IS NOT NULL OR completed_at IS NULL")
        (expired,) = database.one("SELECT COUNT(*) FROM jobs WHERE expired_at IS NOT NULL") or (None,)
    ids = {status: [row["job_id"] for row in rows if row["status"] == status] for status in ("succeeded", "queued")}
    assert (expired, len(ids["succeeded"]), len(ids["queued"])) == (0, count, 1), (expired, len(rows))
    return Kept(to, key, ids["succeeded"], ids["queued"])


async def costs(sides: Sequence[Kept], status: str, headers: str = "") -> list[list[float]]:
    """Seconds of calls to each gateway, asked in turn for jobs of that status."""
    took: list[list[float]] = [[] for _ in sides]
    for _ in range(CALLS):
        for taken, side in zip(took, sides):
            path = f"{API}/jobs/{random.choice(side.queued if status == 'queued' else side.ended)}"
            began = time.perf_counter()
            answer = await call(side.to, side.key, "GET", path, headers)
            taken.append(time.perf_counter() - began)
            assert answer.status == 200 and json.loads(answer.body)["status"] == status, answer
            assert bool(headers) == ("preference-applied" in answer.head), answer
    return took


def cost_rows(root: Path) -> list[Row]:
    """What a poll costs where many jobs are kept, against where few are."""
    few, many = ((root / str(count), count) for count in KEPT)
    with gateway(few[0], 1, few[1]) as (small, one), gateway(many[0], 1, many[1]) as (large, other):
        pairs = ((few, small, one[0]), (many, large, other[0]))
        sides = [kept_by(data, to, key, count) for (data, count), to, key in pairs]
        taken = {
            "status call of an ended job": asyncio.run(costs(sides, "succeeded")),
            "status call of a queued job": asyncio.run(costs(sides, "queued")),
            "poll with `Prefer` of an ended job": asyncio.run(costs(sides, "succeeded", PREFER)),
        }
        for (data, count), to, key in pairs:
            kept_by(data, to, key, count)
    where = f"gateway that keeps {KEPT[1]:,} jobs"
    return [compared(f"{what}, {where}", dear, f"{KEPT[0]} jobs", cheap, COST) for what, (cheap, dear) in taken.items()]


def load_rows(measured: Measured, jobs: int, cores: int) -> list[Row]:
    """How long a status call takes and how memory grows; the curve goes to stderr."""
    load, curve = measured.load, measured.curve
    for count, mib in curve[:: max(1, len(curve) // 20)]:
        print(f"{count} jobs ended: {mib:.1f} MiB", file=sys.stderr)
    print(f"answers to Prefer: {load.polls}", file=sys.stderr)
    p99 = statistics.quantiles(load.took_ms, n=100)[98]
    asked = f"status call while {CLIENTS} clients poll and {QUEUED:,} jobs are queued, p99"
    shown = f"{p99:.0f} ms, median {statistics.median(load.took_ms):.0f} ms, {cores} cores"
    growth = 1024 * slope([point for point in curve if point[0] >= jobs / 2])
    early, before = next(point for point in curve if point[0] >= jobs / 10)
    _, highest = max(curve, key=lambda point: point[1])
    memory = f"gateway's memory over {jobs:,} jobs"
    against = f"{before:.1f} MiB after {early:,} jobs"
    each = f"{growth:.2f} KiB a job, {measured.rate:.0f} jobs a second"
    return [
        counted(asked, p99, shown, P99_MS, " ms"),
        counted(f"{memory}: growth in the last half", growth, each, GROWTH_KIB, " KiB a job"),
        Row(
            f"{memory}: highest",
            f"{highest:.1f} MiB",
            against,
            f"{highest / before:.2f}",
            highest / before,
            HIGHEST,
            unit="×",
        ),
    ]


def slope(points: Curve) -> float:
    """Of the line that fits best, by least squares."""
    middle, level = (statistics.fmean(column) for column in zip(*points))
    return sum((x - middle) * (y - level) for x, y in points) / sum((x - middle) ** 2 for x, _ in points)


def main(argv: Optional[list[str]] = None) -> int:
    """Exit 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="The embedded gateway under load.")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"jobs in all (default: {JOBS})")
    jobs = parser.parse_args(argv).jobs
    cores = two_cores()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as root:
        loaded = Path(root) / "load"
        with gateway(loaded, CLIENTS) as (to, keys):
            store = Folders(DataDir(loaded).gateway).database
            measured = asyncio.run(under_load(to, keys, jobs, store))
        return report([*load_rows(measured, jobs, cores), *cost_rows(Path(root))])


if __name__ == "__main__":
    sys.exit(main())
