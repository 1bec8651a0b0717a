"""The OTLP exporter on connections that nothing which answers there can make dear."""

from __future__ import annotations

import io
import os
from typing import Any, Optional
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from requests.adapters import HTTPAdapter

from mega_code.settings import is_loopback
from mega_code.telemetry import ENDPOINTS

CERTIFICATES = ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")


class _Adapter(HTTPAdapter):
    """Reads nothing of an answer but its status; a redirect, which would take the headers elsewhere, is a failure."""

    def send(self, request: requests.PreparedRequest, *positional: Any, **named: Any) -> requests.Response:
        answer = super().send(request, *positional, **named)
        answer.close()
        answer.raw = io.BytesIO()
        if 300 <= answer.status_code < 400:
            raise requests.TooManyRedirects("the collector redirects")
        return answer


def exporter(timeout_s: Optional[float]) -> OTLPSpanExporter:
    """An exporter with the settings of the environment. `timeout_s` bounds an export, None as those say."""
    session = requests.Session()
    host = urlsplit(next(os.environ[name] for name in ENDPOINTS if os.environ.get(name))).hostname
    # As for every server: a proxy never for this machine itself, and nothing out of .netrc.
    session.trust_env = not is_loopback(host or "")
    session.auth = lambda request: request
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    authorities = os.environ.get("SSL_CERT_FILE", "")
    named = any(os.environ.get(name) for name in CERTIFICATES)
    return OTLPSpanExporter(
        session=session,
        timeout=timeout_s,
        certificate_file=authorities if os.path.exists(authorities) and not named else None,
    )
