"""One HTTP exchange, bounded in time and size.

`requests` does the work in a daemon thread; the waiting side watches its progress, so that neither a stalled
connection nor one that trickles can hold the command, and a signal is answered at once.
"""

from __future__ import annotations

import io
import os
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Optional, Union
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError
from urllib3.util import Retry

from mega_code.errors import MegaCodeError
from mega_code.settings import is_loopback

KIB = 1024
MIB = 1024 * KIB
ATTEMPTS = 5
BACKOFF_MAX_S = 8.0
RETRY_AFTER_MAX_S = 60.0
CHUNK = 16 * KIB

Sink = Callable[[bytes], object]
Tick = Callable[[], object]


class Pace(NamedTuple):
    """Time limits of one exchange, in seconds; `rate` in bytes a second, on top of `body`.

    `head` bounds all attempts up to the answer's headers together: each has its own limits, but a peer that sends
    its headers byte by byte would never meet those.
    """

    connect: float = 10.0
    read: float = 60.0
    head: float = 400.0
    stall: float = 10.0
    body: float = 20.0
    rate: float = 100.0 * KIB


API_PACE = Pace()
ARTIFACT_PACE = Pace(read=10.0, head=75.0)


class Response(NamedTuple):
    """Status, headers with lower-case names, the body where no sink took it, and how many attempts it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    attempts: int


class Stalled(Exception):
    """The transfer ran out of time."""


class Dropped(requests.ConnectionError):
    """The connection ended in the middle of the body."""


class TooLarge(Exception):
    """The body is over its cap."""


class BadEncoding(Exception):
    """The body's content encoding is none we asked for, or is broken."""


class Bearer(AuthBase):
    """The token, or none: an auth object either way, so that no `.netrc` entry ever takes its place."""

    def __init__(self, token: Optional[str]) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class Backoff(Retry):
    """0.5 s to 8 s, doubling, jittered; a server's Retry-After is honoured up to a minute."""

    RETRY_AFTER_STATUS_CODES = frozenset({503})

    def get_backoff_time(self) -> float:
        return pause(len(self.history), None) if self.history else 0.0

    def get_retry_after(self, response: Any) -> Optional[float]:
        try:
            asked = super().get_retry_after(response)
        except InvalidHeader:
            asked = None  # a header that says nothing is no header
        return None if asked is None else min(asked, RETRY_AFTER_MAX_S)


def pause(tries: int, retry_after: Optional[str]) -> float:
    """Seconds to wait after `tries` answers of 429: what the server asks for, else our own backoff."""
    if retry_after:
        try:
            return min(RETRY_AFTER_MAX_S, Retry().parse_retry_after(retry_after))
        except InvalidHeader:
            pass  # a header that says nothing is no header
    return jittered(min(BACKOFF_MAX_S, 0.5 * 2 ** (tries - 1)))


def jittered(seconds: float) -> float:
    """Between three quarters of `seconds` and the whole."""
    return seconds * random.uniform(0.75, 1.0)


class ImpatientBackoff(Backoff):
    """As Backoff, but silence ends it: whoever serves files and says nothing for a whole timeout has failed."""

    def increment(self, *positional: Any, **named: Any) -> Any:
        error = named.get("error")
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(*positional, **named)


def retries(statuses: tuple[int, ...], timed_out: bool = True) -> Retry:
    """The policy for connections that are refused, dropped or (with `timed_out`) silent, and for `statuses`."""
    return (Backoff if timed_out else ImpatientBackoff)(
        total=ATTEMPTS - 1,
        status_forcelist=statuses,
        allowed_methods=None,
        redirect=0,
        raise_on_status=False,
        respect_retry_after_header=True,
    )


class Transport:
    """Sends requests to one kind of peer. Thread-safe as far as `requests` is: one session a transport."""

    def __init__(self, pace: Pace = API_PACE, retry: Optional[Retry] = None) -> None:
        self.pace = pace
        self.session = requests.Session()
        # Proxies and certificates are chosen below, per URL; the session's own look at the environment
        # would bring .netrc back and send loopback traffic through a proxy.
        self.session.trust_env = False
        self.policy = Retry(0, read=False) if retry is None else retry
        self.adapter = HTTPAdapter(max_retries=self.policy, pool_maxsize=16)
        self.session.mount("http://", self.adapter)
        self.session.mount("https://", self.adapter)

    def allow(self, attempts: int) -> None:
        """How many attempts the next exchange may take; for a caller that counts some of its own."""
        self.adapter.max_retries = self.policy.new(total=attempts - 1)

    def send(
        self,
        method: str,
        url: str,
        *,
        cap: int,
        token: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        data: Union[bytes, None] = None,
        sink: Optional[Sink] = None,
        tick: Optional[Tick] = None,
        limit_s: Optional[float] = None,
    ) -> Response:
        """One exchange, retried as the transport's policy says; redirects are answers like any other.

        `cap` bounds the decoded body in bytes; a body of status 200 goes to `sink` where one is given. `tick` is
        called about four times a second while waiting; `limit_s` bounds the whole exchange. Raises
        requests.RequestException, Stalled, TooLarge, BadEncoding.
        """
        request = requests.Request(
            method,
            url,
            headers={"Accept-Encoding": "identity", **(headers or {})},
            # As a stream it leaves in blocks, and the socket's timeout is for a block; bytes would leave in one call.
            data=io.BytesIO(data) if data else None,
            auth=Bearer(token),
        )
        exchange = _Exchange(self, self.session.prepare_request(request), cap, sink)
        return exchange.run(tick, limit_s)


