"""The gateway's HTTP API as calls; its errors as codes of the contract."""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple, Optional

import requests

from mega_code import telemetry
from mega_code.client.remote_enhance import transport
from mega_code.client.remote_enhance.answers import Json, parse_object
from mega_code.client.remote_enhance.encodings import BadEncoding
from mega_code.client.remote_enhance.form import Form
from mega_code.client.remote_enhance.retrying import Outcome, is_dropped, persist, retry_after
from mega_code.client.remote_enhance.wire import MIB, Stalled, TooLarge
from mega_code.console import conceal, concealed, readable, say
from mega_code.errors import NETWORK, MegaCodeError, exit_status
from mega_code.paths import check_job_id, is_job_id, script
from mega_code.settings import API_BASE, Settings, check_server_url, is_key

ANSWER_BYTES = 16 * MIB
RETRIED = (429, 502, 503, 504)
OF_SERVER = ("queue_full", "not_terminal")  # codes that mean the same whether the server says them or we do
READ_S = 10.0
UPLOAD_READ_S = 20.0
SILENT_S = 8.0  # a pause up to here needs no word
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class Poll(NamedTuple):
    """One look at a job. `trouble` is set instead of `job` where the look failed for a reason that may pass."""

    job: Optional[Json]
    trouble: Optional[MegaCodeError]
    held: bool
    retry_after_s: float = 0.0


class Patience:
    """Which outcomes of a call are worth another attempt: what may pass; of a server that has no room, only one."""

    def __init__(self) -> None:
        self.full = False

    def __call__(self, outcome: Outcome) -> bool:
        if not isinstance(outcome, transport.Response):
            return is_dropped(outcome) or isinstance(outcome, requests.ReadTimeout)
        if outcome.status == 429 and _said(outcome).get("code") == "queue_full":
            self.full, before = True, self.full
            return not before
        return outcome.status in RETRIED


