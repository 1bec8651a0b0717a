"""What happens to a job: its phases, its end, its artifacts, and how fast somebody who waits hears of it."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests

from mega_code.gateway.server import Gateway
from mega_code.settings import API_BASE
from support.gateway import (
    ENHANCED,
    ROI,
    SKILL,
    Client,
    Evaluator,
    Outcome,
    client_of,
    error,
    running,
    skill_zip,
    unique_skill,
)

NOW = datetime(2026, 4, 22, 6, 11, 55, tzinfo=timezone.utc)
SHELL = b"#!/bin/sh\necho hi\n"
RESULT_KEYS = set(
    "job_id skill_id status artifact_kind artifact roi reason invariants evidence evaluation usage_snapshot "
    "completed_at lineage".split()
)

# Half of the time for which a held answer is held here: tells one from the other on the slowest machine.
AT_ONCE = 10.0


def fetch(url: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=20, headers={"Accept-Encoding": "identity"})


def finished(client: Client, archive: bytes) -> dict[str, Any]:
    """The result of a job, once it has one."""
    job_id = client.submit(archive)
    client.until(job_id, lambda body: body["status"] not in ("queued", "running"))
    answer = client.result(job_id)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    assert set(body) == RESULT_KEYS
    return body


def ended(tmp_path: Path, outcome: Any, archive: bytes = skill_zip()) -> dict[str, Any]:
    """The result of a job whose evaluation gives, or raises, `outcome`."""

    def evaluator(skill_dir: Path, skill_id: str, progress: Any, now: datetime) -> Any:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome(skill_dir, progress) if callable(outcome) else outcome

    with running(tmp_path / "data dir", evaluator) as gateway:
        return finished(client_of(gateway), archive)


def test_a_job_goes_through_its_phases_one_by_one(alice: Client, held: Evaluator) -> None:
    job_id = alice.submit(skill_zip())
    seen = []
    body = alice.until_status(job_id, "running")
    for _ in range(5):
        seen.append((body["status"], body["phase_public"], body["current_iteration"], body["total_iterations"]))
        before = body
        held.step()
        body = alice.until(job_id, lambda now, before=before: now != before)  # type: ignore[misc]
    seen.append((body["status"], body["phase_public"], body["current_iteration"], body["total_iterations"]))
    held.step()
    body = alice.until_status(job_id, "succeeded")
    seen.append((body["status"], body["phase_public"], body["current_iteration"], body["total_iterations"]))
    assert seen == [
        ("running", "intake", None, None),
        ("running", "evaluation_setup", None, None),
        ("running", "iterating", 1, 3),
        ("running", "iterating", 2, 3),
        ("running", "iterating", 3, 3),
        ("running", "publishing", 3, 3),
        ("succeeded", "publishing", 3, 3),
    ]


def test_the_evaluation_gets_the_unpacked_skill_in_a_folder_that_is_gone_afterwards(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def look(skill_dir: Path, progress: Any) -> Outcome:
        for path in sorted(skill_dir.rglob("*")):
            if path.is_file():
                seen[str(path.relative_to(skill_dir))] = (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        (skill_dir / "SKILL.md").write_text("scribbled over")
        (skill_dir / "left behind").write_text("x")
        seen["folder"] = skill_dir
        return Outcome(files={})

    result = ended(tmp_path, look, skill_zip(files={"scripts/run": SHELL, "data": b"\0"}))
    folder = seen.pop("folder")
    assert seen == {"SKILL.md": (SKILL.encode(), False), "scripts/run": (SHELL, True), "data": (b"\0", False)}
    assert not folder.exists()
    # What is published comes from the upload and not from where the evaluation worked.
    assert [(file["relpath"], file["sha256"]) for file in result["artifact"]["files"]] == [
        ("SKILL.md", hashlib.sha256(SKILL.encode()).hexdigest()),
        ("data", hashlib.sha256(b"\0").hexdigest()),
        ("scripts/run", hashlib.sha256(SHELL).hexdigest()),
    ]


def test_an_enhanced_skill_is_published_whole_with_hashes_modes_and_everything_that_was_found(tmp_path: Path) -> None:
    files = {"SKILL.md": ENHANCED, "new/räum e.md": b"# new\n", "new.sh": SHELL, "scripts/run": b"#!/bin/sh\ntrue\n"}
    outcome = Outcome(
        files=files,
        reason="better",
        invariants=["name kept"],
        evidence={"a": [1]},
        evaluation={"cases": []},
        usage_snapshot={"calls": 3},
        lineage=[{"candidate": 1}],
    )
    published = {**files, "data": b"", "scripts/other_run": SHELL}
    archive = skill_zip(files={"data": b"", "scripts/run": SHELL, "scripts/other_run": SHELL})
    with running(tmp_path / "data dir", Evaluator(outcome), lambda: NOW) as gateway:
        alice = client_of(gateway)
        result = finished(alice, archive)
        for file in result["artifact"]["files"]:
            answer = fetch(file["url"])
            assert (answer.status_code, answer.content) == (200, published[file["relpath"]])
            assert answer.headers["Content-Length"] == str(file["size"])
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Type"] == "application/octet-stream"
        history = json.loads((gateway.folders.job(result["job_id"]) / "history.json").read_text())
    assert history == [{"candidate": 1}]
    urls = {file["relpath"]: file.pop("url") for file in result["artifact"]["files"]}
    assert result == {
        "job_id": result["job_id"],
        "skill_id": "demo",
        "status": "succeeded",
        "artifact_kind": "enhanced",
        "artifact": {
            "files": [
                {
                    "relpath": relpath,
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "size": len(data),
                    "mode": "0755" if relpath in ("new.sh", "scripts/run", "scripts/other_run") else "0644",
                }
                for relpath, data in sorted(published.items())
            ]
        },
        "roi": [ROI],
        "reason": "better",
        "invariants": ["name kept"],
        "evidence": {"a": [1]},
        "evaluation": {"cases": []},
        "usage_snapshot": {"calls": 3},
        "completed_at": "2026-04-22T06:11:55Z",
        "lineage": [{"candidate": 1}],
    }
    for relpath, url in urls.items():
        assert url.startswith(f"{gateway.url}{API_BASE}/artifacts/{result['job_id']}/{quote(relpath)}?expires=")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("succeeded", "source"),
        ("succeeded", "none"),
        ("failed", "none"),
        ("rejected", "none"),
        ("quarantined", "none"),
        ("enhancement_blocked", "none"),
        ("invariant_violation", "none"),
        ("rejected", "enhanced"),
    ],
)
def test_only_a_success_that_enhanced_has_files(tmp_path: Path, status: str, kind: str) -> None:
    result = ended(tmp_path, Outcome(status=status, artifact_kind=kind, reason="so it was", invariants=["a", "b"]))
    assert (result["status"], result["artifact_kind"], result["artifact"]) == (status, kind, {"files": []})
    assert (result["reason"], result["invariants"]) == ("so it was", ["a", "b"])
    assert list((tmp_path / "data dir" / "gateway" / "jobs" / result["job_id"]).glob("artifact-*")) == []


FAILURES: dict[str, tuple[Any, str]] = {
    "exception": (RuntimeError("the\nmodel said no"), "RuntimeError: the model said no"),
    "without-a-word": (KeyError(), "(KeyError)"),
    "sys-exit": (SystemExit(3), "SystemExit: 3"),
    "unknown-status": (Outcome(status="great"), "unknown status 'great'"),
    "unfinished-status": (Outcome(status="running"), "unknown status 'running'"),
    "unknown-phase": (lambda skill, progress: progress.phase("dreaming"), "There is no phase 'dreaming'."),
    "no-outcome": (lambda skill, progress: None, "AttributeError"),
    "no-json": (Outcome(evaluation=object()), "not JSON serializable"),
    "nan": (Outcome(roi=[float("nan")]), "not JSON compliant"),
    "unsafe-file": (Outcome(files={"../x": b""}), "cannot be published"),
    "colliding-file": (Outcome(files={"skill.MD": b""}), "are one path on some machines"),
    "file-under-file": (Outcome(files={"SKILL.md/x": b""}), "are one path on some machines"),
    "too-large": (Outcome(files={"x": b"\0" * (25 * 1024 * 1024 + 1)}), "too large"),
}


@pytest.mark.parametrize(("outcome", "said"), FAILURES.values(), ids=FAILURES.keys())
def test_an_evaluation_that_breaks_is_a_failed_job_with_a_reason_and_no_traceback(
    tmp_path: Path, outcome: Any, said: str
) -> None:
    result = ended(tmp_path, outcome)
    assert (result["status"], result["artifact_kind"], result["artifact"]) == ("failed", "none", {"files": []})
    assert said in result["reason"]
    assert "\n" not in result["reason"]
    assert "Traceback" not in result["reason"]
    assert list((tmp_path / "data dir" / "gateway" / "jobs" / result["job_id"]).glob("artifact-*")) == []


def test_a_broken_evaluation_does_not_stop_the_next_job_and_its_content_may_come_again(tmp_path: Path) -> None:
    outcomes: list[Any] = [SystemExit(1), Outcome()]

    def evaluator(skill_dir: Path, skill_id: str, progress: Any, now: datetime) -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    with running(tmp_path / "data dir", evaluator) as gateway:
        alice = client_of(gateway)
        assert [finished(alice, skill_zip())["status"] for _ in range(2)] == ["failed", "succeeded"]


def test_an_upload_that_rotted_on_disk_fails_its_job(gateway: Gateway, alice: Client, held: Evaluator) -> None:
    alice.submit(unique_skill(0))
    assert held.started.wait(10)
    job_id = alice.submit(skill_zip())
    gateway.folders.archive(job_id).write_bytes(b"rot")
    held.step(1000)
    alice.until_status(job_id, "failed")
    assert "cannot be read" in alice.result(job_id).json()["reason"]


def test_a_result_too_large_for_a_client_goes_without_its_bulkiest_parts(tmp_path: Path) -> None:
    bulky = ["x" * 1_000_000] * 15
    result = ended(tmp_path, Outcome(lineage=bulky, evaluation=bulky, evidence={"kept": True}))
    assert (result["lineage"], result["evaluation"], result["evidence"]) == (None, None, {"kept": True})
    history = tmp_path / "data dir" / "gateway" / "jobs" / result["job_id"] / "history.json"
    assert json.loads(history.read_text()) == bulky


def tampered(url: str, **changes: str) -> str:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    path = changes.pop("path", parts.path)
    query.update(changes)
    return f"{parts.scheme}://{parts.netloc}{path}?expires={query['expires']}&signature={query['signature']}"


def refused_as_written(url: str) -> tuple[int, str]:
    """Status and code for a URL sent as it is; requests would resolve its dots first."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body["error"]["code"]


