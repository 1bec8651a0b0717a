"""Closed streams, devices, missing packages, servers that trickle: the command still ends as the contract says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from support.client import Client, finished
from support.fake_gateway import KEY, Answer, FakeGateway, Handler, error

SUBMIT = ("--skill-name", "demo-skill")


def shell(client: Client, tail: str, *arguments: str, module: str = "remote_enhance", **env: str) -> tuple[int, str]:
    """Run the command with `tail` of shell redirections behind it; its status and its stdout."""
    command = f'"$0" -m mega_code.client.{module} "$@" {tail}'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, *arguments],
        env={**client.env, **env},
        cwd=client.project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("first", [True, False], ids=["the first named", "one beside it"])
def test_certificates_that_cannot_be_used_are_named_where_they_are_needed(
    client: Client, fake: FakeGateway, tmp_path: Path, first: bool
) -> None:
    text, good = tmp_path / "a text.pem", DEFAULT_CA_BUNDLE_PATH
    text.write_text("no certificate\n")
    env = {"REQUESTS_CA_BUNDLE": str(text) if first else good, "SSL_CERT_FILE": good if first else str(text)}
    client.skill()
    assert client(*SUBMIT, **env).status == 0
    message = f"No certificates of authorities can be read from {str(text)!r}: it holds none."
    for arguments in (SUBMIT, ("--poll-existing", fake.job_id, "--poll-timeout", "60")):
        outcome = client(*arguments, MEGA_CODE_SERVER_URL=fake.url.replace("http:", "https:"), **env)
        assert (outcome.status, outcome.code) == (5, "network_failure")
        assert outcome.envelope["error"]["message"] == message
    asked = [sys.executable, "-m", "mega_code.client.doctor"]
    told = subprocess.run(asked, env={**client.env, **env}, cwd=client.project, capture_output=True, text=True)
    assert f"{fake.url}" in told.stdout and told.stdout.count("✗") == 0, told


@pytest.mark.parametrize("tail", [">&-", "2>&-", ">/dev/full", "2>/dev/full", "<&- >/dev/null 2>&1"])
def test_a_stream_that_is_closed_or_full_changes_no_exit_status(client: Client, tail: str) -> None:
    status, out = shell(client, tail, "--what")
    assert status == 4 and (not out or json.loads(out)["error"]["code"] == "invalid_arguments")


def test_a_reader_that_left_is_no_error(client: Client) -> None:
    assert shell(client, "| true", "list-skills", module="skill_enhance_helper") == (0, "")


@pytest.mark.parametrize("module", ["remote_enhance", "skill_enhance_helper", "report"])
def test_help_that_cannot_be_written_ends_as_any_answer_does(client: Client, module: str) -> None:
    told = "The answer could not be written: No space left on device.\n"
    assert shell(client, "2>&1 >/dev/full", "--help", module=module) == (5, told)
    assert shell(client, ">&-", "--help", module=module) == (0, "")
    assert shell(client, "| true", "--help", module=module) == (0, "")
    status, text = shell(client, "", "--help", module=module)
    assert status == 0 and text.startswith("Usage: ") and text.endswith("\n") and not text.endswith("\n\n")


def test_arguments_from_a_closed_stdin_are_no_arguments(client: Client) -> None:
    status, out = shell(client, "<&-", module="arguments")
    assert status == 0 and out.startswith("HITL=0\nSKILL_NAME=\n")


def test_a_result_file_that_is_a_device_or_pipe_is_left_alone(client: Client, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    for path in (pipe, link, tmp_path):
        process = client.popen("--list-backups", "--result-json", str(path))
        stdout, stderr = process.communicate(timeout=60)
        assert (process.returncode, json.loads(stdout)) == (0, {"backups": []})
        assert stderr.count("warning: ") == 1 and str(path) in stderr
    assert pipe.is_fifo() and link.is_symlink()


@pytest.mark.parametrize("name", ["\u6f22" * 80 + ".json", "\U0001f600" * 63, "a" * 255], ids=["three", "four", "one"])
def test_a_result_file_may_have_the_longest_name_whatever_bytes_a_character_takes(
    client: Client, tmp_path: Path, name: str
) -> None:
    process = client.popen("--list-backups", "--result-json", str(tmp_path / name))
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [name]
    assert (tmp_path / name).read_text() == stdout == '{"backups": []}\n'


def test_a_failed_job_is_told_where_nothing_can_be_kept(
    client: Client, fake: FakeGateway, powerless: list[str]
) -> None:
    told = {"status": "failed", "artifact_kind": "none"}
    fake.statuses, fake.result = [{"status": "failed"}], told
    expected = {**told, "result": fake.full_result(), "installed": False, "job_id": fake.job_id}
    listing: dict[str, dict[str, list[object]]] = {"--list-backups": {"backups": []}, "--list-cached": {"cached": []}}

    def check(data: Path) -> None:
        ended = client("--poll-existing", fake.job_id, MEGA_CODE_DATA_DIR=str(data))
        assert (ended.status, ended.envelope) == (0, expected), ended
        for mode, envelope in listing.items():
            assert client(mode, *SUBMIT, MEGA_CODE_DATA_DIR=str(data)).envelope == envelope

    check(client.data / ("x" * 256))
    client.wrapper = powerless
    for unreadable in (client.enhancements, client.data):
        unreadable.mkdir(exist_ok=True)
        unreadable.chmod(0)
        check(client.data)
        unreadable.chmod(0o700)


def test_a_staging_dir_that_cannot_be_removed_keeps_no_result_back(
    client: Client, fake: FakeGateway, powerless: list[str]
) -> None:
    staged = client("--poll-existing", fake.job_id).envelope["staging_dir"]
    fake.statuses, fake.result = [{"status": "revoked"}], {"status": "revoked", "artifact_kind": "none"}
    client.wrapper = powerless
    client.enhancements.chmod(0o500)
    ended = client("--poll-existing", fake.job_id)
    client.enhancements.chmod(0o700)
    assert (ended.status, ended.envelope["status"], ended.envelope["installed"]) == (0, "revoked", False)
    assert "warning: what was staged before could not be removed: Permission denied" in ended.stderr
    assert os.path.isdir(staged)


def test_a_working_directory_that_is_gone_is_named(client: Client) -> None:
    gone = client.project / "gone"
    gone.mkdir()
    command = 'cd gone && rmdir "$PWD" && exec "$0" -m mega_code.client.remote_enhance --skill-name x'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable], cwd=client.project, env=client.env, capture_output=True, text=True
    )
    assert done.returncode == 4 and json.loads(done.stdout)["error"]["code"] == "invalid_path"


def test_without_the_packages_there_is_an_envelope_and_for_our_launcher_a_silent_97(client: Client) -> None:
    client.skill()
    blocked = client.home / "blocked"
    blocked.mkdir()
    (blocked / "requests.py").write_text("raise ImportError('no', name='requests')\n")
    path = os.pathsep.join([str(blocked), client.env["PYTHONPATH"]])
    outcome = client(*SUBMIT, PYTHONPATH=path)
    assert outcome.status == 4 and "requests and PyYAML are missing" in outcome.envelope["error"]["message"]
    assert shell(client, "", *SUBMIT, PYTHONPATH=path, MEGA_CODE_LAUNCHER="1") == (97, "")


def test_the_token_is_taken_out_however_it_is_escaped_and_nothing_else_is(client: Client, fake: FakeGateway) -> None:
    client.skill()
    escaped = "".join(f"\\u{ord(char):04x}" for char in KEY)
    body = json.dumps({**fake.full_result(), "artifact_kind": "source", "reason": "X"}).replace('"X"', f'"{escaped}"')
    fake.on("GET", "/result$", Answer(200, body.encode()), times=1)
    assert client(*SUBMIT).envelope["result"]["reason"] == "***"
    fake.key = "token"
    outcome = client("--poll-existing", fake.job_id, MEGA_CODE_API_KEY="token")
    assert set(outcome.envelope["result"]["roi"][0]) == {"model", "performance_increase", "token_savings"}


@pytest.mark.parametrize("code", ["Quota.Exceeded", "rate-limited"])
def test_a_code_of_any_spelling_is_passed_on_verbatim(client: Client, fake: FakeGateway, code: str) -> None:
    client.skill()
    fake.on("POST", "uploads", error(400, code, "No."))
    assert client(*SUBMIT).code == code


def test_numbers_that_are_no_json_are_no_answer(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.on("GET", "/result$", Answer(200, b'{"status": "succeeded", "roi": NaN}'))
    assert client(*SUBMIT).code == "invalid_response"


@pytest.mark.parametrize("value", ["soon", "1.5"])
def test_a_retry_after_that_says_nothing_stops_no_retry(client: Client, fake: FakeGateway, value: str) -> None:
    client.skill()
    fake.on("POST", "uploads", Answer(503, b"", (("Retry-After", value),)), times=1)
    assert client(*SUBMIT, "--no-wait").status == 0 and fake.count("POST", "uploads") == 2


def test_busy_answers_of_two_kinds_share_five_attempts(client: Client, fake: FakeGateway) -> None:
    client.skill()
    kinds = [Answer(429, b"", (("Retry-After", "0"),)), Answer(503, b"", (("Retry-After", "0"),))]
    fake.on("POST", "uploads", lambda handler: kinds[fake.count("POST", "uploads") % 2])
    assert client(*SUBMIT).code == "network_failure" and fake.count("POST", "uploads") == 5


@pytest.mark.slow
def test_an_upload_that_takes_its_time_arrives(client: Client, fake: FakeGateway) -> None:
    (client.skill() / "noise.bin").write_bytes(os.urandom(24 * 1024 * 1024))
    taken: list[float] = []

    def slow_reader(handler: Handler) -> None:
        started = time.monotonic()
        left = int(handler.headers["Content-Length"])
        while left:
            left -= len(handler.rfile.read(min(left, 1 << 20)))
            handler.fake.closing.wait(0.5)
        taken.append(time.monotonic() - started)

    fake.before_body = slow_reader
    assert client(*SUBMIT, "--no-wait").status == 0
    assert len(taken) == 1 and taken[0] > 11


def test_undo_by_name_keeps_to_this_project(client: Client, fake: FakeGateway) -> None:
    client.skill()
    elsewhere = client.home / "other project"
    elsewhere.mkdir()
    job_id = client(*SUBMIT).envelope["job_id"]
    install = ("--install-existing", job_id, "--install-location", "project", *SUBMIT)
    here = client(*install).envelope
    for _ in range(2):
        assert client(*install, "--project-dir", str(elsewhere)).status == 0
    assert client("--restore-backup", "latest", *SUBMIT).envelope["restored"] == here["installed_path"]
    empty = client.home / "empty project"
    empty.mkdir()
    assert client("--restore-backup", "latest", *SUBMIT, "--project-dir", str(empty)).code == "invalid_path"


def test_a_result_that_is_revoked_takes_its_staging_dir_along(client: Client, fake: FakeGateway) -> None:
    client.skill()
    job_id = client(*SUBMIT).envelope["job_id"]
    assert (client.enhancements / job_id).is_dir()
    fake.result = {"status": "revoked", "artifact_kind": "none"}
    assert client("--poll-existing", job_id).envelope["status"] == "revoked"
    assert not (client.enhancements / job_id).exists() and client.leftovers() == []


def test_a_signal_in_the_middle_of_a_clean_up_leaves_its_finished_envelope(client: Client) -> None:
    client.skill()
    code = (
        "import os, signal, sys\n"
        "from mega_code import backups\n"
        "from mega_code.client.remote_enhance import cli\n"
        "def event(name, arguments):\n"
        "    if name == 'os.rename' and 'backup' in str(arguments[1]):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.addaudithook(event)\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    result_json = client.home / "r.json"
    arguments = ["--cleanup-original", ".claude/skills/demo-skill", "--result-json", str(result_json)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=client.project, env=client.env, capture_output=True, text=True
    )
    outcome = finished(done.returncode, done.stdout, done.stderr, result_json)
    assert outcome.status == 0 and Path(outcome.envelope["backup_path"]).is_dir()
