"""The gateway as a process: started, found, stopped, killed, and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Optional

import pytest

from mega_code.paths import MEGA_DIR, DataDir
from mega_code.settings import load, running_gateway
from support.gateway import SKILL, Client, Served, clean_env, error, key_for, skill_zip, unique_skill
from support.room import script


class Command:
    """`python -m mega_code.gateway` in a clean room whose folders have spaces in their names."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self.home = home
        self.data = DataDir(home / "data dir")
        self.env = clean_env(home)

    def __call__(self, *arguments: str, **env: str) -> tuple[int, str, str]:
        """Exit status, stdout, stderr."""
        done = subprocess.run(
            [sys.executable, "-m", "mega_code.gateway", *arguments],
            env={**self.env, **env},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    def pid(self) -> Optional[int]:
        text = self.lock.read_text() if self.lock.exists() else ""
        return int(text) if text.strip().isdigit() else None

    @property
    def lock(self) -> Path:
        return self.data.gateway / "pid"

    def client(self) -> Client:
        found = json.loads(self.data.client_json.read_text())
        return Client(found["server_url"], found["api_key"])


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path / "a home")
    yield command
    command("stop")
    assert command.pid() is None


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "a home"
    folder.mkdir()
    return folder


class Jobs:
    """The files by which the served evaluator is followed and let go."""

    def __init__(self, home: Path) -> None:
        self.began, self.go = home / "began", home / "go"
        self.env = {"BEGAN": str(self.began), "GO": str(self.go)}

    def until_begun(self, count: int) -> None:
        assert eventually(lambda: len(self.seen()) >= count, 20)

    def seen(self) -> list[str]:
        return self.began.read_text().split() if self.began.exists() else []


