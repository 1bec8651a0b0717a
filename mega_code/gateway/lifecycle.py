"""Starting, stopping and finding the gateway's process; what `python -m mega_code.gateway` does."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Optional
from urllib.parse import urlsplit

from mega_code.errors import NETWORK
from mega_code.paths import MEGA_DIR, DataDir, script
from mega_code.pidlock import Holder
from mega_code.settings import API_BASE, running_gateway

START_S = 20.0
STOP_S = 10.0
KILL_S = 5.0
LOG_BYTES = 5 * 1024 * 1024
TAIL_BYTES = 2000
NOT_RUNNING = 3


class Said(NamedTuple):
    """How a command ends: its exit status, its line on stdout, and what it says on stderr."""

    exit_status: int
    line: str = ""
    trouble: str = ""


def start(data: DataDir, env: Mapping[str, str], port: Optional[int] = None) -> Said:
    """A running gateway's URL, started if need be; two at once end with one gateway."""
    os.makedirs(data.gateway, mode=0o700, exist_ok=True)
    deadline = time.monotonic() + START_S
    with _alone(data):
        running = _settled(data, deadline)
        if running is None:
            trouble = _spawn(data, env, port, deadline)
            running = _settled(data, deadline)
            if running is None:
                return Said(NETWORK, trouble=trouble or f"the gateway ended at once; see {data.gateway / 'log'}")
    return Said(0, running["server_url"])


def stop(data: DataDir) -> Said:
    """End the process that holds the lock, and tidy up what it may have left."""
    if not data.gateway.is_dir():
        return Said(0, "not running")
    with _alone(data):
        said = "not running"
        with contextlib.suppress(FileNotFoundError), Holder(data.gateway / "pid") as holder:
            if holder.alive():
                pid = holder.pid()
                if pid is None:
                    return Said(NETWORK, trouble="the gateway is just starting; try again")
                if not _end(pid, holder):
                    return Said(NETWORK, trouble=f"the gateway (pid {pid}) does not end")
                said = f"stopped (pid {pid})"
        for leftover in (data.client_json, data.gateway_environment, data.gateway / "pid"):
            with contextlib.suppress(FileNotFoundError):
                leftover.unlink()
    return Said(0, said)


def _end(pid: int, holder: Holder) -> bool:
    """Ask the process to end, then make it; whether it has."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        if not holder.gone(STOP_S):
            # Nothing of it can end in order any more, so what it started goes with it.
            kill = os.killpg if os.getsid(pid) == pid else os.kill
            kill(pid, signal.SIGKILL)
    return holder.gone(KILL_S)


def status(data: DataDir) -> Said:
    """One line about it; exit status 3 where none runs."""
    running, pid = running_gateway(data), _pid(data)
    if running is None or pid is None:
        return Said(NOT_RUNNING, "not running")
    return Said(0, f"running at {running['server_url']} (pid {pid})")


def url(data: DataDir) -> Said:
    """The base URL; exit status 3 where none runs."""
    running = running_gateway(data)
    if running is None:
        return Said(NOT_RUNNING, trouble=f"no gateway is running; start it with: {script('gateway.sh', 'start')}")
    return Said(0, running["server_url"])


@contextlib.contextmanager
def _alone(data: DataDir) -> Iterator[None]:
    """One start or stop at a time; each has its own deadline, so waiting for it ends."""
    descriptor = os.open(data.gateway / "lifecycle.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _settled(data: DataDir, deadline: float) -> Optional[dict[str, str]]:
    """The running gateway, or None where there is none; one that is about to start or end is waited for."""
    while True:
        running = running_gateway(data)
        if running and _answers(running):
            return running
        if _pid(data) is None or time.monotonic() >= deadline:
            return None
        time.sleep(0.05)


def _pid(data: DataDir) -> Optional[int]:
    """The process that holds the lock, if any."""
    with contextlib.suppress(OSError), Holder(data.gateway / "pid") as holder:
        return holder.pid() if holder.alive() else None
    return None


def _spawn(data: DataDir, env: Mapping[str, str], port: Optional[int], deadline: float) -> str:
    """Start the serving process in a session of its own and wait until it answers; what went wrong, or nothing."""
    log = data.gateway / "log"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        os.replace(log, data.gateway / "log.1")
    reader, writer = os.pipe()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    began = os.fstat(descriptor).st_size
    command = [sys.executable, "-m", "mega_code.gateway", "serve", "--ready-fd", str(writer)]
    try:
        process = subprocess.Popen(
            command if port is None else [*command, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd="/",
            env=_child_env(data, env),
            start_new_session=True,
            pass_fds=(writer,),
        )
    finally:
        os.close(writer)
        os.close(descriptor)
    try:
        ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        running = running_gateway(data) if ready and os.read(reader, 16) else None
    finally:
        os.close(reader)
    if running and _answers(running):
        return ""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    if process.poll() is None:
        process.kill()
        process.wait()
    with open(log, "rb") as stream:
        stream.seek(max(began, log.stat().st_size - TAIL_BYTES))
        tail = stream.read().decode("utf-8", "replace").strip()
    return f"the gateway did not start; the end of {log}:\n{tail}"


def _child_env(data: DataDir, env: Mapping[str, str]) -> dict[str, str]:
    """The same environment with its relative paths made absolute, since the child works in `/`."""
    inherited = [os.path.abspath(part) for part in env.get("PYTHONPATH", "").split(os.pathsep) if part]
    return {
        **env,
        "PYTHONPATH": os.pathsep.join([str(MEGA_DIR), *inherited]),
        "MEGA_CODE_DATA_DIR": str(data.root),
    }


def _answers(running: Mapping[str, str]) -> bool:
    """Whether the gateway takes its own client's key, asked directly and through no proxy."""
    parts = urlsplit(running["server_url"])
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", f"{API_BASE}/profile", headers={"Authorization": f"Bearer {running['api_key']}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
