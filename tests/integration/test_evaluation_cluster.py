"""Calls on a `distributed` cluster: a real scheduler and worker processes on loopback."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mega_code.errors import MegaCodeError
from mega_code.evaluation import executor as module
from mega_code.evaluation.budget import Budget, Limits
from mega_code.evaluation.calls import Calls
from mega_code.evaluation.executor import Cluster, Threads, executor
from mega_code.evaluation.models import ModelError, Request, choose
from mega_code.evaluation.store import Store, Usage
from support.model_server import MODEL, Answer, ModelServer, Reply
from support.room import REPOSITORY, Room

installed = importlib.util.find_spec("distributed") is not None
with_cluster = pytest.mark.skipif(not installed, reason="the cluster extra is not installed")


def test_calls_run_in_threads_of_this_process_where_nothing_else_is_named() -> None:
    assert isinstance(executor({}), Threads) and isinstance(executor({"MEGA_CODE_EXECUTOR": " "}), Threads)


@pytest.mark.parametrize("address", ["dask", "dask://", "dask://host", "tcp://host:1", "dask://host:x", "dask://h:1/p"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(MegaCodeError, match=r"MEGA_CODE_EXECUTOR is .* looks like dask://host:8786") as caught:
        executor({"MEGA_CODE_EXECUTOR": address})
    assert caught.value.code == "invalid_arguments"


def test_a_cluster_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MegaCodeError, match=r"mega-code\[cluster\]") as caught:
        executor({"MEGA_CODE_EXECUTOR": "dask://127.0.0.1:9"})
    assert caught.value.code == "invalid_arguments"


class Processes:
    """A scheduler and its workers."""

    def __init__(self, room: Room, env: dict[str, str]) -> None:
        self.room, self.env = room, {**room.env, **env, "PYTHONPATH": str(REPOSITORY)}
        self.file = room.root / "scheduler.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.workers = [self._start("worker", "--nthreads", "2", "--no-nanny", "--no-dashboard") for _ in range(2)]

    def _start(self, kind: str, *args: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", kind, "--scheduler-file", str(self.file), *args]
        return subprocess.Popen(
            command, cwd=self.room.root, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def address(self) -> str:
        """`dask://host:port`, once the scheduler has said it."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                return str(json.loads(self.file.read_text())["address"]).replace("tcp://", "dask://")
            except (OSError, ValueError):
                time.sleep(0.05)
        raise AssertionError("the scheduler does not start")

    def end(self) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait(30)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def cluster(room: Room, server: ModelServer) -> Iterator[Processes]:
    processes = Processes(room, {"MEGA_CODE_MODEL_KEY": server.key})
    yield processes
    processes.end()


def calls(server: ModelServer, path: Path, env: dict[str, str]) -> Calls:
    model = choose(f"openai:{MODEL}", server.env)[0]
    return Calls(model, Store(path), "job", Budget(Limits()), executor(env), 4)


@with_cluster
@pytest.mark.slow
def test_a_cluster_gives_the_same_answers_though_one_of_its_workers_is_killed(
    server: ModelServer, cluster: Processes, room: Room
) -> None:
    half = threading.Event()
    failed: list[str] = []

    def answer(role: str, system: str, prompt: str) -> Answer:
        if server.count() >= 20:
            half.set()
        time.sleep(0.05)
        if prompt == "question 5" and not failed:
            failed.append(prompt)
            return Reply(status=500)
        return f"answer to {prompt}"

    server.answer = answer
    requests = [Request("task", "sys", f"question {number % 40}") for number in range(50)]
    on_cluster = calls(server, room.root / "1.sqlite", {"MEGA_CODE_EXECUTOR": cluster.address()})

    def kill() -> None:
        if half.wait(60):
            cluster.workers[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    answers = on_cluster.complete_all(requests)
    killer.join(30)
    assert half.is_set() and cluster.workers[0].wait(30) == -9
    sent = server.count()
    failed.clear()
    assert answers == calls(server, room.root / "2.sqlite", {}).complete_all(requests)
    usage = on_cluster.store.usage("job")
    # The killed worker's calls were run again; with two threads it had two at most.
    assert usage == Usage(41, 0, usage.input_tokens, usage.output_tokens, 0.0) and 41 <= sent <= 43
    on_cluster.executor.shutdown()


@with_cluster
@pytest.mark.slow
def test_what_an_endpoint_teaches_a_worker_is_known_to_all_of_them(
    server: ModelServer, cluster: Processes, room: Room
) -> None:
    def answer(role: str, system: str, prompt: str) -> Answer:
        other = Reply(status=400, body={"error": {"message": "Use 'max_completion_tokens'."}})
        return other if "max_tokens" in server.requests[-1].body else f"answer to {prompt}"

    server.answer = answer
    on_cluster = calls(server, room.root / "1.sqlite", {"MEGA_CODE_EXECUTOR": cluster.address()})
    for number in range(3):
        assert on_cluster.complete(Request("task", "", f"question {number}")).text == f"answer to question {number}"
    assert server.count() == on_cluster.store.usage("job").calls == 4
    on_cluster.executor.shutdown()


@with_cluster
@pytest.mark.slow
def test_a_cluster_that_goes_away_is_trouble_of_the_model_and_not_a_hang(
    server: ModelServer, cluster: Processes, room: Room
) -> None:
    def answer(role: str, system: str, prompt: str) -> Answer:
        cluster.end()
        return Reply(hang=True)

    server.answer = answer
    running = executor({"MEGA_CODE_EXECUTOR": cluster.address()})
    assert isinstance(running, Cluster)
    model = choose(f"openai:{MODEL}", server.env)[0]
    with pytest.raises(ModelError, match="cluster") as caught:
        running.submit(model.complete, Request("task", "", "hello")).result(60)
    assert caught.value.transient and caught.value.charged
    running.shutdown()


@with_cluster
@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_said_so_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.CONNECT_S + 1 < 10
    monkeypatch.setattr(module, "CONNECT_S", 1)
    began = time.monotonic()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        for port in (9, silent.getsockname()[1]):
            with pytest.raises(MegaCodeError, match=f"127.0.0.1:{port} does not answer") as caught:
                executor({"MEGA_CODE_EXECUTOR": f"dask://127.0.0.1:{port}"})
            assert caught.value.code == "network_failure"
    assert time.monotonic() - began < 15
