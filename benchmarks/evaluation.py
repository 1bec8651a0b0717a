"""Two arms of 64 cases, three runs each, against a model that takes 200 ms: how close to ideal. Prints one Markdown row.

Ideal is what arithmetic says: calls × latency ÷ concurrency. The same requests from a bare pool of threads stand beside
it, since that is what this machine can do at most. All the rest counts: the budget, every answer flushed to disk,
grading, and the job's own state asked for between calls, as in the gateway.

Usage: python benchmarks/evaluation.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measure import PREFIX, compared, report, seconds, takes_no_arguments
from benchmarks.slow_model import slow_model

LATENCY_S = 0.2
CONCURRENCY = 16
CASES = 64
REPEATS = 3
CALLS = 2 * CASES * REPEATS
ROUNDS = 3
BAR = 1.2


def bare(url: str) -> float:
    """Seconds that the requests take by themselves."""
    import requests
    from requests.adapters import HTTPAdapter

    with requests.Session() as session, ThreadPoolExecutor(CONCURRENCY) as pool:
        session.trust_env = False
        session.mount("http://", HTTPAdapter(pool_maxsize=CONCURRENCY))
        started = time.perf_counter()
        list(pool.map(lambda _: session.post(f"{url}/chat/completions", data=b"{}").content, range(CALLS)))
        return time.perf_counter() - started


def claimed(root: Path) -> Callable[[], None]:
    """What is asked between calls: the state of a job in a gateway's database."""
    from mega_code.gateway.config import Config, utc_now
    from mega_code.gateway.database import Database
    from mega_code.gateway.jobs import Jobs
    from mega_code.gateway.worker import Progress

    jobs = Jobs(Database(root / "gateway.sqlite3"), Config(), utc_now)
    with jobs.database.transaction() as tx:
        jobs.insert(tx, str(uuid.uuid4()), "user", "demo", "hash")
    job = jobs.claim()
    assert job and job.lease
    progress = Progress(jobs, job, job.lease, root, threading.Event())
    return lambda: progress.phase("evaluation_setup")


def measure(url: str, root: Path) -> float:
    """Seconds of one round, with nothing remembered."""
    from mega_code.evaluation import arms, triggers
    from mega_code.evaluation.budget import Budget, Limits
    from mega_code.evaluation.calls import Calls
    from mega_code.evaluation.cases import Case, Expectation
    from mega_code.evaluation.executor import Threads
    from mega_code.evaluation.models.openai import OpenAI
    from mega_code.evaluation.store import Store

    cases = [(Case(str(n), f"Question {n}?", (Expectation("contains", "Yes"),)), REPEATS) for n in range(CASES)]
    store = Store(root / "completions.sqlite3")
    calls = Calls(
        OpenAI("slow", url), store, "job", Budget(Limits(calls=10_000)), Threads(), CONCURRENCY, claimed(root)
    )
    started = time.perf_counter()
    models = arms.Models(calls, calls, triggers.Loader(calls, triggers.request), 100)
    arms.measure({"baseline": "", "original": "Say yes."}, cases, models, 0)
    taken = time.perf_counter() - started
    store.close()
    return taken


def main() -> int:
    """Exit 1 if the bar is missed."""
    takes_no_arguments(__doc__)
    with slow_model(LATENCY_S) as url:
        pairs = []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory(prefix=PREFIX) as root:
                pairs.append((bare(url), measure(url, Path(root))))
    threads, taken = (statistics.median(side) for side in zip(*pairs))
    what = f"evaluation, {CASES} cases × {REPEATS} repeats × 2 arms, {LATENCY_S} s a call, {CONCURRENCY} at a time"
    ideal = f"calls × latency ÷ concurrency (bare threads: {seconds(threads)})"
    return report([compared(what, [taken], ideal, [CALLS * LATENCY_S / CONCURRENCY], BAR)])


if __name__ == "__main__":
    sys.exit(main())
