"""What the gateway's tests share: a real gateway on a free loopback port, a plain HTTP client, evaluators to order.

Run as a program it serves like `python -m mega_code.gateway serve`, but with the evaluator of `main` below.
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable, NamedTuple, Optional
from urllib.parse import urlsplit

import requests

from mega_code import telemetry
from mega_code.gateway.auth import Keys
from mega_code.gateway.config import Config, from_env, utc_now
from mega_code.gateway.database import Database
from mega_code.gateway.folders import Folders
from mega_code.gateway.server import Gateway, serve
from mega_code.paths import MEGA_DIR, DataDir
from mega_code.settings import API_BASE

SKILL = "---\nname: demo\ndescription: Shows things.\n---\n# Demo\n"
ENHANCED = (
    b"---\nname: demo\ndescription: Shows things better.\nmetadata: {tags: [demo], roi: [{model: test}]}\n---\n# Demo\n"
)
ROI = {"model": "test", "performance_increase": "67%", "token_savings": "-4%"}


class Outcome(NamedTuple):
    """What an evaluation hands over."""

    status: str = "succeeded"
    artifact_kind: str = "enhanced"
    files: Any = MappingProxyType({"SKILL.md": ENHANCED})
    roi: Any = (ROI,)
    reason: Optional[str] = None
    invariants: Any = ()
    evidence: Any = None
    evaluation: Any = None
    usage_snapshot: Any = None
    lineage: Any = ()


class Evaluator:
    """Goes through all phases; before each step it waits until the test lets it."""

    def __init__(self, outcome: Outcome = Outcome(), held: bool = False) -> None:
        self.outcome = outcome
        self.steps = threading.Semaphore(0 if held else 1_000_000)
        self.started = threading.Event()
        self.seen: list[tuple[Path, str, datetime]] = []

    def __call__(self, skill_dir: Path, skill_id: str, progress: Any, now: datetime) -> Outcome:
        self.seen.append((skill_dir, skill_id, now))
        self.started.set()
        steps: tuple[Callable[[], object], ...] = (
            lambda: progress.phase("evaluation_setup"),
            lambda: (progress.phase("iterating"), progress.iteration(1, 3)),
            lambda: progress.iteration(2, 3),
            lambda: progress.iteration(3, 3),
            lambda: progress.phase("publishing"),
        )
        for step in steps:
            assert self.steps.acquire(timeout=60)
            step()
        assert self.steps.acquire(timeout=60)
        return self.outcome

    def step(self, count: int = 1) -> None:
        """Let it go on by so many steps; six bring it to its end."""
        for _ in range(count):
            self.steps.release()


def skill_zip(text: str = SKILL, files: Optional[Mapping[str, bytes]] = None) -> bytes:
    """A skill's archive with further files; `run` in a name means executable."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"SKILL.md": text.encode(), **(files or {})}.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.compress_type = 3, zipfile.ZIP_DEFLATED
            info.external_attr = (0o100755 if "run" in name else 0o100644) << 16
            archive.writestr(info, content)
    return out.getvalue()


def unique_skill(number: int) -> bytes:
    """An archive whose content no other number has."""
    return skill_zip(f"{SKILL}{number}\n")


class Client:
    """The API as a user calls it, with nothing of ours in between."""

    def __init__(self, url: str, key: Optional[str]) -> None:
        self.url = url
        self.api = url + API_BASE
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def call(self, method: str, path: str, timeout: float = 60, **rest: Any) -> requests.Response:
        headers = {**self.headers, **rest.pop("headers", {})}
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.api + path, headers=headers, timeout=timeout, **rest)

    def upload(
        self,
        archive: bytes,
        skill_id: str = "demo",
        key: Optional[str] = None,
        path: str = "/skill-enhance/uploads",
        **fields: Optional[str],
    ) -> requests.Response:
        data = {"source": "api", "skill_id": skill_id, **fields}
        return self.call(
            "POST",
            path,
            data={name: value for name, value in data.items() if value is not None},
            files={"archive": ("archive.zip", archive, "application/zip")},
            headers={} if key is None else {"Idempotency-Key": key},
        )

    def prebuilt(self, archive: bytes, skill_id: str = "demo", key: Optional[str] = "k") -> requests.Response:
        return self.upload(archive, skill_id, key, path="/skill-enhance/uploads/prebuilt", source=None)

    def submit(self, archive: bytes, skill_id: str = "demo") -> str:
        answer = self.upload(archive, skill_id)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["job_id"])

    def job(self, job_id: str, wait: Optional[int] = None) -> requests.Response:
        headers = {} if wait is None else {"Prefer": f"wait={wait}"}
        return self.call("GET", f"/skill-enhance/jobs/{job_id}", headers=headers)

    def until(self, job_id: str, reached: Callable[[dict[str, Any]], bool], timeout: float = 30) -> dict[str, Any]:
        """Follow a job with long polls until its body is as wanted."""
        deadline = time.monotonic() + timeout
        body: dict[str, Any] = self.job(job_id).json()
        while not reached(body):
            assert time.monotonic() < deadline, body
            answer = self.job(job_id, wait=5)
            body = answer.json()
            if "Preference-Applied" not in answer.headers:
                time.sleep(0.5)  # there was no room to wait over there
        return body

    def until_status(self, job_id: str, *statuses: str) -> dict[str, Any]:
        return self.until(job_id, lambda body: body["status"] in statuses)

    def result(self, job_id: str) -> requests.Response:
        return self.call("GET", f"/skill-enhance/jobs/{job_id}/result")

    def cancel(self, job_id: str) -> requests.Response:
        return self.call("POST", f"/skill-enhance/jobs/{job_id}/cancel")


