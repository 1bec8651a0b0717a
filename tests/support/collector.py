"""An OTLP collector on loopback that keeps what it is sent, and servers that only look like one.

with Collector() as collector:
    run(env=collector.env)
    (poll,) = collector.named("poll")
    assert collector.path(poll) == ["remote_enhance", "poll"]
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Optional

DEADLINE_S = 60.0
KINDS = {1: "internal", 2: "server", 3: "client"}


class Seen(NamedTuple):
    """One span; ids in hex, `error` the description of its status where that is an error."""

    name: str
    service: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    error: Optional[str]
    started_ns: int
    ended_ns: int
    others: int
    """How many events and links it has: none of ours has any."""


def value_of(value: Any) -> Any:
    """A plain value of an OTLP one."""
    if value.WhichOneof("value") == "array_value":
        return [value_of(one) for one in value.array_value.values]
    return getattr(value, value.WhichOneof("value"))


def spans_in(body: bytes) -> Iterator[Seen]:
    """The spans of one export."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = {pair.key: value_of(pair.value) for pair in of_resource.resource.attributes}
        for span in (span for scope in of_resource.scope_spans for span in scope.spans):
            yield Seen(
                span.name,
                resource["service.name"],
                KINDS[span.kind],
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                {pair.key: value_of(pair.value) for pair in span.attributes},
                resource,
                span.status.message if span.status.code == 2 else None,
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                len(span.events) + len(span.links),
            )


class Collector:
    """Keeps every export: `bodies` as they came, `headers`, and `spans`."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.spans: list[Seen] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.collector = self  # type: ignore[attr-defined]
        self.env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_address[1]}"}

    def __enter__(self) -> Collector:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> list[Seen]:
        """The spans of that name, in the order of their start."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.started_ns)

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait for spans; a gateway sends them when it has time."""
        deadline = time.monotonic() + DEADLINE_S
        while not reached():
            assert time.monotonic() < deadline, [span.name for span in self.spans]
            time.sleep(0.02)

    def path(self, span: Seen) -> list[str]:
        """Names from the root of the trace to the span. A parent that never came is `?`."""
        known = {one.span_id: one for one in self.spans}
        names = [span.name]
        while span.parent_id:
            if span.parent_id not in known:
                return ["?", *names]
            span = known[span.parent_id]
            names.insert(0, span.name)
        return names


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        collector: Collector = self.server.collector  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        right = (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
        if right:
            collector.bodies.append(body)
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.spans.extend(spans_in(body))
        self.send_response(200 if right else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *unused: object) -> None:
        """Quiet."""


def _read_head(peer: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(65536)


def _hang(peer: socket.socket, over: threading.Event) -> None:
    over.wait()


def _trickle(peer: socket.socket, over: threading.Event) -> None:
    _read_head(peer)
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + bytes(10_000):
        peer.sendall(bytes([byte]))
        if over.wait(0.2):
            return


def _endless(peer: socket.socket, over: threading.Event) -> None:
    _read_head(peer)
    peer.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 99999999999\r\n\r\n")
    while not over.is_set():
        peer.sendall(bytes(1 << 20))


def _busy(peer: socket.socket, over: threading.Event) -> None:
    _read_head(peer)
    peer.sendall(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")


def _redirecting(peer: socket.socket, over: threading.Event) -> None:
    _read_head(peer)
    where = f"http://127.0.0.1:{peer.getsockname()[1]}/v1/traces"
    peer.sendall(f"HTTP/1.1 307 Elsewhere\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())


BROKEN: dict[str, Callable[[socket.socket, threading.Event], None]] = {
    "hangs": _hang,
    "trickles": _trickle,
    "never ends": _endless,
    "is busy": _busy,
    "redirects": _redirecting,
}


@contextlib.contextmanager
def broken(how: str, reached: Optional[threading.Event] = None) -> Iterator[dict[str, str]]:
    """The settings for something that is no collector: a key of BROKEN, `refuses`, or `takes no connection`.

    `reached` is set once somebody has connected to one of BROKEN.
    """
    reached = reached or threading.Event()
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        address = listener.getsockname()
        if how == "takes no connection":
            listener.listen(0)
            for _ in range(2):  # whoever comes now is not even answered
                filling = stack.enter_context(socket.socket())
                filling.setblocking(False)
                filling.connect_ex(address)
        elif how == "refuses":
            listener.close()
        else:
            listener.listen(50)
            threading.Thread(target=_accept, args=(listener, BROKEN[how], over, reached), daemon=True).start()
        stack.callback(over.set)
        yield {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{address[1]}"}


def _accept(
    listener: socket.socket,
    answer: Callable[[socket.socket, threading.Event], None],
    over: threading.Event,
    reached: threading.Event,
) -> None:
    def serve(peer: socket.socket) -> None:
        with contextlib.suppress(OSError), peer:
            answer(peer, over)

    with contextlib.suppress(OSError):  # closed at the end
        while True:
            peer, _ = listener.accept()
            reached.set()
            threading.Thread(target=serve, args=(peer,), daemon=True).start()
