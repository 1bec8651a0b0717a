"""The agents' command lines as models: programs on PATH that behave as the test says."""

from __future__ import annotations

import json
import os
import pickle
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from mega_code.evaluation.models import Completion, Model, ModelError, Request, choose
from mega_code.evaluation.models import program as module
from mega_code.evaluation.models.claude_triggers import trigger_request, triggers
from support.evaluation import evals, run, write_skill
from support.room import Room

ASK = Request("task", "You are a skill.", "Do the thing.", 0, 321)
# Keeps what it was given beside itself, then does what `does` says.
PROGRAM = """#!{python}
import json, os, subprocess, sys, time
seen = dict(argv=sys.argv[1:], stdin=sys.stdin.read(), env=dict(os.environ), cwd=os.getcwd(), files={{}})
for folder, _, names in os.walk(".."):
    for name in names:
        seen["files"][os.path.join(folder, name)] = open(os.path.join(folder, name)).read()
        seen.setdefault("modes", {{}})[name] = oct(os.stat(os.path.join(folder, name)).st_mode & 0o777)
with open({seen!r}, "w") as stream:
    json.dump(seen, stream)
def say(*events):
    for event in events:
        print(json.dumps(event), flush=True)
def started(tokens):
    say({{"type": "stream_event", "event": {{"type": "message_start", "message": {{"model": "m-1", "usage": tokens}}}}}})
def text(said):
    delta = {{"type": "text_delta", "text": said}}
    say({{"type": "stream_event", "event": {{"type": "content_block_delta", "delta": delta}}}})
def stopped(reason, tokens):
    event = {{"type": "message_delta", "delta": {{"stop_reason": reason}}, "usage": {{"output_tokens": tokens}}}}
    say({{"type": "stream_event", "event": event}})
{does}
"""
TOKENS = '{"input_tokens": 5, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 100}'
Seen = Callable[[], dict[str, Any]]
Install = Callable[[str, str], Seen]


