"""An OpenAI-compatible endpoint on loopback whose answers a test writes.

def answer(role: str, system: str, prompt: str) -> Answer:
    return "yes" if role == "judge" else Reply(status=429, headers={"Retry-After": "1"})

with ModelServer(answer) as server:
    env = server.env                       # MEGA_CODE_MODEL, MEGA_CODE_MODEL_URL, MEGA_CODE_MODEL_KEY
    assert server.count("judge") == 1
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, NamedTuple, Optional, Union

KEY = "model-key-0123456789"
MODEL = "scripted-1"


class Reply(NamedTuple):
    """An answer that is more than a text. `body` replaces all of it: a JSON value, or bytes as they are.

    `usage` None leaves it out; otherwise its entries stand beside the counted words. `hang` keeps the connection
    silent until the server closes, `drop` ends it without an answer.
    """

    text: Optional[str] = ""
    finish: str = "stop"
    refusal: Optional[str] = None
    usage: Optional[Mapping[str, Any]] = {}
    status: int = 200
    headers: Mapping[str, str] = {}
    body: Any = None
    hang: bool = False
    drop: bool = False


Answer = Union[str, Reply]
Script = Callable[[str, str, str], Answer]


class Asked(NamedTuple):
    """One request as it arrived; `system` is None where there was no system message."""

    role: str
    system: Optional[str]
    prompt: str
    body: dict[str, Any]
    headers: dict[str, str]


class ModelServer:
    """The server. `requests` is every request in the order of arrival; `most_at_once` how many there were at a time."""

    def __init__(self, answer: Union[Script, Answer] = "yes", key: str = KEY) -> None:
        self.answer: Script = answer if callable(answer) else (lambda role, system, prompt: answer)
        self.key = key
        self.requests: list[Asked] = []
        self.most_at_once = 0
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._at_once = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def env(self) -> dict[str, str]:
        """The settings for this endpoint."""
        return {"MEGA_CODE_MODEL": f"openai:{MODEL}", "MEGA_CODE_MODEL_URL": self.url, "MEGA_CODE_MODEL_KEY": self.key}

    def count(self, role: Optional[str] = None) -> int:
        """How many requests of a role have arrived, or of all."""
        with self._lock:
            return sum(1 for asked in self.requests if role in (None, asked.role))

    def __enter__(self) -> ModelServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def reply(self, asked: Asked, authorization: str) -> Reply:
        """What to answer; counts the request."""
        with self._lock:
            self.requests.append(asked)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self.key and authorization != f"Bearer {self.key}":
                return Reply(status=401, body={"error": {"message": "no such key", "code": "invalid_api_key"}})
            answer = self.answer(asked.role, asked.system or "", asked.prompt)
            return Reply(answer) if isinstance(answer, str) else answer
        finally:
            with self._lock:
                self._at_once -= 1


def completion(asked: Asked, reply: Reply) -> dict[str, Any]:
    """The body of a chat completion."""
    message = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish}
    body: dict[str, Any] = {"id": "c-1", "object": "chat.completion", "model": MODEL, "choices": [choice]}
    if reply.usage is not None:
        words = len(f"{asked.system or ''} {asked.prompt}".split())
        counted = {"prompt_tokens": words, "completion_tokens": len((reply.text or "").split())}
        body["usage"] = {**counted, **reply.usage}
    return body


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: ModelServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        owner = self.server.owner
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        if self.path != "/v1/chat/completions":
            self._send(404, {}, b"{}")
            return
        said = {message["role"]: message["content"] for message in body["messages"]}
        role = self.headers.get("X-Mega-Code-Role") or ""
        asked = Asked(role, said.get("system"), said["user"], body, {k.lower(): v for k, v in self.headers.items()})
        reply = owner.reply(asked, self.headers.get("Authorization") or "")
        if reply.hang:
            owner.closing.wait(60)
        if reply.hang or reply.drop:
            self.close_connection = True
            return
        answer = completion(asked, reply) if reply.body is None else reply.body
        self._send(reply.status, reply.headers, answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client went away
            super().handle()

    def log_message(self, *unused: object) -> None:
        """Quiet."""
