"""Two arms of 64 cases, three runs each, against a model that takes 200 ms: how close to ideal. Prints one Markdown row.

Ideal are the same requests from a bare pool of 16 threads, in the same run; what arithmetic says stands beside it, which
a busy machine cannot reach. All the rest counts: the budget, every answer flushed to disk, grading, and the job's own
state asked for between calls, as in the gateway.

Usage: python benchmarks/evaluation.py
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
LATENCY_S = 0.2
CONCURRENCY = 16
CASES = 64
REPEATS = 3
CALLS = 2 * CASES * REPEATS
ROUNDS = 3
BAR = 1.2


class Handler(BaseHTTPRequestHandler):
    """A model that says yes, late."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(LATENCY_S)
        choice = {"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
        body = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *unused: object) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    """Takes all calls at once."""

    daemon_threads = True
    request_queue_size = 128


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
    progress = Progress(jobs, job.job_id, job.lease, root, threading.Event())
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
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    ideal, taken = [], []
    for _ in range(ROUNDS):
        ideal.append(bare(url))
        with tempfile.TemporaryDirectory(prefix="mega code ") as root:
            taken.append(measure(url, Path(root)))
    server.shutdown()
    ratio = statistics.median(ours / theirs for ours, theirs in zip(taken, ideal))
    cells = (
        f"{CALLS} calls of {LATENCY_S} s, {CONCURRENCY} at a time",
        f"{LATENCY_S * math.ceil(CALLS / CONCURRENCY):.2f} s",
    )
    figures = (f"{statistics.median(ideal):.2f} s", f"{statistics.median(taken):.2f} s", f"{ratio:.2f}", f"≤ {BAR:.2f}")
    print("| what | by arithmetic | bare threads | median | ratio | bar |\n|---|---|---|---|---|---|")
    print(f"| {' | '.join((*cells, *figures))} |")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
