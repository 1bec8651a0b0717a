"""SIGINT and SIGTERM: the envelope all the same, and everything resumable."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from typing import Optional

import pytest

from support.client import Client
from support.fake_gateway import BASE, FakeGateway, Handler, hang
from support.room import REPOSITORY, Room

SECONDS = 120.0  # what any run may take on a busy machine
LOOK = f"{BASE}/skill-enhance/jobs/[^/]*$"


def interrupt_when(client: Client, fake: FakeGateway, path: str, number: int) -> tuple[int, dict[str, object]]:
    """Run the default mode, send `number` once a request for `path` is there, and see how it ends."""
    process = client.popen("--skill-name", "demo-skill")
    deadline = time.monotonic() + SECONDS
    while not any(re.search(path, seen.path) for seen in fake.seen):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=SECONDS)
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


BEFORE = """
import os, signal, sys
from mega_code import interrupt
interrupt.listen()
interrupt.hold()
os.kill(os.getpid(), signal.SIGINT)
from mega_code.client.remote_enhance import cli
sys.exit(cli.main(sys.argv[1:]))
"""
ID = "12345678-1234-1234-1234-123456789ABC"


@pytest.mark.parametrize(
    ("arguments", "job_id", "again"),
    [
        (["--poll-existing", ID], ID.lower(), None),
        (["--poll-existing=nonsense"], None, None),
        (["--skill-name", "demo", "--project-dir", "/p q"], None, ["enhance.sh", "demo", "--project-dir", "/p q"]),
        (["--skill-name"], None, None),
    ],
)
def test_a_signal_before_anything_is_read_names_what_the_arguments_name(
    room: Room, arguments: list[str], job_id: Optional[str], again: Optional[list[str]]
) -> None:
    done = room.run([sys.executable, "-c", BEFORE, *arguments], env={**room.env, "PYTHONPATH": str(REPOSITORY)})
    interrupted = json.loads(done.stdout)["interrupted"]
    assert (done.returncode, interrupted["job_id"], interrupted.get("again")) == (130, job_id, again)


def test_an_interrupted_wait_is_resumed_by_its_id(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.on("GET", LOOK, hang, times=1)
    assert interrupt_when(client, fake, LOOK, signal.SIGINT)[0] == 130
    outcome = client("--poll-existing", fake.job_id)
    assert outcome.status == 0 and outcome.envelope["original_scope"] == "project"


def test_a_job_that_an_interruption_names_is_on_the_disk_too(client: Client, fake: FakeGateway) -> None:
    client.skill()
    outcomes: set[tuple[int, bool]] = set()

    def interrupted(after: float) -> tuple[int, bool]:
        """How a run ends that has a signal so many seconds after the answer, and whether it names the job."""
        process = client.popen("--skill-name", "demo-skill", "--no-wait")

        def answer(handler: Handler) -> None:
            body = json.dumps({"job_id": fake.job_id}).encode()
            handler.wfile.write(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            time.sleep(after)
            process.send_signal(signal.SIGINT)

        fake.on("POST", "uploads$", answer, times=1)
        stdout, _ = process.communicate(timeout=SECONDS)
        envelope = json.loads(stdout)
        named = envelope.get("interrupted", envelope.get("submitted"))["job_id"]
        record = client.enhancements / f"{fake.job_id}.job.json"
        assert (named is not None) == record.exists(), (after, envelope)
        record.unlink(missing_ok=True)
        return process.returncode, named is not None

    for number in range(20):
        outcomes.add(interrupted(number / 2000))
    # How long this machine takes from the answer to the record is unknown: closer and closer to it, from both sides.
    after, deadline = 0.01, time.monotonic() + SECONDS
    while (130, True) not in outcomes:
        assert time.monotonic() < deadline, outcomes
        outcomes.add(seen := interrupted(after))
        after *= 0.9 if seen == (0, True) else 1.3
