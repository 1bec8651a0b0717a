"""A job that ends before its evaluation does tells what it had used of models by then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mega_code.evaluation.budget import Spent
from mega_code.evaluation.models.base import Completion
from mega_code.evaluation.store import Store
from mega_code.gateway.server import Gateway
from support.gateway import Client, Outcome, client_of, running, skill_zip

USED = {"calls": 2, "cached_calls": 0, "input_tokens": 9, "output_tokens": 2, "cost_usd": 0.5, "wall_s": 7.5}


class Spender:
    """Pays for one answer and sends another call, says that it has, and then ends as the test wants."""

    def __init__(self) -> None:
        self.store = Path()
        self.paid, self.fail = Event(), Event()

    def __call__(self, skill_dir: Path, skill_id: str, progress: Any, now: datetime) -> Outcome:
        with closing(Store(self.store)) as store:
            first, _ = (store.begin(progress.job_id, key, Spent(1, 100, 1.0)) for key in ("answered", "open"))
            store.lived(store.live(progress.job_id), 2.5)
            store.lived(store.live(progress.job_id), 5.0)
            store.settle(first, Completion("Yes.", "m", 9, 2, 0.5))
        self.paid.set()
        while not self.fail.wait(0.01):
            progress.phase("evaluation_setup")
        raise ValueError("no more")


@pytest.fixture
def spender() -> Spender:
    return Spender()


@pytest.fixture
def gateway(tmp_path: Path, spender: Spender) -> Iterator[Gateway]:
    with running(tmp_path / "data dir", spender) as started:
        spender.store = started.folders.completions
        yield started
        spender.fail.set()


@pytest.fixture
def alice(gateway: Gateway) -> Client:
    return client_of(gateway)


def test_a_cancelled_job_tells_what_it_has_spent(alice: Client, spender: Spender) -> None:
    job_id = alice.submit(skill_zip())
    assert spender.paid.wait(10)
    alice.cancel(job_id)
    alice.until_status(job_id, "cancelled")
    assert alice.result(job_id).json()["usage_snapshot"] == USED


def test_a_failed_job_tells_what_it_has_spent(alice: Client, spender: Spender) -> None:
    job_id = alice.submit(skill_zip())
    assert spender.paid.wait(10)
    spender.fail.set()
    alice.until_status(job_id, "failed")
    assert alice.result(job_id).json()["usage_snapshot"] == USED


def test_a_job_that_never_began_has_spent_nothing(alice: Client, spender: Spender) -> None:
    alice.submit(skill_zip())
    assert spender.paid.wait(10)
    waiting = alice.submit(skill_zip(files={"other": b"content"}))
    alice.cancel(waiting)
    result = alice.result(waiting).json()
    assert (result["status"], result["usage_snapshot"]) == ("cancelled", None)