class Gateway:
    """A gateway, hosted or embedded, seen with one API key. To make one raises as `Transport.trust` does.

    Every method raises MegaCodeError: `auth_failure`, `network_failure`, `invalid_response`, or the code of the
    gateway's own error body (`http_<status>` where a 4xx has none).
    """

    def __init__(self, server_url: str, api_key: str, sleep: Callable[[float], object] = time.sleep) -> None:
        self.server_url = server_url
        self._key = api_key
        conceal(api_key)
        self._sleep = sleep
        self._transport = transport.Transport()
        self._transport.trust(server_url)

    @classmethod
    def of(cls, settings: Settings) -> Gateway:
        """The configured gateway. Raises MegaCodeError `network_failure` or `auth_failure` where none is, and as `check_server_url`."""
        if not settings.server_url:
            raise MegaCodeError(
                "network_failure",
                "No server is configured and no embedded gateway runs; start one with "
                f"{script('gateway.sh', 'start')}, or name a server with {script('configure.sh')}.",
            )
        server_url = check_server_url(settings.server_url)
        if not settings.api_key:
            raise MegaCodeError("auth_failure", f"No API key is configured; set one with {script('configure.sh')}.")
        if not is_key(settings.api_key):
            raise MegaCodeError(
                "auth_failure", f"The API key holds characters that none has; run {script('configure.sh')}."
            )
        return cls(server_url, settings.api_key)

    def profile(self) -> None:
        """The check of the key; what the answer holds is nobody's business."""
        self._accepted(self._persist("GET", "/profile"))

    def upload(self, archive: IO[bytes], skill_id: str) -> Json:
        """Submit a bundle; the answer names the job. A retry repeats the Idempotency-Key and so cannot submit twice."""
        form = Form({"source": "api", "skill_id": skill_id}, archive)
        answer = self._post("/skill-enhance/uploads", form, uuid.uuid4().hex)
        if not is_job_id(answer.get("job_id")):
            raise MegaCodeError("invalid_response", "The server took the upload but named no job.")
        return answer

    def publish(self, archive: IO[bytes], skill_id: str, key: str) -> Json:
        """Store a bundle as it is, once for each `key`; the answer names it by `id`."""
        answer = self._post("/skill-enhance/uploads/prebuilt", Form({"skill_id": skill_id}, archive), key)
        if not (isinstance(answer.get("id"), str) and answer["id"]):
            raise MegaCodeError("invalid_response", "The server took the bundle but named no id for it.")
        return answer

    def _post(self, path: str, form: Form, key: str) -> Json:
        return self._call("POST", path, {"Content-Type": form.content_type, "Idempotency-Key": key}, form)

    def look(self, job_id: str, wait_s: int, limit_s: float, tick: Optional[transport.Tick] = None) -> Poll:
        """One look at a job's status, held by the server up to `wait_s` seconds and ended by us after `limit_s`.

        Raises MegaCodeError only for what time cannot mend.
        """
        headers = {"Prefer": f"wait={wait_s}"} if wait_s >= 1 else {}
        path = f"/skill-enhance/jobs/{check_job_id(job_id)}"
        try:
            # Polling has its own patience, longer than any retry's.
            with self._named_failures():
                response = self._send("GET", path, headers, tick=tick, limit_s=limit_s, read_s=wait_s + READ_S)
        except MegaCodeError as error:
            return Poll(None, error, False)
        if response.status == 429 or response.status >= 500:
            return Poll(None, _server_trouble(response.status), False, retry_after(response) or 0.0)
        if response.status >= 400:
            self._accepted(response)
        try:
            job = read(self._accepted(response).body)
            if not isinstance(job.get("status"), str):
                raise MegaCodeError("invalid_response", "The server's answer has no status.")
        except MegaCodeError as error:
            return Poll(None, error, False)
        return Poll(job, None, "preference-applied" in response.headers)

    def result(self, job_id: str) -> Json:
        """The result of a terminal job, unknown keys included."""
        return self._call("GET", f"/skill-enhance/jobs/{check_job_id(job_id)}/result")

    def cancel(self, job_id: str) -> None:
        """Ask for a job's end; not every server has this call."""
        self._accepted(self._persist("POST", f"/skill-enhance/jobs/{check_job_id(job_id)}/cancel"))

    def _call(
        self, method: str, path: str, headers: Optional[dict[str, str]] = None, form: Optional[Form] = None
    ) -> Json:
        return read(self._accepted(self._persist(method, path, headers, form)).body)

    def _persist(
        self, method: str, path: str, headers: Optional[dict[str, str]] = None, form: Optional[Form] = None
    ) -> transport.Response:
        """The answer to a call, asked for as often as `Patience` allows."""
        watch = self._transport.watch()
        # Whoever takes a bundle in may look at all of it before there is a word of an answer.
        read_s = UPLOAD_READ_S + form.size / watch.pace.rate if form else READ_S
        with self._named_failures():
            return persist(
                lambda: self._send(method, path, headers or {}, form=form, watch=watch, read_s=read_s),
                Patience(),
                self._pause,
            )

    def _pause(self, seconds: float) -> None:
        if seconds > SILENT_S:
            say(f"the server is busy; asking again in {seconds:.0f} s")
        self._sleep(seconds)

    def _send(self, method: str, path: str, headers: dict[str, str], **options: Any) -> transport.Response:
        url, headers = f"{self.server_url}{API_BASE}{path}", {**headers, **telemetry.headers()}
        return self._transport.send(method, url, cap=ANSWER_BYTES, token=self._key, headers=headers, **options)

    @contextlib.contextmanager
    def _named_failures(self) -> Iterator[None]:
        """What a transport raises, as codes of the contract."""
        try:
            yield
        except TooLarge:
            raise MegaCodeError("invalid_response", "The server's answer is over 16 MiB.") from None
        except BadEncoding:
            raise MegaCodeError(
                "invalid_response", "The server's answer is encoded in a way nobody asked for."
            ) from None
        except (requests.RequestException, Stalled) as error:
            raise transport.failure(error, self.server_url) from None

    def _accepted(self, response: transport.Response) -> transport.Response:
        """A response of success, itself."""
        if response.status < 300:
            return response
        if response.status < 400:
            raise MegaCodeError(
                "invalid_response", "The server redirects; set MEGA_CODE_SERVER_URL to the final address."
            )
        if response.status in (401, 403):
            said = self._error(response)
            reason = "" if said.code.startswith("http_") else f" It says: {said.message}"
            raise MegaCodeError("auth_failure", f"The server does not accept the API key ({response.status}).{reason}")
        error = self._error(response)
        # Where a server is busy for longer than we wait, its code says no more than that.
        passing = response.status == 429 and error.code != "queue_full"
        raise _server_trouble(response.status) if passing or response.status >= 500 else error

    def _error(self, response: transport.Response) -> MegaCodeError:
        """The error of a 4xx: the gateway's code verbatim, its message made safe to show."""
        error = _said(response)
        code = error.get("code")
        if not (isinstance(code, str) and _CODE.fullmatch(code)):
            code = f"http_{response.status}"
        message = error.get("message")
        text = (
            readable(message)[:500]
            if isinstance(message, str) and message
            else f"The server answered {response.status}."
        )
        said = error.get("details")
        existing = said.get("existing_job_id") if isinstance(said, dict) else None
        details: Json = {"existing_job_id": existing} if is_job_id(existing) else {}
        if exit_status(code) == NETWORK and code not in OF_SERVER:
            details["http_status"] = response.status
        return MegaCodeError(code, text, **details)


def read(body: bytes) -> Json:
    """An answer without our token, which must not come into a file because a server echoes it."""
    answer: Json = concealed(parse_object(body))
    return answer


def _said(response: transport.Response) -> Json:
    """The error object of an answer; empty where it has none."""
    try:
        error = read(response.body).get("error")
    except MegaCodeError:
        error = None
    return error if isinstance(error, dict) else {}


def _server_trouble(status: int) -> MegaCodeError:
    return MegaCodeError("network_failure", f"The server answered {status}; it may be busy or broken.")
