"""What a collector gets of whole runs: real commands, the real gateway, and every byte decoded."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mega_code.telemetry import CLIENT, GATEWAY, wanted
from support import collector as collectors
from support import telemetry_tables
from support.client import Client, finished
from support.collector import Collector, Seen
from support.evaluation import evals, knowing, triggers, write_skill
from support.fake_gateway import BASE, FakeGateway, error, hang
from support.gateway import Client as ApiClient
from support.gateway import Served, key_for, skill_zip
from support.hitl import NAME, Commands, Flow, signs
from support.model_server import KEY as MODEL_KEY
from support.model_server import MODEL, ModelServer
from support.room import REPOSITORY, Room

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the telemetry extra is not installed")
SESSION = "5d2c7f0e-6a1b-4c3d-9e8f-0123456789ab"
TRACE = hashlib.sha256(SESSION.encode()).hexdigest()[:32]
SECONDS = 120.0  # what any process may take on a busy machine
UPLOAD = "POST /api/megacode/v1/skill-enhance/uploads"
JOB = "GET /api/megacode/v1/skill-enhance/jobs/{job_id}"
SLOWER = [how for how in collectors.BROKEN if how not in ("hangs", "trickles")]
REMOTE, SETUP, HITL = "mega_code.client.remote_enhance.cli", "mega_code.client.setup", "mega_code.hitl.cli"
PATIENT = {"module": "support.patient", "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])}
REFUSED = "warning: spans are not sent: the collector does not take them\n"
LATE = "warning: spans are not sent: there was no time for it\n"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture
def gateway(room: Room, collector: Collector) -> Iterator[None]:
    """The embedded gateway of the room, its spans on the way to the collector; they are all there once it is stopped."""
    room.env.update(collector.env, OTEL_BSP_SCHEDULE_DELAY="200")
    started = room.script("gateway.sh", "start")
    assert started.returncode == 0, started.stderr
    room.env["MEGA_CODE_SESSION_ID"] = SESSION
    yield
    assert room.script("gateway.sh", "stop").returncode == 0


def patient(room: Room, module: str, *arguments: object, status: int = 0) -> str:
    """What a command says that has all the time for its spans, and says nothing of those."""
    env = {**room.env, "PYTHONPATH": PATIENT["PYTHONPATH"]}
    done = room.python(PATIENT["module"], module, *arguments, "--project-dir", room.project, env=env)
    assert done.returncode == status, done.stderr
    assert "spans" not in done.stderr
    return done.stdout


def command(room: Room, *arguments: object, status: int = 0) -> dict[str, Any]:
    """The envelope of a command of the remote flow."""
    envelope: dict[str, Any] = json.loads(patient(room, REMOTE, *arguments, status=status))
    return envelope


def tree(collector: Collector) -> Counter[str]:
    """How often each path of names was seen in the session's trace."""
    return Counter(" > ".join(collector.path(span)) for span in collector.spans if span.trace_id == TRACE)


def check(spans: list[Seen]) -> None:
    """What every span of a session holds to."""
    for span in spans:
        assert span.trace_id == TRACE and span.others == 0 and span.started_ns <= span.ended_ns
        assert span.attributes["mega_code.session_id"] == SESSION
        if span.service == CLIENT:
            assert span.resource["mega_code.session_id"] == SESSION
        else:
            assert span.service == GATEWAY and "mega_code.session_id" not in span.resource