class _Exchange:
    def __init__(self, transport: Transport, request: requests.PreparedRequest, cap: int, sink: Optional[Sink]) -> None:
        self.transport, self.request, self.cap, self.sink = transport, request, cap, sink
        self.body = bytearray()
        self.taken = 0
        self.received = 0
        self.began = time.monotonic()
        self.body_started: Optional[float] = None
        self.last_byte = 0.0
        self.abandoned = False
        self.response: Optional[Response] = None
        self.error: Optional[BaseException] = None
        self.done = threading.Event()

    def run(self, tick: Optional[Tick], limit_s: Optional[float]) -> Response:
        until = None if limit_s is None else time.monotonic() + limit_s
        threading.Thread(target=self._work, daemon=True).start()
        try:
            while not self.done.wait(0.25):
                if tick:
                    tick()
                now = time.monotonic()
                if self._overdue(now) or (until is not None and now > until):
                    raise Stalled("the transfer is too slow")
        finally:
            self.abandoned = True
        if self.error is not None:
            raise self.error
        assert self.response is not None
        return self.response

    def _overdue(self, now: float) -> bool:
        pace, started = self.transport.pace, self.body_started
        if started is None:
            return now - self.began > pace.head
        allowed = pace.body + self.received / pace.rate
        return now - self.last_byte > pace.stall or now - started > allowed

    def _work(self) -> None:
        try:
            self.response = self._exchange()
        except (HTTPError, ValueError, UnicodeError) as error:
            # What urllib3 thinks of an address, or of a redirect's, reaches us as it is.
            known = isinstance(error, requests.RequestException)
            self.error = error if known else requests.ConnectionError(str(error))
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()

    def _exchange(self) -> Response:
        url = self.request.url or ""
        local = is_loopback(urlsplit(url).hostname or "")
        answer = self.transport.session.send(
            self.request,
            stream=True,
            allow_redirects=False,
            timeout=(self.transport.pace.connect, self.transport.pace.read),
            proxies={} if local else requests.utils.get_environ_proxies(url),
            verify=certificates(os.environ),
        )
        with answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            self.body_started = self.last_byte = time.monotonic()
            sink = self.sink if self.sink and answer.status_code == 200 else self.body.extend
            self._read(answer, headers.get("content-encoding", ""), sink)
            retries_so_far = answer.raw.retries
            attempts = 1 + len(retries_so_far.history if retries_so_far else ())
            return Response(answer.status_code, headers, bytes(self.body), attempts)

    def _read(self, answer: requests.Response, encoding: str, sink: Sink) -> None:
        decoder = _decoder(encoding)
        for chunk in _chunks(answer.raw):
            self.received += len(chunk)
            self.last_byte = time.monotonic()
            if self.abandoned:
                return
            for piece in decoder.feed(chunk):
                self.taken += len(piece)
                if self.taken > self.cap:
                    raise TooLarge(f"over {self.cap} bytes")
                sink(piece)
        decoder.finish()


def _chunks(raw: Any) -> Iterator[bytes]:
    """The body as it arrives, still encoded. Raises Dropped or Stalled."""
    try:
        if hasattr(raw, "read1"):
            yield from iter(lambda: raw.read1(CHUNK, decode_content=False), b"")
        else:  # urllib3 before 2.1 only reads whole blocks; small ones keep the watch on stalls honest
            yield from raw.stream(KIB, decode_content=False)
    except ReadTimeoutError:
        raise Stalled("no byte arrived in time") from None
    except HTTPError as error:
        raise Dropped(str(error)) from None


def certificates(env: Mapping[str, str]) -> Union[bool, str]:
    """The bundle of certificate authorities that the environment names, else the one `requests` ships."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        if env.get(name) and os.path.exists(env[name]):
            return env[name]
    return True


class _Identity:
    def feed(self, chunk: bytes) -> list[bytes]:
        return [chunk]

    def finish(self) -> None:
        """Nothing is held back."""


class _Inflate:
    """gzip and deflate in bounded pieces, so that a bomb meets its cap before it meets the memory."""

    PIECE = 256 * KIB

    def __init__(self) -> None:
        self.stream = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def feed(self, chunk: bytes) -> Any:
        try:
            while chunk:
                yield self.stream.decompress(chunk, self.PIECE)
                chunk = self.stream.unconsumed_tail
        except zlib.error as error:
            raise BadEncoding(str(error)) from None

    def finish(self) -> None:
        if not self.stream.eof:
            raise BadEncoding("the compressed body is cut short")


def _decoder(encoding: str) -> Any:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _Identity()
    if name in ("gzip", "x-gzip", "deflate"):
        return _Inflate()
    raise BadEncoding(f"content encoding {name!r}")


def failure(error: Exception) -> MegaCodeError:
    """An exchange that did not come about, as the contract's `network_failure`, without addresses or tokens."""
    if isinstance(error, Stalled):
        reason = "the transfer stalled"
    elif isinstance(error, requests.exceptions.SSLError):
        reason = "its certificate cannot be verified"
    elif isinstance(error, requests.exceptions.ProxyError):
        reason = "the proxy refused"
    elif isinstance(error, requests.Timeout):
        reason = "it did not answer in time"
    elif isinstance(error, requests.ConnectionError):
        reason = "no connection"
    else:
        reason = type(error).__name__
    return MegaCodeError("network_failure", f"The server cannot be reached: {reason}.")
