"""The gateway's parts on their own: settings, keys, leases, long polls, signatures, publishing, the pid lock."""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import pytest

from mega_code.bundle import Entry, content_hash
from mega_code.errors import CODES, MegaCodeError
from mega_code.gateway.api_error import STATUS, ApiError, error_of_status
from mega_code.gateway.artifacts import PublishError, Signer, publish
from mega_code.gateway.auth import Keys
from mega_code.gateway.config import Config, from_env, timestamp
from mega_code.gateway.database import MIGRATIONS, Database
from mega_code.gateway.intake import examine
from mega_code.gateway.jobs import Job, Jobs, LeaseLost
from mega_code.gateway.longpoll import Changes, LongPoll, News, wait_seconds
from mega_code.gateway.result import Artifact, PublishedFile, Result, without_artifact
from mega_code.paths import MEGA_DIR
from mega_code.pidlock import Holder, PidLock

SKILL = "---\nname: demo\ndescription: Shows things.\n---\n"
ARTIFACT = Artifact("artifact-1", [PublishedFile("a/b", "0" * 64, 1, "0755"), PublishedFile("c", "1" * 64, 0, "0644")])
START = datetime(2026, 4, 22, 6, 11, 55, 999_999, tzinfo=timezone.utc)


class Clock:
    """Time that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "a store.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def jobs(database: Database, clock: Clock) -> Jobs:
    return Jobs(database, Config(lease_s=10, max_queued=5), clock)


def queue(jobs: Jobs, number: int = 0, user: str = "alice") -> str:
    job_id = f"00000000-0000-4000-8000-{number:012d}"
    with jobs.database.transaction() as tx:
        jobs.insert(tx, job_id, user, "demo", f"hash-{number}")
    return job_id


def claimed(jobs: Jobs) -> tuple[str, str]:
    """Id and lease of the next job."""
    job = jobs.claim()
    assert job is not None
    assert job.lease is not None
    return job.job_id, job.lease


def test_settings_have_defaults_and_are_read_from_the_environment() -> None:
    assert from_env({}) == Config()
    assert from_env({"MEGA_CODE_GATEWAY_WORKERS": " "}) == Config()
    assert from_env(
        {
            "MEGA_CODE_GATEWAY_MAX_QUEUED": "0",
            "MEGA_CODE_GATEWAY_WORKERS": "3",
            "MEGA_CODE_GATEWAY_LEASE_S": "0.5",
            "MEGA_CODE_GATEWAY_URL_TTL_S": "60",
            "MEGA_CODE_GATEWAY_KEEP_DAYS": "0.5",
        }
    ) == Config(max_queued=0, workers=3, lease_s=0.5, url_ttl_s=60, keep_days=0.5)


@pytest.mark.parametrize("value", ["x", "-1", "nan", "inf", "1e99", "0x10"])
@pytest.mark.parametrize("name", ["MAX_QUEUED", "WORKERS", "LEASE_S", "URL_TTL_S", "KEEP_DAYS"])
def test_a_setting_that_is_no_number_in_range_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(MegaCodeError, match=f"MEGA_CODE_GATEWAY_{name} is '{value}'") as caught:
        from_env({f"MEGA_CODE_GATEWAY_{name}": value})
    assert caught.value.code == "invalid_arguments"


def test_a_timestamp_is_utc_to_the_second() -> None:
    assert timestamp(START) == "2026-04-22T06:11:55Z"
    assert timestamp(START.astimezone(timezone(timedelta(hours=9)))) == "2026-04-22T06:11:55Z"


def test_an_error_has_its_status_and_details() -> None:
    error = ApiError("queue_full", "Full.", {"a": 1}, {"Retry-After": "2"})
    assert (error.status, error.headers) == (429, {"Retry-After": "2"})
    assert error.body() == b'{"error": {"code": "queue_full", "message": "Full.", "details": {"a": 1}}}'
    assert ApiError("invalid_archive", "No zip.").status == 400
    for status, code in (
        (404, "not_found"),
        (418, "invalid_request"),
        (500, "internal_error"),
        (503, "internal_error"),
    ):
        assert error_of_status(status, "x").code == code
    # What the client knows as a code of upstream is a refusal here too.
    assert {code for code, known in CODES.items() if known.upstream} - set(STATUS) == {
        "path_traversal",
        "invalid_archive",
        "empty_archive",
        "nested_package_not_supported",
        "skill_md_not_at_root",
        "invalid_skill_md",
        "invalid_skill_id",
        "invalid_source",
        "invalid_user_id",
    }


def test_the_client_key_of_a_gateway_that_died_stays_good(database: Database, clock: Clock) -> None:
    keys = Keys(database, clock)
    alice, first = keys.issue("alice"), keys.client_key()
    assert keys.client_key(first) == first and keys.user_of(f"Bearer {first}") == "local"
    assert keys.client_key(alice) not in (alice, first)
    with pytest.raises(ApiError):
        keys.user_of(f"Bearer {first}")


def test_a_new_client_key_ends_the_one_before_and_no_other(database: Database, clock: Clock) -> None:
    keys = Keys(database, clock)
    alice, first = keys.issue("alice"), keys.client_key()
    second = keys.client_key()
    assert keys.user_of(f"Bearer {second}") == "local"
    assert keys.user_of(f"bearer   {alice} ") == "alice"
    assert len({alice, first, second}) == 3
    with pytest.raises(ApiError) as caught:
        keys.user_of(f"Bearer {first}")
    assert (caught.value.code, caught.value.status) == ("unauthorized", 401)


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-a", "a b", "a\n", "x" * 65, "é"])
def test_a_user_name_is_plain(database: Database, clock: Clock, name: str) -> None:
    with pytest.raises(MegaCodeError) as caught:
        Keys(database, clock).issue(name)
    assert caught.value.code == "invalid_arguments"


def test_a_store_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "store"
    Database(path).close()
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    other.close()
    with pytest.raises(MegaCodeError, match="newer mega-code"):
        Database(path)


def test_a_failed_transaction_leaves_nothing_and_the_store_usable(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as tx:
        tx.executemany("INSERT INTO meta VALUES (?, 'b')", [("a",), ("b",), ("a",)])
    assert database.meta("a") is None
    database.set_meta("a", "c")
    assert database.meta("a") == "c"


def test_jobs_are_claimed_in_order_and_once(jobs: Jobs) -> None:
    ids = [queue(jobs, number) for number in range(3)]
    assert [claimed(jobs)[0] for _ in ids] == ids
    assert jobs.claim() is None


def test_a_lease_that_runs_out_is_taken_over_and_its_holder_can_do_no_more(jobs: Jobs, clock: Clock) -> None:
    job_id, first = claimed_after_queue(jobs)
    jobs.advance(first, "iterating", (1, 3))
    clock.forward(9.9)
    assert jobs.claim() is None
    jobs.extend(first)
    clock.forward(9.9)
    assert jobs.claim() is None
    clock.forward(0.2)
    again, second = claimed(jobs)
    assert again == job_id
    for act in (
        lambda: jobs.extend(first),
        lambda: jobs.advance(first, "publishing", None),
        lambda: jobs.finish(first, "succeeded", without_artifact("late")),
    ):
        with pytest.raises(LeaseLost):
            act()
    jobs.release(first)
    job = jobs.get(job_id, "alice")
    assert (job.status, job.phase, job.current_iteration, job.lease) == ("running", "intake", None, second)
    assert jobs.finish(second, "succeeded", without_artifact("in time")) == "succeeded"
    ended = jobs.result(job_id)
    assert ended is not None
    assert ended.reason == "in time"
    with pytest.raises(LeaseLost):
        jobs.finish(second, "failed", without_artifact("twice"))


def claimed_after_queue(jobs: Jobs) -> tuple[str, str]:
    queue(jobs)
    return claimed(jobs)


def test_the_fifth_attempt_is_the_last_but_one_given_back_does_not_count(jobs: Jobs, clock: Clock) -> None:
    job_id = queue(jobs)
    for _ in range(5):
        jobs.release(claimed(jobs)[1])
    for _ in range(5):
        claimed(jobs)
        clock.forward(11)
    assert jobs.claim() is None
    job, ended = jobs.get(job_id, "alice"), jobs.result(job_id)
    assert (job.status, job.completed_at) == ("failed", timestamp(clock.now))
    assert ended is not None
    assert ended == Result("none", reason=ended.reason, **_empty())
    assert str(ended.reason).startswith("The gateway died 5 times")


def test_a_job_that_was_to_be_cancelled_ends_so_although_its_gateway_died(jobs: Jobs, clock: Clock) -> None:
    job_id = queue(jobs)
    for _ in range(5):
        claimed(jobs)
        clock.forward(11)
    jobs.cancel(job_id, "alice")
    assert jobs.claim() is None
    ended = jobs.result(job_id)
    assert (jobs.get(job_id, "alice").status, ended and ended.reason) == ("cancelled", "Cancelled on request.")


def _empty() -> dict[str, Any]:
    return {"roi": [], "invariants": [], "lineage": []}


def test_a_phase_starts_when_it_changes_and_only_what_changed_is_news(jobs: Jobs, clock: Clock) -> None:
    job_id, lease = claimed_after_queue(jobs)
    versions, started = [], []
    for phase, iteration in (
        ("intake", None),
        ("evaluation_setup", None),
        ("evaluation_setup", None),
        (None, (1, 2)),
        (None, (1, 2)),
        (None, (2, 2)),
        ("iterating", None),
    ):
        clock.forward(1)
        assert jobs.advance(lease, phase, iteration) is False
        job = jobs.get(job_id, "alice")
        versions.append(job.version)
        started.append(job.phase_started_at)
    assert versions == [1, 2, 2, 3, 3, 4, 5]
    at = [timestamp(START + timedelta(seconds=seconds)) for seconds in (0, 2, 7)]
    assert started == [at[0], at[1], at[1], at[1], at[1], at[1], at[2]]


def test_a_cancelled_job_is_told_so_and_ends_cancelled_whatever_comes(jobs: Jobs) -> None:
    job_id, lease = claimed_after_queue(jobs)
    assert jobs.cancel(job_id, "alice").status == "running"
    assert jobs.advance(lease, "iterating", None) is True
    assert jobs.get(job_id, "alice").phase == "intake"
    assert jobs.finish(lease, "succeeded", Result("enhanced"), ARTIFACT) == "cancelled"
    ended = jobs.result(job_id)
    assert ended is not None
    assert (ended.artifact_kind, jobs.files(job_id), jobs.folders()) == ("none", [], [(job_id, "", True)])


def test_the_store_itself_forbids_two_jobs_of_one_content(jobs: Jobs) -> None:
    queue(jobs)
    with pytest.raises(sqlite3.IntegrityError), jobs.database.transaction() as tx:
        tx.execute(
            "INSERT INTO jobs (job_id, user_id, skill_id, content_hash, status, created_at) "
            "VALUES ('x', 'alice', 'demo', 'hash-0', 'queued', '')"
        )


@pytest.mark.parametrize("status", ["failed", "cancelled", "enhancement_blocked"])
def test_content_may_come_again_after_an_end_that_says_nothing_about_it(jobs: Jobs, status: str) -> None:
    _, lease = claimed_after_queue(jobs)
    jobs.finish(lease, status, without_artifact(""))
    with jobs.database.transaction() as tx:
        jobs.insert(tx, "00000000-0000-4000-8000-00000000000f", "alice", "demo", "hash-0")


@pytest.mark.parametrize("status", ["succeeded", "rejected", "quarantined", "revoked", "invariant_violation"])
def test_content_is_a_duplicate_after_any_other_end(jobs: Jobs, status: str) -> None:
    job_id, lease = claimed_after_queue(jobs)
    jobs.finish(lease, status, without_artifact(""))
    with pytest.raises(ApiError) as caught:
        queue(jobs)
    assert (caught.value.code, caught.value.answer_details) == ("duplicate_content_hash", {"existing_job_id": job_id})
    assert queue(jobs, 1, "alice") != job_id


def test_content_may_come_once_for_each_model_it_is_measured_with(database: Database, clock: Clock) -> None:
    asked = ["static"]
    jobs = Jobs(database, Config(), clock, model=lambda: asked[0])
    first, lease = claimed_after_queue(jobs)
    jobs.finish(lease, "succeeded", without_artifact(""))
    asked[0] = "openai:small"
    second = "00000000-0000-4000-8000-00000000000f"
    with jobs.database.transaction() as tx:
        jobs.insert(tx, second, "alice", "demo", "hash-0")
    for model, job_id in (("static", first), ("openai:small", second)):
        asked[0] = model
        with pytest.raises(ApiError) as caught:
            queue(jobs)
        assert caught.value.answer_details == {"existing_job_id": job_id}


def test_a_store_of_before_keeps_its_jobs_as_static_ones(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "store"
    with sqlite3.connect(path) as old:
        for statement in MIGRATIONS[0]:
            old.execute(statement)
        old.execute("PRAGMA user_version = 1")
        old.execute(
            """INSERT INTO jobs (job_id, user_id, skill_id, content_hash, status, created_at)
            VALUES ('00000000-0000-4000-8000-000000000000', 'alice', 'demo', 'hash-0', 'succeeded', '2026-01-01T00:00:00Z')"""
        )
    old.close()
    with contextlib.closing(Database(path)) as database:
        with pytest.raises(ApiError):
            queue(Jobs(database, Config(), clock))
        with pytest.raises(sqlite3.IntegrityError), database.transaction() as tx:
            tx.execute(
                "INSERT INTO jobs (job_id, user_id, skill_id, content_hash, status, created_at) "
                "VALUES ('other', 'alice', 'demo', 'hash-0', 'queued', '')"
            )


def test_the_queue_is_bounded_over_all_users(jobs: Jobs) -> None:
    for number in range(5):
        queue(jobs, number, f"user-{number}")
    claimed(jobs)
    with pytest.raises(ApiError) as caught:
        queue(jobs, 5, "alice")
    assert (caught.value.code, caught.value.headers) == ("queue_full", {"Retry-After": "2"})


PREFER = {
    "wait=10": 10,
    "WAIT = 7": 7,
    'wait="5"': 5,
    "respond-async, wait=3": 3,
    "respond-async,wait=3;x=y": 3,
    "wait=4, wait=9": 4,
    "wait=999999999": 999_999_999,
    "wait": 0,
    "wait=": 0,
    "wait=-1": 0,
    "wait=1.5": 0,
    "wait=x": 0,
    "await=3": 0,
    "x; wait=3": 0,
    "": 0,
    None: 0,
}


@pytest.mark.parametrize(("header", "seconds"), PREFER.items(), ids=[str(header) for header in PREFER])
def test_a_prefer_header_is_read_as_rfc_7240_has_it(header: Optional[str], seconds: int) -> None:
    assert wait_seconds(header) == seconds


def steps(database: Database, work: Callable[[], object]) -> int:
    """How many hundreds of steps SQLite takes for the writing that `work` does."""
    taken: list[None] = []
    with database.transaction() as tx:
        tx.set_progress_handler(lambda: taken.append(None), 100)
    work()
    with database.transaction() as tx:
        tx.set_progress_handler(None, 0)
    return len(taken)


def test_claiming_and_ending_a_job_does_not_look_at_the_jobs_that_are_kept(database: Database, jobs: Jobs) -> None:
    def one_job(number: int) -> None:
        queue(jobs, number)
        claimed = jobs.claim()
        assert claimed and claimed.lease
        jobs.seconds_to_expiry()
        jobs.finish(claimed.lease, "succeeded", without_artifact("Done."))

    one_job(0)
    few = steps(database, lambda: one_job(1))
    with database.transaction() as tx:
        tx.executemany(
            """INSERT INTO jobs (job_id, user_id, skill_id, content_hash, status, created_at, completed_at)
            VALUES (?, 'alice', 'demo', ?, 'succeeded', '', '')""",
            ((f"kept-{number}", f"kept-{number}") for number in range(5000)),
        )
    many = steps(database, lambda: one_job(2))
    assert many <= few + 5, (few, many)


def test_reading_does_not_wait_for_what_is_being_written(database: Database) -> None:
    database.set_meta("name", "before")
    with database.transaction() as tx, ThreadPoolExecutor(1) as pool:
        tx.execute("UPDATE meta SET value = 'after'")
        assert pool.submit(database.meta, "name").result(5) == "before"
    assert database.meta("name") == "after"


class Thing(NamedTuple):
    """Something to wait for."""

    version: int = 0
    terminal: bool = False
    job_id: str = "j"


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Source:
    """What is waited for, and how often it was looked at."""

    def __init__(self, thing: Thing) -> None:
        self.thing = thing
        self.reads = 0

    def __call__(self) -> Thing:
        self.reads += 1
        return self.thing


def test_waiting_looks_only_when_its_own_job_changed() -> None:
    news, source = News(), Source(Thing())
    poll = LongPoll(news, 1, 1)
    answers: list[tuple[Thing, bool]] = []
    waiting = threading.Thread(target=lambda: answers.append(poll.answer("alice", source, 20)))
    waiting.start()
    until(lambda: source.reads >= 2)
    news.notify("another", "j")  # of its own, but nothing that shows
    until(lambda: source.reads >= 3)
    news.notify("another")
    waiting.join(0.2)
    assert (waiting.is_alive(), source.reads) == (True, 3)
    source.thing = Thing(1)
    news.notify("j")
    waiting.join(60)
    assert answers == [(Thing(1), True)]


def test_one_users_waiting_leaves_room_for_anothers() -> None:
    news = News()
    poll = LongPoll(news, 3, 2)
    source = Source(Thing())
    with ThreadPoolExecutor(3) as pool:
        held = [pool.submit(poll.answer, "alice", source, 20) for _ in range(2)]
        until(lambda: source.reads >= 4)
        assert poll.answer("alice", Source(Thing()), 20) == (Thing(), False)
        held.append(pool.submit(poll.answer, "bob", source, 20))
        until(lambda: source.reads >= 6)
        assert poll.answer("carol", Source(Thing()), 20) == (Thing(), False)
        source.thing = Thing(1)
        news.notify("j")
        assert [each.result(60) for each in held] == [(Thing(1), True)] * 3
    assert poll.answer("alice", Source(Thing(2)), 20) == (Thing(2), True)


def test_what_one_user_was_told_is_news_to_another() -> None:
    poll = LongPoll(News(), 2, 2)
    source = Source(Thing(3))
    assert poll.answer("alice", source, 0) == (Thing(3), False)
    assert poll.answer("bob", source, 20) == (Thing(3), True)
    began = time.monotonic()
    assert poll.answer("alice", source, 1) == (Thing(3), True)
    assert time.monotonic() - began >= 1


def test_nobody_waits_for_what_is_over_or_once_closed() -> None:
    changes, news = Changes(), News()
    poll = LongPoll(news, 2, 2)
    for _ in range(2):
        assert poll.answer("alice", Source(Thing(3, True)), 20) == (Thing(3, True), True)
    changes.close()
    news.close()
    assert poll.answer("alice", Source(Thing()), 20) == (Thing(), True)
    changes.wait(changes.count, None)


def test_what_was_told_is_remembered_of_the_latest_jobs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    poll = LongPoll(News(), 1, 1)
    for number in range(5000):
        poll.answer("alice", Source(Thing(1, job_id=str(number))), 0)
    assert poll.answer("alice", Source(Thing(1, job_id="0")), 20) == (Thing(1, job_id="0"), True)


def test_a_lock_in_the_waiting_is_free_again_after_a_fault() -> None:
    poll = LongPoll(News(), 1, 1)

    def broken() -> Thing:
        if reads.pop():
            raise RuntimeError
        return Thing()

    for _ in range(3):
        reads = [True, False]
        with pytest.raises(RuntimeError):
            poll.answer("alice", broken, 5)
    assert poll.answer("alice", Source(Thing(1)), 5) == (Thing(1), True)


def test_a_signature_covers_job_path_and_expiry() -> None:
    signer = Signer(b"secret", 60)
    url = signer.url("http://h:1", "j", "a b/ü#?.md", 1000.9)
    head, _, signature = url.partition("&signature=")
    assert head == "http://h:1/api/megacode/v1/artifacts/j/a%20b/%C3%BC%23%3F.md?expires=1060"
    signer.check("j", "a b/ü#?.md", "1060", signature, 1060)
    for job_id, relpath, expires, given, now, code in (
        ("k", "a b/ü#?.md", "1060", signature, 1000, "invalid_signature"),
        ("j", "a b/ü#?", "1060", signature, 1000, "invalid_signature"),
        ("j", "a b/ü#?.md", "1061", signature, 1000, "invalid_signature"),
        ("j", "a b/ü#?.md", "1060", "é\udcff", 1000, "invalid_signature"),
        ("j", "a b/ü#?.md", "1060", "", 1000, "invalid_signature"),
        ("j", "a b/ü#?.md", "1060", signature, 1061, "expired_url"),
    ):
        with pytest.raises(ApiError) as caught:
            signer.check(job_id, relpath, expires, given, now)
        assert (caught.value.code, caught.value.status) == (code, 403)
    with pytest.raises(ApiError):
        Signer(b"other", 60).check("j", "a b/ü#?.md", "1060", signature, 1000)


def test_a_file_is_found_by_the_manifest_alone(jobs: Jobs) -> None:
    job_id, lease = claimed_after_queue(jobs)
    assert jobs.finish(lease, "succeeded", Result("enhanced"), ARTIFACT) == "succeeded"
    assert jobs.files(job_id) == list(ARTIFACT.files)
    assert jobs.folders() == [(job_id, "artifact-1", True)]
    assert jobs.published(job_id, "a/b") == "artifact-1/a/b"
    for relpath in ("a/../a/b", "A/b", "a", ""):
        assert jobs.published(job_id, relpath) is None
    assert jobs.published("00000000-0000-4000-8000-00000000000f", "a/b") is None


def archive(**files: bytes) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as opened:
        for name, content in {"SKILL.md": SKILL.encode(), **files}.items():
            opened.writestr(name, content)
    return out


def test_publishing_another_upload_than_was_accepted_is_refused(tmp_path: Path) -> None:
    stored = archive()
    with pytest.raises(PublishError, match="not the one that was accepted"):
        publish(stored, content_hash([Entry("SKILL.md", 1, "0" * 64, 0)]), {}, tmp_path / "out")


CHANGED: dict[str, dict[str, bytes]] = {
    "outside": {"../x": b""},
    "absolute": {"/x": b""},
    "case": {"Data": b""},
    "under-a-file": {"data/x": b""},
    "too-many": {f"f{number}": b"" for number in range(1999)},
}


@pytest.mark.parametrize("changed", CHANGED.values(), ids=CHANGED.keys())
def test_files_that_no_client_would_take_are_not_published(tmp_path: Path, changed: dict[str, bytes]) -> None:
    stored = archive(data=b"1")
    good = examine(stored).content_hash
    with pytest.raises(PublishError):
        publish(stored, good, changed, tmp_path / "out")
    assert not (tmp_path / "x").exists()


def test_a_changed_file_takes_the_place_of_the_uploaded_one(tmp_path: Path) -> None:
    stored = archive(data=b"1")
    published = publish(stored, examine(stored).content_hash, {"data": b"22", "SKILL.md": b"new"}, tmp_path / "out")
    assert published.folder == "out"
    assert [(file.relpath, file.size, file.mode) for file in published.files] == [
        ("SKILL.md", 3, "0644"),
        ("data", 2, "0644"),
    ]
    assert (tmp_path / "out" / "data").read_bytes() == b"22"


def test_the_pid_lock_keeps_a_second_one_out_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "a pid"
    first, second = PidLock(path), PidLock(path)
    assert first.acquire(0)
    assert not second.acquire(0.1)
    with Holder(path) as holder:
        assert (holder.alive(), holder.pid(), holder.gone(0.05)) == (True, os.getpid(), False)
        first.release()
        assert (holder.alive(), holder.gone(0)) == (False, True)
    assert not path.exists()
    assert second.acquire(0)
    second.release()


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    first, second = PidLock(path), PidLock(path)
    assert first.acquire(0)
    path.unlink()  # somebody tidied up too eagerly
    assert second.acquire(0)
    with Holder(path) as holder:
        assert holder.alive()
    second.release()


@pytest.mark.parametrize("module", ["__init__", "__main__"])
def test_nothing_of_the_extra_is_imported_before_it_is_needed(module: str) -> None:
    code = f"import sys, mega_code.gateway.{module}; print([m for m in ('bottle', 'waitress', 'yaml', 'requests') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=MEGA_DIR, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_gateway_knows_the_client_through_http_alone() -> None:
    for path in (MEGA_DIR / "mega_code" / "gateway").glob("*.py"):
        assert "mega_code.client" not in path.read_text()
        assert "mega_code.hitl" not in path.read_text()


def test_a_job_says_no_more_than_its_public_keys() -> None:
    job = Job("j", "u", "s", "h", "queued", None, None, None, 0, "t", None, None, "static", "lease")
    assert set(job.public()) == set(
        "job_id skill_id status phase_public current_iteration total_iterations created_at phase_started_at".split()
    )
