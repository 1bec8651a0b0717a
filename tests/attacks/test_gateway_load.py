"""A hundred clients at once, and a disk that is full: every answer is one of the contract's, and it goes on after."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from support.gateway import ENHANCED, Client, Served, client_of, error, key_for, running, skill_zip, unique_skill
from support.tally import tally

CLIENTS = 100


@pytest.mark.slow
def test_a_hundred_clients_at_once_are_all_served_or_told_to_come_back(tmp_path: Path) -> None:
    """Each a user of its own with the whole way from the upload to the file; ninety find room in the queue."""
    together = threading.Barrier(CLIENTS)

    with running(tmp_path / "data dir", max_queued=90) as gateway:
        clients = [client_of(gateway, f"user-{number}") for number in range(CLIENTS)]

        def whole_way(number: int) -> list[int]:
            client = clients[number]
            together.wait(60)
            answers = [client.call("GET", "/profile"), client.upload(unique_skill(number), key=f"key-{number}")]
            while answers[-1].status_code == 429:
                assert error(answers[-1]) == (429, "queue_full")
                threading.Event().wait(float(answers[-1].headers["Retry-After"]) / 20)
                answers.append(client.upload(unique_skill(number), key=f"key-{number}"))
            job_id = answers[-1].json()["job_id"]
            client.until_status(job_id, "succeeded")
            answers.append(client.result(job_id))
            url = answers[-1].json()["artifact"]["files"][0]["url"]
            answers.append(client.call("GET", url[len(client.api) :]))
            assert answers[-1].content == ENHANCED
            return [answer.status_code for answer in answers]

        with ThreadPoolExecutor(CLIENTS) as pool:
            statuses = list(pool.map(whole_way, range(CLIENTS)))
    assert {status for each in statuses for status in each} <= {200, 201, 429}
    assert all(each[-3:] == [201, 200, 200] for each in statuses)
    tally("gateway clients at once", CLIENTS)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A home of three megabytes."""
    home = tmp_path / "a small home"
    home.mkdir()
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("mounts a file system, which only root may")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", home], capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield home
    finally:
        subprocess.run(["umount", home], check=True)


def fill(path: Path) -> None:
    """Leave no block free."""
    with open(path, "ab", buffering=0) as stream:
        for size in (65536, 4096, 1):
            try:
                while stream.write(b"\0" * size):
                    pass
            except OSError:
                continue


def test_a_full_disk_is_said_and_what_was_accepted_ends_once_there_is_room(small_disk: Path) -> None:
    go, ballast = small_disk / "go", small_disk / "ballast"
    with Served(small_disk, GO=str(go), MEGA_CODE_GATEWAY_LEASE_S="0.5") as served:
        alice = Client(served.url, key_for(small_disk))
        assert error(alice.upload(skill_zip(files={"large": os.urandom(4_000_000)}))) == (507, "storage_full")
        incoming = served.data.gateway / "incoming"
        assert list(incoming.iterdir()) == []
        job_id = alice.submit(unique_skill(1))
        go.touch()
        fill(ballast)
        refused = [alice.upload(unique_skill(number), key=f"k-{number}") for number in range(2, 12)]
        assert {error(answer) for answer in refused} <= {(507, "storage_full")}
        assert alice.call("GET", "/profile").status_code == 200
        assert alice.job(job_id).status_code == 200
        ballast.unlink()
        assert alice.until(job_id, lambda body: body["status"] not in ("queued", "running"))["status"] in (
            "succeeded",
            "failed",
        )
        again = alice.submit(unique_skill(2))
        assert alice.until_status(again, "succeeded")
        assert list(incoming.iterdir()) == []
        known = {job_id, again}
        assert {path.name for path in (served.data.gateway / "jobs").iterdir()} == known
        assert served.end() == 0


def test_a_file_size_limit_ends_the_upload_and_not_the_gateway(tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.touch()
    limited = ("sh", "-c", 'ulimit -f 4096; exec "$@"', "sh")
    with Served(tmp_path, prefix=limited, GO=str(go)) as served:
        alice = Client(served.url, key_for(tmp_path))
        began = time.monotonic()
        for size in (3_000_000, 6_000_000):
            try:
                answer = alice.upload(skill_zip(files={"large": os.urandom(size)}))
            except requests.ConnectionError:  # the body itself had no room, and what is not read cannot be answered
                continue
            assert error(answer) == (507, "storage_full")
        assert time.monotonic() - began < 30
        # Who has no key is answered however much is sent, since none of that is kept.
        for stranger in (Client(served.url, None), Client(served.url, "mgw_unknown")):
            body = os.urandom(6_000_000)
            assert error(stranger.upload(skill_zip(files={"large": body}))) == (401, "unauthorized")
            chunks = (body[at : at + 65536] for at in range(0, len(body), 65536))
            answer = stranger.call("POST", "/skill-enhance/uploads", data=chunks)
            assert error(answer) == (401, "unauthorized")
        alice.until_status(alice.submit(skill_zip()), "succeeded")
        assert list((served.data.gateway / "incoming").iterdir()) == []
        assert served.end() == 0
