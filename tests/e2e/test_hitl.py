"""The local flow, walked by the real client: a literal-minded model grades and drafts, another answers the tasks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.claude_session import Claude, Session
from support.hitl import BETTER, HARM, NAME, SKILL, cases, graded, signs
from support.model_server import ModelServer
from support.room import Room

MEASURE = ["start", "check-cases", "audit", "audit", "run", "run", "check-gradings", "aggregate"]
YES = {"Use them": ["Use them"] * 3, "Run it": ["Run it"], "Go on": ["Run them"] * 3, "Done with it": ["Done"] * 3}


def writer(path: str, sources: dict[str, str]) -> str:
    """What the host agent writes; it reads what the step names, and its own guide among it."""
    name = os.path.basename(path)
    if name == "test-cases.json":
        assert "Writing test cases" in sources["test-cases.md"] and NAME in sources["SKILL.md"]
        return json.dumps(cases(6))
    if name == "gradings.json":
        assert "Grading" in sources["grading.md"]
        return json.dumps(graded(json.loads(sources["to-grade.json"])))
    assert name == "draft-skill.md" and "Drafting" in sources["enhancement.md"]
    return sources["SKILL.md"].replace("Answer politely.", BETTER.rpartition("\n\n")[2].strip()).replace(HARM, "")


@pytest.fixture
def local(claude: Claude, room: Room) -> Iterator[Claude]:
    """The client with the usual data folder, which the command may write to, and a model for the tasks."""
    with ModelServer(signs) as server:
        claude.env.pop("MEGA_CODE_DATA_DIR")
        claude.env.update(server.env)
        claude.api.author = writer
        yield claude


def steps(session: Session) -> list[str]:
    """The commands of the local flow that ran, in order."""
    return [command.split('/hitl.sh" ')[1].split()[0] for command in session.commands if "/hitl.sh" in command]


def test_two_iterations_from_a_draft_to_its_figures_without_a_word_too_much(local: Claude, room: Room) -> None:
    place = room.add_skill("project", NAME, SKILL)
    answers = {
        **YES,
        "side by side": ["Page", "No page"],
        "become of": ["Draft a better one", "Keep it"],
        "Install it": ["Install it"],
        "What now": ["Measure it", "Done"],
    }
    session = local.enhance(f"--hitl {NAME}", answers)
    assert session.asked_for == []
    walked = [step for step in steps(session) if step not in ("review", "stop-review")]
    assert walked == [*MEASURE, "accept", *MEASURE[:3], *MEASURE[4:], "accept"]
    assert "review" in steps(session)
    text = (place / "SKILL.md").read_text()
    assert "Sign every answer with MAGIC." in text and 'version: "1.4.0"' in text
    assert "performance_increase: 50%" in text.replace('"', "")
    assert "Better: on 6 cases the pass rate rises by 50.0 points" in session.said
    folder = room.home / ".local" / "share" / "mega-code" / "data" / "skill-enhance" / NAME
    first, second = (json.loads((folder / f"iteration-{n}" / "acceptance.json").read_text()) for n in (1, 2))
    assert (first["measured"], second["measured"]) == (False, True)
    assert (Path(first["backup_path"]) / "SKILL.md").read_text() == SKILL


def test_its_own_file_is_loaded_by_nobody_but_the_slash_command(claude: Claude) -> None:
    session = claude.say("/mega-code:skill-enhance-hitl")
    assert session.commands == []
    assert not any("skill-enhance-hitl" in name for name in session.events[0]["slash_commands"])


def test_a_skill_with_red_flags_is_drafted_anew_without_being_run(local: Claude, room: Room) -> None:
    place = room.add_skill("project", NAME, SKILL + HARM)
    answers = {
        **YES,
        "Draft a version without figures": ["Draft it"],
        "Install it": ["Install it"],
        "What now": ["Undo it"],
    }
    session = local.enhance("--hitl", {"Which skill": [NAME], **answers})
    assert steps(session) == ["start", "check-cases", "audit", "accept", "undo"]
    assert session.printed("POLICY") == ["skip_ab"]
    assert f"Restored {place}." in session.said
    assert (place / "SKILL.md").read_text() == SKILL + HARM
    assert session.asked_for == []