def test_a_signed_url_is_good_for_its_file_and_its_time_only(tmp_path: Path) -> None:
    now = [NOW]
    with running(tmp_path / "data dir", None, lambda: now[0], url_ttl_s=60) as gateway:
        alice = client_of(gateway)
        first, second = (finished(alice, unique_skill(number)) for number in (1, 2))
        url = first["artifact"]["files"][0]["url"]
        expires = parse_qs(urlsplit(url).query)["expires"][0]
        assert int(expires) == int(NOW.timestamp()) + 60
        assert fetch(url).content == ENHANCED

        later = str(int(expires) + 60)
        other = urlsplit(second["artifact"]["files"][0]["url"]).path
        signature = parse_qs(urlsplit(url).query)["signature"][0]
        flipped = ("0" if signature[0] != "0" else "1") + signature[1:]
        for forged in (
            tampered(url, expires=later),
            tampered(url, path=other),
            tampered(url, path=urlsplit(url).path + "x"),
            tampered(url, path=urlsplit(url).path.replace("SKILL.md", "x/../SKILL.md")),
            tampered(url, path=urlsplit(url).path.replace("SKILL.md", "../archive.zip")),
            tampered(url, signature=flipped),
            tampered(url, signature=signature.upper()),
            tampered(url, signature=signature[:-1]),
            tampered(url, expires=f"0{expires}"),
            url.split("?")[0],
        ):
            assert refused_as_written(forged) == (403, "invalid_signature")

        now[0] = NOW + timedelta(seconds=60)
        assert fetch(url).status_code == 200
        now[0] = NOW + timedelta(seconds=61)
        assert error(fetch(url)) == (403, "expired_url")
        renewed = alice.result(first["job_id"]).json()["artifact"]["files"][0]["url"]
        assert fetch(renewed).content == ENHANCED


