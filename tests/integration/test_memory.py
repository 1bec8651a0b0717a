"""A large skill costs its server bytes and not this machine memory."""

from __future__ import annotations

import os
import subprocess
import sys

from support.client import Client
from support.fake_gateway import FakeGateway

MIB = 1024 * 1024
# A child of a large process would count that one's memory as its own, so a small one asks.
PEAK = (
    "import os, resource, sys; status = os.spawnvp(os.P_WAIT, sys.argv[1], sys.argv[1:]);"
    "print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def peak(client: Client, *arguments: str) -> float:
    """The MiB that a Python with these arguments had at most."""
    command = [sys.executable, "-c", PEAK, sys.executable, *arguments]
    done = subprocess.run(command, env=client.env, cwd=client.project, capture_output=True, text=True, timeout=60)
    status, size = done.stdout.splitlines()[-1].split()
    assert status == "0", done.stderr
    return int(size) / (MIB if sys.platform == "darwin" else 1024)


def test_a_submission_of_twenty_mib_takes_at_most_forty_over_a_bare_python(client: Client, fake: FakeGateway) -> None:
    folder = client.skill()
    (folder / "data.bin").write_bytes(os.urandom(20 * MIB))
    submit = ("-m", "mega_code.client.remote_enhance", "--no-wait", "--skill-name", "demo-skill")
    taken = peak(client, *submit)
    assert len(fake.uploads) == 1 and len(fake.uploads[0]) > 20 * MIB
    assert taken - peak(client, "-c", "pass") <= 40
