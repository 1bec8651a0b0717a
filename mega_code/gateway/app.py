"""The API's routes: who asks, for what, and the answer. What happens behind them is elsewhere."""

from __future__ import annotations

import errno
import json
import logging
import re
import sqlite3
from typing import IO, Any, Callable, Optional

import bottle  # type: ignore[import-untyped,unused-ignore]

from mega_code.gateway.api_error import ApiError, error_of_status
from mega_code.gateway.artifacts import Signer
from mega_code.gateway.auth import USER_ID, Keys
from mega_code.gateway.config import Clock, Config
from mega_code.gateway.folders import Folders
from mega_code.gateway.form import Form, read_form
from mega_code.gateway.jobs import Jobs
from mega_code.gateway.longpoll import LongPoll, wait_seconds
from mega_code.gateway.result import Ending
from mega_code.gateway.tracing import traced
from mega_code.gateway.uploads import PREBUILT_KEY, UPLOAD_KEY, Accepted, Uploads, check_idempotency_key
from mega_code.paths import SKILL_NAME, is_job_id
from mega_code.settings import API_BASE

log = logging.getLogger(__name__)

_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
HEX = re.compile(r"[0-9a-f]{64}")
EPOCH = re.compile(r"[0-9]{1,12}")


class Api:
    """The calls of the API; `app` is the WSGI application."""

    def __init__(
        self, config: Config, clock: Clock, keys: Keys, jobs: Jobs, uploads: Uploads, signer: Signer, folders: Folders
    ) -> None:
        self.config = config
        self.clock = clock
        self.keys = keys
        self.jobs = jobs
        self.uploads = uploads
        self.signer = signer
        self.folders = folders
        self.longpoll = LongPoll(jobs.changed, config.max_holds, config.max_holds_a_user)
        self.app = bottle.Bottle()
        self.app.default_error_handler = _bare_error
        for method, path, call in (
            ("GET", "/profile", self.profile),
            ("POST", "/skill-enhance/uploads", self.upload),
            ("POST", "/skill-enhance/uploads/prebuilt", self.upload_prebuilt),
            ("GET", "/skill-enhance/jobs/<job_id>", self.job),
            ("GET", "/skill-enhance/jobs/<job_id>/result", self.result),
            ("POST", "/skill-enhance/jobs/<job_id>/cancel", self.cancel),
            ("GET", "/artifacts/<job_id>/<relpath:path>", self.artifact),
        ):
            self.app.route(API_BASE + path, method, _answering_errors(traced(method, API_BASE + path, call)))

    def profile(self) -> Any:
        """200 for a valid key."""
        return _json(200, {"user_id": self._user()})

    def upload(self) -> Any:
        """Queue a job for an archive."""
        user_id = self._user()
        key = check_idempotency_key(_header("Idempotency-Key"), UPLOAD_KEY)
        form = self._form()
        if form.fields.get("source") != "api":
            raise ApiError("invalid_source", "The source must be api.")
        skill_id = _skill_id(form)
        _check_user_id(form, user_id)
        return _accepted(self.uploads.submit(user_id, skill_id, _archive(form), key))

    def upload_prebuilt(self) -> Any:
        """Keep an archive under a prefix."""
        user_id = self._user()
        key = check_idempotency_key(_header("Idempotency-Key"), PREBUILT_KEY)
        if key is None:
            raise ApiError("invalid_idempotency_key", "A prebuilt bundle needs an Idempotency-Key.")
        form = self._form()
        skill_id = _skill_id(form)
        _check_user_id(form, user_id)
        return _accepted(self.uploads.store_prebuilt(user_id, skill_id, _archive(form), key))

    def job(self, job_id: str) -> Any:
        """Where a job is; held back until that changes where the client asks for it."""
        user_id = self._user()
        wait_s = wait_seconds(_header("Prefer"))
        job, applied = self.longpoll.answer(user_id, lambda: self.jobs.get(job_id, user_id), wait_s)
        return _json(200, job.public(), **({"Preference-Applied": "wait"} if applied else {}))

    def result(self, job_id: str) -> Any:
        """How a job ended, with fresh artifact URLs."""
        job = self.jobs.get(job_id, self._user())
        if not job.terminal:
            raise ApiError("not_terminal", f"The job is {job.status}.", {"status": job.status})
        ended = self.jobs.result(job.job_id)
        if ended is None:
            days = f"{self.config.keep_days:g} days"
            raise ApiError("missing_artifact", f"What comes of a job is kept for {days}; submit the skill again.")
        now, origin = self.clock().timestamp(), _origin()
        ending = Ending(job.job_id, job.skill_id, job.status, job.completed_at, ended, self.jobs.files(job.job_id))
        body = ending.body()
        for file in body["artifact"]["files"]:
            file["url"] = self.signer.url(origin, job.job_id, file["relpath"], now)
        return _json(200, body)

    def cancel(self, job_id: str) -> Any:
        """Ask for a job's end."""
        return _json(202, self.jobs.cancel(job_id, self._user()).public())

    def artifact(self, job_id: str, relpath: str) -> Any:
        """A published file, for whoever holds its signed URL."""
        query = bottle.request.query
        expires, signature = query.get("expires", ""), query.get("signature", "")
        if not (is_job_id(job_id) and EPOCH.fullmatch(expires) and HEX.fullmatch(signature)):
            raise ApiError("invalid_signature", "This URL was not made by this gateway.")
        self.signer.check(job_id, relpath, expires, signature, self.clock().timestamp())
        below = self.jobs.published(job_id, relpath)
        path = self.folders.job(job_id) / below if below else None
        if path is None or not path.is_file():
            raise ApiError("not_found", "There is no such file.")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(path.stat().st_size),
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return bottle.HTTPResponse(open(path, "rb"), 200, headers)

    def _user(self) -> str:
        return self.keys.user_of(_header("Authorization"))

    def _form(self) -> Form:
        if bottle.request.content_length > self.config.body:
            raise ApiError("body_too_large", "The upload is larger than 25 MiB.")
        environ = bottle.request.environ
        return read_form(environ.get("CONTENT_TYPE", ""), environ["wsgi.input"])


