"""A whole job whose model is the real Claude Code client; the API behind it is scripted and knows the truth."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from mega_code.skill import check_enhanced, parse_frontmatter
from support.evaluation import BETTER, Steps, evals, knowing, run, triggers, write_skill
from support.model_server import Answer, ModelServer, Reply
from support.room import Room

pytest.importorskip("gepa")
CALLS = 48


def scripted(role: str, system: str, prompt: str) -> Answer:
    """`knowing`, for a client that names no role: what is asked tells it, and a skill is loaded by its tool."""
    if prompt.startswith("query "):
        return Reply("", skill="demo") if "about it" in prompt else "I can do that without a skill."
    role = "propose" if "You improve a skill" in system else "judge" if "strict examiner" in system else "task"
    return str(knowing()(role, system, prompt))


@pytest.fixture
def room_with_client(binary: str, room: Room, monkeypatch: pytest.MonkeyPatch) -> Room:
    """The client on PATH, in a home of its own, with no login but the one that a test gives it."""
    folder = room.root / "bin"
    folder.mkdir()
    (folder / "claude").symlink_to(binary)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(tempfile, "tempdir", str(room.tmp))
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    return room


def test_a_job_with_the_real_client_publishes_what_is_better_and_counts_every_request(
    room_with_client: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skill, steps = write_skill(tmp_path / "a skill", cases=evals(12), queries=triggers(4)), Steps()
    with ModelServer(scripted) as server:
        for name, value in server.claude_env.items():
            monkeypatch.setenv(name, value)
        settings = {"MEGA_CODE_MODEL": "claude", "MEGA_CODE_MAX_CALLS": str(CALLS), "MEGA_CODE_CONCURRENCY": "2"}
        outcome = run(tmp_path / "a job", skill, {**os.environ, **settings}, steps)
    assert (outcome.status, outcome.artifact_kind, outcome.invariants) == ("succeeded", "enhanced", []), outcome.reason
    text = outcome.files["SKILL.md"].decode()
    assert text.endswith(BETTER)
    check_enhanced(parse_frontmatter(text))
    (roi,) = outcome.roi
    assert (roi["model"], roi["performance_increase"], roi["cases"]) == ("claude", "100%", 6)
    assert roi["vs_original"]["ci95"] == [100.0, 100.0] and roi["vs_original"]["p_value"] == 0.015625
    said = [message["role"] for one in server.requests for message in one.body["messages"]]
    assert "assistant" not in said, "the client asked on after an answer"
    used, asked = outcome.usage_snapshot, server.count()
    assert (used["calls"], used["cached_calls"]) == (asked, 0) and asked <= CALLS
    assert (used["input_tokens"], used["output_tokens"]) == (100 * asked, 7 * asked)
    assert used["input_tokens"] + used["output_tokens"] <= outcome.evaluation["plan"]["tokens"]
    assert outcome.evaluation["triggers"]["arms"]["original"] == {"precision": 1, "recall": 1, "over": 0, "under": 0}
    assert steps.phases == ["intake", "evaluation_setup", "iterating", "publishing"]