def alive(pid: int) -> bool:
    """Whether the process runs; one that waits to be reaped does not."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return False
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


def eventually(true: Callable[[], bool], timeout: float = 10) -> bool:
    deadline = time.monotonic() + timeout
    while not true() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return true()


def gone(pid: int) -> bool:
    return eventually(lambda: not alive(pid))


def test_start_prints_the_url_of_a_gateway_that_answers_and_stop_ends_it(gateway: Command) -> None:
    status, out, err = gateway("start")
    url, pid = out.strip(), gateway.pid()
    assert (status, out, err) == (0, f"{url}\n", "")
    assert url.startswith("http://127.0.0.1:")
    assert pid is not None
    assert gateway.client().url == url
    assert gateway.client().call("GET", "/profile").json() == {"user_id": "local"}
    assert gateway("status") == (0, f"running at {url} (pid {pid})\n", "")
    assert gateway("url") == (0, f"{url}\n", "")
    assert stat.S_IMODE(gateway.data.client_json.stat().st_mode) == 0o600
    assert gateway("stop") == (0, f"stopped (pid {pid})\n", "")
    assert gone(pid)
    assert not gateway.data.client_json.exists()
    assert not gateway.lock.exists()
    assert gateway("stop") == (0, "not running\n", "")
    assert gateway("status") == (3, "not running\n", "")
    assert gateway("url") == (3, "", f"gateway: no gateway is running; start it with: {script('gateway')} start\n")


def test_what_never_ran_is_not_running(gateway: Command) -> None:
    assert gateway("stop") == (0, "not running\n", "")
    assert gateway("status") == (3, "not running\n", "")
    assert gateway("url")[0] == 3
    assert not gateway.data.gateway.exists()


def test_the_client_finds_a_running_gateway_by_itself(gateway: Command) -> None:
    gateway("start")
    settings = load({**gateway.env})
    client = gateway.client()
    assert (settings.server_url, settings.client_mode, settings.embedded) == (client.url, "remote", True)
    assert f"Bearer {settings.api_key}" == client.headers["Authorization"]
    gateway("stop")
    assert load({**gateway.env}).server_url is None


def test_start_is_idempotent(gateway: Command) -> None:
    first = gateway("start")
    pid = gateway.pid()
    assert gateway("start") == first
    assert gateway.pid() == pid


def test_five_starts_at_once_end_with_one_gateway(gateway: Command) -> None:
    with ThreadPoolExecutor(5) as pool:
        answers = {future.result() for future in [pool.submit(gateway, "start") for _ in range(5)]}
    assert len(answers) == 1
    ((status, _, err),) = answers
    assert (status, err) == (0, "")
    assert (gateway.data.gateway / "log").read_text().count("listening on") == 1


def test_the_gateway_keeps_nothing_of_the_command_that_started_it(gateway: Command) -> None:
    gateway("start")
    pid = gateway.pid()
    assert pid is not None
    assert os.getsid(pid) == pid
    if os.path.isdir("/proc/self"):
        files = {number: os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)}
        log = str(gateway.data.gateway / "log")
        assert (files, os.readlink(f"/proc/{pid}/cwd")) == ({0: "/dev/null", 1: log, 2: log}, "/")


def test_a_real_skill_goes_through_the_real_evaluation(gateway: Command) -> None:
    gateway("start")
    client = gateway.client()
    example = MEGA_DIR / "examples" / "commit-message"
    files = {str(path.relative_to(example)): path.read_bytes() for path in example.rglob("*") if path.is_file()}
    job_id = client.submit(skill_zip(files.pop("SKILL.md").decode(), files), "commit-message")
    client.until_status(job_id, "succeeded")
    result = client.result(job_id).json()
    assert result["artifact_kind"] in ("enhanced", "source")
    assert set(files) <= {file["relpath"] for file in result["artifact"]["files"]} or result["artifact"]["files"] == []
    assert result["roi"]
    assert result["evaluation"]


def test_a_relative_data_dir_and_python_path_work_although_the_gateway_works_elsewhere(gateway: Command) -> None:
    relative = {"MEGA_CODE_DATA_DIR": "data dir", "PYTHONPATH": os.path.relpath(MEGA_DIR, gateway.home)}
    status, out, err = gateway("start", **relative)
    assert (status, err) == (0, "")
    assert gateway("url") == (0, out, "")


def test_a_restart_keeps_the_port_and_makes_a_fresh_key(gateway: Command) -> None:
    gateway("start")
    before = gateway.client()
    key = gateway("add-key", "--user", "alice")[1].strip()
    gateway("stop")
    gateway("start")
    after = gateway.client()
    assert after.url == before.url
    assert after.headers != before.headers
    assert error(before.call("GET", "/profile")) == (401, "unauthorized")
    assert after.call("GET", "/profile").json() == {"user_id": "local"}
    assert Client(after.url, key).call("GET", "/profile").json() == {"user_id": "alice"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_port_can_be_asked_for(gateway: Command) -> None:
    port = free_port()
    assert gateway("start", "--port", str(port)) == (0, f"http://127.0.0.1:{port}\n", "")


def test_a_port_that_is_taken_is_said_with_the_end_of_the_log(gateway: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, out, err = gateway("start", "--port", str(port))
    assert (status, out) == (5, "")
    assert f"Port {port} of 127.0.0.1 cannot be had." in err
    assert gateway("status")[0] == 3


def test_a_store_that_is_no_database_is_said(gateway: Command) -> None:
    gateway.data.gateway.mkdir(parents=True)
    (gateway.data.gateway / "gateway.sqlite3").write_text("no database at all, but long enough to be looked at " * 20)
    status, out, err = gateway("start")
    assert (status, out) == (5, "")
    assert "file is not a database" in err
    assert "Traceback" not in err


def test_it_listens_on_loopback_only(gateway: Command) -> None:
    gateway("start")
    port = int(gateway.client().url.rsplit(":", 1)[1])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.2" if sys.platform == "linux" else "::1", port))


USAGE = [
    (),
    ("frob",),
    ("start", "--port", "0"),
    ("start", "--port", "70000"),
    ("start", "--port", "x"),
    ("start", "extra"),
    ("add-key",),
    ("add-key", "--user", "../x"),
    ("add-key", "--user", ""),
    ("serve", "--ready-fd", "x"),
]


@pytest.mark.parametrize("arguments", USAGE, ids=[" ".join(arguments) or "nothing" for arguments in USAGE])
def test_bad_usage_is_one_sentence_and_exit_4(gateway: Command, arguments: tuple[str, ...]) -> None:
    status, out, err = gateway(*arguments)
    assert (status, out) == (4, "")
    assert err.startswith("gateway: ")
    assert err.count("\n") == 1


def test_a_signal_that_comes_at_once_is_heeded(home: Path) -> None:
    jobs = Jobs(home)
    for _ in range(20):
        with Served(home, **jobs.env) as served:
            assert served.end() == 0


def test_a_setting_that_is_no_number_is_said(gateway: Command) -> None:
    status, _, err = gateway("start", MEGA_CODE_GATEWAY_WORKERS="many")
    assert status == 5
    assert "MEGA_CODE_GATEWAY_WORKERS is 'many', not a number from 1." in err


def test_settings_are_read_from_the_env_file_too(gateway: Command) -> None:
    gateway.data.root.mkdir(parents=True)
    gateway.data.env_file.write_text("MEGA_CODE_GATEWAY_MAX_QUEUED=0\n")
    gateway("start")
    assert error(gateway.client().upload(skill_zip())) == (429, "queue_full")


@pytest.mark.parametrize("package", ["bottle", "waitress", "yaml", "requests"])
@pytest.mark.parametrize("command", ["start", "status"])
def test_a_missing_package_is_one_sentence_and_for_our_launcher_a_silent_97(
    gateway: Command, package: str, command: str
) -> None:
    stub = gateway.home / "stubs"
    stub.mkdir()
    (stub / f"{package}.py").write_text(f"raise ModuleNotFoundError('No module', name={package!r})\n")
    path = f"{stub}{os.pathsep}{MEGA_DIR}"
    said = f"gateway: {package} is missing; pip install 'mega-code[gateway,optimize]' brings it\n"
    assert gateway(command, PYTHONPATH=path) == (5, "", said)
    assert gateway(command, PYTHONPATH=path, MEGA_CODE_LAUNCHER="1") == (97, "", "")


def test_help_is_help(gateway: Command) -> None:
    status, out, err = gateway("--help")
    assert (status, err) == (0, "")
    for command in ("start", "stop", "status", "url", "serve", "add-key"):
        assert f"  {command} " in out


def test_after_a_kill_it_counts_as_not_running_and_a_start_works(gateway: Command) -> None:
    gateway("start")
    waiting = gateway.client()
    pid, url = gateway.pid(), waiting.url
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert gateway.lock.exists()
    assert gateway.data.client_json.exists()
    # The kernel lets go of the lock with the last of the process's threads.
    assert eventually(lambda: running_gateway(gateway.data) is None)
    assert gateway("status") == (3, "not running\n", "")
    assert gateway("start") == (0, f"{url}\n", "")
    assert gateway.pid() != pid
    assert waiting.call("GET", "/profile").status_code == 200, "a client that waited through it is let in again"


def test_stop_after_a_kill_tidies_up_and_touches_no_stranger(gateway: Command) -> None:
    gateway("start")
    pid = gateway.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: running_gateway(gateway.data) is None)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        gateway.lock.write_text(f"{stranger.pid}\n")  # as if the process id had been given out again
        assert gateway("stop") == (0, "not running\n", "")
        assert stranger.poll() is None
        assert not gateway.lock.exists()
        assert not gateway.data.client_json.exists()
        stranger.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(gateway: Command, number: signal.Signals) -> None:
    gateway("start")
    pid = gateway.pid()
    assert pid is not None
    os.kill(pid, number)
    assert gone(pid)
    assert not gateway.lock.exists()
    assert not gateway.data.client_json.exists()
    assert (gateway.data.gateway / "log").read_text().endswith("stopping\n")


@pytest.mark.slow
def test_one_that_does_not_end_is_killed(gateway: Command) -> None:
    gateway("start")
    pid = gateway.pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert gateway("stop") == (0, f"stopped (pid {pid})\n", "")
    assert gone(pid)


def test_a_second_server_on_the_same_folder_is_refused(gateway: Command) -> None:
    gateway("start")
    assert gateway("serve") == (5, "", "gateway: Another gateway serves this data folder already.\n")
    assert gateway.client().call("GET", "/profile").status_code == 200


def folders_in(place: Path) -> list[str]:
    return [path.name[:8] for path in place.iterdir() if path.is_dir()]


def test_a_job_outlives_a_kill_and_has_exactly_one_result(home: Path) -> None:
    jobs = Jobs(home)
    env = {**jobs.env, "MEGA_CODE_GATEWAY_LEASE_S": "600"}  # so it is reclaimed at the start, or not in this test
    with Served(home, **env) as served:
        alice = Client(served.url, key_for(home))
        accepted = [alice.submit(unique_skill(number), f"skill-{number}") for number in range(3)]
        jobs.until_begun(1)
        served.kill()
    jobs.go.touch()
    with Served(home, **env) as again:
        assert again.url == alice.url
        for number, job_id in enumerate(accepted):
            alice.until_status(job_id, "succeeded")
            result = alice.result(job_id).json()
            assert result["lineage"] == [{"pid": again.process.pid}]
            assert result["evaluation"] == {"skill_md": f"{SKILL}{number}\n"}
            place = again.data.gateway / "jobs" / job_id
            # The worker's own folder goes a moment after the job has ended.
            assert eventually(lambda place=place: folders_in(place) == ["artifact"])  # type: ignore[misc]
        assert jobs.seen() == ["skill-0", "skill-0", "skill-1", "skill-2"]
        assert again.end() == 0


def test_a_job_that_takes_the_gateway_down_again_and_again_ends_failed(home: Path) -> None:
    jobs = Jobs(home)
    key = key_for(home)
    for attempt in range(1, 6):
        with Served(home, **jobs.env) as served:
            alice = Client(served.url, key)
            if attempt == 1:
                job_id = alice.submit(skill_zip())
            jobs.until_begun(attempt)
            served.kill()
    with Served(home, **jobs.env) as served:
        alice.until_status(job_id, "failed")
        result = alice.result(job_id).json()
        assert (result["artifact_kind"], result["artifact"]) == ("none", {"files": []})
        assert result["reason"].startswith("The gateway died 5 times while it worked on this job")
        jobs.go.touch()
        alice.until_status(alice.submit(unique_skill(1)), "succeeded")
        assert len(jobs.seen()) == 6


def test_a_cancel_before_a_kill_holds_after_it(home: Path) -> None:
    jobs = Jobs(home)
    key = key_for(home)
    with Served(home, DEAF="1", **jobs.env) as served:
        alice = Client(served.url, key)
        job_id = alice.submit(skill_zip())
        jobs.until_begun(1)
        assert alice.cancel(job_id).status_code == 202
        served.kill()
    jobs.go.touch()
    with Served(home, **jobs.env):
        alice.until_status(job_id, "cancelled")
        assert len(jobs.seen()) == 1


@pytest.mark.parametrize(
    "deaf", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["listens", "does not listen"]
)
def test_a_stop_in_the_middle_of_a_job_is_prompt_and_the_job_goes_on_next_time(home: Path, deaf: bool) -> None:
    jobs = Jobs(home)
    key = key_for(home)
    for attempt in range(1, 5):  # more often than a job may die
        with Served(home, **jobs.env, **({"DEAF": "1"} if deaf else {})) as served:
            alice = Client(served.url, key)
            if attempt == 1:
                job_id = alice.submit(skill_zip())
            jobs.until_begun(attempt)
            assert served.end() == 0
            assert not served.data.client_json.exists()
            assert not (served.data.gateway / "pid").exists()
    jobs.go.touch()
    with Served(home, **jobs.env):
        alice.until_status(job_id, "succeeded")


def test_what_an_evaluation_started_ends_with_the_gateway(home: Path) -> None:
    jobs = Jobs(home)
    helper = home / "helper"
    key = key_for(home)
    with Served(home, DEAF="1", HELPER=str(helper), **jobs.env) as served:
        Client(served.url, key).submit(skill_zip())
        assert eventually(lambda: helper.exists() and helper.read_text() != "")
        assert served.end() == 0
    assert gone(int(helper.read_text()))


def test_what_a_kill_left_half_done_on_disk_is_swept(home: Path) -> None:
    jobs = Jobs(home)
    jobs.go.touch()
    key = key_for(home)
    with Served(home, **jobs.env) as served:
        alice = Client(served.url, key)
        job_id = alice.submit(skill_zip())
        alice.until_status(job_id, "succeeded")
        prebuilt = alice.prebuilt(skill_zip()).json()["id"]
        served.kill()
    gateway = served.data.gateway
    orphan = "11111111-2222-4333-8444-555555555555"
    for left in (
        f"jobs/{orphan}",
        f"jobs/{job_id}/work-1",
        f"jobs/{job_id}/artifact-1",
        "incoming/x",
        f"prebuilt/{orphan}",
    ):
        (gateway / left / "deep").mkdir(parents=True)
        (gateway / left / "deep" / "file").write_text("x")
    half_written = [gateway / ".client.json.01ab.tmp", gateway / "jobs" / job_id / ".history.json.01ab.tmp"]
    for path in half_written:
        path.write_text("{")
    with Served(home, **jobs.env):
        assert not any(path.exists() for path in half_written)
        assert [path.name for path in (gateway / "jobs").iterdir()] == [job_id]
        assert sorted(path.name.split("-")[0] for path in (gateway / "jobs" / job_id).iterdir()) == [
            "artifact",
            "history.json",
            "report.html",
        ]
        assert list((gateway / "incoming").iterdir()) == []
        assert [path.name for path in (gateway / "prebuilt").iterdir()] == [prebuilt]
        files = alice.result(job_id).json()["artifact"]["files"]
        assert alice.call("GET", files[0]["url"][len(alice.api) :]).status_code == 200


def test_accepted_jobs_survive_kills_at_any_moment(home: Path) -> None:
    """Uploads from several threads while the gateway is killed again and again; what was answered is never lost."""
    jobs = Jobs(home)
    jobs.go.touch()
    key = key_for(home)
    accepted: list[str] = []
    numbers = iter(range(10_000))
    for round_ in range(6):
        with Served(home, MEGA_CODE_GATEWAY_MAX_QUEUED="10000", **jobs.env) as served:
            alice = Client(served.url, key)
            ending = threading.Event()

            def submit(alice: Client = alice, ending: threading.Event = ending) -> None:
                while not ending.is_set():
                    number = next(numbers)
                    try:
                        accepted.append(alice.submit(unique_skill(number), f"skill-{number}"))
                    except OSError:
                        return

            threads = [threading.Thread(target=submit) for _ in range(4)]
            for thread in threads:
                thread.start()
            goal = len(accepted) + 3 + 2 * round_
            assert eventually(lambda goal=goal: len(accepted) >= goal, 20)  # type: ignore[misc]
            served.kill()
            ending.set()
            for thread in threads:
                thread.join()
    with Served(home, MEGA_CODE_GATEWAY_MAX_QUEUED="10000", **jobs.env) as served:
        for job_id in accepted:
            assert alice.until(job_id, lambda body: body["status"] not in ("queued", "running"))["status"] in (
                "succeeded",
                "failed",
            )
        assert len(accepted) == len(set(accepted)) > 20
        for job_id in accepted:
            files = alice.result(job_id).json()["artifact"]["files"]
            assert all(alice.call("GET", file["url"][len(alice.api) :]).status_code == 200 for file in files)
