"""`kill -9` at every moment of a job: what was accepted is never lost, has one result, and leaves nothing lying about."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Optional
from urllib.parse import urlsplit

import pytest
import requests

from mega_code.gateway.folders import Folders
from support.doomed import CHANGED, Nursery
from support.gateway import Client, key_for, unique_skill
from support.tally import tally

# Moments of CI's own run; MEGA_CODE_KILLS=all takes every one of them, a number that many.
KILLS = os.environ.get("MEGA_CODE_KILLS", "55")
AT_RANDOM = 12
TRIES = 5  # a life may have a step less than those before it


class Place:
    """One data folder, its user, and what was accepted there."""

    def __init__(self, home: Path, nursery: Nursery) -> None:
        self.nursery, self.data, self.key = nursery, nursery.data, key_for(home)
        self.folders = Folders(self.data.gateway)
        self.accepted: list[str] = []

    def client(self) -> Optional[Client]:
        """Of the gateway that was just started; None where it died before it answered."""
        try:
            return Client(json.loads(self.data.client_json.read_text())["server_url"], self.key)
        except FileNotFoundError:
            return None

    def submit(self, number: int) -> Optional[str]:
        """The job of a content, under a key of its own; None where the gateway died before it answered."""
        client = self.client()
        if client is None:
            return None
        try:
            answer = client.upload(unique_skill(number), key=f"content-{number}")
        except requests.RequestException:
            return None
        assert answer.status_code == 201, answer.text
        return str(answer.json()["job_id"])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.folders.database}?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()

    def names(self) -> dict[str, list[str]]:
        """What lies in the gateway's folders; ids and leases without what differs."""
        found = {"": sorted(path.name for path in self.folders.root.iterdir() if path.name.startswith("."))}
        found["incoming"] = [path.name for path in self.folders.incoming.iterdir()]
        for job in self.folders.jobs.iterdir():
            found[job.name] = sorted(path.name.split("-")[0] for path in job.iterdir())
        return found

    def check(self, number: int, known: Optional[str]) -> None:
        """With a gateway that lives: the job of a content is there once, ends well, and nothing else is there."""
        job_id = self.submit(number)
        client = self.client()
        assert job_id and client
        assert known in (None, job_id)
        self.accepted.append(job_id)
        assert client.until(job_id, lambda body: body["status"] not in ("queued", "running"))["status"] == "succeeded"
        result = client.result(job_id).json()
        assert len(result["lineage"]) == 1
        for file in result["artifact"]["files"]:
            answer = client.call("GET", file["url"][len(client.api) :])
            assert answer.content == CHANGED[file["relpath"]]
        assert [file["relpath"] for file in result["artifact"]["files"]] == sorted(CHANGED)
        expected = {
            "": [],
            "incoming": [],
            **{job_id: ["artifact", "history.json", "report.html"] for job_id in self.accepted},
        }
        deadline = time.monotonic() + 60  # the worker's own folder goes a moment after the job has ended
        while self.names() != expected and time.monotonic() < deadline:
            threading.Event().wait(0.005)
        assert self.names() == expected
        assert sorted(self.rows("SELECT job_id FROM jobs")) == sorted((job_id,) for job_id in self.accepted)
        (files,) = self.rows(f"SELECT COUNT(*) FROM files WHERE job_id = '{job_id}'")
        assert files == (len(CHANGED),)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    home = tmp_path / "a home"
    home.mkdir()
    with Nursery(home) as nursery:
        yield Place(home, nursery)


def end(place: Place, pid: int) -> int:
    """Stop the living gateway; how many moments it had."""
    os.kill(pid, signal.SIGTERM)
    return place.nursery.buried()


def follow(place: Place, number: int) -> Optional[str]:
    """Submit, wait for the job's end as far as the gateway lives, and look at it once; the job, if it was accepted.

    How often somebody looks is up to chance, so the waiting is done where it costs the gateway no step.
    """
    job_id = place.submit(number)
    client = place.client()
    if client and job_id:
        wait_aside(place, job_id, client)
        with suppress(requests.RequestException):
            client.job(job_id)
    return job_id


def wait_aside(place: Place, job_id: str, client: Client) -> None:
    """Until the job has ended or the gateway is dead, with nothing but the database file and the gateway's port."""
    address = urlsplit(client.url)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(sqlite3.Error):
            if place.rows(f"SELECT 1 FROM jobs WHERE job_id = '{job_id}' AND completed_at IS NOT NULL"):
                return
        try:
            socket.create_connection((address.hostname, address.port), 60).close()
        except OSError:
            return
        time.sleep(0.005)
    raise AssertionError("the job does not end")


def moments(place: Place) -> range:
    """Those of every gateway's life with one job in it, from its start to its orderly end."""
    counts = []
    for number in range(-4, 0):  # the first also makes the database
        pid = place.nursery.start()
        job_id = follow(place, number)
        counts.append(end(place, pid))
        assert job_id
        place.accepted.append(job_id)
    assert min(counts[1:]) > 80
    return range(1, min(counts[1:]) + 1)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # two gateways a kill
def test_a_kill_before_any_step_of_a_job_loses_nothing_and_leaves_nothing(place: Place) -> None:
    every = moments(place)
    wanted = len(every) if KILLS == "all" else min(len(every), int(KILLS))
    chosen = [every[index * len(every) // wanted] for index in range(wanted)]
    numbers = itertools.count()
    for moment in chosen:
        for _ in range(TRIES):
            number = next(numbers)
            pid = place.nursery.start(crash_at=moment)
            known = follow(place, number)
            reached = end(place, pid)
            pid = place.nursery.start()
            place.check(number, known)
            end(place, pid)
            if reached == moment:
                break
        assert reached == moment, f"{reached} steps, and none of {TRIES} lives came to its step {moment}"
    tally("gateway kills, before each step", len(chosen))


@pytest.mark.slow
def test_a_kill_out_of_the_blue_loses_nothing_and_leaves_nothing(place: Place) -> None:
    began = time.monotonic()
    pid = place.nursery.start()
    place.check(0, follow(place, 0))
    whole = time.monotonic() - began
    end(place, pid)
    chance = random.Random(AT_RANDOM)
    for number in range(1, AT_RANDOM + 1):
        pid = place.nursery.start()
        timer = threading.Timer(chance.uniform(0, whole), os.kill, (pid, signal.SIGKILL))
        timer.start()
        known = follow(place, number)
        timer.join()
        place.nursery.buried()
        pid = place.nursery.start()
        place.check(number, known)
        end(place, pid)
    tally("gateway kills, out of the blue", AT_RANDOM)
