"""Jobs with a model through the real scripts and the real gateway process, also one that is killed on the way."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Optional

import pytest

from mega_code.job import TERMINAL
from support.evaluation import SKILL, evals, knowing, triggers, write_skill
from support.gateway import Client
from support.model_server import MODEL, ModelServer, Reply
from support.room import REPOSITORY, Room
from support.tally import tally

pytest.importorskip("gepa")
JOBS = 4 * int(os.environ.get("MEGA_CODE_ATTACK_SCALE", "1"))
KILLS_A_JOB = 5
DEADLINE_S = 60


@pytest.fixture
def model(room: Room) -> Iterator[ModelServer]:
    with ModelServer(knowing()) as server:
        room.env.update(server.env)
        yield server


def result_of(room: Room) -> dict[str, Any]:
    (path,) = (room.data / "enhancements").glob("*.result.json")
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def test_a_skill_is_enhanced_by_a_model_through_the_scripts(room: Room, model: ModelServer) -> None:
    skill = write_skill(room.root / "a skill" / "demo", cases=evals(12), queries=triggers(8))
    try:
        done = room.script("enhance.sh", skill, "--yes", "--scope", "project")
    finally:
        room.script("gateway.sh", "stop")
    assert done.returncode == 0, done.stderr
    place = room.project / ".claude" / "skills" / "demo"
    result = result_of(room)
    roi = result["roi"][0]
    assert done.stdout.splitlines()[:2] == [
        f"Installed at {place}.",
        f"ROI: +100% performance, {roi['token_savings']} token savings, model={MODEL}",
    ]
    assert "Sign every answer with MAGIC." in (place / "SKILL.md").read_text()
    assert json.loads((place / "evals/evals.json").read_text())["evals"] == evals(12)
    assert result["usage_snapshot"]["calls"] == model.count()


def test_a_model_setting_that_cannot_work_is_said_when_the_gateway_starts(room: Room) -> None:
    room.env["MEGA_CODE_MODEL"] = "gpt"
    started = room.script("gateway.sh", "start")
    assert (started.returncode, started.stdout) == (4, "")
    assert started.stderr.startswith("gateway: MEGA_CODE_MODEL names 'gpt'; known are")


def test_the_model_in_the_settings_file_counts_from_the_next_job_on(room: Room, model: ModelServer) -> None:
    for name in model.env:
        del room.env[name]
    skill = write_skill(room.root / "a skill" / "demo", cases=evals(10))
    try:
        assert room.script("gateway.sh", "start").returncode == 0
        first = room.script("enhance.sh", skill, "--yes", "--scope", "project")
        assert first.returncode == 0 and "model=static-checks" in first.stdout
        (room.data / ".env").write_text("".join(f"{name}={value}\n" for name, value in model.env.items()))
        done = room.script("enhance.sh", skill, "--yes", "--scope", "project")
    finally:
        room.script("gateway.sh", "stop")
    assert done.returncode == 0 and "Inconclusive, and nothing was spent on it" in done.stdout


def test_who_waits_goes_on_when_the_gateway_is_stopped_and_started_in_the_middle(
    room: Room, model: ModelServer
) -> None:
    go, answer = threading.Event(), knowing()
    model.answer = lambda *asked: answer(*asked) if go.wait(DEADLINE_S) else ""
    skill = write_skill(room.root / "a skill" / "demo", cases=evals(12), queries=triggers(8))
    assert room.script("gateway.sh", "start").returncode == 0
    try:
        command = [str(REPOSITORY / "scripts" / "enhance.sh"), str(skill), "--yes", "--scope", "project"]
        with open(room.root / "said", "w+") as said:
            waiting = subprocess.Popen(command, cwd=room.project, env=room.env, stderr=said, stdout=subprocess.DEVNULL)
            until = time.monotonic() + DEADLINE_S
            while "evaluation_setup" not in (room.root / "said").read_text():
                assert time.monotonic() < until and waiting.poll() is None
                time.sleep(0.05)
            assert room.script("gateway.sh", "stop").returncode == 0
            assert room.script("gateway.sh", "start").returncode == 0
            go.set()
            assert waiting.wait(DEADLINE_S) == 0
    finally:
        go.set()
        room.script("gateway.sh", "stop")
    assert "the embedded gateway was started anew" in (room.root / "said").read_text()
    assert (room.project / ".claude/skills/demo/SKILL.md").is_file()


class Serving:
    """A gateway in a process of its own; `start` comes back once it answers."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        reader, writer = os.pipe()
        command = [sys.executable, "-m", "mega_code.gateway", "serve", "--ready-fd", str(writer)]
        with open(self.room.root / "gateway.log", "ab") as log:
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, env=self.room.env, pass_fds=(writer,), stdin=subprocess.DEVNULL, stderr=log
            )
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            assert stream.read() == b"ready\n", (self.room.root / "gateway.log").read_text()

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(10)

    @property
    def client(self) -> Client:
        known = json.loads((self.room.data / "gateway/client.json").read_text())
        return Client(known["server_url"], known["api_key"])