def test_urls_and_jobs_outlive_a_restart_on_the_same_port(tmp_path: Path) -> None:
    with running(tmp_path / "data dir") as gateway:
        alice, url = client_of(gateway), gateway.url
        result = finished(alice, skill_zip())
    with running(tmp_path / "data dir") as gateway:
        assert gateway.url == url
        assert fetch(result["artifact"]["files"][0]["url"]).content == ENHANCED
        assert alice.job(result["job_id"]).json()["status"] == "succeeded"


def test_a_port_that_is_taken_meanwhile_is_replaced_by_another(tmp_path: Path) -> None:
    with running(tmp_path / "one dir") as first:
        port = first.url.rsplit(":", 1)[1]
    with running(tmp_path / "two dir") as second:
        second.database.set_meta("port", port)
    with running(tmp_path / "one dir") as first, running(tmp_path / "two dir") as second:
        assert first.url != second.url
        assert client_of(second).call("GET", "/profile").status_code == 200


def timed(call: Callable[[], requests.Response]) -> tuple[float, requests.Response]:
    began = time.monotonic()
    answer = call()
    return time.monotonic() - began, answer


def test_a_long_poll_waits_for_a_change_and_is_answered_then(alice: Client, held: Evaluator, gateway: Gateway) -> None:
    job_id = alice.submit(skill_zip())
    alice.until(job_id, lambda body: body["phase_public"] == "intake")
    with ThreadPoolExecutor(1) as pool:
        for phase in ("evaluation_setup", "iterating"):
            waiting = pool.submit(lambda: (alice.job(job_id, wait=30), time.monotonic()))
            # Still held after a while in which nothing happened.
            with pytest.raises(FutureTimeout):
                waiting.result(0.4)
            stepped = time.monotonic()
            held.step()
            answer, answered = waiting.result(10)
            assert answered - stepped < AT_ONCE
            assert answer.json()["phase_public"] == phase
            assert answer.headers["Preference-Applied"] == "wait"


