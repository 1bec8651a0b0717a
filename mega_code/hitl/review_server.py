"""Starting, finding and ending the process that serves a review, and that process itself.

`python -m mega_code.hitl.review_server <iteration folder> [--ready-fd N] [--idle-s S]` serves one iteration. It holds
the lock of `review.pid` for its whole life; review.json says where it is, and outlives it where it was killed: the next
one takes its port, its path and its sessions over, so that a page that is still open goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Optional

from mega_code.errors import MegaCodeError
from mega_code.files import read_json, write_atomic, write_json
from mega_code.hitl import page
from mega_code.hitl.feedback import Feedback
from mega_code.hitl.review_data import FEEDBACK, load
from mega_code.hitl.review_http import BODY_BYTES, IDLE_S, LINGER_S, App, Ask, Door, among, digest
from mega_code.paths import MEGA_DIR
from mega_code.pidlock import Holder, PidLock

START_S = 20.0
STOP_S = 5.0
FINISH_S = 3.0
READ_S = 10.0
TICK_S = 0.25
WAIT_STEP_S = 0.2
SESSIONS = 16
LOOPBACK = "127.0.0.1"


def review(iteration_dir: Path, *, blind: bool = False, static: Optional[Path] = None) -> dict[str, Any]:
    """`{"url", "pid"}` of a server for this iteration, started if need be; each call gives an address that works once.

    With `static`, the page is written there instead: `{"static": path}`. Raises MegaCodeError.
    """
    folder = Path(os.path.abspath(iteration_dir))
    shown = load(folder)
    if static is not None:
        if blind:
            raise MegaCodeError("invalid_arguments", "A page without a server cannot keep secret which arm is which.")
        with _writing(static):
            write_atomic(static, page.static(shown, Feedback(folder / FEEDBACK)).encode("utf-8", "replace"))
        return {"static": str(static)}
    with _writing(folder), _alone(folder):
        pid = _running(folder)
        if pid is None:
            Feedback(folder / FEEDBACK).begin(blind)
            pid = _spawn(folder)
        token = secrets.token_urlsafe(32)
        about: dict[str, Any] = read_json(_about(folder)) or {}
        write_json(_about(folder), {**about, "token_hash": digest(token)})
    return {"url": f"{about['url']}?token={token}", "pid": pid}


def stop_review(iteration_dir: Path) -> dict[str, Any]:
    """End the server of this iteration, if one runs: `{"stopped", "pid"}`. What was saved stays."""
    folder = Path(os.path.abspath(iteration_dir))
    with _writing(folder), _alone(folder):
        pid = None
        with contextlib.suppress(FileNotFoundError), Holder(_lock(folder)) as holder:
            pid = holder.pid() if holder.alive() else None
            if pid is not None:
                _end(pid, holder)
        _about(folder).unlink(missing_ok=True)
    return {"stopped": pid is not None, "pid": pid}


def wait_review(iteration_dir: Path, max_wait_s: float) -> bool:
    """Whether the review was submitted, after `max_wait_s` at the latest; at once where no server runs any more."""
    folder = Path(os.path.abspath(iteration_dir))
    deadline = time.monotonic() + max_wait_s
    while True:
        running = _pid(folder) is not None
        value = read_json(folder / FEEDBACK)
        if isinstance(value, dict) and value.get("state") == "submitted":
            return True
        if not running or time.monotonic() >= deadline:
            return False
        time.sleep(max(0.0, min(WAIT_STEP_S, deadline - time.monotonic())))


def _about(folder: Path) -> Path:
    return folder / "review.json"


def _lock(folder: Path) -> Path:
    return folder / "review.pid"


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MegaCodeError("invalid_path", f"{str(path)!r} cannot be written: {error.strerror or error}.") from None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time starts or ends a server, or changes review.json."""
    descriptor = os.open(folder / "review.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _pid(folder: Path) -> Optional[int]:
    """The process that serves this iteration, if any."""
    with contextlib.suppress(OSError), Holder(_lock(folder)) as holder:
        return holder.pid() if holder.alive() else None
    return None


def _running(folder: Path) -> Optional[int]:
    """The process that serves this iteration; one that is about to end is waited for. Raises MegaCodeError."""
    pid, about = _pid(folder), read_json(_about(folder))
    if pid is None or (isinstance(about, dict) and about.get("pid") == pid):
        return pid
    with contextlib.suppress(FileNotFoundError), Holder(_lock(folder)) as holder:
        if not holder.gone(LINGER_S + FINISH_S + STOP_S):
            raise MegaCodeError("invalid_path", f"The process that serves {str(folder)!r} (pid {pid}) does not end.")
    return None


def _end(pid: int, holder: Holder) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if holder.gone(STOP_S):
            return


def _spawn(folder: Path) -> int:
    """Start the serving process in a session of its own and wait until it listens; its pid. Raises MegaCodeError."""
    reader, writer = os.pipe()
    log = os.open(folder / "review.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    inherited = [os.path.abspath(part) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "mega_code.hitl.review_server", str(folder), "--ready-fd", str(writer)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(MEGA_DIR), *inherited])},
            start_new_session=True,
            pass_fds=(writer,),
        )
    finally:
        os.close(writer)
        os.close(log)
    try:
        ready, _, _ = select.select([reader], [], [], START_S)
        if ready and os.read(reader, 1):
            return process.pid
    finally:
        os.close(reader)
    process.kill()
    process.wait()
    said = (folder / "review.log").read_text("utf-8", "replace").strip()[-2000:]
    raise MegaCodeError(
        "invalid_path", f"The review of {str(folder)!r} could not be served: {said or 'no reason given'}"
    )


class _Served:
    """What review.json says of the server that runs; its tokens and sessions are kept there as hashes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        before = read_json(_about(folder))
        self.before = before if isinstance(before, dict) else {}
        self.path = self.before.get("path") or f"/{secrets.token_urlsafe(16)}/"
        self.sessions: list[str] = list(self.before.get("sessions") or [])
        self.used: set[str] = set()
        self.invited: Optional[str] = None

    def started(self, origin: str) -> Door:
        started_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        about = {"pid": os.getpid(), "url": origin + self.path, "started_at": started_at, "token_hash": None}
        write_json(_about(self.folder), {**about, "path": self.path, "sessions": self.sessions})
        return Door(origin, self.path, self.exchange, self.knows, self.forget)

    def forget(self) -> None:
        """Whoever asks from now on gets a server of their own."""
        with contextlib.suppress(OSError), _alone(self.folder):
            _about(self.folder).unlink(missing_ok=True)

    def rest(self) -> bool:
        """End for want of visitors, unless somebody was sent here that did not come yet; each counts as a visit, once.

        Whoever asks from now on gets the next server, which takes over from here.
        """
        with contextlib.suppress(OSError), _alone(self.folder):
            about = read_json(_about(self.folder)) or {}
            invited = about.get("token_hash")
            if invited and invited != self.invited:
                self.invited = invited
                return False
            write_json(_about(self.folder), {**about, "pid": None})
        return True

    def knows(self, session: str) -> bool:
        with self.lock:
            return among(session, self.sessions)

    def exchange(self, token: str, session: str) -> bool:
        """Whether the token is the one that was given out last and was not used; then the session is known."""
        with self.lock, _alone(self.folder):
            about = read_json(_about(self.folder)) or {}
            if token in self.used or not among(token, [str(about.get("token_hash"))]):
                return False
            self.used.add(token)
            self.sessions = [*self.sessions, session][-SESSIONS:]
            # On a full disk this process remembers; what is lost is that its successor would know the page.
            with contextlib.suppress(OSError):
                write_json(_about(self.folder), {**about, "token_hash": None, "sessions": self.sessions})
            return True


class _Handler(BaseHTTPRequestHandler):
    """From a connection to an Ask and back."""

    timeout = READ_S
    app: App
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > BODY_BYTES:
            self.close_connection = True
            self.send_error(413 if length.isdecimal() else 411)
            return
        self._answer(self.rfile.read(int(length)))

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.answering():
            answer = self.app.answer(Ask(self.command, path, query, headers, body))
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

    def version_string(self) -> str:
        return "review"

    def log_message(self, *unused: object) -> None:
        """Nothing: an address of ours holds a token."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _Handler)
        self.changed, self.busy = threading.Condition(), 0

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Around one answer, from its beginning to its last byte."""
        with self.changed:
            self.busy += 1
        try:
            yield
        finally:
            with self.changed:
                self.busy -= 1
                self.changed.notify_all()

    def finish(self) -> None:
        """Take no more requests, and let the answers under way come to their end, within reason."""
        self.shutdown()
        with self.changed:
            self.changed.wait_for(lambda: self.busy == 0, FINISH_S)
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that went away is no error of the server."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _bind(before: dict[str, Any]) -> _Server:
    """A server at the port of the one before, where it is free, so that an open page finds it again; else at any."""
    port = str(before.get("url", "")).partition(f"{LOOPBACK}:")[2].partition("/")[0]
    if port.isdecimal():
        with contextlib.suppress(OSError, OverflowError):
            return _Server((LOOPBACK, int(port)))
    return _Server((LOOPBACK, 0))


def main() -> int:
    """Serve until the review is over, or SIGTERM comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--idle-s", type=float, default=IDLE_S)
    arguments = parser.parse_args()
    try:
        return _serve(arguments.folder, arguments.ready_fd, arguments.idle_s)
    except (MegaCodeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _serve(folder: Path, ready_fd: Optional[int], idle_s: float) -> int:
    lock = PidLock(_lock(folder))
    if not lock.acquire():
        print("another process serves this review", file=sys.stderr)
        return 1
    served = _Served(folder)
    server = _bind(served.before)
    door = served.started(f"http://{LOOPBACK}:{server.server_port}")
    app = App(load(folder), Feedback(folder / FEEDBACK), door, time.monotonic)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"app": app})
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *unused: ended.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if ready_fd is not None:
        os.write(ready_fd, b"\n")
        os.close(ready_fd)
    while not ended.wait(TICK_S):
        if app.over(idle_s):
            if app.submitted_at is not None or served.rest():
                break
            app.asked_at = time.monotonic()
    server.finish()
    lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
