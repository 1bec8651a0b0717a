"""What is kept of a job: its upload until it has ended, what came of it for as long as the setting says, its row for good."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from mega_code.gateway.api_error import ApiError
from mega_code.gateway.config import Config
from mega_code.gateway.retention import GRACE_S
from mega_code.gateway.server import Gateway
from mega_code.paths import DataDir
from support.gateway import ENHANCED, Client, Evaluator, client_of, error, running, skill_zip, unique_skill

DAYS = 30
TTL_S = 900
NOW = datetime(2026, 4, 22, 6, 11, 55, tzinfo=timezone.utc)


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def after(self, **time: float) -> None:
        self.now = NOW + timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ended_job(gateway: Gateway, client: Client) -> tuple[str, str]:
    """The id of a job that published a file, and that file's path with its signature."""
    job_id = client.submit(skill_zip())
    client.until_status(job_id, "succeeded")
    url = client.result(job_id).json()["artifact"]["files"][0]["url"]
    return job_id, url[len(client.api) :]


def left_of(gateway: Gateway, job_id: str) -> set[str]:
    folder = gateway.folders.job(job_id)
    return {path.name.partition("-")[0] for path in folder.iterdir()} if folder.exists() else set()


def test_an_upload_is_kept_until_its_job_has_ended(tmp_path: Path, clock: Clock) -> None:
    held = Evaluator(held=True)
    with running(tmp_path / "data dir", held, clock) as gateway:
        alice = client_of(gateway)
        job_id = alice.submit(skill_zip())
        assert held.started.wait(10) and "archive.zip" in left_of(gateway, job_id)
        held.step(6)
        alice.until_status(job_id, "succeeded")
        waiting, queued = alice.submit(unique_skill(1)), alice.submit(unique_skill(2))
        alice.until(waiting, lambda body: body["phase_public"] == "intake")  # so the worker is done with the first one
        assert left_of(gateway, job_id) == {"artifact", "history.json", "report.html"}
        assert "archive.zip" in left_of(gateway, queued)
        held.step(1000)


def test_a_job_expires_and_its_files_go_once_no_url_of_theirs_is_good(tmp_path: Path, clock: Clock) -> None:
    with running(tmp_path / "data dir", clock=clock, keep_days=DAYS, url_ttl_s=TTL_S) as gateway:
        alice = client_of(gateway)
        job_id, _ = ended_job(gateway, alice)
        clock.after(days=DAYS, seconds=-1)
        gateway.retention.tidy()
        url = alice.result(job_id).json()["artifact"]["files"][0]["url"][len(alice.api) :]
        clock.after(days=DAYS, seconds=1)
        gateway.retention.tidy()
        gone = alice.result(job_id)
        assert error(gone) == (410, "missing_artifact")
        assert gone.json()["error"]["message"] == "What comes of a job is kept for 30 days; submit the skill again."
        assert (alice.job(job_id).json()["status"], alice.call("GET", url).content) == ("succeeded", ENHANCED)
        clock.after(days=DAYS, seconds=TTL_S + GRACE_S)
        gateway.retention.tidy()
        assert gateway.folders.job(job_id).is_dir()
        clock.after(days=DAYS, seconds=TTL_S + GRACE_S + 2)
        gateway.retention.tidy()
        assert not gateway.folders.job(job_id).exists()
        assert (error(alice.result(job_id)), error(alice.call("GET", url))) == (
            (410, "missing_artifact"),
            (403, "expired_url"),
        )
        assert alice.job(job_id).json()["status"] == "succeeded"
        row = gateway.database.one("SELECT result, folder FROM jobs WHERE job_id = ?", (job_id,))
        assert row and tuple(row) == (None, "")
        assert gateway.jobs.files(job_id) == []


def test_what_has_expired_may_be_submitted_again_under_the_same_key(tmp_path: Path, clock: Clock) -> None:
    with running(tmp_path / "data dir", clock=clock, keep_days=DAYS) as gateway:
        alice = client_of(gateway)
        first = alice.upload(skill_zip(), key="k").json()["job_id"]
        alice.until_status(first, "succeeded")
        assert error(alice.upload(skill_zip())) == (409, "duplicate_content_hash")
        clock.after(days=DAYS, seconds=2)
        gateway.retention.tidy()
        again = alice.upload(skill_zip(), key="k").json()["job_id"]
        assert again != first and alice.until_status(again, "succeeded")
        gateway.retention.tidy()
        assert alice.result(again).status_code == 200
        assert error(alice.upload(skill_zip())) == (409, "duplicate_content_hash")


def test_a_job_that_is_not_over_is_kept_however_old(tmp_path: Path, clock: Clock) -> None:
    held = Evaluator(held=True)
    with running(tmp_path / "data dir", held, clock, keep_days=DAYS) as gateway:
        alice = client_of(gateway)
        jobs = [alice.submit(unique_skill(number)) for number in range(2)]
        assert held.started.wait(10)
        clock.after(days=1000)
        gateway.retention.tidy()
        assert all("archive.zip" in left_of(gateway, job_id) for job_id in jobs)
        clock.after(days=0)
        held.step(1000)
        assert all(alice.until_status(job_id, "succeeded") for job_id in jobs)


def test_what_a_kill_left_of_the_tidying_is_finished_by_the_next_start(tmp_path: Path, clock: Clock) -> None:
    data = tmp_path / "data dir"
    with running(data, clock=clock, keep_days=DAYS) as gateway:
        alice = client_of(gateway)
        job_id, _ = ended_job(gateway, alice)
        kept = alice.submit(unique_skill(1))
        alice.until_status(kept, "succeeded")
        with gateway.database.transaction() as tx:  # all of the second step but the removal of the folder
            tx.execute("DELETE FROM files WHERE job_id = ?", (job_id,))
            tx.execute("UPDATE jobs SET expired_at = 1, result = NULL, folder = '' WHERE job_id = ?", (job_id,))
    gateway.folders.archive(kept).write_bytes(b"left by a kill between the job's end and the removal")
    again = Gateway(DataDir(data), Config(keep_days=DAYS), Evaluator(), clock)
    assert not again.folders.job(job_id).exists()
    assert left_of(again, kept) == {"artifact", "history.json", "report.html"}
    again.database.close()


def test_the_gateway_tidies_up_by_itself_and_ends_at_once(tmp_path: Path, clock: Clock) -> None:
    data = tmp_path / "data dir"
    with running(data, clock=clock) as gateway:
        job_id, _ = ended_job(gateway, client_of(gateway))
    clock.after(days=DAYS, seconds=2)
    with running(data, clock=clock, keep_days=DAYS) as gateway:
        alice, deadline = client_of(gateway, "local"), time.monotonic() + 10
        while gateway.jobs.result(job_id) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(ApiError, match="no such job"):  # it is nobody's but its own user's, as before
            gateway.jobs.get(job_id, "local")
        assert error(alice.result(job_id)) == (404, "not_found")
        assert gateway.close()