def test_a_long_poll_without_news_is_answered_when_its_time_is_up(alice: Client, held: Evaluator) -> None:
    job_id = alice.submit(skill_zip())
    alice.until(job_id, lambda body: body["phase_public"] == "intake")
    took, answer = timed(lambda: alice.job(job_id, wait=1))
    assert 1 <= took < AT_ONCE
    assert (answer.json()["phase_public"], answer.headers["Preference-Applied"]) == ("intake", "wait")


def test_news_that_came_between_two_polls_is_told_at_once(alice: Client, held: Evaluator, gateway: Gateway) -> None:
    job_id = alice.submit(skill_zip())
    alice.until(job_id, lambda body: body["phase_public"] == "intake")
    held.step()
    deadline = time.monotonic() + 10
    # Looked up in the store, since the API would remember that it told.
    while gateway.jobs.get(job_id, "alice").phase == "intake":
        assert time.monotonic() < deadline
    took, answer = timed(lambda: alice.job(job_id, wait=20))
    assert took < AT_ONCE
    assert answer.json()["phase_public"] == "evaluation_setup"


def test_a_finished_job_is_told_at_once_however_often(alice: Client, held: Evaluator) -> None:
    held.step(1000)
    job_id = alice.submit(skill_zip())
    alice.until_status(job_id, "succeeded")
    for _ in range(3):
        took, answer = timed(lambda: alice.job(job_id, wait=20))
        assert took < AT_ONCE
        assert (answer.json()["status"], answer.headers["Preference-Applied"]) == ("succeeded", "wait")


