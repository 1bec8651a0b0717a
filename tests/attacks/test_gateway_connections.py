"""Slow, silent and broken connections: each has its time, and somebody in good faith is answered meanwhile."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

import pytest
import waitress.trigger  # type: ignore[import-untyped,unused-ignore]

from mega_code.gateway.config import Pace
from mega_code.gateway.server import Gateway
from mega_code.settings import API_BASE
from support.gateway import (
    ENHANCED,
    Client,
    Evaluator,
    Outcome,
    Served,
    client_of,
    key_for,
    raw,
    running,
    skill_zip,
)
from support.tally import tally

AT_ONCE = 10.0  # on a busy machine; a slow one would hold the place for ever
QUICK = Pace(head=2.0, body=2.0, rate=1_000_000.0)
ROOM = 24  # connections of the gateways here; there are several times as many attackers
CROWD = 100
BODY = (
    b'POST %s/skill-enhance/uploads HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary="b"\r\n'
    b"Content-Length: 20000000\r\n\r\n--b\r\n" % API_BASE.encode()
)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path / "data dir", pace=QUICK, connections=ROOM) as started:
        yield started


def connect(gateway: Gateway, receive: int = 0) -> socket.socket:
    connection = socket.socket()
    if receive:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", urlsplit(gateway.url).port or 0))
    return connection


class Tricklers:
    """Connections that send a byte ten times a second each, for as long as they may."""

    def __init__(self, gateway: Gateway, count: int, opening: bytes) -> None:
        self.gateway, self.opening = gateway, opening
        self.open = {self._one() for _ in range(count)}
        self.sent = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._trickle, daemon=True)
        self.thread.start()

    def _one(self) -> socket.socket:
        connection = connect(self.gateway)
        connection.sendall(self.opening)
        return connection

    def _trickle(self) -> None:
        while self.open and not self.ended.wait(0.1):
            for connection in list(self.open):
                try:
                    connection.send(b"x")
                    self.sent += 1
                except OSError:
                    self.open.discard(connection)
                    connection.close()

    def __enter__(self) -> Tricklers:
        return self

    def __exit__(self, *unused: object) -> None:
        self.ended.set()
        self.thread.join()
        for connection in self.open:
            connection.close()


def eventually(true: Callable[[], bool], timeout: float = 15) -> bool:
    deadline = time.monotonic() + timeout
    while not true() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return true()


def answered(client: Client) -> bool:
    """Whether somebody in good faith is answered, and soon."""
    began = time.monotonic()
    assert client.call("GET", "/profile", timeout=15).json() == {"user_id": "alice"}
    return time.monotonic() - began < AT_ONCE


@pytest.mark.parametrize("opening", [b"", b"GET / HTTP/1.1\r\nX-Slow: ", BODY], ids=["nothing", "headers", "body"])
def test_any_number_of_tricklers_keep_nobody_out_and_are_ended(gateway: Gateway, opening: bytes) -> None:
    alice = client_of(gateway)
    with Tricklers(gateway, CROWD, opening) as tricklers:
        assert all(answered(alice) for _ in range(10))
        assert alice.upload(skill_zip()).status_code == 201
        assert eventually(lambda: not tricklers.open)
        assert answered(alice)
    tally("gateway slow connections", CROWD)


def test_silent_connections_are_ended_too(gateway: Gateway) -> None:
    connections = [connect(gateway) for _ in range(ROOM // 2)]
    for connection in connections:
        assert connection.recv(1) == b""
        connection.close()
    assert answered(client_of(gateway))


def test_who_comes_as_another_is_ended_is_not_taken_for_that_one(gateway: Gateway) -> None:
    good = b"GET %s/profile HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n\r\n"
    good %= (API_BASE.encode(), gateway.keys.issue("alice").encode())

    def ended_and_back(_: int) -> bytes:
        with connect(gateway) as half:
            half.sendall(good[:-20])
            with contextlib.suppress(ConnectionResetError):
                assert half.recv(1) == b""
        return asked()

    def asked() -> bytes:
        with connect(gateway) as whole:
            threading.Event().wait(0.005)  # for a moment there is nothing to read, as over any network
            whole.sendall(good)
            return whole.recv(12)

    with ThreadPoolExecutor(ROOM - 4) as pool:
        for _ in range(3):
            assert set(pool.map(ended_and_back, range(ROOM - 4))) == {b"HTTP/1.1 200"}
    with ExitStack() as stack:  # and as it makes room for others
        silent = [stack.enter_context(connect(gateway)) for _ in range(3 * ROOM)]
        assert {asked() for _ in silent} == {b"HTTP/1.1 200"}


def test_a_slow_one_within_its_time_is_served(gateway: Gateway) -> None:
    with connect(gateway) as connection:
        for byte in b"GET / HTTP/1.1\r\n\r\n":
            connection.sendall(bytes([byte]))
            threading.Event().wait(0.01)
        assert connection.recv(1000).startswith(b"HTTP/1.1 404 ")


def test_a_held_answer_takes_longer_than_a_slow_request_may(tmp_path: Path) -> None:
    held = Evaluator(held=True)
    with running(tmp_path / "data dir", held, pace=QUICK) as gateway:
        alice = client_of(gateway)
        job_id = alice.submit(skill_zip())
        alice.until(job_id, lambda body: body["phase_public"] == "intake")
        began = time.monotonic()
        assert alice.job(job_id, wait=3).json()["status"] == "running"
        assert time.monotonic() - began >= 3
        held.step(6)


def test_those_who_do_not_read_their_answers_keep_nobody_out_and_are_ended(tmp_path: Path) -> None:
    large = random.Random(1).randbytes(12_000_000)
    outcome = Outcome(files={"SKILL.md": ENHANCED, "large": large})
    pace = QUICK._replace(rate=6_000_000.0)
    with running(tmp_path / "data dir", Evaluator(outcome), pace=pace, connections=ROOM, threads=4) as gateway:
        alice = client_of(gateway)
        job_id = alice.submit(skill_zip())
        alice.until_status(job_id, "succeeded")
        url = next(f["url"] for f in alice.result(job_id).json()["artifact"]["files"] if f["relpath"] == "large")
        parts = urlsplit(url)
        request = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        with ExitStack() as stack:
            deaf = [stack.enter_context(connect(gateway, receive=16_384)) for _ in range(ROOM - 4)]
            for connection in deaf:
                connection.sendall(request * 20)  # the other nineteen would wait behind an answer nobody reads
            assert all(answered(alice) for _ in range(5))
            assert alice.call("GET", url[len(alice.api) :]).content == large
            # Two seconds and two; no buffer of the machine takes so much.
            assert eventually(lambda: established(parts.port or 0) == 0, 60)
            sizes = [received(connection) for connection in deaf]
        assert max(sizes) < len(large)
        assert answered(alice)
    tally("gateway slow connections", len(deaf))


def established(port: int) -> int:
    """How many connections the server at `port` of this machine has that it has not ended."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(1 for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01")


