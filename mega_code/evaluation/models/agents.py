"""The agents' own command lines, as plain models: no tools, no settings, nothing kept.

Flags and variables were measured with Claude Code 2.1.330 and codex-cli 0.169.0, each against an API on loopback.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from mega_code.evaluation.models.base import (
    Completion,
    ModelError,
    Prices,
    Request,
    estimated_tokens,
    prices,
    storable,
)
from mega_code.evaluation.models.program import Programs, find, without_secrets
from mega_code.evaluation.variables import decimal

TIMEOUT_S = 300.0
# What a session leaves in the environment of its commands must not reach a session that these start; a login must.
LOGIN = ("CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_", "CLAUDE_CODE_SKIP_", "CLAUDE_CODE_CLIENT_")


class Agent:
    """What the agents have in common. `model` is empty for the agent's own choice."""

    program = ""
    overhead_tokens = 0

    def __init__(self, model: str = "", timeout_s: float = TIMEOUT_S, price: Optional[Prices] = None) -> None:
        self.name = f"{self.program}:{model}" if model else self.program
        self.model, self.timeout_s, self.price = model, timeout_s, price
        self._programs = Programs()

    @classmethod
    def from_env(cls, model: str, env: Mapping[str, str]) -> Agent:
        """Raises MegaCodeError `invalid_arguments`."""
        return cls(model, decimal(env, "MEGA_CODE_MODEL_TIMEOUT_S", 0.1) or TIMEOUT_S, prices(env))

    def key(self) -> str:
        return f"{self.name} {self._wrapping()}"

    def close(self) -> None:
        self._programs.close()

    def complete(self, request: Request) -> Completion:
        command = find(self.program)
        room = Path(tempfile.mkdtemp(prefix="mega-code-model-"))
        try:
            (room / "work").mkdir()
            (room / "tmp").mkdir()
            own = {"MEGA_CODE_ROLE": request.role, "TMPDIR": str(room / "tmp")}
            env = {**environment(), **own, **self._variables(request)}
            return self._ask(command, request, room, env)
        finally:
            shutil.rmtree(room, ignore_errors=True)

    def _wrapping(self) -> str:
        """Identifies what is put around a request."""
        raise NotImplementedError

    def _variables(self, request: Request) -> dict[str, str]:
        """What the program's environment needs."""
        return {}

    def _ask(self, command: str, request: Request, room: Path, env: dict[str, str]) -> Completion:
        raise NotImplementedError

    def _completion(
        self, request: Request, text: str, outcome: str, usage: tuple[int, int], cost: float, model: str
    ) -> Completion:
        text = "" if outcome == "refused" else storable(text)
        if outcome == "answer" and not text.strip():
            text, outcome = "", "empty"
        given, got = usage
        if not given:
            given = estimated_tokens(request.system) + estimated_tokens(request.prompt)
            got = got or estimated_tokens(text)
        if not cost and self.price:
            cost = self.price.cost_usd(given, got)
        return Completion(text, storable(model) or self.name, given, got, cost, outcome)


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
        arguments += ["--strict-mcp-config", "--no-session-persistence", *self._prepared(request, room, env)]
        arguments += ["--model", self.model] if self.model else []
        # A first word such as /help is a command of the client's; behind a line break it is text.
        prompt = f"\n{request.prompt}" if request.prompt.startswith("/") else request.prompt
        ended = self._programs.run(arguments, room, prompt, env, self.timeout_s, stream.take)
        if not stream.stop and not stream.result:
            raise ModelError(f"claude ended with status {ended.status}: {ended.said or 'it said nothing'}")
        failed = stream.result.get("is_error") and stream.outcome() != "refused"
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
    """

    def __init__(self) -> None:
        self.text = ""
        self.model = ""
        self.stop = ""
        self.skill: Optional[str] = None
        self.result: dict[str, Any] = {}
        self._used: dict[str, Any] = {}

    def take(self, line: bytes) -> bool:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return False
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "result":
            self.result = event
        elif kind == "assistant":
            self._blocks(event)
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
            self.text += str(delta.get("text") or "") if delta.get("type") == "text_delta" else ""
        elif kind == "message_delta":
            self._used.update(event.get("usage") or {})
            self.stop = str((event.get("delta") or {}).get("stop_reason") or "")
            return self.stop not in ("end_turn", "stop_sequence") or not self.text.strip()
        return False

    def _blocks(self, event: dict[str, Any]) -> None:
        """Which skill the message asks to load."""
        for block in (event.get("message") or {}).get("content") or []:
            if isinstance(block, dict) and block.get("type") == "tool_use" and block.get("name") == "Skill":
                self.skill = self.skill or str((block.get("input") or {}).get("skill") or "")

    def outcome(self) -> str:
        if "refusal" in (self.stop, self.result.get("stop_reason")):
            return "refused"
        return "cut" if self.stop == "max_tokens" else "answer"

    def usage(self) -> tuple[int, int]:
        """Tokens in, with what was read from and written to the API's cache, and out."""
        used = self._used
        given = sum(_number(used.get(f"{kind}input_tokens")) for kind in ("", "cache_creation_", "cache_read_"))
        return int(given), int(_number(used.get("output_tokens")))

    def cost(self) -> float:
        return _number(self.result.get("total_cost_usd"))