def test_the_first_poll_after_an_upload_waits_for_the_worker(alice: Client, held: Evaluator) -> None:
    alice.submit(unique_skill(1))
    assert held.started.wait(10)
    job_id = alice.submit(unique_skill(2))
    took, answer = timed(lambda: alice.job(job_id, wait=1))
    assert took >= 1
    assert answer.json()["status"] == "queued"


@pytest.mark.parametrize("prefer", ["respond-async", "wait", "wait=", "wait=soon", "wait=-1", "wait=0", ""])
def test_another_preference_is_answered_at_once(alice: Client, held: Evaluator, prefer: str) -> None:
    job_id = alice.submit(skill_zip())
    alice.until(job_id, lambda body: body["phase_public"] == "intake")
    took, answer = timed(lambda: alice.call("GET", f"/skill-enhance/jobs/{job_id}", headers={"Prefer": prefer}))
    assert took < AT_ONCE
    assert "Preference-Applied" not in answer.headers


def test_the_wait_of_an_unknown_job_is_none(alice: Client) -> None:
    path = "/skill-enhance/jobs/00000000-0000-4000-8000-000000000000"
    took, answer = timed(lambda: alice.call("GET", path, headers={"Prefer": "wait=20"}))
    assert took < AT_ONCE
    assert error(answer) == (404, "not_found")


def test_more_waiting_clients_than_there_is_room_for_are_answered_at_once_and_others_still_served(
    tmp_path: Path,
) -> None:
    held = Evaluator(held=True)
    with running(tmp_path / "data dir", held, max_holds=3, threads=6) as gateway:
        alice = client_of(gateway)
        job_id = alice.submit(skill_zip())
        alice.until(job_id, lambda body: body["phase_public"] == "intake")
        with ThreadPoolExecutor(5) as pool:
            waiting = [pool.submit(alice.job, job_id, 20) for _ in range(5)]
            refused = [f.result(5) for f in _first_done(waiting, 2)]
            assert all("Preference-Applied" not in answer.headers for answer in refused)
            assert alice.call("GET", "/profile", timeout=AT_ONCE).status_code == 200
            held.step()
            answers = [f.result(5) for f in waiting]
        assert sum("Preference-Applied" in answer.headers for answer in answers) == 3
        held.step(1000)


def _first_done(waiting: list[Any], count: int) -> list[Any]:
    deadline = time.monotonic() + 5
    while sum(f.done() for f in waiting) < count:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    return [f for f in waiting if f.done()][:count]


def test_a_stopping_gateway_answers_those_who_wait_and_comes_back_to_the_job(tmp_path: Path) -> None:
    held = Evaluator(held=True)
    with running(tmp_path / "data dir", held) as gateway:
        alice = client_of(gateway)
        job_id = alice.submit(skill_zip())
        alice.until(job_id, lambda body: body["phase_public"] == "intake")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(alice.job, job_id, 30)
            with pytest.raises(FutureTimeout):
                waiting.result(0.3)
            closing = threading.Thread(target=gateway.close)
            began = time.monotonic()
            closing.start()
            assert waiting.result(20).json()["status"] == "running"
            assert time.monotonic() - began < AT_ONCE
            held.step(1000)
            closing.join(10)
            assert not closing.is_alive()
    with running(tmp_path / "data dir", Evaluator()) as gateway:
        assert alice.until_status(job_id, "succeeded")["job_id"] == job_id
        row = gateway.database.one("SELECT attempts FROM jobs")
        assert row is not None
        assert row["attempts"] == 1  # an orderly stop does not count against the job


