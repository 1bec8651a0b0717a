"""The HTTP server under the API: waitress with its limits set on purpose, and an end in order.

Waitress alone keeps a connection as long as a byte comes now and then, and hears nobody new once it holds all it may.
Here every connection serves one request, each part of which has its time; and where there is no room for one more,
the connection that was silent longest makes it.
"""

from __future__ import annotations

import io
import logging
import os
import resource
import signal
import socket
import threading
import time
from typing import Any, Callable, Optional

from waitress import wasyncore  # type: ignore[import-untyped,unused-ignore]
from waitress.adjustments import Adjustments  # type: ignore[import-untyped,unused-ignore]
from waitress.channel import HTTPChannel  # type: ignore[import-untyped,unused-ignore]
from waitress.parser import HTTPRequestParser  # type: ignore[import-untyped,unused-ignore]
from waitress.receiver import ChunkedReceiver  # type: ignore[import-untyped,unused-ignore]
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped,unused-ignore]
from waitress.task import (  # type: ignore[import-untyped,unused-ignore]
    ErrorTask,
    ThreadedTaskDispatcher,
    WSGITask,
)
from waitress.utilities import BadRequest, RequestEntityTooLarge  # type: ignore[import-untyped,unused-ignore]

from mega_code.gateway.api_error import error_of_status
from mega_code.gateway.config import KIB, Config, Pace

# A request line with the longest relpath, percent-encoded, takes 3 KiB; a key half of one.
HEADER_BYTES = 16 * KIB
# What waitress keeps of one chunk's size line or of a trailer until it ends, and searches again with every byte.
CHUNK_LINE_BYTES = KIB
# A body over this is on disk and no longer in memory.
BODY_IN_MEMORY = 64 * KIB
# What a process needs besides its connections: database, log, threads' uploads.
OTHER_FILES = 64
FILES_A_CONNECTION = 2
LOOK_S = 1.0

# Whether an Authorization header names a user.
Admits = Callable[[Optional[str]], bool]

log = logging.getLogger(__name__)


class HttpServer:
    """A WSGI application on a bound socket, served by threads of its own."""

    def __init__(self, app: Any, listener: socket.socket, config: Config, admits: Admits) -> None:
        """Listens at once, answers from `start` on. The app gets an empty body where `admits` says no."""
        self._sockets: dict[int, Any] = {}
        self._ending = threading.Event()
        self._loop = threading.Thread(target=self._run, name="http", daemon=True)
        self._tasks = ThreadedTaskDispatcher()
        self._tasks.set_thread_count(config.threads)
        adjustments = Adjustments(
            sockets=[listener],
            connection_limit=_connections(config.connections),
            cleanup_interval=1,
            asyncore_use_poll=True,
            max_request_header_size=HEADER_BYTES,
            max_request_body_size=config.body_read,
            inbuf_overflow=BODY_IN_MEMORY,
            ident="mega-code",
        )
        self._server = _Server(app, listener, self._sockets, self._tasks, adjustments, config, admits)

    def start(self) -> None:
        """Answer from now on."""
        self._loop.start()

    def stop(self, grace_s: float) -> bool:
        """Finish the answers that are being made and close everything; whether that was done within `grace_s`."""
        deadline = time.monotonic() + grace_s
        self._tasks.shutdown(timeout=grace_s)
        self._ending.set()
        self._server.pull_trigger()
        self._loop.join(max(0.5, deadline - time.monotonic()))
        if self._loop.is_alive() or self._tasks.threads:
            return False  # whoever still runs may yet write to the trigger, by a number that must stay the trigger's
        wasyncore.close_all(self._sockets)
        return True

    def _run(self) -> None:
        try:
            while self._server.accepting and not self._ending.is_set():
                self._server.close_overdue(time.time())
                wasyncore.loop(timeout=1.0, use_poll=True, map=self._sockets, count=1)
        except Exception:
            log.exception("the HTTP loop broke")
        if not self._ending.is_set():
            os.kill(os.getpid(), signal.SIGTERM)  # better gone than there and deaf


def _connections(most: int) -> int:
    """As many connections as there can be files open for them, `most` at most."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if files == resource.RLIM_INFINITY else max(8, min(most, (files - OTHER_FILES) // FILES_A_CONNECTION))


class _Task(WSGITask):  # type: ignore[misc,unused-ignore]
    """One request a connection: nothing can wait behind an answer that nobody reads."""

    def start(self) -> None:
        super().start()
        self.set_close_on_finish()


class _JsonErrorTask(ErrorTask):  # type: ignore[misc,unused-ignore]
    """What waitress itself refuses (a broken request, a body past any limit) in the API's shape."""

    def execute(self) -> None:
        self.request.error = _JsonError(self.request.error)
        super().execute()