def received(connection: socket.socket) -> int:
    """How many bytes came until the other side ended it."""
    size = 0
    try:
        for chunk in iter(lambda: connection.recv(1_000_000), b""):
            size += len(chunk)
    except ConnectionResetError:
        pass
    return size


BROKEN: dict[str, tuple[bytes, bytes]] = {
    "length of 5000 digits": (b"POST /x HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b" 400 "),
    "negative length": (b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b" 400 "),
    "two lengths": (b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b" 400 "),
    "half an address": (b"GET http://[::1 HTTP/1.1\r\n\r\n", b" 400 "),
    "length and chunks": (
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b" 404 ",
    ),
    "endless chunk size": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 5000, b" 400 "),
    "endless trailer": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 5000, b" 400 "),
    "no chunk size": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", b" 400 "),
    "two encodings": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", b" 501 "),
    "huge header": (b"GET / HTTP/1.1\r\nX: ".ljust(16_384, b"x"), b" 431 "),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 2728, b" 431 "),
    "newline in a header": (b"GET / HTTP/1.1\r\nX: a\nY: b\r\n\r\n", b" 400 "),
    "NUL in a header": (b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", b" 400 "),
    "folded first header": (b"GET / HTTP/1.1\r\n X: a\r\n\r\n", b" 400 "),
    "no path": (b"GET  HTTP/1.1\r\n\r\n", b" 400 "),
    "another version": (b"GET / HTTP/9.9\r\n\r\n", b" 404 "),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", b" 400 "),
    "body after its end": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET / HTTP/1.1\r\n\r\n", b" 404 "),
}