def raw(gateway: Gateway, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to bytes sent as they are."""
    with socket.create_connection(("127.0.0.1", urlsplit(gateway.url).port or 0), timeout=20) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def error(answer: requests.Response) -> tuple[int, str]:
    """Status and code of a refusal, which has the API's shape and says nothing of the inside."""
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"}
    assert {"code", "message"} <= set(body["error"]) <= {"code", "message", "details"}
    assert body["error"]["message"]
    assert "Traceback" not in answer.text
    return answer.status_code, body["error"]["code"]


@contextmanager
def running(
    data: Path, evaluator: Any = None, clock: Callable[[], datetime] = utc_now, **config: Any
) -> Iterator[Gateway]:
    """A gateway in this process, answering on a free port."""
    gateway = Gateway(DataDir(data), Config(**config), evaluator or Evaluator(), clock)
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.close()


def client_of(gateway: Gateway, user: str = "alice") -> Client:
    return Client(gateway.url, gateway.keys.issue(user))


def key_for(home: Path, user: str = "alice") -> str:
    """A new key for a user of the gateway that runs there, or will."""
    folders = Folders(DataDir(home / "data dir").gateway)
    folders.make()
    with closing(Database(folders.database)) as database:
        return Keys(database, utc_now).issue(user)


def clean_env(home: Path, **more: str) -> dict[str, str]:
    """A process environment that knows nothing of the person who runs the tests."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MEGA_CODE_", "XDG_", "OTEL_"))}
    data = str(home / "data dir")
    return {**env, "HOME": str(home), "PYTHONPATH": str(MEGA_DIR), "MEGA_CODE_DATA_DIR": data, **more}


class Served:
    """A gateway in a process of its own, with the evaluator of `main`."""

    def __init__(self, home: Path, prefix: Sequence[str] = (), **env: str) -> None:
        """`prefix` is a command that starts the one it is given."""
        self.data = DataDir(home / "data dir")
        reader, writer = os.pipe()
        with open(home / "served.log", "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, __file__, str(writer)],
                env=clean_env(home, **env),
                cwd=home,
                pass_fds=(writer,),
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            assert stream.read() == b"ready\n", (home / "served.log").read_text()

    @property
    def url(self) -> str:
        """Where it says that it answers."""
        return str(json.loads(self.data.client_json.read_text())["server_url"])

    def kill(self) -> None:
        """As by the out-of-memory killer."""
        self.process.kill()
        self.process.wait(10)

    def end(self) -> int:
        """As by `stop`; its exit status."""
        self.process.terminate()
        return self.process.wait(60)

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *unused: object) -> None:
        if self.process.poll() is None:
            self.kill()


def main() -> None:
    """Serve; each evaluation notes that it began in `$BEGAN`, and goes on once `$GO` is there."""
    began, go = Path(os.environ.get("BEGAN", os.devnull)), Path(os.environ["GO"])

    def evaluator(skill_dir: Path, skill_id: str, progress: Any, now: datetime) -> Outcome:
        progress.phase("evaluation_setup")
        with open(began, "a") as stream:
            stream.write(f"{skill_id}\n")
        if os.environ.get("HELPER"):
            helper = subprocess.Popen(["sleep", "600"])
            Path(os.environ["HELPER"]).write_text(str(helper.pid))
        while not go.exists():
            time.sleep(0.01)
            if os.environ.get("DEAF") is None:
                progress.iteration(1, 2)
        progress.phase("iterating")
        return Outcome(lineage=[{"pid": os.getpid()}], evaluation={"skill_md": (skill_dir / "SKILL.md").read_text()})

    serve(DataDir(Path(os.environ["MEGA_CODE_DATA_DIR"])), from_env(os.environ), evaluator, ready=int(sys.argv[1]))
    if "PATIENT" in os.environ:  # its last spans get there, however long a busy machine takes
        telemetry.flush(lambda trouble: print(trouble, file=sys.stderr), 600)


if __name__ == "__main__":
    main()
