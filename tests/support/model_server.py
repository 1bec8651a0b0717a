"""An OpenAI-compatible endpoint on loopback whose answers a test writes; it speaks the Messages API too.

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

from support.claude_api import message, stream

KEY = "model-key-0123456789"
MODEL = "scripted-1"


class Reply(NamedTuple):
    """An answer that is more than a text. `body` replaces all of it: a JSON value, or bytes as they are.

    `usage` None leaves it out; otherwise its entries stand beside the counted words. `hang` keeps the connection
    silent until the server closes, `drop` ends it without an answer. `skill` asks the Claude Code client to load one.
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
    skill: Optional[str] = None


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
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.origin}/v1"

    @property
    def env(self) -> dict[str, str]:
        """The settings for this endpoint."""
        return {"MEGA_CODE_MODEL": f"openai:{MODEL}", "MEGA_CODE_MODEL_URL": self.url, "MEGA_CODE_MODEL_KEY": self.key}

    @property
    def claude_env(self) -> dict[str, str]:
        """What makes the Claude Code client ask here."""
        return {"ANTHROPIC_BASE_URL": self.origin, "ANTHROPIC_API_KEY": self.key}

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


def claude_message(asked: Asked, reply: Reply) -> dict[str, Any]:
    """The body of a message of the Messages API; a tenth of its input tokens come from a cache."""
    blocks: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    if reply.skill:
        blocks.append({"type": "tool_use", "id": "toolu_1", "name": "Skill", "input": {"skill": reply.skill}})
    body = message(asked.body.get("model"), blocks)
    if reply.finish != "stop" or reply.refusal:
        body["stop_reason"] = "refusal" if reply.refusal else "max_tokens"
    body["usage"] = {"input_tokens": 90, "cache_read_input_tokens": 10, "output_tokens": 7, **(reply.usage or {})}
    return body


def claude_asked(body: dict[str, Any], headers: dict[str, str]) -> Asked:
    """A request of the Claude Code client, without what the client adds of its own."""
    system = [block["text"] for block in body.get("system") or [] if not block["text"].startswith("You are a Claude")]
    content = next(message["content"] for message in body["messages"] if message["role"] == "user")
    texts = [content] if isinstance(content, str) else [block["text"] for block in content]
    return Asked("", "\n".join(system) or None, texts[-1], body, headers)


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
        path, headers = self.path.partition("?")[0], {name.lower(): value for name, value in self.headers.items()}
        if path == "/v1/chat/completions":
            said = {message["role"]: message["content"] for message in body["messages"]}
            role = headers.get("x-mega-code-role", "")
            asked = Asked(role, said.get("system"), said["user"], body, headers)
            reply = owner.reply(asked, headers.get("authorization", ""))
            answer = json.dumps(completion(asked, reply)).encode()
        elif path == "/v1/messages":
            asked = claude_asked(body, headers)
            reply = owner.reply(asked, f"Bearer {headers.get('x-api-key')}")
            answer = b"".join(stream(claude_message(asked, reply)))
        else:
            self._send(404, {}, b"{}")
            return
        if reply.hang:
            owner.closing.wait(60)
        if reply.hang or reply.drop:
            self.close_connection = True
            return
        if reply.body is not None or reply.status != 200:
            body = reply.body or {"error": {"message": "said by the endpoint"}}
            answer = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "text/event-stream" if answer.startswith(b"event: ") else "application/json"
        self._send(reply.status, {"Content-Type": kind, **reply.headers}, answer)

    def do_GET(self) -> None:
        self._send(200, {}, b"{}")

    do_HEAD = do_GET

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client went away
            super().handle()

    def log_message(self, *unused: object) -> None:
        """Quiet."""