def test_a_job_whose_worker_fell_silent_is_taken_up_by_another_and_has_one_result(tmp_path: Path) -> None:
    """The silent worker's heartbeat is stopped by taking its lease away in the store, as a suspended machine would."""
    gates = [threading.Event(), threading.Event()]
    calls: list[int] = []
    interrupted: list[str] = []

    def evaluator(skill_dir: Path, skill_id: str, progress: Any, now: datetime) -> Outcome:
        mine = len(calls)
        calls.append(mine)
        assert gates[mine].wait(20)
        try:
            progress.phase("iterating")
        except BaseException as raised:
            interrupted.append(type(raised).__name__)
            raise
        return Outcome(reason=f"attempt {mine}")

    with running(tmp_path / "data dir", evaluator, workers=2) as gateway:
        alice = client_of(gateway)
        job_id = alice.submit(skill_zip())
        deadline = time.monotonic() + 10

        def until_begun(count: int) -> None:
            while len(calls) < count:
                assert time.monotonic() < deadline
                threading.Event().wait(0.01)

        until_begun(1)
        gateway.jobs.expire_all()
        gateway.jobs.queued.notify()
        until_begun(2)
        gates[1].set()
        alice.until_status(job_id, "succeeded")
        gates[0].set()
        while not interrupted:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        result = alice.result(job_id).json()
        assert (interrupted, result["reason"]) == (["Abandoned"], "attempt 1")
        assert fetch(result["artifact"]["files"][0]["url"]).content == ENHANCED


def test_an_evaluation_that_says_nothing_for_long_keeps_its_job(tmp_path: Path) -> None:
    held, now, lease_s = Evaluator(held=True), [NOW], 0.3
    with running(tmp_path / "data dir", held, lambda: now[0], workers=2, lease_s=lease_s) as gateway:
        alice = client_of(gateway)
        job_id = alice.submit(skill_zip())
        alice.until_status(job_id, "running")
        assert held.started.wait(60)
        for _ in range(9):  # three leases, on a clock that waits for who keeps them
            now[0] += timedelta(seconds=lease_s / 3)
            gateway.jobs.queued.notify()
            deadline = time.monotonic() + 60
            while gateway.jobs.seconds_to_expiry() != pytest.approx(lease_s, abs=lease_s / 100):
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert now[0] - NOW > 2 * timedelta(seconds=lease_s)
        held.step(6)
        alice.until_status(job_id, "succeeded")
        assert len(held.seen) == 1


def test_two_workers_work_on_two_jobs_at_once(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=10)

    def evaluator(skill_dir: Path, skill_id: str, progress: Any, now: datetime) -> Outcome:
        both.wait()
        return Outcome()

    with running(tmp_path / "data dir", evaluator, workers=2) as gateway:
        alice = client_of(gateway)
        for job_id in [alice.submit(unique_skill(number)) for number in range(4)]:
            alice.until_status(job_id, "succeeded")


def test_jobs_are_worked_on_in_the_order_they_came(tmp_path: Path) -> None:
    held = Evaluator(held=True)
    with running(tmp_path / "data dir", held) as gateway:
        alice, bob = client_of(gateway, "alice"), client_of(gateway, "bob")
        names = [f"skill-{number}" for number in range(6)]
        jobs = [(alice, bob)[number % 2].submit(unique_skill(number), name) for number, name in enumerate(names)]
        held.step(1000)
        (alice, bob)[5 % 2].until_status(jobs[-1], "succeeded")
        assert [skill_id for _, skill_id, _ in held.seen] == names
