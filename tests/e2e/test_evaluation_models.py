"""The real Claude Code client as a model, and as what measures triggers; the API behind it is scripted."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mega_code.evaluation.models import Completion, Model, ModelError, Request, choose
from mega_code.evaluation.models.claude_triggers import trigger_request, triggers
from support.model_server import Answer, ModelServer, Reply
from support.room import Room

ASK = Request("task", "You are a skill.\nExactly so.", "Do the thing.\n", 0, 321)
SKILLS = [("demo-skill", 'Does "demos": all. Use when a demo is wanted.'), ("other-skill", "Does other things.")]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer("fine") as running:
        yield running


@pytest.fixture
def claude(server: ModelServer, binary: str, room: Room, monkeypatch: pytest.MonkeyPatch) -> Model:
    bin = room.root / "bin"
    bin.mkdir()
    (bin / "claude").symlink_to(binary)
    monkeypatch.setenv("PATH", f"{bin}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(tempfile, "tempdir", str(room.tmp))
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    for name, value in server.claude_env.items():
        monkeypatch.setenv(name, value)
    # Nothing of this may reach the model: the person's memory and skills, and notes above the working folder.
    (room.add_skill("global", "demo-skill").parents[1] / "CLAUDE.md").write_text("MEMORY OF THE PERSON")
    (room.tmp / "CLAUDE.md").write_text("MEMORY OF A FOLDER")
    return choose("claude:haiku", {})[0]


def sent(server: ModelServer) -> dict[str, Any]:
    """The only request that came."""
    assert server.count() == 1
    return server.requests[0].body


def test_the_model_sees_the_text_of_the_arm_and_the_prompt_and_nothing_else(
    claude: Model, server: ModelServer, room: Room
) -> None:
    answer = claude.complete(ASK)
    assert answer[:4] == ("fine", sent(server)["model"], 100, 7) and answer.cost_usd > 0
    body, asked = sent(server), server.requests[0]
    assert (asked.system, asked.prompt, body["max_tokens"], body.get("tools", [])) == (ASK.system, ASK.prompt, 321, [])
    assert "thinking" not in body and "MEMORY OF" not in json.dumps(body) and "demo" not in json.dumps(body)
    assert [path.name for path in room.tmp.iterdir()] == ["CLAUDE.md"]


def test_a_baseline_has_no_system_message_of_ours_and_a_slash_is_no_command(claude: Model, server: ModelServer) -> None:
    assert claude.complete(ASK._replace(system="", prompt="/help me")).text == "fine"
    assert (server.requests[0].system, server.requests[0].prompt) == (None, "\n/help me")


def test_texts_larger_than_a_command_line_arrive_whole(claude: Model, server: ModelServer) -> None:
    system, prompt = "s " * 200_000, "p " * 200_000
    claude.complete(ASK._replace(system=system, prompt=prompt))
    asked = server.requests[0]
    assert asked.system and (asked.system.strip(), asked.prompt.strip()) == (system.strip(), prompt.strip())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Reply("half", finish="length"), ("half", 100, 7, "cut")),
        (Reply("par", refusal="no"), ("", 100, 7, "refused")),
        (Reply(""), ("", 100, 7, "empty")),
    ],
)
def test_an_answer_that_is_cut_refused_or_empty_is_taken_as_it_is(
    claude: Model, server: ModelServer, answer: Reply, expected: tuple[str, int, int, str]
) -> None:
    server.answer = lambda *_: answer
    done: Completion = claude.complete(ASK)
    assert (done.text, done.input_tokens, done.output_tokens, done.outcome) == expected
    # The client asks on by itself after such an answer. It is killed as soon as that shows; one request may have left.
    assert server.count() <= 2


@pytest.mark.parametrize(("status", "transient"), [(429, True), (500, True), (529, True), (401, False)])
def test_trouble_is_told_after_one_attempt(claude: Model, server: ModelServer, status: int, transient: bool) -> None:
    server.answer = lambda *_: Reply(status=status)
    with pytest.raises(ModelError) as caught:
        claude.complete(ASK)
    assert (caught.value.transient, caught.value.charged, server.count()) == (transient, False, 1)


def test_a_client_that_is_not_logged_in_says_so(claude: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(ModelError, match="Not logged in") as caught:
        claude.complete(ASK)
    assert not caught.value.transient


def test_a_skill_triggers_where_the_client_asks_to_load_it_and_no_other_text_plays_a_part(
    claude: Model, server: ModelServer
) -> None:
    measuring = triggers(claude)
    assert measuring
    replies: dict[str, Answer] = {
        "A demo!": Reply("On it.", skill="demo-skill"), "Other?": Reply(skill="other-skill"), "Bye": "Good bye.",
    }  # fmt: skip
    server.answer = lambda role, system, prompt: replies[prompt]
    found = [measuring.complete(trigger_request(query, SKILLS)).text for query in replies]
    assert found == ["demo-skill", "other-skill", "none"] and server.count() == 3
    for asked in server.requests:
        listed = json.dumps(asked.body["messages"])
        assert all(json.dumps(f"- {name}: {about}")[1:-1] in listed for name, about in SKILLS)
        assert "MEMORY OF" not in json.dumps(asked.body) and "Does a thing" not in listed
        assert "Skill" in [tool["name"] for tool in asked.body["tools"]]


def test_a_login_of_the_client_is_lent_to_the_measurement(
    claude: Model, server: ModelServer, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    server.key = ""
    login = {"accessToken": "sk-ant-oat01-abc", "refreshToken": "sk-ant-ort01-abc", "scopes": ["user:inference"]}
    oauth = {**login, "expiresAt": int((time.time() + 9000) * 1000), "subscriptionType": "max"}
    (room.home / ".claude" / ".credentials.json").write_text(json.dumps({"claudeAiOauth": oauth}))
    measuring = triggers(claude)
    assert measuring and measuring.complete(trigger_request("Hello", SKILLS)).text == "none"
    assert server.requests[0].headers["authorization"] == "Bearer sk-ant-oat01-abc"
