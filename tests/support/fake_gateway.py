"""A gateway with job state on a loopback port, which misbehaves to order.

It is a real HTTP server that speaks the contract's section 5; every deviation is a responder that a test puts in
front of a route. The client under test runs in a process of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
import time
import uuid
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Optional, Union

BASE = "/api/megacode/v1"
KEY = "test-key-0123456789"
SKILL_MD = """---
name: demo-skill
description: Does a thing. Use when a thing is to be done.
metadata:
  author: co-authored by www.megacode.ai
  version: "1.1.0"
  generated_at: "2026-04-22T06:11:55Z"
  tags:
    - demo
  roi:
    - model: fake-model
      performance_increase: "67%"
      token_savings: "0%"
---
# Demo, enhanced
"""


class Answer(NamedTuple):
    """What a responder gives back; `body` a JSON value, or bytes as they are."""

    status: int
    body: Any = b""
    headers: tuple[tuple[str, str], ...] = ()


class Seen(NamedTuple):
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


Responder = Callable[["Handler"], Optional[Answer]]


class FakeGateway:
    """State, routes and a log. `statuses` is what successive looks at a job show, the last one for good."""

    def __init__(self) -> None:
        self.key = KEY
        self.statuses: list[dict[str, Any]] = [{"status": "succeeded", "phase_public": None}]
        self.files: dict[str, bytes] = {"SKILL.md": SKILL_MD.encode(), "scripts/run.sh": b"#!/bin/sh\nexit 0\n"}
        self.file_extra: dict[str, dict[str, Any]] = {}
        self.result: dict[str, Any] = {}
        self.job_id = str(uuid.uuid4())
        self.uploads: list[bytes] = []
        self.seen: list[Seen] = []
        self.looks = 0
        self.closing = threading.Event()
        self.before_body: Optional[Callable[[Handler], None]] = None  # reads the body itself, in its own time
        self._responders: list[tuple[str, re.Pattern[str], Responder, list[int]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.fake = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeGateway:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def env(self) -> dict[str, str]:
        """The client's settings for this gateway."""
        return {"MEGA_CODE_SERVER_URL": self.url, "MEGA_CODE_API_KEY": self.key, "MEGA_CODE_CLIENT_MODE": "remote"}

    def on(self, method: str, path: str, answer: Union[Answer, Responder], times: int = -1) -> None:
        """Answer `method` on paths that match the regular expression `path`, `times` times (-1: always)."""
        responder = answer if callable(answer) and not isinstance(answer, Answer) else lambda _: answer
        self._responders.append((method, re.compile(path), responder, [times]))

    def count(self, method: str, path: str) -> int:
        """How many requests came on paths that match."""
        return sum(1 for seen in self.seen if seen.method == method and re.search(path, seen.path))

    def respond(self, handler: Handler) -> Optional[Answer]:
        """The ordered misbehaviour for this request, if any."""
        for method, pattern, responder, times in self._responders:
            if method == handler.command and pattern.search(handler.path) and times[0] != 0:
                times[0] -= 1
                return responder(handler)
        return self._contract(handler)

    def _contract(self, handler: Handler) -> Answer:
        method, path = handler.command, handler.path.partition("?")[0]
        if path.startswith("/files/"):
            return Answer(200, self.files[path[len("/files/") :]], (("Content-Type", "application/octet-stream"),))
        if handler.headers.get("Authorization") != f"Bearer {self.key}":
            return error(401, "unauthorized", "no such key")
        if (method, path) == ("GET", f"{BASE}/profile"):
            return Answer(200, {"user_id": "someone"})
        if (method, path) == ("POST", f"{BASE}/skill-enhance/uploads"):
            self.uploads.append(handler.body)
            return Answer(201, {"job_id": self.job_id, "content_hash": "0" * 64, "s3_uri": "s3://x", "file_count": 1})
        if (method, path) == ("GET", f"{BASE}/skill-enhance/jobs/{self.job_id}"):
            return Answer(200, self.job())
        if (method, path) == ("GET", f"{BASE}/skill-enhance/jobs/{self.job_id}/result"):
            return Answer(200, self.full_result())
        return error(404, "not_found", "no such thing")

    def job(self) -> dict[str, Any]:
        """The job as the next look sees it."""
        state = self.statuses[min(self.looks, len(self.statuses) - 1)]
        self.looks += 1
        return {
            "job_id": self.job_id,
            "skill_id": "demo-skill",
            "phase_public": None,
            "current_iteration": None,
            "total_iterations": None,
            "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "phase_started_at": None,
            **state,
        }

    def full_result(self) -> dict[str, Any]:
        """The result body, with `result` laid over it."""
        entries = [
            {
                "relpath": relpath,
                "url": f"{self.url}/files/{relpath}",
                "sha256": hashlib.sha256(content).hexdigest(),
                "size": len(content),
                **self.file_extra.get(relpath, {}),
            }
            for relpath, content in self.files.items()
        ]
        return {
            "job_id": self.job_id,
            "skill_id": "demo-skill",
            "status": "succeeded",
            "artifact_kind": "enhanced",
            "artifact": {"files": entries},
            "roi": [{"model": "fake-model", "performance_increase": "67%", "token_savings": "0%"}],
            "reason": None,
            "invariants": [],
            "evidence": None,
            "evaluation": None,
            "usage_snapshot": {"calls": 3},
            "completed_at": "2026-04-22T06:11:55Z",
            **self.result,
        }


def bomb(handler: Handler) -> Answer:
    """A redirect whose body, under a mebibyte, is 600 MiB of nothing."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(600)) + packer.flush()
    return Answer(307, packed, (("Location", "/elsewhere"), ("Content-Encoding", "gzip")))


def hang(handler: Handler) -> None:
    """A responder that never answers."""
    handler.fake.closing.wait()


def error(status: int, code: str, message: str, **details: Any) -> Answer:
    """An error as the contract writes it."""
    body: dict[str, Any] = {"code": code, "message": message}
    if details:
        body["details"] = details
    return Answer(status, {"error": body})


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    body = b""

    @property
    def fake(self) -> FakeGateway:
        return self.server.fake  # type: ignore[attr-defined,no-any-return]

    def handle_any(self) -> None:
        if self.fake.before_body and self.command == "POST":
            self.fake.before_body(self)
        else:
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.fake.seen.append(Seen(self.command, self.path, headers, self.body, time.monotonic()))
        answer = self.fake.respond(self)
        if answer is None:  # the responder wrote to the socket itself, or dropped it
            self.close_connection = True
            return
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in answer.headers or (("Content-Type", "application/json"),):
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in answer.headers):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_CONNECT = handle_any

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client goes away in some tests, as they mean it to
            super().handle()

    def log_message(self, *unused: object) -> None:
        """Quiet."""
