"""The local flow's commands as processes: their one line, their agents, their interruptions, and the remote flow beside it."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mega_code import places
from mega_code.errors import MegaCodeError
from support.client import Client, Outcome, finished
from support.fake_gateway import FakeGateway
from support.hitl import BETTER, NAME, SKILL, Commands, Flow, cases, signs
from support.model_server import ModelServer, Reply
from support.room import Room

FAKE_CLAUDE = """\
#!{python}
import json, os, sys
prompt = sys.stdin.read()
given = dict(zip(sys.argv, sys.argv[1:]))
system = open(given["--system-prompt-file"]).read() if "--system-prompt-file" in given else ""
open(os.path.join(os.path.dirname(sys.argv[0]), "asked"), "a").write(os.environ.get("MEGA_CODE_ROLE", "?") + "\\n")
def say(event, **data): print(json.dumps({{"type": "stream_event", "event": {{"type": event, **data}}}}))
say("message_start", message={{"model": "fake", "usage": {{"input_tokens": len(system) + len(prompt)}}}})
say("content_block_delta", delta={{"type": "text_delta", "text": "Yes MAGIC" if "MAGIC" in system else "Yes"}})
say("message_delta", usage={{"output_tokens": 2}}, delta={{"stop_reason": "end_turn"}})
print(json.dumps({{"type": "result", "is_error": False, "total_cost_usd": 0.01}}))
"""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(signs) as running:
        yield running


@pytest.fixture
def flow(room: Room, server: ModelServer) -> Flow:
    return Flow(room, server.env)


@pytest.fixture
def hitl(flow: Flow, room: Room, server: ModelServer) -> Commands:
    return Commands(room, server.env)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_command_ends_with_one_line_and_its_status(hitl: Commands, flow: Flow) -> None:
    assert hitl("history", "--skill", NAME).envelope == {"history": []}
    assert (hitl("audit", "--skill", NAME).status, hitl("audit", "--skill", NAME).code) == (4, "missing_iteration")
    assert hitl("start").code == "missing_skill_name"
    assert hitl("start", "--skill", "nobody").code == "skill_not_found"
    assert hitl("nonsense").code == "invalid_arguments"
    assert hitl("run", "--skill", NAME, "--repeats", "0").code == "invalid_arguments"
    assert hitl("start", "--skill", "demo").envelope["started"]["skill_name"] == NAME
    assert hitl("run", "--skill", NAME, "--iteration", "7").code == "missing_iteration"
    flow.write("test-cases.json", cases())
    flow.audit("continue")
    late = hitl("run", "--skill", NAME, "--max-wait", "0.0001")
    assert (late.status, late.envelope["timeout"]["runs"]) == (3, 12)
    done = hitl("run", "--skill", NAME)
    assert done.status == 0 and done.envelope["runs"]["to_grade"] == 12
    assert "12 calls at most are to be made" in done.stderr and "runs 12/12" in done.stderr
    dead = hitl("run", "--skill", NAME, "--repeats", "2", MEGA_CODE_MODEL_KEY="no such key")
    assert (dead.status, dead.code) == (5, "model_failure")


@pytest.mark.parametrize("host", ["CLAUDECODE", "MEGA_CODE_MODEL"])
def test_the_agent_that_hosts_the_session_answers_the_tasks(room: Room, host: str) -> None:
    flow = Flow(room, {})
    tools = room.root / "tools"
    tools.mkdir()
    (tools / "claude").write_text(FAKE_CLAUDE.format(python=sys.executable))
    (tools / "claude").chmod(0o755)
    hosting = {"CLAUDECODE": "1"} if host == "CLAUDECODE" else {"MEGA_CODE_MODEL": "claude"}
    hitl = Commands(room, {**hosting, "PATH": f"{tools}{os.pathsep}{room.env['PATH']}"})
    flow.ready_to_run(2)
    done = hitl("run", "--skill", NAME).envelope["runs"]
    assert (done["model"], done["calls"], done["cost_usd"]) == ("claude", 4, 0.04)
    assert (tools / "asked").read_text() == "task\n" * 4
    tokens = {run["arm"]: run["input_tokens"] for run in flow.read("runs.json")["runs"]}
    assert tokens["with_skill"] - tokens["baseline"] == len(SKILL)


def test_without_any_agent_a_model_is_asked_for(room: Room) -> None:
    Flow(room, {}).ready_to_run()
    failed = Commands(room, {"PATH": str(room.root)})("run", "--skill", NAME)
    assert failed.code == "invalid_arguments" and "name a model with --model" in failed.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_pays_for_no_answer_twice(
    hitl: Commands, flow: Flow, server: ModelServer, number: signal.Signals
) -> None:
    flow.ready_to_run()
    answered: list[str] = []

    def some(role: str, system: str, prompt: str) -> Reply:
        if len(answered) < 5:
            answered.append(f"{system}{prompt}")
            return Reply(signs(role, system, prompt))
        return Reply(hang=True)

    server.answer = some
    process = hitl.popen("run", "--skill", NAME, MEGA_CODE_CONCURRENCY="2")
    wait_until(lambda: server.count() >= 7)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130, stderr
        assert json.loads(stdout)["interrupted"]["job_id"] is None
    server.answer = signs
    assert hitl("run", "--skill", NAME).envelope["runs"]["runs"] == 12
    asked = [f"{request.system or ''}{request.prompt}" for request in server.requests]
    assert [asked.count(one) for one in answered] == [1] * 5
    assert len(set(asked)) == 12 and len(asked) == 14


def test_starts_at_once_make_an_iteration_each(hitl: Commands) -> None:
    running = [hitl.popen("start", "--skill", NAME) for _ in range(3)]
    numbers = [json.loads(process.communicate(timeout=60)[0])["started"]["iteration"] for process in running]
    assert sorted(numbers) == [1, 2, 3]


def test_a_start_waits_for_another_one(hitl: Commands, flow: Flow) -> None:
    folder = flow.data.skill_enhance / NAME
    folder.mkdir(parents=True)
    with places.locked(folder):
        process = hitl.popen("start", "--skill", NAME)
        assert process.stderr
        assert process.stderr.readline() == f"another command works in {folder}; waiting for it\n"
        assert list(folder.iterdir()) == []
    stdout, _ = process.communicate(timeout=60)
    assert json.loads(stdout)["started"]["iteration"] == 1


# The remote flow in turn


def installed(client: Client, fake: FakeGateway) -> Outcome:
    """A whole remote enhancement."""
    ready = client("--skill-name", NAME)
    assert ready.envelope["needs_install_location"], ready.envelope
    arguments = ("--skill-name", NAME, "--install-location", "project")
    return client("--install-existing", fake.job_id, *arguments)


def test_both_flows_work_on_one_skill_in_turn(room: Room, fake: FakeGateway, flow: Flow) -> None:
    client = Client(room, fake.env)
    flow.start()
    flow.write("draft-skill.md", BETTER)
    first = flow.accept()
    accepted = (flow.place / "SKILL.md").read_bytes()
    remote = installed(client, fake)
    assert remote.envelope["installed_path"] == str(flow.place)
    assert (Path(remote.envelope["backup_path"]) / "SKILL.md").read_bytes() == accepted
    assert zipfile.ZipFile(io.BytesIO(bundle_in(fake.uploads[0]))).namelist() == ["SKILL.md"]
    with pytest.raises(MegaCodeError, match="not what iteration 1 accepted"):
        flow.undo()
    assert (flow.place / "SKILL.md").read_bytes() == fake.files["SKILL.md"]

    assert flow.start()["iteration"] == 2
    assert (flow.iteration().original / "SKILL.md").read_bytes() == fake.files["SKILL.md"]
    assert (flow.iteration().original / "scripts" / "run.sh").exists()
    second = flow.accept(measured=True)
    assert second["version"] == "1.2.0" and second["backup_path"] != first["backup_path"]
    restored = client("--restore-backup", "latest", "--skill-name", NAME)
    assert restored.envelope["restored"] == str(flow.place)
    assert (flow.place / "SKILL.md").read_bytes() == fake.files["SKILL.md"]
    flow.undo()
    assert [entry["state"] for entry in flow.history()] == ["accepted", "undone"]
    listed = client("--list-backups", "--skill-name", NAME).envelope["backups"]
    assert [entry["reason"] for entry in listed] == ["restore", "install", "install", "install"]
    assert client.leftovers() == []


def bundle_in(upload: bytes) -> bytes:
    """The zip in an upload."""
    return upload[upload.index(b"PK\x03\x04") :]


def test_what_was_accepted_is_published_on_the_embedded_gateway_once(room: Room, flow: Flow) -> None:
    flow.start()
    flow.write("draft-skill.md", BETTER)
    flow.accept()
    started = room.script("gateway.sh", "start")
    assert started.returncode == 0, started.stderr
    try:
        client = Commands(room, {})
        found = []
        for number in range(2):
            result = room.root / f"published {number}.json"
            arguments = ("--skill", NAME, "--result-json", str(result))
            process = client.popen(*arguments, module="mega_code.client.publish")
            stdout, stderr = process.communicate(timeout=60)
            found.append(finished(process.returncode, stdout, stderr, result).envelope["published"])
        assert found[0] == found[1] and found[0]["file_count"] == 1
    finally:
        room.script("gateway.sh", "stop")