def _answering_errors(call: Callable[..., Any]) -> Callable[..., Any]:
    def answer(**arguments: str) -> Any:
        try:
            if bottle.request.path.endswith("\n"):  # bottle's patterns let one more line feed pass at the end
                raise ApiError("not_found", "There is nothing at this path.")
            return call(**arguments)
        except ApiError as error:
            refusal = error
        except (OSError, sqlite3.OperationalError) as error:
            if not _is_full(error):
                raise
            log.warning("refused for want of room: %s", error)
            refusal = ApiError("storage_full", "The gateway has no room left on its disk.")
        headers = {"Content-Type": "application/json", **refusal.headers}
        return bottle.HTTPResponse(refusal.body(), refusal.status, headers)

    return answer


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "full" in str(error)


def _bare_error(response: Any) -> bytes:
    """Bottle's own 404, 405, 400 and 500 in the API's shape. The 500's traceback is in the log and nowhere else."""
    bottle.response.content_type = "application/json"
    said = "Something went wrong inside the gateway; its log says what." if response.status_code >= 500 else None
    return error_of_status(response.status_code, said or str(response.body or response.status_line)[:200]).body()


def _json(status: int, body: dict[str, Any], **headers: str) -> Any:
    return bottle.HTTPResponse(json.dumps(body), status, {"Content-Type": "application/json", **headers})


def _accepted(accepted: Accepted) -> Any:
    return _json(201, accepted.body, **({"Idempotent-Replayed": "true"} if accepted.replayed else {}))


def _header(name: str) -> Optional[str]:
    """A request header; bottle's own access takes what is no UTF-8 for a fault of the server."""
    value: Optional[str] = bottle.request.environ.get(f"HTTP_{name.upper().replace('-', '_')}")
    return value


def _skill_id(form: Form) -> str:
    skill_id = form.fields.get("skill_id", "")
    if not SKILL_NAME.fullmatch(skill_id):
        raise ApiError(
            "invalid_skill_id",
            "The skill_id must be lower-case letters, digits and inner hyphens, 64 characters at most.",
        )
    return skill_id


def _check_user_id(form: Form, user_id: str) -> None:
    """The field is optional, since the key says who it is; it may not say otherwise."""
    claimed = form.fields.get("user_id")
    if claimed is not None and not (USER_ID.fullmatch(claimed) and claimed == user_id):
        raise ApiError("invalid_user_id", "The user_id is not that of the API key.")


def _archive(form: Form) -> IO[bytes]:
    if "archive" not in form.files:
        raise ApiError("invalid_archive", "The request has no file in the multipart field archive.")
    return form.files["archive"]


def _origin() -> str:
    """The gateway as this client calls it, which is where it will look for the artifacts."""
    host = _header("Host") or ""
    if not _HOST.fullmatch(host):
        environ = bottle.request.environ
        host = f"127.0.0.1:{environ['SERVER_PORT']}"
    return f"http://{host}"