def test_the_steps_of_a_session_are_one_trace_through_client_and_gateway(
    room: Room, collector: Collector, gateway: None
) -> None:
    skill = shutil.copytree(REPOSITORY / "examples" / "commit-message", room.project / ".claude/skills/commit-message")
    setup = patient(room, SETUP)
    assert setup.splitlines()[-1] == f"MEGA_CODE_SESSION_ID={SESSION}"
    job_id = command(room, "--skill-name", "commit-message", "--no-wait")["submitted"]["job_id"]
    staged = command(room, "--poll-existing", job_id)
    files = len(staged["result"]["artifact"]["files"])
    install = ("--install-existing", job_id, "--skill-name", "commit-message", "--install-location", "global")
    command(room, *install)
    command(room, "--cleanup-original", skill)
    command(room, "--restore-backup", "nowhere", status=4)
    collector.until(lambda: bool(collector.named("job")) and bool(collector.named(f"{JOB}/result")))
    seen, polls = tree(collector), len(collector.named("poll"))
    head = f"remote_enhance > upload > {UPLOAD}"
    assert polls >= 1 and seen == {
        "setup": 1,
        "setup > GET /api/megacode/v1/profile": 1,
        "remote_enhance": 5,
        "remote_enhance > package": 1,
        "remote_enhance > upload": 1,
        head: 1,
        f"{head} > job": 1,
        **{f"{head} > job > {phase}": 1 for phase in ("intake", "evaluation_setup", "iterating", "publishing")},
        "remote_enhance > poll": polls,
        f"remote_enhance > poll > {JOB}": polls,
        "remote_enhance > result": 1,
        f"remote_enhance > result > {JOB}/result": 1,
        "remote_enhance > download": 1,
        "remote_enhance > download > file": files,
        "remote_enhance > download > verify": 1,
        "remote_enhance > install": 1,
        "remote_enhance > install > verify": 1,
        "remote_enhance > clean-up": 1,
    }
    check([span for span in collector.spans if span.trace_id == TRACE])
    assert [span.error for span in collector.named("remote_enhance")] == [None] * 4 + ["invalid_path"]
    (job,) = collector.named("job")
    assert {name: job.attributes[f"mega_code.{name}"] for name in ("job_id", "status", "artifact_kind")} == {
        "job_id": job_id,
        "status": "succeeded",
        "artifact_kind": "enhanced",
    }
    telemetry_tables.check(collector.spans)


def test_every_call_of_a_model_is_a_span_of_its_phase_and_nothing_tells_a_secret(
    room: Room, collector: Collector, tmp_path: Path
) -> None:
    pytest.importorskip("gepa")
    skill = write_skill(room.root / "a skill" / "demo", cases=evals(12), queries=triggers(8))
    with ModelServer(knowing()) as model:
        room.env.update(collector.env, **model.env, MEGA_CODE_SESSION_ID=SESSION)
        try:
            assert room.script("gateway.sh", "start").returncode == 0
            done = command(room, "--skill-dir", skill)
            key = json.loads((room.data / "gateway/client.json").read_text())["api_key"]
            collector.until(lambda: bool(collector.named("job")) and bool(collector.named(f"{JOB}/result")))
        finally:
            room.script("gateway.sh", "stop")
        asked = Counter(request.role for request in model.requests)
    calls = collector.named(f"chat {MODEL}")
    paid = [span for span in calls if not span.attributes["mega_code.cached"]]
    assert Counter(span.attributes["mega_code.role"] for span in paid) == asked
    used = done["result"]["usage_snapshot"]
    for side in ("input", "output"):
        assert sum(span.attributes[f"gen_ai.usage.{side}_tokens"] for span in paid) == used[f"{side}_tokens"]
    assert {collector.path(span)[-2] for span in calls} == {"evaluation_setup", "iterating", "publishing"}
    assert {span.attributes["gen_ai.provider.name"] for span in calls} == {"openai"}
    remembered = [span for span in calls if span.attributes["mega_code.cached"]]
    assert remembered  # and none of them is among what the model was asked: `paid` alone is as much
    check([span for span in collector.spans if span.trace_id == TRACE])
    telemetry_tables.check(collector.spans)
    told = b"".join(collector.bodies)
    signatures = re.findall(r"signature=(\w+)", json.dumps(done))
    contents = ["MAGIC", "Question 1", "Answer politely", "house style"]
    assert signatures
    for secret in (key, MODEL_KEY, "signature", *signatures, *contents, str(room.root)):
        assert secret.encode() not in told


def test_a_job_that_outlives_its_gateway_goes_on_in_the_same_trace(
    room: Room, collector: Collector, tmp_path: Path
) -> None:
    go, began = tmp_path / "go", tmp_path / "began"
    env = {"GO": str(go), "BEGAN": str(began), "PATIENT": "1", "MEGA_CODE_GATEWAY_LEASE_S": "0.5", **collector.env}
    key, parent = key_for(tmp_path), "00f067aa0ba902b7"
    told = {"traceparent": f"00-{TRACE}-{parent}-01", "baggage": f"mega_code.session_id={SESSION},other=secret"}
    with Served(tmp_path, **env) as first:
        api = ApiClient(first.url, key)
        api.headers.update(told)
        job_id = api.submit(skill_zip())
        collector.until(began.exists)
        assert first.end() == 0
    go.touch()
    with Served(tmp_path, **env) as second:
        api = ApiClient(second.url, key)
        api.until_status(job_id, "succeeded")
        assert second.end() == 0
    attempts, ours = collector.named("job"), [span for span in collector.spans if span.trace_id == TRACE]
    assert [span.error for span in attempts] == ["left_to_another_attempt", None]
    assert [span.error for span in collector.named("evaluation_setup")] == ["Abandoned", None]
    assert {tuple(collector.path(span)[:3]) for span in ours if span.name != UPLOAD} == {("?", UPLOAD, "job")}
    check(ours)
    assert b"secret" not in b"".join(collector.bodies)


