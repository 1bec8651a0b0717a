"""One GET with a key, by the standard library alone, and never longer than it may take."""

from __future__ import annotations

import os
import ssl
import threading
import time
from typing import NamedTuple, Optional, Union
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from mega_code.settings import is_loopback

ANSWER_S = 5.0
BODY_BYTES = 64 * 1024


class Answer(NamedTuple):
    """An HTTP status with the beginning of the body, or `trouble` in words where none came; `took_s` seconds."""

    status: int
    body: bytes
    trouble: str
    took_s: float


class _NoRedirect(request.HTTPRedirectHandler):
    def redirect_request(self, *unused: object) -> None:
        """A key goes to nobody else."""


def get(url: str, key: str, limit_s: float = ANSWER_S) -> Answer:
    """The answer to a GET; a server that hangs or trickles is given up after `limit_s`."""
    started, came = time.monotonic(), []
    worker = threading.Thread(target=lambda: came.append(_get(url, key, limit_s)), daemon=True)
    worker.start()
    worker.join(limit_s)
    status, body, trouble = came[0] if came else (0, b"", f"no answer within {limit_s:g} s")
    return Answer(status, body, trouble, time.monotonic() - started)


def _get(url: str, key: str, limit_s: float) -> tuple[int, bytes, str]:
    try:
        handlers: list[request.BaseHandler] = [_NoRedirect()]
        if urlsplit(url).scheme == "https":
            handlers.append(request.HTTPSHandler(context=_context()))
        if is_loopback(urlsplit(url).hostname or ""):
            handlers.append(request.ProxyHandler({}))
        asked = request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
        with request.build_opener(*handlers).open(asked, timeout=limit_s) as answer:
            return answer.status, answer.read(BODY_BYTES), ""
    except HTTPError as error:
        return error.code, b"", ""
    except URLError as error:
        return 0, b"", _words(error.reason, limit_s)
    except Exception as error:  # whatever an answer that is no HTTP makes of it
        return 0, b"", _words(error, limit_s)


def _context() -> ssl.SSLContext:
    named = (os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"))
    bundle: Optional[str] = next((path for path in named if path and os.path.exists(path)), None)
    folder = bundle is not None and os.path.isdir(bundle)
    return ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)


def _words(reason: Union[str, BaseException], limit_s: float) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "its certificate cannot be verified"
    if isinstance(reason, TimeoutError):
        return f"no answer within {limit_s:g} s"
    if isinstance(reason, OSError):
        return reason.strerror or "no connection"
    return str(reason)[:100] or type(reason).__name__