class _JsonError:
    def __init__(self, error: Any) -> None:
        self.error = error

    def to_response(self, ident: Optional[str] = None) -> tuple[str, list[tuple[str, str]], bytes]:
        said = "Something went wrong inside the gateway." if self.error.code >= 500 else str(self.error.body)
        body = error_of_status(self.error.code, said).body()
        return f"{self.error.code} {self.error.reason}", [("Content-Type", "application/json")], body


class _Nowhere:
    """Takes a body of no use (its sender has no key, it is too large): it is read, so that the answer is, and kept
    neither here nor on disk."""

    def append(self, data: bytes) -> None: ...

    def __len__(self) -> int:
        return 0

    def getfile(self) -> io.BytesIO:
        return io.BytesIO()

    def close(self) -> None: ...


class _Parser(HTTPRequestParser):  # type: ignore[misc,unused-ignore]
    def __init__(self, adjustments: Adjustments, config: Config, admits: Admits) -> None:
        super().__init__(adjustments)
        self.config = config
        self.admits = admits

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        useless = self.content_length > self.config.body or not self.admits(self.headers.get("AUTHORIZATION"))
        if self.body_rcv is not None and useless:
            self.body_rcv.buf = _Nowhere()

    def received(self, data: bytes) -> int:
        try:
            consumed: int = super().received(data)
        except ValueError:  # a length of thousands of digits, a URL with half an IPv6 address
            return self._refuse("The request's headers make no sense.", len(data))
        body = self.body_rcv
        if isinstance(body, ChunkedReceiver) and len(body.control_line) + len(body.trailer) > CHUNK_LINE_BYTES:
            return self._refuse("A chunk's size or the trailer is too long.", consumed)
        if isinstance(body, ChunkedReceiver) and self.body_bytes_received > self.config.body_hard:
            self.error = RequestEntityTooLarge(f"exceeds {self.config.body_hard} bytes")
            self.completed = True
        return consumed

    def _refuse(self, why: str, consumed: int) -> int:
        self.error = BadRequest(why)
        self.completed = True
        return consumed


class _Channel(HTTPChannel):  # type: ignore[misc,unused-ignore]
    """One connection, and when it is too slow."""

    task_class = _Task
    error_task_class = _JsonErrorTask
    answer_due: Optional[float] = None  # set once the answer is made and may be only partly sent

    def parser_class(self, adjustments: Adjustments) -> _Parser:
        return _Parser(adjustments, self.server.config, self.server.admits)

    @property
    def at_work(self) -> bool:
        """Whether its request is complete and the answer not yet made: that takes as long as it takes."""
        return bool(self.requests)

    def overdue(self, now: float) -> bool:
        """Whether its peer takes too long to send the request or to read the answer."""
        if self.at_work:
            return False
        if self.close_when_flushed or self.answer_due is not None:
            return self.answer_due is not None and now > self.answer_due
        pace: Pace = self.server.config.pace
        due = self.creation_time + pace.head
        if self.request is not None and self.request.headers_finished:
            due += pace.body + self.request.body_bytes_received / pace.rate
        return bool(now > due)

    def service(self) -> None:
        super().service()
        pace: Pace = self.server.config.pace
        self.answer_due = time.time() + pace.body + self.total_outbufs_len / pace.rate


class _Server(TcpWSGIServer):  # type: ignore[misc,unused-ignore]
    """The listener. Everything but `service` above runs in the loop's thread."""

    channel_class = _Channel

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        sockets: dict[int, Any],
        tasks: ThreadedTaskDispatcher,
        adjustments: Adjustments,
        config: Config,
        admits: Admits,
    ) -> None:
        self.config = config
        self.admits = admits
        self.next_look = 0.0
        super().__init__(
            app,
            map=sockets,
            _sock=listener,
            dispatcher=tasks,
            adj=adjustments,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )

    def maintenance(self, now: float) -> None:
        """Nothing: waitress calls it between what a turn of the loop has to tell, see `close_overdue`."""

    def close_overdue(self, now: float) -> None:
        """Between two turns of the loop, about once a second, or oftener.

        What is closed within a turn gives its number to the next connection, which would then be told what the turn has
        still to tell the other. Closed here and now, since a peer that does not read never lets its turn come.
        """
        if now < self.next_look:
            return
        self.next_look = now + LOOK_S
        for channel in list(self.active_channels.values()):
            if channel.overdue(now):
                channel.handle_close()

    def handle_accept(self) -> None:
        waiting = [channel for channel in list(self.active_channels.values()) if not channel.at_work]
        full = len(self._map) >= self.adj.connection_limit - 1
        super().handle_accept()
        if full and waiting:  # only now, when its number can be given to nobody within this turn
            min(waiting, key=lambda channel: channel.last_activity).handle_close()