def test_an_error_is_a_status_and_a_code_and_no_message(
    client: Client, fake: FakeGateway, collector: Collector
) -> None:
    client.skill()
    fake.on("POST", "uploads$", error(400, "invalid_archive", "a message about something-private"))
    outcome = client(REMOTE, "--skill-name", "demo-skill", MEGA_CODE_SESSION_ID=SESSION, **PATIENT, **collector.env)
    assert outcome.code == "invalid_archive" and "spans" not in outcome.stderr
    failed = {span.name: (span.error, span.attributes.get("error.type")) for span in collector.spans}
    assert failed == {
        "remote_enhance": ("invalid_archive", "invalid_archive"),
        "package": (None, None),
        "upload": ("invalid_archive", "invalid_archive"),
    }
    assert b"private" not in b"".join(collector.bodies)
    (upload,) = collector.named("upload")
    (sent,) = [seen for seen in fake.seen if seen.method == "POST"]
    assert sent.headers["traceparent"] == f"00-{TRACE}-{upload.span_id}-01"
    assert sent.headers["baggage"] == f"mega_code.session_id={SESSION}"


def test_a_looks_failure_is_in_its_span_and_the_next_one_goes_well(
    client: Client, fake: FakeGateway, collector: Collector
) -> None:
    fake.on("GET", f"{BASE}/skill-enhance/jobs/[^/]*$", error(503, "busy", "later"), times=1)
    assert client(REMOTE, "--poll-existing", fake.job_id, **PATIENT, **collector.env).status == 0
    assert [span.error for span in collector.named("poll")] == ["network_failure", None]
    assert [seen.path for seen in fake.seen if "traceparent" in seen.headers and "/files/" in seen.path] == []


def test_the_standard_variables_mean_what_they_mean_everywhere(
    client: Client, fake: FakeGateway, collector: Collector
) -> None:
    parent = "00f067aa0ba902b7"
    (client.data / ".env").write_text(f"OTEL_EXPORTER_OTLP_ENDPOINT={collector.env['OTEL_EXPORTER_OTLP_ENDPOINT']}\n")
    env = {
        "OTEL_SERVICE_NAME": "my-own",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-team=skills",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "TRACEPARENT": f"00-{'ab' * 16}-{parent}-01",
        "http_proxy": "http://127.0.0.1:1",
    }
    done = client(REMOTE, "--list-cached", "--skill-name", "x", MEGA_CODE_SESSION_ID=SESSION, **PATIENT, **env)
    assert done.status == 0
    (span,) = collector.spans
    assert (span.name, span.trace_id, span.parent_id) == ("remote_enhance", "ab" * 16, parent)
    assert span.resource["deployment.environment"] == "test" and span.service == "my-own"
    assert span.resource["mega_code.session_id"] == SESSION and collector.headers[0]["x-team"] == "skills"


def test_without_a_session_each_command_is_a_trace_of_its_own(client: Client, collector: Collector) -> None:
    for _ in range(2):
        client(REMOTE, "--list-cached", "--skill-name", "x", **PATIENT, **collector.env)
    first, second = collector.spans
    assert first.trace_id != second.trace_id and "mega_code.session_id" not in {**first.resource, **first.attributes}


def test_the_local_flow_tells_its_command_and_its_calls(room: Room, collector: Collector) -> None:
    with ModelServer(signs) as model:
        flow = Flow(room, model.env)
        flow.ready_to_run(2)
        hitl = Commands(room, {**model.env, **collector.env})
        done = hitl(HITL, "run", "--skill", NAME, MEGA_CODE_SESSION_ID=SESSION, **PATIENT)
    assert done.status == 0
    assert tree(collector) == {"hitl": 1, f"hitl > chat {MODEL}": 8}
    assert collector.named("hitl")[0].attributes["mega_code.mode"] == "run"
    assert sum(span.attributes["mega_code.cached"] for span in collector.spans if span.name != "hitl") == 4
    telemetry_tables.check(collector.spans)


# What a collector that is none may cost


