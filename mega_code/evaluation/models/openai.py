"""Any endpoint that speaks the chat completions of OpenAI."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Optional

from mega_code.evaluation.models.base import (
    Completion,
    ModelError,
    Prices,
    Request,
    estimated_tokens,
    prices,
    storable,
)
from mega_code.model_settings import KEY, URL, endpoint
from mega_code.settings import is_loopback
from mega_code.variables import decimal

if TYPE_CHECKING:
    import requests

CONNECT_S = 10.0
TIMEOUT_S = 300.0
MIB = 1024 * 1024
ANSWER_BYTES = 16 * MIB
CHUNK = 16 * 1024
# The endpoint's own wrapping: a chat template puts a few tokens around each message.
OVERHEAD_TOKENS = 64
SAID = 300
LIMIT, OTHER_LIMIT = "max_tokens", "max_completion_tokens"


class OpenAI:
    """One model of one endpoint. Thread-safe.

    The key goes nowhere but into the Authorization header: a pickled copy takes it from its own environment.
    """

    overhead_tokens = OVERHEAD_TOKENS

    def __init__(
        self, model: str, url: str, key: str = "", timeout_s: float = TIMEOUT_S, price: Optional[Prices] = None
    ) -> None:
        self.name, self.url, self.timeout_s, self.price = model, url, timeout_s, price
        self._key = key
        self._limit = LIMIT
        self._lock = threading.Lock()
        self._session: Optional[requests.Session] = None

    @classmethod
    def from_env(cls, model: str, env: Mapping[str, str]) -> OpenAI:
        """Raises MegaCodeError `invalid_arguments`, or `insecure_server_url` for plain http to another machine."""
        where = endpoint(env, model)
        timeout_s = decimal(env, "MEGA_CODE_MODEL_TIMEOUT_S") or TIMEOUT_S
        return cls(model, where.url, where.key, timeout_s, prices(env))

    def __repr__(self) -> str:
        return f"OpenAI({self.name!r}, {self.url!r})"

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name not in ("_key", "_lock", "_session")}
        return {**kept, "needs_key": bool(self._key)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        needs_key = state.pop("needs_key")
        self.__dict__.update(state, _lock=threading.Lock(), _session=None)
        self._key = os.environ.get(KEY, "").strip() if needs_key else ""
        self._keyless = needs_key and not self._key

    _keyless = False

    def key(self) -> str:
        return f"openai {self.url} {self.name}"

    def close(self) -> None:
        """What is in flight ends by itself, within `timeout_s`."""

    def complete(self, request: Request) -> Completion:
        if self._keyless:
            raise ModelError(f"{KEY} is not set where the call runs; set it in the environment of every worker.")
        limit = self._limit
        status, headers, body = self._exchange(request, limit)
        answer = _json(body)
        if status != 200 or ("error" in answer and not answer.get("choices")):
            other = status == 400 and limit != OTHER_LIMIT and OTHER_LIMIT.encode() in body
            return self._refusal_or_error(request, status, headers, answer, OTHER_LIMIT if other else "")
        return self._completion(request, answer)

    def learn(self, lesson: str) -> None:
        """`lesson` is the name by which the endpoint knows the limit on output tokens."""
        self._limit = lesson

    def _exchange(self, request: Request, limit: str) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body. Raises ModelError where none came."""
        import requests

        until = time.monotonic() + self.timeout_s
        try:
            answer = self._requests().post(
                f"{self.url}/chat/completions",
                data=json.dumps(self._body(request, limit)).encode(),
                headers={"Content-Type": "application/json", "X-Mega-Code-Role": request.role},
                auth=self._authorize,
                timeout=(CONNECT_S, self.timeout_s),
                allow_redirects=False,
                stream=True,
            )
            with answer:
                return answer.status_code, answer.headers, _read(answer, until)
        except requests.RequestException as error:
            raise _trouble(error) from None
        except ModelError:
            raise
        except Exception as error:  # what urllib3 raises while a body is read
            raise ModelError(f"The model's answer broke off ({type(error).__name__}).", True, charged=True) from None

    def _requests(self) -> requests.Session:
        from urllib.parse import urlsplit

        import requests
        from requests.adapters import HTTPAdapter

        authorities = os.environ.get("SSL_CERT_FILE", "")
        with self._lock:
            if self._session is None:
                session = requests.Session()
                # Proxies and certificates of the environment count, but for this machine itself.
                session.trust_env = not is_loopback(urlsplit(self.url).hostname or "")
                session.verify = authorities if os.path.exists(authorities) else True
                session.mount("http://", HTTPAdapter(pool_maxsize=64))
                session.mount("https://", HTTPAdapter(pool_maxsize=64))
                self._session = session
            return self._session

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the key, or nothing; being there, it keeps `.netrc` out."""
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request

    def _body(self, request: Request, limit: str) -> dict[str, Any]:
        system = [{"role": "system", "content": request.system}] if request.system else []
        messages = [*system, {"role": "user", "content": request.prompt}]
        return {"model": self.name, "messages": messages, limit: request.max_output_tokens}

    def _completion(self, request: Request, answer: dict[str, Any]) -> Completion:
        try:
            choice = answer["choices"][0]
            message = choice["message"]
            text, refusal, reason = _text(message.get("content")), message.get("refusal"), choice.get("finish_reason")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ModelError("The model's answer is no chat completion.", transient=True, charged=True) from None
        if refusal or reason == "content_filter":
            outcome, text = "refused", ""
        elif reason == "length":
            outcome = "cut"
        else:
            outcome = "answer" if text.strip() else "empty"
        return self._counted(request, answer, text if outcome != "empty" else "", outcome)

    def _counted(self, request: Request, answer: dict[str, Any], text: str, outcome: str) -> Completion:
        usage = answer.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        given = _count(usage.get("prompt_tokens"))
        got = _count(usage.get("completion_tokens"))
        tokens_in = estimated_tokens(request.system) + estimated_tokens(request.prompt) if given is None else given
        tokens_out = estimated_tokens(text) if got is None else got
        cost = usage.get("cost")
        # An endpoint that knows no prices may well say 0.
        if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 < cost < 1e9:
            cost = self.price.cost_usd(tokens_in, tokens_out) if self.price else 0.0
        named = answer.get("model")
        model = named if isinstance(named, str) and named else self.name
        return Completion(storable(text), storable(model), tokens_in, tokens_out, float(cost), outcome)

    def _refusal_or_error(
        self, request: Request, status: int, headers: Mapping[str, str], answer: dict[str, Any], lesson: str
    ) -> Completion:
        error = answer.get("error")
        error = error if isinstance(error, dict) else {"message": error or answer.get("message")}
        code = error.get("code")
        if code == "content_filter":
            return self._counted(request, answer, "", "refused")
        if status == 200 and isinstance(code, int):
            status = code  # some endpoints say OK first, and then what went wrong
        said = " ".join(str(error.get("message") or "").split())
        if self._key:
            said = said.replace(self._key, "***")
        trouble = _error(status, str(code), storable(said[:SAID]), headers)
        trouble.lesson = lesson
        raise trouble


def _error(status: int, code: str, said: str, headers: Mapping[str, str]) -> ModelError:
    ending = f": {said.rstrip('.')}." if said else "."
    if status in (401, 403):
        return ModelError(f"The model's endpoint does not accept {KEY} (HTTP {status}){ending}")
    if 300 <= status < 400:
        return ModelError(f"The model's endpoint redirects (HTTP {status}); {URL} must be its final address.")
    if status == 200:
        return ModelError(f"The model's endpoint answers with an error{ending}", transient=True)
    passing = status in (408, 425, 429) or status >= 500
    transient = passing and code != "insufficient_quota"
    retry_after = _retry_after(headers.get("Retry-After")) if transient else None
    return ModelError(f"The model's endpoint answers HTTP {status}{ending}", transient, retry_after)


def _trouble(error: requests.RequestException) -> ModelError:
    import requests
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    cause = error.args[0] if error.args else None
    refused = isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
    if isinstance(error, requests.exceptions.SSLError):
        return ModelError("The certificate of the model's endpoint cannot be verified.")
    if isinstance(error, requests.ConnectTimeout) or refused:
        return ModelError("The model's endpoint cannot be reached.", transient=True, sent=False)
    if isinstance(error, requests.Timeout):
        return ModelError("The model's endpoint did not answer in time.", transient=True, charged=True)
    if isinstance(error, requests.ConnectionError):
        return ModelError("The connection to the model's endpoint broke off.", transient=True, charged=True)
    return ModelError(f"The model's endpoint cannot be asked ({type(error).__name__}).")


def _read(answer: requests.Response, until: float) -> bytes:
    """The body. Raises ModelError for one that is too large or takes too long."""
    body = bytearray()
    raw = answer.raw
    one_read = getattr(raw, "read1", None)  # urllib3 before 2.1 only reads whole blocks
    while True:
        chunk = one_read(CHUNK, decode_content=True) if one_read else raw.read(1024, decode_content=True)
        if not chunk:
            return bytes(body)
        body += chunk
        if len(body) > ANSWER_BYTES:
            raise ModelError(f"The model's answer is over {ANSWER_BYTES // MIB} MiB.")
        if time.monotonic() > until:
            raise ModelError("The model's endpoint did not answer in time.", transient=True, charged=True)


def _json(body: bytes) -> dict[str, Any]:
    """The object in an answer; an empty one where there is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _text(content: object) -> str:
    """A message's text, which may come in parts."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _count(value: object) -> Optional[int]:
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12
    return int(value) if known else None  # type: ignore[call-overload]


def _retry_after(value: Optional[str]) -> Optional[float]:
    """Seconds that a Retry-After header asks for; None where it says nothing."""
    if not value:
        return None
    try:
        return max(0.0, float(value)) if float(value) < 1e9 else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
