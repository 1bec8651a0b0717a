"""One HTTP exchange, bounded in time and size.

`requests` does the work in a daemon thread; the waiting side watches its progress, so that neither a stalled
connection nor one that trickles can hold the command, and a signal is answered at once.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Optional, Union
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, ReadTimeoutError

from mega_code.client.remote_enhance import wire
from mega_code.client.remote_enhance.encodings import BadEncoding, decoder
from mega_code.client.remote_enhance.form import Form
from mega_code.client.remote_enhance.wire import KIB, Pace, Stalled, TooLarge, Watch
from mega_code.errors import MegaCodeError
from mega_code.settings import is_loopback

CHUNK = 16 * KIB
CONNECTIONS = 16

Sink = Callable[[bytes], object]
Tick = Callable[[], object]


class Response(NamedTuple):
    """Status, headers with lower-case names, and the body where no sink took it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Dropped(requests.ConnectionError):
    """The connection ended in the middle of the body."""


class Bearer(AuthBase):
    """The token, or none: an auth object either way, so that no `.netrc` entry ever takes its place."""

    def __init__(self, token: Optional[str]) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """No redirect is looked at: even one that is not followed would have its body read whole, whatever its size."""


class Transport:
    """Sends requests to one kind of peer. Thread-safe as far as `requests` is: one session a transport."""

    def __init__(self, pace: Pace = Pace()) -> None:
        self.pace = pace
        self.session = _Session()
        # Proxies and certificates are chosen below, per URL; the session's own look at the environment
        # would bring .netrc back and send loopback traffic through a proxy.
        self.session.trust_env = False
        self.authorities = certificates(os.environ)
        self.verify: Union[bool, str] = self.authorities[0] if self.authorities else True
        self.trusting = threading.Lock()
        self.trusts = not self.authorities
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, wire.Adapter(CONNECTIONS))

    def trust(self, url: str) -> None:
        """Take up the certificates that the environment names, where `url` needs any; `send` does so, too.

        Raises MegaCodeError `network_failure` where there are some that cannot be used.
        """
        if self.trusts or not url.lower().startswith("https:"):
            return
        with self.trusting:
            if not self.trusts:
                self.session.adapters["https://"] = wire.Adapter(CONNECTIONS, self.authorities)
                self.trusts = True

    def watch(self) -> Watch:
        """What bounds the time of one call; its attempts share it."""
        return Watch(self.pace)

    def send(
        self,
        method: str,
        url: str,
        *,
        cap: int,
        watch: Optional[Watch] = None,
        token: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        form: Optional[Form] = None,
        sink: Optional[Sink] = None,
        tick: Optional[Tick] = None,
        limit_s: Optional[float] = None,
        read_s: Optional[float] = None,
    ) -> Response:
        """One exchange; redirects are answers like any other.

        `cap` bounds the decoded body in bytes; a body of status 200 goes to `sink` where one is given. `tick` is
        called about four times a second while waiting; `limit_s` bounds the whole exchange, `read_s` the wait for the
        answer's first byte (default: the pace's). Raises requests.RequestException (a ConnectionError or a ReadTimeout
        where asking again may help), Stalled, TooLarge, BadEncoding; of the last two the body of no other status than
        2xx: that is empty then, so that the status counts. And as `trust`.
        """
        self.trust(url)
        request = requests.Request(
            method,
            url,
            headers={"Accept-Encoding": "identity", **(headers or {})},
            # As a stream it leaves in blocks, and the socket's timeout is for a block; bytes would leave in one call.
            data=form.open() if form else None,
            auth=Bearer(token),
        )
        watch = watch or self.watch()
        watch.attempt(self.pace.read if read_s is None else read_s)
        prepared = self.session.prepare_request(request)
        try:
            return _Exchange(self, prepared, cap, sink, watch).run(tick, limit_s, form.size if form else 0)
        finally:
            watch.ended()


