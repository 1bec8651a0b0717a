"""The gateway as one process: its parts wired, its socket, its start and its orderly end."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any, Optional

from mega_code import measuring, telemetry
from mega_code.errors import MegaCodeError
from mega_code.files import read_json, write_json
from mega_code.gateway.app import Api
from mega_code.gateway.artifacts import Signer
from mega_code.gateway.auth import Keys
from mega_code.gateway.config import Clock, Config, utc_now
from mega_code.gateway.database import Database
from mega_code.gateway.evaluation import Evaluation, asked_model, spent
from mega_code.gateway.folders import Folders
from mega_code.gateway.http import HttpServer
from mega_code.gateway.jobs import Jobs
from mega_code.gateway.reports import Reports
from mega_code.gateway.retention import Retention
from mega_code.gateway.uploads import Uploads
from mega_code.gateway.worker import Evaluator, Worker
from mega_code.paths import DataDir
from mega_code.pidlock import PidLock

HOST = "127.0.0.1"
HTTP_GRACE_S = 3.0
WORKER_GRACE_S = 2.0

log = logging.getLogger(__name__)


class Gateway:
    """A gateway on a data folder. It takes itself for the only one there; `serve` makes sure of that."""

    def __init__(
        self, data: DataDir, config: Config = Config(), evaluator: Optional[Evaluator] = None, clock: Clock = utc_now
    ) -> None:
        """Opens the store, without answering or working yet. What an earlier process left over is tidied up."""
        self.folders = Folders(data.gateway)
        self.folders.make()
        self.database = Database(self.folders.database)
        self.config = config
        self.keys = Keys(self.database, clock)
        used = functools.partial(spent, self.folders)
        self.jobs = Jobs(self.database, config, clock, Reports(self.folders), asked_model, used)
        prebuilt = [str(row["id"]) for row in self.database.all("SELECT id FROM prebuilt")]
        self.folders.sweep(self.jobs.folders(), prebuilt)
        self.jobs.expire_all()
        work = evaluator or Evaluation(self.folders)
        self.workers = [Worker(self.jobs, self.folders, work, f"worker-{n}") for n in range(config.workers)]
        self.retention = Retention(self.database, self.folders, config, clock)
        signer = Signer(self._secret(), config.url_ttl_s)
        self.api = Api(config, clock, self.keys, self.jobs, Uploads(self.jobs, self.folders), signer, self.folders)
        self.url = ""
        self._closed = False

    def _secret(self) -> bytes:
        known = self.database.meta("url_secret")
        if known is None:
            known = secrets.token_hex(32)
            self.database.set_meta("url_secret", known)
        return bytes.fromhex(known)

    def start(self, port: Optional[int] = None) -> str:
        """Answer and work from now on; the base URL. Without a port: last time's if it is free, else any.

        Raises MegaCodeError `network_failure` where the port is taken.
        """
        listener = self._bind(port)
        number = listener.getsockname()[1]
        self.database.set_meta("port", str(number))
        self._http = HttpServer(self.api.app, listener, self.config, self.keys.admits)
        self._http.start()
        for worker in self.workers:
            worker.start()
        self.retention.start()
        self.url = f"http://{HOST}:{number}"
        return self.url

    def _bind(self, port: Optional[int]) -> socket.socket:
        last = int(self.database.meta("port") or 0)
        for candidate in (port,) if port else (last, 0):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, candidate))
                return listener
            except (OSError, OverflowError):
                listener.close()
        raise MegaCodeError("network_failure", f"Port {port} of {HOST} cannot be had.")

    def close(self) -> bool:
        """End in order: answers that wait are given, jobs in hand are left for next time. Whether all threads ended.

        A second call does nothing.
        """
        if self._closed:
            return True
        self._closed = True
        for worker in self.workers:
            worker.stop()
        self.retention.stop()
        self.jobs.changed.close()
        self.jobs.queued.close()
        answered = self._http.stop(HTTP_GRACE_S)
        deadline = time.monotonic() + WORKER_GRACE_S
        ended = [self.retention.join(max(0.0, deadline - time.monotonic()))]
        ended += [worker.join(max(0.0, deadline - time.monotonic())) for worker in self.workers]
        self.database.close()
        return answered and all(ended)


def serve(
    data: DataDir,
    config: Config,
    evaluator: Optional[Evaluator] = None,
    port: Optional[int] = None,
    ready: Optional[int] = None,
) -> None:
    """Run a gateway until SIGTERM or SIGINT. A line goes to the descriptor `ready` once it answers.

    Raises MegaCodeError `network_failure` where another gateway serves this data folder or has the port.
    """
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a full pool of threads is no news here
    os.makedirs(data.gateway, mode=0o700, exist_ok=True)
    lock = PidLock(data.gateway / "pid")
    if not lock.acquire():
        raise MegaCodeError("network_failure", "Another gateway serves this data folder already.")
    previous = _forget_client(data)
    trouble = telemetry.start(telemetry.GATEWAY)
    if trouble:
        log.warning("spans are not sent: %s", trouble)
    try:
        ended = _run(data, config, evaluator, port, ready, previous)
    finally:
        lock.release()
    telemetry.flush(log.warning)
    if not ended:
        _leave_behind()


def _run(
    data: DataDir,
    config: Config,
    evaluator: Optional[Evaluator],
    port: Optional[int],
    ready: Optional[int],
    previous_key: Optional[str],
) -> bool:
    """From the start to the orderly end; whether all threads ended."""
    with _stop_signals() as stopped:
        gateway = Gateway(data, config, evaluator)
        url = gateway.start(port)
        write_json(data.gateway_environment, measuring.kept(os.environ))
        write_json(data.client_json, {"server_url": url, "api_key": gateway.keys.client_key(previous_key)})
        log.info("listening on %s", url)
        if ready is not None:
            os.write(ready, b"ready\n")
            os.close(ready)
        stopped()
        log.info("stopping")
        _forget_client(data)
        return gateway.close()


def _leave_behind() -> None:
    """End although an evaluation does not come back; its job is taken up next time, its helpers end with it."""
    log.info("leaving an evaluation behind")
    if os.getsid(0) == os.getpid():  # never the group of a person's own shell
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)
    logging.shutdown()
    os._exit(0)


def _forget_client(data: DataDir) -> Optional[str]:
    """Remove what tells clients of a running gateway; gives the key that stood in it, where a kill left it behind."""
    known = read_json(data.client_json)
    for path in (data.client_json, data.gateway_environment):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    key = known.get("api_key") if isinstance(known, dict) else None
    return key if isinstance(key, str) else None


@contextlib.contextmanager
def _stop_signals() -> Iterator[Any]:
    """Gives a function that returns when SIGTERM or SIGINT has come, be it before the call.

    The byte in the pipe comes from the C handler. A handler in Python would have to wait for the main thread to run
    code, and the main thread would wait in that function.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield lambda: os.read(reader, 1)
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