def _failure(result: Mapping[str, Any], env: Mapping[str, str]) -> ModelError:
    status = result.get("api_error_status")
    said = without_secrets(str(result.get("result") or result.get("subtype") or "no reason"), env)
    if isinstance(status, int):
        return ModelError(f"claude: {said}", transient=status in (408, 429) or status >= 500)
    login = re.search(r"log(?:ged)? ?in|credit|billing", said, re.IGNORECASE)
    return ModelError(f"claude: {said}", transient=not login, charged=not login)


class Codex(Agent):
    """`codex exec`.

    It takes no limit for an answer's length, and has no request without instructions: one that has no system message
    goes with a sentence that says as good as nothing.
    """

    program = "codex"
    overhead_tokens = 8192
    NOTHING = "Answer the user.\n"
    OFF = (
        "apps code_mode_host goals hooks image_generation multi_agent plugins shell_tool skill_search sleep_tool "
        "tool_suggest unbounded_connection_retries unified_exec view_image"
    ).split()
    SETTINGS = (
        'web_search="disabled"',
        "include_apps_instructions=false",
        "include_environment_context=false",
        "include_permissions_instructions=false",
        "project_doc_max_bytes=0",
        "skills.include_instructions=false",
    )

    def _wrapping(self) -> str:
        return "exec"

    def _ask(self, command: str, request: Request, room: Path, env: dict[str, str]) -> Completion:
        system = room / "system.md"
        system.write_bytes((request.system if request.system.strip() else self.NOTHING).encode("utf-8", "replace"))
        settings = [*self.SETTINGS, *(f"features.{name}=false" for name in self.OFF)]
        settings.append(f"model_instructions_file={json.dumps(str(system))}")
        arguments = [command, "exec", "--json", "--ephemeral", "--ignore-user-config", "--ignore-rules"]
        arguments += ["--skip-git-repo-check", "--sandbox", "read-only", "--color", "never"]
        arguments += [part for setting in settings for part in ("-c", setting)]
        arguments += ["--model", self.model] if self.model else []
        events = Turn()
        ended = self._programs.run([*arguments, "-"], room, request.prompt, env, self.timeout_s, events.take)
        if not events.over:
            raise ModelError(f"codex ended with status {ended.status}: {ended.said or 'it said nothing'}")
        outcome = events.outcome()
        if outcome is None:
            said = without_secrets(events.failure, env)
            passing = re.search(
                r"\b(?:408|429|5\d\d)\b|demand|disconnect|connection|timed? ?out|rate limit", said, re.I
            )
            raise ModelError(f"codex: {said}", transient=bool(passing), charged="disconnect" in said)
        return self._completion(request, events.text, outcome, events.usage, 0.0, self.name)


class Turn:
    """The events of `codex exec --json`."""

    def __init__(self) -> None:
        self.text = ""
        self.failure = ""
        self.usage = (0, 0)
        self.over = False

    def take(self, line: bytes) -> bool:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return False
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "item.completed" and event.get("item", {}).get("type") == "agent_message":
            self.text = str(event["item"].get("text") or "")
        elif kind == "turn.completed":
            used = event.get("usage") or {}
            self.usage = int(_number(used.get("input_tokens"))), int(_number(used.get("output_tokens")))
            self.over = True
        elif kind == "turn.failed":
            self.failure = str((event.get("error") or {}).get("message") or "no reason")
            self.over = True
        return False

    def outcome(self) -> Optional[str]:
        """As in a completion; None for a failure."""
        if "max_output_tokens" in self.failure:
            return "cut"
        if "content_filter" in self.failure:
            return "refused"
        return None if self.failure else "answer"


def environment() -> dict[str, str]:
    """This process's environment without our own settings and without what a session leaves in it."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MEGA_CODE_", "CLAUDE")) or name.startswith(LOGIN)
    }


def _bare(env: Mapping[str, str]) -> bool:
    """Whether the client's minimal mode can be used, which takes an API key and no other login."""
    return bool(env.get("ANTHROPIC_API_KEY"))


def _number(value: object) -> float:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12
    return float(value) if known else 0.0  # type: ignore[arg-type]
