"""SIGINT and SIGTERM: the envelope all the same, and everything resumable."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time

import pytest

from support.client import Client
from support.fake_gateway import BASE, FakeGateway, Handler, hang

LOOK = f"{BASE}/skill-enhance/jobs/[^/]*$"


def interrupt_when(client: Client, fake: FakeGateway, path: str, number: int) -> tuple[int, dict[str, object]]:
    """Run the default mode, send `number` once a request for `path` is there, and see how it ends."""
    process = client.popen("--skill-name", "demo-skill")
    deadline = time.monotonic() + 20
    while not any(re.search(path, seen.path) for seen in fake.seen):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=20)
    assert "Traceback" not in stderr and stdout.count("\n") == 1
    return process.returncode, json.loads(stdout)["interrupted"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("path", ["uploads$", LOOK, "/result$", "^/files/"])
def test_a_signal_ends_the_command_with_its_envelope(
    client: Client, fake: FakeGateway, path: str, number: int, status: int
) -> None:
    client.skill()
    fake.on("POST" if path == "uploads$" else "GET", path, hang)
    ended, interrupted = interrupt_when(client, fake, path, number)
    assert ended == status
    assert interrupted["job_id"] == (None if path == "uploads$" else fake.job_id)
    assert isinstance(interrupted["elapsed_s"], float) and client.leftovers() == []


def test_an_interrupted_wait_is_resumed_by_its_id(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.on("GET", LOOK, hang, times=1)
    assert interrupt_when(client, fake, LOOK, signal.SIGINT)[0] == 130
    outcome = client("--poll-existing", fake.job_id)
    assert outcome.status == 0 and outcome.envelope["original_scope"] == "project"


def test_a_job_that_an_interruption_names_is_on_the_disk_too(client: Client, fake: FakeGateway) -> None:
    client.skill()
    outcomes = set()
    for number in range(40):
        process = client.popen("--skill-name", "demo-skill", "--no-wait")
        after = number / 4000

        def answer(handler: Handler, process: subprocess.Popen[str] = process, after: float = after) -> None:
            body = json.dumps({"job_id": fake.job_id}).encode()
            handler.wfile.write(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            time.sleep(after)
            process.send_signal(signal.SIGINT)

        fake.on("POST", "uploads$", answer, times=1)
        stdout, _ = process.communicate(timeout=60)
        envelope = json.loads(stdout)
        named = envelope.get("interrupted", envelope.get("submitted"))["job_id"]
        record = client.enhancements / f"{fake.job_id}.job.json"
        assert (named is not None) == record.exists(), (after, envelope)
        outcomes.add((process.returncode, named is not None))
        record.unlink(missing_ok=True)
    assert (130, True) in outcomes