@pytest.mark.parametrize(("request_bytes", "status"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_request_is_refused_in_the_apis_shape(gateway: Gateway, request_bytes: bytes, status: bytes) -> None:
    head, body = raw(gateway, request_bytes)
    assert status in head.split(b"\r\n")[0]
    assert b"Content-Type: application/json" in head
    assert body.startswith(b'{"error": {"code": "')
    assert head.count(b"HTTP/1.") == 1
    assert b"HTTP/1." not in body  # one answer a connection, so nothing can be smuggled behind a request


PIECES = [
    *(
        b"GET POST PUT OPTIONS / * %2e%2e/ %00 HTTP/1.1 HTTP/1.0 \r\n \n \r : ; , = 0 -1 99999999999 chunked gzip".split(
            b" "
        )
    ),
    *(b"Host Content-Length Transfer-Encoding Content-Type Expect Authorization Prefer Idempotency-Key".split()),
    *(b"100-continue multipart/form-data;boundary=b --b --b-- Bearer wait=1 form-data;name=archive;filename=x".split()),
    API_BASE.encode() + b"/skill-enhance/uploads",
    b" ",
    b"\r\n\r\n",
    b"\xff\xfe",
    b"\0",
]


def test_random_requests_never_are_a_fault_of_the_gateway(tmp_path: Path) -> None:
    chance, count = random.Random(7), 300
    with running(tmp_path / "data dir") as gateway:
        alice = client_of(gateway)
        for _ in range(count):
            with connect(gateway) as connection:
                try:
                    connection.sendall(b"".join(chance.choices(PIECES, k=chance.randrange(1, 40))) + b"\r\n\r\n")
                    connection.shutdown(socket.SHUT_WR)
                    answer = connection.recv(65536)
                except ConnectionError:
                    continue
                assert not answer.startswith((b"HTTP/1.0 50", b"HTTP/1.1 500", b"HTTP/1.1 502")), answer
        assert answered(alice)
    tally("gateway random requests", count)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files in /proc")
def test_few_file_descriptors_are_shared_out_among_the_connections(tmp_path: Path) -> None:
    with Served(tmp_path, prefix=("sh", "-c", 'ulimit -n 96; exec "$@"', "sh"), GO=str(tmp_path)) as served:
        alice = Client(served.url, key_for(tmp_path, "alice"))
        port = urlsplit(served.url).port
        with ExitStack() as stack:
            for _ in range(150):
                stack.enter_context(socket.create_connection(("127.0.0.1", port or 0)))
            assert all(answered(alice) for _ in range(5))
            assert alice.upload(skill_zip(files={"large": os.urandom(1_000_000)})).status_code == 201
            assert len(os.listdir(f"/proc/{served.process.pid}/fd")) < 96
        assert "Too many open files" not in (tmp_path / "served.log").read_text()


def test_the_end_pulls_no_trigger_that_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever ends the loop wakes it through a pipe. Another wake-up just before must not end the loop and close that
    pipe under his hands: the byte would go into whatever file had got its number."""
    pull = waitress.trigger.trigger._physical_pull
    pulled: list[Any] = []

    def late(trigger: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            pull(trigger)  # as an answer's thread does
            loops = [thread for thread in threading.enumerate() if thread.name == "http"]
            for loop in loops:
                loop.join(10)
            pulled.append(stat.S_ISFIFO(os.fstat(trigger.trigger).st_mode))
        pull(trigger)

    monkeypatch.setattr(waitress.trigger.trigger, "_physical_pull", late)
    with running(tmp_path / "data dir") as gateway:
        client_of(gateway).call("GET", "/profile")
    assert pulled == [True]