def said(client: Client, *arguments: str, **env: str) -> tuple[str, str]:
    """Stdout and stderr of a command. What it may cost of time is for `benchmarks/startup.py`."""
    status, stdout, stderr = ended(client.popen(*arguments, "--list-cached", "--skill-name", "x", **env))
    assert status == 0, stderr
    return stdout, stderr


def patiently(client: Client, **env: str) -> tuple[str, str]:
    """The same of a command that has all the time for its spans."""
    return said(client, REMOTE, **PATIENT, **env)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Status, stdout and stderr of a command, once it has ended."""
    try:
        stdout, stderr = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    return process.returncode, stdout, stderr


@pytest.mark.parametrize(
    "how",
    [
        "refuses",
        "hangs",
        *(pytest.param(how, marks=pytest.mark.slow) for how in ("takes no connection", *SLOWER)),
    ],
)
def test_a_collector_that_fails_costs_one_line_and_no_result(client: Client, how: str) -> None:
    stdout, stderr = said(client)
    with collectors.broken(how) as env:
        assert patiently(client, **env) == (stdout, stderr + REFUSED)
        same, told = said(client, **env)
    assert same == stdout and told in (stderr + REFUSED, stderr + LATE)  # the latter on a busy machine


def test_a_session_pays_once_for_its_collector_and_the_next_one_tries_again(
    client: Client, collector: Collector
) -> None:
    def complaints(session: str) -> int:
        return patiently(client, MEGA_CODE_SESSION_ID=session, **env)[1].count("spans are not sent")

    with collectors.broken("refuses") as env:
        assert [complaints(SESSION), complaints(SESSION)] == [1, 0]
        patiently(client, MEGA_CODE_SESSION_ID=SESSION, **collector.env)  # another collector is tried at once
        assert [span.attributes["mega_code.session_id"] for span in collector.spans] == [SESSION]
        an_hour_ago = time.time() - 3600
        os.utime(client.data / "runtime/spans-given-up", (an_hour_ago, an_hour_ago))
        assert [complaints(SESSION), complaints("another"), complaints("another")] == [1, 1, 0]


def test_what_lists_and_reads_skills_tells_how_it_ended(client: Client, collector: Collector) -> None:
    client.skill()
    module, env = "mega_code.client.skill_enhance_helper", {"MEGA_CODE_SESSION_ID": SESSION, **collector.env}
    for arguments in (
        ("list-skills", "--all"),
        ("resolve-skill", "--name", "demo"),
        ("resolve-skill", "--name", "none"),
    ):
        ended(client.popen(module, *arguments, **PATIENT, **env))
    told = [
        (span.name, span.attributes["mega_code.mode"], span.attributes["mega_code.exit_status"])
        for span in collector.spans
    ]
    name = "skill_enhance_helper"
    assert told == [(name, "list-skills", 0), (name, "resolve-skill", 0), (name, "resolve-skill", 4)]
    assert [span.attributes.get("error.type") for span in collector.spans] == [None, None, "skill_not_found"]
    telemetry_tables.check(collector.spans)


def test_an_answer_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from mega_code.telemetry_http import exporter

    with collectors.broken("never ends") as env:
        monkeypatch.setenv(*next(iter(env.items())))
        exporting = threading.Thread(target=exporter(1.0).export, args=([],), daemon=True)
        exporting.start()
        exporting.join(SECONDS)
        assert not exporting.is_alive()


def test_a_signal_ends_a_command_at_once_although_the_collector_trickles(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.on("POST", "uploads$", hang)
    with collectors.broken("trickles") as env:
        process = client.popen("--skill-name", "demo-skill", **env)
        deadline = time.monotonic() + SECONDS
        while not fake.count("POST", "uploads$"):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        status, envelope, stderr = ended(process)
    assert status == 130 and "interrupted" in json.loads(envelope)
    assert "Traceback" not in stderr and stderr.count("spans are not sent") == 1


def test_a_signal_while_the_last_spans_are_sent_ends_that_and_changes_no_result(client: Client) -> None:
    reached = threading.Event()
    with collectors.broken("trickles", reached) as env:
        process = client.popen(REMOTE, "--list-cached", "--skill-name", "x", **PATIENT, **env)
        assert process.stdout and json.loads(process.stdout.readline()) == {"cached": []}
        assert reached.wait(SECONDS) and process.poll() is None
        process.send_signal(signal.SIGINT)
        status, _, stderr = ended(process)
    assert (status, stderr) == (0, REFUSED)


@pytest.mark.slow
def test_a_gateway_with_a_collector_that_hangs_ends_in_order(room: Room, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    with collectors.broken("hangs") as env, Served(tmp_path, GO=str(tmp_path / "go"), **env) as served:
        api = ApiClient(served.url, key_for(tmp_path))
        job_id = api.submit(skill_zip())
        api.until_status(job_id, "succeeded")
        assert served.end() == 0
    log = (tmp_path / "served.log").read_text()
    assert log.count("spans are not sent") == 1 and "Traceback" not in log and "opentelemetry" not in log


FLOOD = """
import resource
import mega_code.telemetry_http  # which takes memory too, whenever the first export comes
from mega_code import telemetry
assert telemetry.start(telemetry.GATEWAY) == ""
def flood(count):
    for _ in range(count):
        with telemetry.span("job", skill_name="x" * 100):
            pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
