"""Codex's command line. Flags and settings were measured with 0.169.0 against an API on loopback."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Optional

from mega_code.evaluation.models.agents import Agent, number
from mega_code.evaluation.models.base import Completion, ModelError, Request
from mega_code.evaluation.models.program import without_secrets


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
        if not events.over and not (events.text and ended.status == 0):
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
            self.usage = int(number(used.get("input_tokens"))), int(number(used.get("output_tokens")))
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