@pytest.fixture
def install(room: Room, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a program on PATH; what it was given last."""
    bin = room.root / "bin"
    bin.mkdir()
    monkeypatch.setenv("PATH", f"{bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(tempfile, "tempdir", str(room.tmp))
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)

    def installed(name: str, does: str) -> Seen:
        seen = room.root / f"{name}.json"
        (bin / name).write_text(PROGRAM.format(python=sys.executable, seen=str(seen), does=does))
        (bin / name).chmod(0o755)
        return lambda: dict(json.loads(seen.read_text()))

    return installed


def model(spec: str, **env: str) -> Model:
    return choose(spec, env)[0]


def gone(pid: int) -> bool:
    """Whether a process is no more, within a moment."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_claude_gets_the_text_and_nothing_of_the_session_it_is_started_from(
    install: Install, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = install("claude", f'started({TOKENS}); text("a b"); stopped("end_turn", 7)\n'
                   'say({"type": "result", "result": "a b", "total_cost_usd": 0.5, "is_error": False})')  # fmt: skip
    for name in ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "MEGA_CODE_MODEL_KEY", "MEGA_CODE_API_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", "login")
    assert model("claude:haiku").complete(ASK) == Completion("a b", "m-1", 125, 7, 0.5)
    given = seen()
    assert given["stdin"] == ASK.prompt and given["argv"][-2:] == ["--model", "haiku"]
    assert given["files"]["../system.md"] == ASK.system and "--bare" not in given["argv"]
    kept = {name for name in given["env"] if name.startswith(("CLAUDE", "MEGA_CODE"))}
    assert {"CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "MEGA_CODE_MODEL_KEY", "MEGA_CODE_API_KEY"} & kept == set()
    assert (given["env"]["MEGA_CODE_ROLE"], given["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"]) == ("task", "321")
    assert given["env"]["CLAUDE_CODE_OAUTH_TOKEN"] == "login"
    assert given["cwd"] != os.getcwd() and not os.path.exists(given["cwd"])
    assert given["cwd"].startswith(str(room.tmp)) and os.listdir(room.tmp) == []


def test_without_a_system_message_claude_gets_an_empty_one_and_a_command_in_the_prompt_stays_text(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = install("claude", f'started({TOKENS}); text("x"); stopped("end_turn", 1); say({{"type": "result"}})')
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-123456")
    model("claude").complete(ASK._replace(system="", prompt="/help me"))
    given = seen()
    assert given["argv"][given["argv"].index("--system-prompt") + 1] == "" and "--bare" in given["argv"]
    assert given["stdin"] == "\n/help me" and "--model" not in given["argv"]


@pytest.mark.parametrize(
    ("reason", "said", "expected"),
    [
        ("max_tokens", "half", Completion("half", "m-1", 125, 7, 0.0, "cut")),
        ("refusal", "I will n", Completion("", "m-1", 125, 7, 0.0, "refused")),
        ("end_turn", " ", Completion("", "m-1", 125, 7, 0.0, "empty")),
    ],
)
def test_claude_is_stopped_before_it_asks_on_by_itself(
    install: Install, room: Room, reason: str, said: str, expected: Completion
) -> None:
    on = room.root / "asked on"
    does = f"started({TOKENS}); text({said!r}); stopped({reason!r}, 7); time.sleep(30); open({str(on)!r}, 'w')"
    install("claude", does)
    began = time.monotonic()
    assert model("claude").complete(ASK) == expected
    assert time.monotonic() - began < 10 and not on.exists()


BLOCKS = '[{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a "}, {"type": "text", "text": "b"}]'
WHOLE = f'{{"type": "assistant", "message": {{"model": "m-2", "content": {BLOCKS}}}}}'
LATER = '{"type": "assistant", "message": {"id": "2", "content": [{"type": "text", "text": "And on."}]}}'
RESULT = f'"type": "result", "result": "a b", "total_cost_usd": 0.5, "usage": {{**{TOKENS}, "output_tokens": 7}}'


@pytest.mark.parametrize(
    ("does", "expected"),
    [
        (f"say({WHOLE}, {{{RESULT}}})", Completion("a b", "m-2", 125, 7, 0.5)),
        (f"say({WHOLE}, {LATER}, {{{RESULT}}})", Completion("a b", "m-2", 125, 7, 0.5)),
        (f"say({{{RESULT}}})", Completion("a b", "claude", 125, 7, 0.5)),
        (f'say({{{RESULT}, "stop_reason": "max_tokens"}})', Completion("a b", "claude", 125, 7, 0.5, "cut")),
    ],
    ids=["whole messages", "a message behind the answer", "the result alone", "a result that was cut"],
)
def test_a_claude_that_streams_no_parts_is_understood_as_well(
    install: Install, does: str, expected: Completion
) -> None:
    install("claude", does)
    assert model("claude").complete(ASK) == expected


@pytest.mark.parametrize(
    ("does", "transient", "charged", "says"),
    [
        ('say({"type": "result", "is_error": True, "api_error_status": 429, "result": "busy"})', True, False, "busy"),
        ('say({"type": "result", "is_error": True, "api_error_status": 401, "result": "no"})', False, False, "no"),
        ('say({"type": "result", "is_error": True, "result": "Not logged in"})', False, False, "logged in"),
        ('say({"type": "result", "is_error": True, "result": "connection"})', True, True, "connection"),
        ('print("{\\n[]\\nnoise"); sys.exit("sk-123456 is wrong")', False, False, "status 1: *** is wrong"),
        ("pass", False, False, "status 0: it said nothing"),
    ],
)
def test_trouble_of_claude_says_whether_trying_again_helps(
    install: Install, monkeypatch: pytest.MonkeyPatch, does: str, transient: bool, charged: bool, says: str
) -> None:
    install("claude", does)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-123456")
    with pytest.raises(ModelError) as caught:
        model("claude").complete(ASK)
    assert (caught.value.transient, caught.value.charged) == (transient, charged) and says in str(caught.value)


def test_what_an_agent_says_without_a_stop_is_a_sentence_of_its_own_in_the_reason(install: Install, room: Room) -> None:
    pytest.importorskip("gepa")
    install(
        "claude", 'say({"type": "result", "is_error": True, "api_error_status": 401, "result": "Please run /login"})'
    )
    skill = write_skill(room.root / "a skill" / "demo", cases=evals(12))
    outcome = run(room.root / "a job", skill, {"MEGA_CODE_MODEL": "claude", "PATH": os.environ["PATH"]})
    assert outcome.reason == (
        "The model could not be used: claude: Please run /login."
        " Once that is mended, run it again; what was answered before is not paid for twice."
    )


@pytest.mark.parametrize("spec", ["claude", "codex"])
def test_an_agent_that_is_not_on_path_is_said_so(room: Room, spec: str) -> None:
    with pytest.raises(ModelError, match=f"{spec} is not on PATH") as caught:
        pickle.loads(pickle.dumps(model(spec))).complete(ASK)
    assert not caught.value.transient


CHILD = 'child = subprocess.Popen(["sleep", "100"]); open({path!r}, "w").write(str(child.pid)); time.sleep(100)'


def test_an_agent_that_takes_too_long_is_killed_with_all_it_has_started(install: Install, room: Room) -> None:
    child = room.root / "child"
    install("codex", CHILD.format(path=str(child)))
    with pytest.raises(ModelError, match="in time") as caught:
        model("codex", MEGA_CODE_MODEL_TIMEOUT_S="1").complete(ASK)
    assert caught.value.transient and caught.value.charged and gone(int(child.read_text()))


def test_closing_a_model_kills_what_it_runs_and_nothing_is_started_after_it(install: Install, room: Room) -> None:
    child = room.root / "child"
    install("codex", CHILD.format(path=str(child)))
    codex, errors = model("codex"), []

    def ask() -> None:
        try:
            codex.complete(ASK)
        except ModelError as error:
            errors.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    until = time.monotonic() + 20
    while not (child.exists() and child.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    codex.close()
    thread.join(20)
    assert not thread.is_alive() and gone(int(child.read_text()))
    assert errors == ["The model is closed."]
    with pytest.raises(ModelError, match="closed"):
        codex.complete(ASK)


def test_an_agent_that_prints_without_end_is_stopped(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OUTPUT_BYTES", 1_000_000)
    install("codex", 'while True: print("x" * 100000)')
    with pytest.raises(ModelError, match="MiB"):
        model("codex").complete(ASK)


ITEM = '{"type": "item.completed", "item": {"type": "agent_message", "text": "a b"}}'
USED = '{"type": "turn.completed", "usage": {"input_tokens": 50, "cached_input_tokens": 20, "output_tokens": 9}}'
FAILED = 'say({"type": "turn.failed", "error": {"message": "%s"}})'


def test_codex_gets_the_text_as_its_instructions_and_no_tools(install: Install) -> None:
    seen = install("codex", f"say({ITEM}, {USED})")
    assert model("codex:gpt-5").complete(ASK._replace(role="judge")) == Completion("a b", "codex:gpt-5", 50, 9, 0.0)
    given = seen()
    assert (given["stdin"], given["argv"][0], given["argv"][-3:]) == (ASK.prompt, "exec", ["--model", "gpt-5", "-"])
    assert given["files"]["../system.md"] == ASK.system and given["env"]["MEGA_CODE_ROLE"] == "judge"
    assert "features.shell_tool=false" in given["argv"] and "--ignore-user-config" in given["argv"]
    model("codex").complete(ASK._replace(system=""))
    assert seen()["files"]["../system.md"] == "Answer the user.\n"


@pytest.mark.parametrize(
    ("does", "expected"),
    [
        (f"say({USED})", Completion("", "codex", 50, 9, 0.0, "empty")),
        (f"say({ITEM})", Completion("a b", "codex", 8, 1, 0.0)),
        (f"say({ITEM})\n{FAILED % 'Incomplete: max_output_tokens'}", Completion("a b", "codex", 8, 1, 0.0, "cut")),
        (f"say({ITEM})\n{FAILED % 'Incomplete: content_filter'}", Completion("", "codex", 8, 0, 0.0, "refused")),
    ],
)
def test_an_answer_of_codex_is_read_as_what_it_is(install: Install, does: str, expected: Completion) -> None:
    install("codex", does)
    assert model("codex").complete(ASK) == expected


@pytest.mark.parametrize(
    ("message", "transient", "charged"),
    [
        ("exceeded retry limit, last status: 429 Too Many Requests", True, False),
        ("We are experiencing high demand", True, False),
        ("stream disconnected before completion", True, True),
        ("unexpected status 401 Unauthorized", False, False),
        ("Quota exceeded. Check your plan", False, False),
    ],
)
def test_trouble_of_codex_says_whether_trying_again_helps(
    install: Install, message: str, transient: bool, charged: bool
) -> None:
    install("codex", FAILED % message)
    with pytest.raises(ModelError, match="codex: ") as caught:
        model("codex").complete(ASK)
    assert (caught.value.transient, caught.value.charged) == (transient, charged)


SKILL = 'say({"type": "assistant", "message": {"content": [{"type": "tool_use", "name": "Skill", "input": {"skill": "%s"}}]}})'


@pytest.mark.parametrize(
    ("does", "answer"),
    [
        (f'started({TOKENS}); text("I will"); {SKILL % "demo"}; stopped("tool_use", 3); time.sleep(30)', "demo"),
        (f'started({TOKENS}); {SKILL % "plugin:demo"}; stopped("tool_use", 3); time.sleep(30)', "demo"),
        (f'started({TOKENS}); text("No."); stopped("end_turn", 3); say({{"type": "result"}})', "none"),
        (f'started({TOKENS}); stopped("end_turn", 3)', "none"),
    ],
)
def test_triggers_are_measured_in_a_home_without_the_persons_skills_and_with_a_login_that_cannot_be_renewed(
    install: Install, room: Room, monkeypatch: pytest.MonkeyPatch, does: str, answer: str
) -> None:
    room.add_skill("global", "demo")
    room.add_skill("project", "demo")
    login = {"claudeAiOauth": {"accessToken": "a", "refreshToken": "r", "expiresAt": 1}}
    (room.home / ".claude" / ".credentials.json").write_text(json.dumps(login))
    seen = install("claude", does)
    measuring = triggers(model("claude"))
    assert measuring
    found = measuring.complete(trigger_request("Show me.", [("demo", 'Does: "it"\n# all'), ("other", "Not.")]))
    assert found == Completion(answer, "m-1", 125, 3, 0.0, "answer")
    given = seen()
    files = {name: text for name, text in given["files"].items() if "/.claude/" in name}
    assert sorted(files) == [
        "../home/.claude/.credentials.json",
        "../work/.claude/skills/demo/SKILL.md",
        "../work/.claude/skills/other/SKILL.md",
    ]
    assert json.loads(files["../home/.claude/.credentials.json"])["claudeAiOauth"] == {
        "accessToken": "a", "refreshToken": "", "expiresAt": 1,
    }  # fmt: skip
    assert given["modes"][".credentials.json"] == "0o600" and given["stdin"] == "Show me."
    assert 'description: "Does: \\"it\\"\\n# all"' in files["../work/.claude/skills/demo/SKILL.md"]
    assert given["env"]["HOME"].startswith(str(room.tmp)) and given["env"]["HOME"] != str(room.home)