first = flood(3_000)
print(flood(10_000) - first)
"""


@pytest.mark.slow
def test_spans_that_nobody_takes_do_not_pile_up(room: Room) -> None:
    with collectors.broken("hangs") as env:
        done = room.run([sys.executable, "-c", FLOOD], env={**room.env, **env, "PYTHONPATH": str(REPOSITORY)})
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 4 * 1024  # KiB; 10,000 spans that are kept take more than 10 MiB


# Off


IMPORTED = """
import sys
from mega_code.client.remote_enhance.cli import main
from mega_code.client.remote_enhance import api, download
from mega_code.gateway import server
from mega_code import hitl, telemetry
from mega_code.hitl import runs
assert main(sys.argv[1:]) == 0
telemetry.flush(print)
assert telemetry.headers() == {}
print(sorted(name for name in sys.modules if name.startswith(("opentelemetry", "google", "mega_code.telemetry_"))))
"""
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
OFF: dict[str, dict[str, str]] = {
    "nothing set": {},
    "empty": {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
    "other signals only": {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:1"},
    "disabled": {**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"},
    "no exporter": {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
    "another exporter": {**ENDPOINT, "OTEL_TRACES_EXPORTER": "console"},
}
ON: dict[str, dict[str, str]] = {
    "endpoint": ENDPOINT,
    "of traces": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"},
    "among others": {**ENDPOINT, "OTEL_TRACES_EXPORTER": "console, otlp", "OTEL_SDK_DISABLED": "false"},
}


@pytest.mark.parametrize("env", OFF.values(), ids=OFF.keys())
def test_spans_are_not_wanted_where_no_collector_is_named_or_they_are_switched_off(env: dict[str, str]) -> None:
    assert not wanted(env)


@pytest.mark.parametrize("env", ON.values(), ids=ON.keys())
def test_spans_are_wanted_where_a_collector_is_named(env: dict[str, str]) -> None:
    assert wanted(env)


@pytest.mark.parametrize("env", [{}, OFF["disabled"]], ids=["nothing set", "disabled"])
def test_without_a_collector_nothing_of_it_is_imported_or_sent(
    client: Client, fake: FakeGateway, env: dict[str, str]
) -> None:
    pytest.importorskip("bottle")
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, "--poll-existing", fake.job_id],
        env={**client.env, **env},
        cwd=client.project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert not any(name in seen.headers for seen in fake.seen for name in ("traceparent", "baggage"))


@pytest.mark.parametrize(
    ("env", "warning"),
    [
        ({}, "the telemetry extra is not installed: python3 -m pip install opentelemetry-sdk opentelemetry-exporter-"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc', and only http/protobuf"),
    ],
    ids=["not installed", "another protocol"],
)
def test_what_keeps_spans_from_being_sent_is_one_line_and_the_command_does_its_work(
    client: Client, collector: Collector, tmp_path: Path, env: dict[str, str], warning: str
) -> None:
    missing = tmp_path / "missing" / "opentelemetry"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ImportError('as if it were not there')\n")
    path = os.pathsep.join([str(missing.parent), str(REPOSITORY)])
    result_json = tmp_path / "result.json"
    arguments = ("--list-cached", "--skill-name", "x", "--result-json", str(result_json))
    process = client.popen(*arguments, **collector.env, **env, PYTHONPATH=path)
    outcome = finished(*ended(process), result_json)
    assert outcome.envelope == {"cached": []} and collector.spans == []
    (line,) = outcome.stderr.splitlines()
    assert line.startswith(f"warning: spans are not sent: {warning}")