class _Exchange:
    def __init__(
        self, transport: Transport, request: requests.PreparedRequest, cap: int, sink: Optional[Sink], watch: Watch
    ) -> None:
        self.transport, self.request, self.cap, self.sink, self.watch = transport, request, cap, sink, watch
        self.body = bytearray()
        self.taken = 0
        self.response: Optional[Response] = None
        self.error: Optional[BaseException] = None
        self.done = threading.Event()

    def run(self, tick: Optional[Tick], limit_s: Optional[float], sending: int) -> Response:
        until = None if limit_s is None else time.monotonic() + limit_s
        threading.Thread(target=self._work, daemon=True).start()
        try:
            while not self.done.wait(0.25):
                if tick:
                    tick()
                if self.watch.overdue(sending) or (until is not None and time.monotonic() > until):
                    raise Stalled("the transfer is too slow")
        except BaseException:
            self.watch.given_up = True
            raise
        if self.error is not None:
            raise self.error
        assert self.response is not None
        return self.response

    def _work(self) -> None:
        wire.current.watch = self.watch
        try:
            self.response = self._exchange()
        except (HTTPError, ValueError, UnicodeError) as error:
            # What urllib3 thinks of an address reaches us as it is.
            known = isinstance(error, requests.RequestException)
            self.error = error if known else requests.exceptions.InvalidURL(str(error))
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
            timeout=(self.transport.pace.connect, self.watch.read_s),
            proxies={} if local else requests.utils.get_environ_proxies(url),
            verify=self.transport.verify,
        )
        with answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            self.watch.body(self.cap)
            sink = self.sink if self.sink and answer.status_code == 200 else self.body.extend
            try:
                self._read(answer, headers, sink)
            except (BadEncoding, TooLarge):
                if 200 <= answer.status_code < 300:
                    raise
                self.body.clear()
            return Response(answer.status_code, headers, bytes(self.body))

    def _read(self, answer: requests.Response, headers: Mapping[str, str], sink: Sink) -> None:
        decoding = decoder(headers.get("content-encoding", ""))
        missing = 0 if "transfer-encoding" in headers else _length(headers.get("content-length", ""))
        for chunk in _chunks(answer.raw):
            missing -= len(chunk)
            for piece in decoding.feed(chunk):
                if self.watch.given_up:
                    return
                self.taken += len(piece)
                if self.taken > self.cap:
                    raise TooLarge(f"over {self.cap} bytes")
                sink(piece)
        if missing > 0:  # urllib3 before 2 ends such a body as if it were whole
            raise Dropped("the body is cut short")
        decoding.finish()


def _length(header: str) -> int:
    """The bytes that a Content-Length promises; 0 where it says nothing."""
    return int(header) if header.isascii() and header.isdigit() and len(header) < 20 else 0


def _chunks(raw: Any) -> Iterator[bytes]:
    """The body as it arrives, still encoded. Raises Dropped or Stalled."""
    try:
        if hasattr(raw, "read1"):
            yield from iter(lambda: raw.read1(CHUNK, decode_content=False), b"")
        else:  # urllib3 before 2.1 only reads whole blocks; a sink should see small ones
            yield from raw.stream(KIB, decode_content=False)
    except ReadTimeoutError:
        raise Stalled("no byte arrived in time") from None
    except HTTPError as error:
        raise Dropped(str(error)) from None


def certificates(env: Mapping[str, str]) -> list[str]:
    """Where the environment says that certificate authorities stand; with none, those that `requests` ships count."""
    named = [env.get(name, "") for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")]
    return [path for path in dict.fromkeys(named) if path and os.path.exists(path)]


def failure(error: Exception, server_url: str = "") -> MegaCodeError:
    """An exchange that did not come about, as the contract's `network_failure`.

    It names nothing but `server_url`, which holds no secret; the address of a file is signed, and not for showing.
    """
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
    elif isinstance(error, ValueError):
        reason = "its address or its answer makes no sense"
    else:
        reason = type(error).__name__
    server = f"The server at {server_url}" if server_url else "The server"
    return MegaCodeError("network_failure", f"{server} cannot be reached: {reason}.")
