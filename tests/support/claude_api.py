"""A Messages API on loopback whose model is the literal-minded reader.

It remembers nothing: every request holds the whole conversation, and the reader walks through it anew. So a session
that is resumed goes on where it was.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional, Union

from support.scripted_model import Ask, Author, Bash, Misread, Move, Output, Reader, Write

Json = dict[str, Any]
INVOKED = "Base directory for this skill: "
REMINDER = "<system-reminder>"
ANSWERED = re.compile(r'="(.*)"\. You can now continue', re.DOTALL)
MISREAD = "MISREAD"


class ClaudeApi:
    """The server. `requests` is every conversation that was sent; `careless` makes a reader that skips one check."""

    def __init__(self, careless: bool = False) -> None:
        self.careless = careless
        self.author: Optional[Author] = None
        self.requests: list[Json] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.api = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ClaudeApi:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def printed(self) -> str:
        """All that tools printed in all conversations."""
        events = (event for request in self.requests for event in _events(request.get("messages", [])))
        return "\n".join(text for kind, text, _ in events if kind == "tool")

    def reply(self, request: Json) -> list[Json]:
        """The content blocks of the next message."""
        self.requests.append(request)
        events = list(_events(request.get("messages", [])))
        started = [index for index, (kind, text, _) in enumerate(events) if kind == "text" and text.startswith(INVOKED)]
        if not started or not request.get("tools"):
            return [_text("ok")]
        tools = {tool.get("name") for tool in request["tools"]}
        text = events[started[-1]][1].partition("\n\n")[2]
        return self._follow(text, events[started[-1] + 1 :], "AskUserQuestion" in tools)

    def _follow(self, text: str, events: list[tuple[str, str, bool]], can_ask: bool) -> list[Json]:
        reader = Reader(text, self.careless, self.author)
        course = reader.run()
        answers = iter(events)
        received: Union[Output, str, None] = None
        number = 0
        try:
            while True:
                move = next(course) if received is None else course.send(received)
                received = _received(move, answers, can_ask)
                if received is None:
                    return _blocks(reader.said, move, number, can_ask)
                reader.said.clear()
                number += 1
        except StopIteration:
            return [_text("\n".join(reader.said) or "Done.")]
        except Misread as error:
            return [_text(f"{MISREAD}: {error}")]


def _events(messages: list[Json]) -> Iterator[tuple[str, str, bool]]:
    """What came from the person's side: `text` or `tool` (a tool's result), its text, and whether it is an error."""
    for message in messages:
        if message.get("role") != "user":
            continue
        content = message.get("content", [])
        for block in [_text(content)] if isinstance(content, str) else content:
            if block.get("type") == "tool_result":
                inner = block.get("content") or ""
                parts = [inner] if isinstance(inner, str) else [part.get("text", "") for part in inner]
                yield "tool", "\n".join(parts), bool(block.get("is_error"))
            elif block.get("type") == "text" and not block["text"].lstrip().startswith(REMINDER):
                yield "text", block["text"], False


def _received(move: Move, events: Iterator[tuple[str, str, bool]], can_ask: bool) -> Union[Output, str, None]:
    """What the conversation already holds as the outcome of a move; None where it ends before."""
    wanted = "tool" if can_ask or not isinstance(move, Ask) else "text"
    for kind, text, is_error in events:
        if kind == wanted:
            if not isinstance(move, Ask):
                return Output.of(text, is_error)
            answered = ANSWERED.search(text)
            return answered[1] if answered else text.strip()
    return None


def _blocks(said: list[str], move: Move, number: int, can_ask: bool) -> list[Json]:
    if isinstance(move, Ask) and not can_ask:
        options = [f"{index}. {label}: {about}" for index, (label, about) in enumerate(move.options, 1)]
        return [_text("\n".join([*said, move.question, *options]))]
    return [*([_text("\n".join(said))] if said else []), _tool_use(move, number)]


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _tool_use(move: Move, number: int) -> Json:
    if isinstance(move, Bash):
        name, given = "Bash", {"command": move.command, "timeout": move.timeout, "description": "Run the next step"}
    elif isinstance(move, Ask):
        options = [{"label": label, "description": about} for label, about in move.options]
        question = {"question": move.question, "header": move.header, "options": options, "multiSelect": False}
        name, given = "AskUserQuestion", {"questions": [question]}
    elif isinstance(move, Write):
        name, given = "Write", {"file_path": move.path, "content": move.content}
    else:
        name, given = "Read", {"file_path": move.path}
    return {"type": "tool_use", "id": f"toolu_{number:04d}", "name": name, "input": given}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        path = self.path.partition("?")[0]
        if path == "/v1/messages/count_tokens":
            self._send(json.dumps({"input_tokens": len(json.dumps(request)) // 4}).encode())
        elif path == "/v1/messages":
            api: ClaudeApi = self.server.api  # type: ignore[attr-defined]
            blocks = api.reply(request)
            answer = message(request.get("model"), blocks)
            if request.get("stream"):
                self._send(b"".join(stream(answer)), "text/event-stream")
            else:
                self._send(json.dumps(answer).encode())
        else:
            self._send(b"{}")

    def do_GET(self) -> None:
        self._send(b"{}")

    do_HEAD = do_GET

    def _send(self, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client went away
            super().handle()

    def log_message(self, *unused: object) -> None:
        """Quiet."""


def message(model: Optional[str], blocks: list[Json]) -> Json:
    """What the API answers."""
    return {
        # The client takes messages of one id for one message.
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": blocks,
        "stop_reason": "tool_use" if blocks and blocks[-1]["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def stream(message: Json) -> Iterator[bytes]:
    """The message as server-sent events."""

    def event(kind: str, **data: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()

    yield event("message_start", message={**message, "content": [], "stop_reason": None})
    for index, block in enumerate(message["content"]):
        if block["type"] == "text":
            empty: Json = {"type": "text", "text": ""}
            delta: Json = {"type": "text_delta", "text": block["text"]}
        else:
            empty = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield event("content_block_start", index=index, content_block=empty)
        yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=ending, usage={"output_tokens": message["usage"]["output_tokens"]})
    yield event("message_stop")
