"""Counts what arrives on the wire, so that a peer is timed from its first byte on, its headers included.

`http.client` reads a head as long as bytes come, and urllib3 shows nothing of it before it is whole. So the counting
is done below both, in the file that a response is read from.
"""

from __future__ import annotations

import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from http.client import HTTPResponse
from typing import Any, NamedTuple, Optional

from requests.adapters import HTTPAdapter
from urllib3.util import Retry
from urllib3.util.ssl_ import create_urllib3_context

from mega_code.errors import MegaCodeError

KIB = 1024
MIB = 1024 * KIB
HEAD_BYTES = MIB
SOCKET_FIRST_S = 2.0  # the socket's own timeout, which leaves room for another attempt, is to come first


class Pace(NamedTuple):
    """Time limits in seconds; `rate` in bytes a second, on top of `transfer`.

    `read` is for the first byte of an answer, where a call does not say otherwise; from then on `stall` is for each further one, and `transfer` for the
    whole. Sending has `transfer` too, the connection and its encryption included.
    """

    connect: float = 10.0
    read: float = 10.0
    stall: float = 10.0
    transfer: float = 20.0
    rate: float = 100.0 * KIB


class Stalled(Exception):
    """The transfer ran out of time."""


class TooLarge(Exception):
    """The body is over its cap, or what is around it is."""


class Watch:
    """The clock and the counter of one call; several attempts share them, so that none starts anew by breaking off."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.received = 0
        self.spent = 0.0
        self.given_up = False
        self.attempt(pace.read)

    def attempt(self, read_s: float) -> None:
        """Another attempt begins; its head may be of HEAD_BYTES, and take `read_s` seconds to begin."""
        self.read_s = read_s
        self.left = HEAD_BYTES
        self.began = time.monotonic()
        self.asked: Optional[float] = None
        self.first: Optional[float] = None
        self.last = 0.0

    def body(self, cap: int) -> None:
        """The head is whole, and a body of at most `cap` bytes may follow, with room for chunk sizes and trailers."""
        self.left = cap + cap // 4 + HEAD_BYTES

    def ended(self) -> None:
        """The attempt is over; what its answer took counts."""
        if self.first is not None:
            self.spent += time.monotonic() - self.first

    def sent(self) -> None:
        """The request is out; what came before, such as a proxy's answer, was not the answer."""
        self.asked = time.monotonic()
        self.first = None

    def arrived(self, count: int) -> None:
        """So many bytes came. Raises TooLarge over the cap, Stalled where nobody waits any more."""
        if self.given_up:
            raise Stalled("given up")
        self.last = time.monotonic()
        self.first = self.last if self.first is None else self.first
        self.received += count
        self.left -= count
        if self.left < 0:
            raise TooLarge("the answer does not end")

    def overdue(self, sending: int) -> bool:
        """Whether the attempt, which has `sending` bytes to send, is out of time."""
        now, pace = time.monotonic(), self.pace
        if self.asked is None:
            return now - self.began > pace.transfer + sending / pace.rate
        if self.first is None:
            return now - self.asked > self.read_s + SOCKET_FIRST_S
        spent = self.spent + now - self.first
        return now - self.last > pace.stall or spent > pace.transfer + self.received / pace.rate


class _Current(threading.local):
    """The watch of the exchange that runs in this thread."""

    watch: Optional[Watch] = None


current = _Current()


class _Counted(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        count = self._raw.readinto(buffer)
        if current.watch and count:
            current.watch.arrived(count)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *positional: Any, **named: Any) -> None:
        super().__init__(sock, *positional, **named)
        self.fp = io.BufferedReader(_Counted(self.fp.detach()))


class _Connection:
    """Laid over a connection class of urllib3."""

    response_class = _Response

    def getresponse(self) -> Any:
        if current.watch:
            current.watch.sent()
        return super().getresponse()  # type: ignore[misc]


def _watched(pool: Any) -> Any:
    """A connection pool class of urllib3, its connections watched."""
    connection = type("WatchedConnection", (_Connection, pool.ConnectionCls), {})
    return type("WatchedPool", (pool,), {"ConnectionCls": connection})


def _trusting(authorities: Sequence[str]) -> ssl.SSLContext:
    context = create_urllib3_context()
    for path in authorities:
        is_folder = os.path.isdir(path)
        try:
            context.load_verify_locations(None if is_folder else path, path if is_folder else None)
        except OSError as error:
            reason = "it holds none" if isinstance(error, ssl.SSLError) else error.strerror
            raise MegaCodeError(
                "network_failure", f"No certificates of authorities can be read from {path!r}: {reason}."
            ) from None
    return context


class Adapter(HTTPAdapter):
    """Sends once, over watched connections, through a proxy too. Whoever asks again does so itself.

    `authorities` are files, or folders, of certificates that are trusted beside those of a request's own `verify`.
    Raises MegaCodeError `network_failure` where one of them cannot be used.
    """

    def __init__(self, connections: int, authorities: Sequence[str] = ()) -> None:
        self.trusting: dict[str, Any] = {"ssl_context": _trusting(authorities)} if authorities else {}
        super().__init__(max_retries=Retry(0, read=False), pool_maxsize=connections)

    def init_poolmanager(self, *positional: Any, **named: Any) -> None:
        super().init_poolmanager(*positional, **{**named, **self.trusting})
        self._watch(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **named: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **{**named, **self.trusting})
        if not known:
            self._watch(manager)
        return manager

    @staticmethod
    def _watch(manager: Any) -> None:
        pools = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {scheme: _watched(pool) for scheme, pool in pools.items()}
