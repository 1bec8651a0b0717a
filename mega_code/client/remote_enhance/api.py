"""The gateway's HTTP API as calls; its errors as codes of the contract."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, Optional

from requests import RequestException
from urllib3.filepost import encode_multipart_formdata

from mega_code.client.remote_enhance import transport
from mega_code.console import plain
from mega_code.errors import MegaCodeError
from mega_code.paths import check_job_id, is_job_id
from mega_code.settings import API_BASE, Settings, check_server_url

ANSWER_BYTES = 16 * transport.MIB
ANSWER_LEVELS = 64
RETRIED = (502, 503, 504)
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_SHORTEST_SECRET = 8  # shorter ones are words of their own; replacing those would change what was said

Json = dict[str, Any]


class Poll(NamedTuple):
    """One look at a job. `trouble` is set instead of `job` where the look failed for a reason that may pass."""

    job: Optional[Json]
    trouble: Optional[MegaCodeError]
    held: bool


class _Broken(Exception):
    """The answer broke off in the middle."""

    def __init__(self, error: MegaCodeError) -> None:
        super().__init__(error.message)
        self.error = error


class Gateway:
    """A gateway, hosted or embedded, seen with one API key.

    Every method raises MegaCodeError: `auth_failure`, `network_failure`, `invalid_response`, or the code of the
    gateway's own error body (`http_<status>` where a 4xx has none).
    """

    def __init__(self, server_url: str, api_key: str, sleep: Callable[[float], object] = time.sleep) -> None:
        self.server_url = server_url
        self._key = api_key
        self._sleep = sleep
        self._transport = transport.Transport(transport.API_PACE, transport.retries(RETRIED))
        # Polling has its own patience, longer than any retry's.
        self._poll_transport = transport.Transport(transport.API_PACE)

    @classmethod
    def of(cls, settings: Settings) -> Gateway:
        """The configured gateway. Raises MegaCodeError `network_failure` or `auth_failure` where none is."""
        if not settings.server_url:
            raise MegaCodeError(
                "network_failure",
                "No server is configured and no embedded gateway runs; start one with scripts/gateway.sh start, "
                "or name a server with scripts/configure.sh.",
            )
        if not settings.api_key:
            raise MegaCodeError("auth_failure", "No API key is configured; set one with scripts/configure.sh.")
        if not (settings.api_key.isascii() and settings.api_key.isprintable() and " " not in settings.api_key):
            raise MegaCodeError("auth_failure", "The API key holds characters that none has; run scripts/configure.sh.")
        return cls(check_server_url(settings.server_url), settings.api_key)

    def profile(self) -> Json:
        """The check of the key."""
        return self._call("GET", "/profile")

    def upload(self, archive: bytes, skill_id: str) -> Json:
        """Submit a bundle; the answer names the job. A retry repeats the Idempotency-Key and so cannot submit twice."""
        body, content_type = encode_multipart_formdata(
            {"source": "api", "skill_id": skill_id, "archive": ("archive.zip", archive, "application/zip")}
        )
        headers = {"Content-Type": content_type, "Idempotency-Key": uuid.uuid4().hex}
        answer = self._call("POST", "/skill-enhance/uploads", headers=headers, data=body)
        if not is_job_id(answer.get("job_id")):
            raise MegaCodeError("invalid_response", "The server took the upload but named no job.")
        return answer

    def publish(self, archive: bytes, skill_id: str, key: str) -> Json:
        """Store a bundle as it is, once for each `key`; the answer names it by `id`."""
        body, content_type = encode_multipart_formdata(
            {"skill_id": skill_id, "archive": ("archive.zip", archive, "application/zip")}
        )
        headers = {"Content-Type": content_type, "Idempotency-Key": key}
        answer = self._call("POST", "/skill-enhance/uploads/prebuilt", headers=headers, data=body)
        if not (isinstance(answer.get("id"), str) and answer["id"]):
            raise MegaCodeError("invalid_response", "The server took the bundle but named no id for it.")
        return answer

    def look(self, job_id: str, wait_s: int, limit_s: float, tick: Optional[transport.Tick] = None) -> Poll:
        """One look at a job's status, held by the server up to `wait_s` seconds and ended by us after `limit_s`.

        Raises MegaCodeError only for what time cannot mend.
        """
        headers = {"Prefer": f"wait={wait_s}"} if wait_s >= 1 else {}
        try:
            response = self._send(
                self._poll_transport, "GET", f"/skill-enhance/jobs/{check_job_id(job_id)}", headers, None, tick, limit_s
            )
            held = "preference-applied" in response.headers
            if response.status == 429 or response.status >= 500:
                return Poll(None, _server_trouble(response.status), False)
            job = self._answer(response)
            if not isinstance(job.get("status"), str):
                raise MegaCodeError("invalid_response", "The server's answer has no status.")
            return Poll(job, None, held)
        except _Broken as broken:
            return Poll(None, broken.error, False)
        except MegaCodeError as error:
            if error.code in ("network_failure", "invalid_response"):
                return Poll(None, error, False)
            raise

    def result(self, job_id: str) -> Json:
        """The result of a terminal job, unknown keys included."""
        return self._call("GET", f"/skill-enhance/jobs/{check_job_id(job_id)}/result")

    def _call(
        self, method: str, path: str, headers: Optional[dict[str, str]] = None, data: Optional[bytes] = None
    ) -> Json:
        tries = queue_full = 0
        while True:
            self._transport.allow(transport.ATTEMPTS - tries)
            # Two things urllib3's Retry cannot see: what the body of a 429 says, and a body that breaks off.
            try:
                response = self._send(self._transport, method, path, headers or {}, data)
            except _Broken as broken:
                tries += 1
                error, retry_after = broken.error, None
            else:
                tries += response.attempts
                if response.status != 429:
                    return self._answer(response)
                error, retry_after = self._error(response), response.headers.get("retry-after")
                if error.code != "queue_full":
                    error = _server_trouble(429)
            queue_full += error.code == "queue_full"
            if tries >= transport.ATTEMPTS or queue_full > 1:
                raise error
            self._sleep(transport.pause(tries, retry_after))

    def _send(
        self,
        via: transport.Transport,
        method: str,
        path: str,
        headers: dict[str, str],
        data: Optional[bytes],
        tick: Optional[transport.Tick] = None,
        limit_s: Optional[float] = None,
    ) -> transport.Response:
        url = f"{self.server_url}{API_BASE}{path}"
        try:
            response = via.send(
                method, url, cap=ANSWER_BYTES, token=self._key, headers=headers, data=data, tick=tick, limit_s=limit_s
            )
        except transport.TooLarge:
            raise MegaCodeError("invalid_response", "The server's answer is over 16 MiB.") from None
        except transport.BadEncoding:
            raise MegaCodeError(
                "invalid_response", "The server's answer is encoded in a way nobody asked for."
            ) from None
        except transport.Dropped as error:
            raise _Broken(transport.failure(error)) from None
        except (RequestException, transport.Stalled) as error:
            raise transport.failure(error) from None
        return response

    def _answer(self, response: transport.Response) -> Json:
        if response.status < 300:
            return self._parse(response.body)
        if response.status < 400:
            raise MegaCodeError(
                "invalid_response", "The server redirects; set MEGA_CODE_SERVER_URL to the final address."
            )
        if response.status in (401, 403):
            raise MegaCodeError("auth_failure", f"The server does not accept the API key ({response.status}).")
        if response.status >= 500:
            raise _server_trouble(response.status)
        raise self._error(response)

    def _parse(self, body: bytes) -> Json:
        """The answer without our token, which must not come into an envelope or a log because a server echoes it."""
        answer: Json = (
            redact(parse_object(body), self._key) if len(self._key) >= _SHORTEST_SECRET else parse_object(body)
        )
        return answer

    def _error(self, response: transport.Response) -> MegaCodeError:
        """The error of a 4xx: the gateway's code verbatim, its message made safe to show."""
        try:
            body = self._parse(response.body).get("error")
        except MegaCodeError:
            body = None
        error = body if isinstance(body, dict) else {}
        code = error.get("code")
        if not (isinstance(code, str) and _CODE.fullmatch(code)):
            code = f"http_{response.status}"
        message = error.get("message")
        text = (
            plain(message)[:500] if isinstance(message, str) and message else f"The server answered {response.status}."
        )
        details = error.get("details")
        existing = details.get("existing_job_id") if isinstance(details, dict) else None
        return MegaCodeError(code, text, **({"existing_job_id": existing} if is_job_id(existing) else {}))


def _server_trouble(status: int) -> MegaCodeError:
    return MegaCodeError("network_failure", f"The server answered {status}; it may be busy or broken.")


def redact(value: Any, secret: str) -> Any:
    """A JSON value with `secret` taken out of its strings; keys stay, since they are the protocol's."""
    if isinstance(value, str):
        return value.replace(secret, "***")
    if isinstance(value, list):
        return [redact(inner, secret) for inner in value]
    if isinstance(value, dict):
        return {key: redact(inner, secret) for key, inner in value.items()}
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def parse_object(body: bytes) -> Json:
    """A JSON object of at most 64 levels. Raises MegaCodeError `invalid_response`."""
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise MegaCodeError("invalid_response", "The server's answer is no JSON.") from None
    if not isinstance(value, dict):
        raise MegaCodeError("invalid_response", "The server's answer is no JSON object.")
    level: list[Any] = [value]
    for _ in range(ANSWER_LEVELS):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return value
    raise MegaCodeError("invalid_response", f"The server's answer is nested over {ANSWER_LEVELS} levels deep.")
