"""The page of a finished job, from a real gateway process and a real client; nothing that goes wrong with it harms a job."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mega_code.job import TERMINAL
from mega_code.pages.job_report import render
from support.client import Client
from support.fake_gateway import FakeGateway
from support.gateway import Evaluator, Outcome, client_of, running, skill_zip, unique_skill
from support.room import REPOSITORY, Room


def mode(path: Path) -> int:
    return os.stat(path).st_mode & 0o777


def test_a_real_gateway_and_a_real_client_leave_the_same_page_and_the_person_is_told_where(room: Room) -> None:
    try:
        done = room.script("enhance.sh", REPOSITORY / "examples" / "commit-message", "--yes")
    finally:
        room.script("gateway.sh", "stop")
    assert done.returncode == 0, done.stderr
    (page,) = (room.data / "enhancements").glob("*.report.html")
    assert done.stdout.splitlines()[-1] == f"Report: {page}"
    kept = page.with_name(page.name.replace(".report.html", ".result.json"))
    result = json.loads(kept.read_text())
    (drawn,) = (room.data / "gateway" / "jobs").glob("*/report.html")
    assert drawn.parent.name == result["job_id"] and mode(page) == mode(drawn) == 0o600
    assert page.read_text() == drawn.read_text() == render(result)
    assert result["reason"].partition(";")[0] in page.read_text() and "★ chosen" in page.read_text()


@pytest.mark.parametrize("status", [status for status in TERMINAL if status != "cancelled"])
def test_a_gateway_draws_a_page_for_every_ending(tmp_path: Path, status: str) -> None:
    evaluator = Evaluator(Outcome(status, "none", {}, [], "It was so.", ["A rule."]))
    with running(tmp_path / "data dir", evaluator) as gateway:
        alice = client_of(gateway)
        job_id = alice.submit(skill_zip())
        alice.until_status(job_id, status)
        page = (gateway.folders.job(job_id) / "report.html").read_text()
        assert page == render(alice.result(job_id).json()) and f"<dd>{status}, artifact: none</dd>" in page


def test_cancelled_and_broken_jobs_have_pages_too(tmp_path: Path) -> None:
    def broken(skill_dir: Path, skill_id: str, progress: Any, now: datetime) -> Any:
        held(skill_dir, skill_id, progress, now)
        raise ValueError("<b>out of order</b>")

    held = Evaluator(held=True)
    with running(tmp_path / "data dir", broken, workers=1) as gateway:
        alice = client_of(gateway)
        first, second, third = (alice.submit(unique_skill(number)) for number in range(3))
        assert held.started.wait(10)
        alice.cancel(second)
        pages = {job: gateway.folders.job(job) / "report.html" for job in (first, second, third)}
        assert "Cancelled on request." in pages[second].read_text() and not pages[first].exists()
        alice.cancel(first)
        held.step(1000)
        alice.until_status(first, "cancelled")
        alice.until_status(third, "failed")
        assert "Cancelled on request." in pages[first].read_text()
        assert "&lt;b&gt;out of order&lt;/b&gt;" in pages[third].read_text()


def test_a_page_that_cannot_be_written_fails_no_job(tmp_path: Path) -> None:
    evaluator = Evaluator(held=True)
    with running(tmp_path / "data dir", evaluator) as gateway:
        alice = client_of(gateway)
        job_id = alice.submit(skill_zip())
        page = gateway.folders.job(job_id) / "report.html"
        page.mkdir()
        evaluator.step(1000)
        alice.until_status(job_id, "succeeded")
        assert alice.result(job_id).status_code == 200 and page.is_dir()


def test_a_page_that_the_client_cannot_write_is_a_warning(client: Client, fake: FakeGateway) -> None:
    client.skill()
    (client.enhancements / f"{fake.job_id}.report.html").mkdir(parents=True)
    outcome = client("--skill-name", "demo-skill")
    assert outcome.status == 0 and outcome.envelope["needs_install_location"] is True
    assert "report_path" not in outcome.envelope and "warning: the report could not be written" in outcome.stderr
    assert client.leftovers() == []


def test_an_install_names_the_page_and_a_resume_draws_it_anew(client: Client, fake: FakeGateway) -> None:
    client.skill()
    page = Path(client("--skill-name", "demo-skill").envelope["report_path"])
    assert page.read_text() == render(fake.full_result())
    install = ("--install-existing", fake.job_id, "--install-location", "project", "--skill-name", "demo-skill")
    assert client(*install).envelope["report_path"] == str(page)
    page.unlink()
    assert "report_path" not in client(*install).envelope
    assert client("--poll-existing", fake.job_id).envelope["report_path"] == str(page) and page.is_file()