@pytest.fixture
def serving(room: Room, model: ModelServer) -> Iterator[Serving]:
    room.env.update(MEGA_CODE_CONCURRENCY="1", MEGA_CODE_GATEWAY_LEASE_S="0.5")
    serving = Serving(room)
    serving.start()
    yield serving
    serving.kill()


def submit(room: Room, name: str) -> str:
    """A job that shares no question with another, so that nothing of it is remembered from there."""
    cases = [{**case, "prompt": f"{name}: {case['prompt']}"} for case in evals(12)]
    skill = write_skill(room.root / name / "demo", SKILL.replace("questions", f"questions of {name}"), cases)
    done = room.python("mega_code.client.remote_enhance", "--skill-name", "demo", "--skill-dir", skill, "--no-wait")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["submitted"]["job_id"])


def ends(serving: Serving, job_id: str) -> dict[str, Any]:
    """The result of a job, once it has ended."""
    serving.client.until(job_id, lambda job: job["status"] in TERMINAL, DEADLINE_S)
    return dict(serving.client.result(job_id).json())


@pytest.mark.slow
def test_a_gateway_that_is_killed_in_the_middle_of_a_job_pays_for_one_call_more_at_most(
    room: Room, model: ModelServer, serving: Serving
) -> None:
    whole = ends(serving, submit(room, "undisturbed"))
    undisturbed = model.count()
    for number in range(JOBS):
        before, moments = model.count(), random.Random(number)
        job_id = submit(room, f"number-{number}")
        for _ in range(KILLS_A_JOB):
            wait_for(model, model.count() + moments.randint(1, undisturbed // KILLS_A_JOB), moments.random() / 50)
            serving.kill()
            serving.start()
        result, paid = ends(serving, job_id), model.count() - before
        assert undisturbed <= paid <= undisturbed + KILLS_A_JOB
        # A call is noted before it is sent, so that a kill between the two counts one that was never made.
        assert paid <= result["usage_snapshot"]["calls"] <= undisturbed + KILLS_A_JOB
        assert (result["status"], result["roi"]) == ("succeeded", whole["roi"])
    tally("gateway kills in a job with a model", JOBS * KILLS_A_JOB)


def test_a_gateway_that_is_killed_again_and_again_before_an_answer_comes_still_ends_the_job(
    room: Room, model: ModelServer, serving: Serving
) -> None:
    answer, silent = model.answer, threading.Event()
    silent.set()
    model.answer = lambda *asked: Reply(hang=True) if silent.is_set() else answer(*asked)
    job_id = submit(room, "impatient")
    for number in range(7):
        wait_for(model, number + 1, 0)
        serving.kill()
        if number == 6:
            silent.clear()
        serving.start()
    result = ends(serving, job_id)
    assert (result["status"], result["artifact_kind"]) == ("succeeded", "enhanced")


def wait_for(model: ModelServer, calls: int, more_s: float) -> None:
    """Until so many calls have come, and a moment more, so that a kill hits anything between two of them."""
    until = time.monotonic() + DEADLINE_S
    while model.count() < calls:
        assert time.monotonic() < until
        time.sleep(0.002)
    time.sleep(more_s)
