"""Claude Code's command line. Flags and variables were measured with 2.1.330 against an API on loopback."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from mega_code.evaluation.models.agents import Agent, number
from mega_code.evaluation.models.base import Completion, ModelError, Request
from mega_code.evaluation.models.program import without_secrets


class Claude(Agent):
    """`claude --print`.

    With an API key the system message is a line of the client's own and then the request's; with another login the
    client adds a message about its environment, which is the same for every arm.
    """

    program = "claude"
    overhead_tokens = 1024

    def _wrapping(self) -> str:
        return "bare" if _bare(os.environ) else "environment"

    def _variables(self, request: Request) -> dict[str, str]:
        return {
            "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            # Thinking would count against the tokens of the answer.
            "CLAUDE_CODE_DISABLE_THINKING": "1",
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(request.max_output_tokens),
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "DISABLE_AUTOUPDATER": "1",
        }

    def _prepared(self, request: Request, room: Path, env: dict[str, str]) -> list[str]:
        """The call's own arguments, after putting into the room and the environment what they speak of."""
        system = ["--system-prompt", ""]
        if request.system:
            path = room / "system.md"
            path.write_bytes(request.system.encode("utf-8", "replace"))
            system = ["--system-prompt-file", str(path)]
        bare = ["--bare"] if _bare(env) else []
        if bare:  # no login is kept in the person's own folder, so it is left alone
            env["CLAUDE_CONFIG_DIR"] = str(room / "config")
        return [*system, *bare, "--tools", "", "--setting-sources", "", "--disable-slash-commands"]

    def _ask(self, command: str, request: Request, room: Path, env: dict[str, str]) -> Completion:
        stream = Stream()
        arguments = [command, "--print", "--output-format", "stream-json", "--verbose", "--include-partial-messages"]
        arguments += [
            "--strict-mcp-config",
            "--no-session-persistence",
            "--max-turns",
            "1",
            *self._prepared(request, room, env),
        ]
        arguments += ["--model", self.model] if self.model else []
        # A first word such as /help is a command of the client's; behind a line break it is text.
        prompt = f"\n{request.prompt}" if request.prompt.startswith("/") else request.prompt
        ended = self._programs.run(arguments, room, prompt, env, self.timeout_s, stream.take)
        if not stream.stop and not stream.result:
            raise ModelError(f"claude ended with status {ended.status}: {ended.said or 'it said nothing'}")
        failed = stream.result.get("is_error") and stream.outcome() != "refused" and not stream.skill
        if failed:
            raise _failure(stream.result, env)
        return self._completion(
            request, self._answer(stream), stream.outcome(), stream.usage(), stream.cost(), stream.model
        )

    def _answer(self, stream: Stream) -> str:
        return stream.text


class Stream:
    """The events of `--output-format stream-json`, up to the end of the first message.

    A message that was cut, refused or empty is the answer: the client would ask on by itself, so it is stopped there.
    What stands in front of a model may give whole messages, or the result alone, and none of their parts.
    """

    def __init__(self) -> None:
        self.model = ""
        self.stop = ""
        self.skill: Optional[str] = None
        self.result: dict[str, Any] = {}
        self._used: dict[str, Any] = {}
        self._parts = ""
        self._whole = ""
        self._message_id: Optional[str] = None

    @property
    def text(self) -> str:
        """What the model wrote, from the best source there is."""
        return self._parts or self._whole or str(self.result.get("result") or "")

    def take(self, line: bytes) -> bool:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return False
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "result":
            self.result = event
        elif kind == "assistant" and isinstance(event.get("message"), dict):
            self._message(event["message"])
        elif kind == "stream_event" and isinstance(event.get("event"), dict):
            return self._partial(event["event"])
        return False

    def _partial(self, event: dict[str, Any]) -> bool:
        kind = event.get("type")
        if kind == "message_start":
            message = event.get("message") or {}
            self.model = str(message.get("model") or "")
            self._used.update(message.get("usage") or {})
        elif kind == "content_block_delta":
            delta = event.get("delta") or {}
            self._parts += str(delta.get("text") or "") if delta.get("type") == "text_delta" else ""
        elif kind == "message_delta":
            self._used.update(event.get("usage") or {})
            self.stop = str((event.get("delta") or {}).get("stop_reason") or "")
            return self.stop not in ("end_turn", "stop_sequence") or not self._parts.strip()
        return False

    def _message(self, message: dict[str, Any]) -> None:
        """The first message, whole or a block of it: its text, and which skill it asks to load."""
        known = str(message.get("id") or "")
        if self._message_id not in (None, known):
            return
        self._message_id = known
        self.model = self.model or str(message.get("model") or "")
        for block in message.get("content") or []:
            if not isinstance(block, dict):
                continue
            if block.get("type") == "text":
                self._whole += str(block.get("text") or "")
            if block.get("type") == "tool_use" and block.get("name") == "Skill":
                self.skill = self.skill or str((block.get("input") or {}).get("skill") or "")

    def outcome(self) -> str:
        stops = (self.stop, self.result.get("stop_reason"))
        return "refused" if "refusal" in stops else "cut" if "max_tokens" in stops else "answer"

    def usage(self) -> tuple[int, int]:
        """Tokens in, with what was read from and written to the API's cache, and out."""
        used = self._used or self.result.get("usage") or {}
        given = sum(number(used.get(f"{kind}input_tokens")) for kind in ("", "cache_creation_", "cache_read_"))
        return int(given), int(number(used.get("output_tokens")))

    def cost(self) -> float:
        return number(self.result.get("total_cost_usd"))


def _failure(result: Mapping[str, Any], env: Mapping[str, str]) -> ModelError:
    status = result.get("api_error_status")
    said = without_secrets(str(result.get("result") or result.get("subtype") or "no reason"), env)
    if isinstance(status, int):
        return ModelError(f"claude: {said}", transient=status in (408, 429) or status >= 500)
    login = re.search(r"log(?:ged)? ?in|credit|billing", said, re.IGNORECASE)
    return ModelError(f"claude: {said}", transient=not login, charged=not login)


def _bare(env: Mapping[str, str]) -> bool:
    """Whether the client's minimal mode can be used, which takes an API key and no other login."""
    return bool(env.get("ANTHROPIC_API_KEY"))
