"""Sessions of the real Claude Code client, headless, in a clean room; questions are answered over its own protocol."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest

from support.claude_api import MISREAD, ClaudeApi
from support.room import REPOSITORY, Room
from support.scripted_model import PRINTED

SESSION_S = 120.0
COMMAND = "/mega-code:skill-enhance"
Answers = Mapping[str, Sequence[str]]
Json = dict[str, Any]


def claude_binary() -> str:
    """The client to test with: `$MEGA_CODE_TEST_CLAUDE`, else the one on PATH; skips the test where there is none."""
    found = os.environ.get("MEGA_CODE_TEST_CLAUDE") or shutil.which("claude")
    if not found:
        pytest.skip("no Claude Code: set MEGA_CODE_TEST_CLAUDE to what tests/e2e/fetch_claude.sh prints")
    return found


class Session:
    """What was seen of a session, from outside."""

    def __init__(self, events: list[Json], asked_for: list[Json], asked: list[tuple[str, list[str], str]]) -> None:
        self.events = events
        self.asked_for = asked_for
        self.asked = asked

    @property
    def id(self) -> str:
        """The session's id, for going on with it."""
        return str(self.events[0]["session_id"])

    def blocks(self, role: str, kind: str) -> list[Json]:
        """Content blocks of one kind, in order."""
        found: list[Json] = []
        for event in self.events:
            content = event.get("message", {}).get("content") if event.get("type") == role else None
            found += [block for block in content or [] if isinstance(block, dict) and block.get("type") == kind]
        return found

    @property
    def commands(self) -> list[str]:
        """What ran in Bash."""
        return [use["input"]["command"] for use in self.blocks("assistant", "tool_use") if use["name"] == "Bash"]

    @property
    def scripts(self) -> list[str]:
        """The scripts that the blocks named, in order, without the reports."""
        names = [re.search(r"scripts/(\w+)\.sh", command) for command in self.commands]
        return [name[1] for name in names if name and name[1] != "report"]

    @property
    def said(self) -> str:
        """What the model told the person."""
        return "\n".join(block["text"] for block in self.blocks("assistant", "text"))

    @property
    def results(self) -> list[str]:
        """What the tools gave back."""
        results = [block["content"] for block in self.blocks("user", "tool_result")]
        return [text if isinstance(text, str) else "\n".join(p.get("text", "") for p in text) for text in results]

    def printed(self, key: str) -> list[str]:
        """Every value that a block printed for a key."""
        return [value for text in self.results for name, value in PRINTED.findall(text) if name == key]

    def transcript(self) -> str:
        """The session as a person would tell it."""
        answers, results, lines = iter(self.asked), iter(self.results), []
        for event in self.events:
            for block in event.get("message", {}).get("content") or [] if event.get("type") == "assistant" else []:
                if block["type"] == "text":
                    lines.append(block["text"])
                elif block["name"] == "AskUserQuestion":
                    question, labels, answer = next(answers)
                    lines.append(f"? {question} [{' | '.join(labels)}] -> {answer}")
                    next(results)
                else:
                    given = block["input"]
                    lines.append(f"$ {given.get('command') or given.get('file_path')}")
                    lines += [f"  | {line}" for line in next(results, "").splitlines()]
        return "\n".join(lines)


class Claude:
    """The client in a room, with the plugin of `plugin_dir`, or with what is installed there where that is None."""

    def __init__(self, binary: str, room: Room, api: ClaudeApi, plugin_dir: Optional[Path] = REPOSITORY) -> None:
        self.binary, self.room, self.api, self.plugin_dir = binary, room, api, plugin_dir
        kept = {name: value for name, value in room.env.items() if name.startswith(("COV", "LANG", "LC_"))}
        self.env = {
            **kept,
            **{name: room.env[name] for name in ("HOME", "PATH", "TMPDIR", "MEGA_CODE_DATA_DIR")},
            "ANTHROPIC_BASE_URL": api.url,
            "ANTHROPIC_API_KEY": "x",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "SHELL": "/bin/bash",
        }

    def command(self, *args: object) -> subprocess.CompletedProcess[str]:
        """One of the client's own commands, such as `plugin validate`."""
        return self.room.run([self.binary, *args], env=self.env)

    def plain(self, prompt: str, *flags: str) -> list[Json]:
        """`claude -p` with nobody there to answer; its events."""
        done = self.command("-p", prompt, "--output-format", "stream-json", "--verbose", *self._plugin(), *flags)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def say(self, prompt: str, *flags: str, resume: str = "") -> Session:
        """A turn of a session in which no question can be asked; `resume` names the session to go on with."""
        return Session(self.plain(prompt, *(["--resume", resume] if resume else []), *flags), [], [])

    def enhance(self, arguments: str = "", answers: Optional[Answers] = None, permit: bool = False) -> Session:
        """A session of the slash command.

        A question is answered by the first pattern in `answers` that fits it, with the next of its labels. Anything
        else that the client wants to have permitted is noted in `asked_for`, and permitted only with `permit`.
        """
        waiting = {pattern: list(labels) for pattern, labels in (answers or {}).items()}
        command = [self.binary, "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
        process = subprocess.Popen(
            [*command, "--permission-prompt-tool", "stdio", *self._plugin()],
            cwd=self.room.project,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(SESSION_S, process.kill)
        watchdog.start()
        session = Session([], [], [])
        try:
            typed = {"role": "user", "content": f"{COMMAND} {arguments}".rstrip(" ")}
            _send(process, {"type": "user", "message": typed})
            for line in process.stdout:
                event = json.loads(line)
                if event["type"] == "control_request":
                    _send(process, _decide(event, waiting, session, permit))
                elif event["type"] != "control_response":
                    session.events.append(event)
                if event["type"] == "result":
                    process.stdin.close()
            process.wait()
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
        with open(self.room.root / "transcript", "a", encoding="utf-8") as stream:
            stream.write(f"> {COMMAND} {arguments}\n{session.transcript()}\n\n")
        assert MISREAD not in session.said, session.said
        return session

    def _plugin(self) -> list[str]:
        return ["--plugin-dir", str(self.plugin_dir)] if self.plugin_dir else []


def _send(process: subprocess.Popen[str], message: Json) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


def _decide(event: Json, waiting: dict[str, list[str]], session: Session, permit: bool) -> Json:
    request = event["request"]
    decision: Json = {"behavior": "deny", "message": "The person refused."}
    if permit:
        decision = {"behavior": "allow", "updatedInput": request["input"]}
    if request.get("tool_name") == "AskUserQuestion":
        given = request["input"]
        picked = {question["question"]: _pick(question, waiting, session) for question in given["questions"]}
        decision = {"behavior": "allow", "updatedInput": {**given, "answers": picked}}
    else:
        session.asked_for.append(request)
    return {
        "type": "control_response",
        "response": {"subtype": "success", "request_id": event["request_id"], "response": decision},
    }


def _pick(question: Json, waiting: dict[str, list[str]], session: Session) -> str:
    labels = [option["label"] for option in question["options"]]
    fitting = [answers for pattern, answers in waiting.items() if re.search(pattern, question["question"]) and answers]
    answer = fitting[0].pop(0) if fitting else f"(nobody answers {question['question']!r})"
    picked = next((label for label in labels if label == answer or label.startswith(f"{answer} (")), answer)
    session.asked.append((question["question"], labels, picked))
    return picked
