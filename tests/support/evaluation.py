"""A skill with cases, a scripted model whose truth is known, and one enhancement of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional

from mega_code.evaluation import Outcome, Room, enhance

NOW = datetime(2026, 4, 22, 6, 11, 55, tzinfo=timezone.utc)
SKILL = """\
---
name: demo
description: Answers questions in the house style. Use when an answer is to be given.
---

# Demo

Answer politely.
"""
BETTER = SKILL.split("---\n")[2].replace("Answer politely.", "Answer politely. Sign every answer with MAGIC.")


class Steps:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.iterations: list[tuple[int, int]] = []

    def phase(self, name: str) -> None:
        if self.phases[-1:] != [name]:
            self.phases.append(name)

    def iteration(self, current: int, total: int) -> None:
        self.iterations.append((current, total))

    def worked(self) -> None: ...


def evals(count: int, expectations: Sequence[Any] = ({"contains": "MAGIC"},)) -> list[dict[str, Any]]:
    """Cases, each of which is met by an answer that is signed."""
    return [{"id": n, "prompt": f"Question {n}?", "expectations": list(expectations)} for n in range(1, count + 1)]


def triggers(count: int) -> list[dict[str, Any]]:
    """Queries, every other of which should load the skill."""
    return [
        {"query": f"query {n} about {'it' if n % 2 else 'else'}", "should_trigger": n % 2 == 1} for n in range(count)
    ]


def write_skill(
    folder: Path,
    text: str = SKILL,
    cases: Optional[Sequence[Any]] = None,
    queries: Optional[Sequence[Any]] = None,
) -> Path:
    """A skill folder; without cases or queries it has no such file."""
    (folder / "evals").mkdir(parents=True)
    (folder / "SKILL.md").write_text(text, encoding="utf-8")
    if cases is not None:
        (folder / "evals/evals.json").write_text(json.dumps({"skill_name": "demo", "evals": cases}))
    if queries is not None:
        (folder / "evals/triggers.json").write_text(json.dumps(queries))
    return folder


def knowing(better: str = BETTER) -> Any:
    """A model that signs its answers where the skill tells it to, judges by that, and proposes `better`; it writes queries and no cases."""

    def answer(role: str, system: str, prompt: str) -> str:
        if role == "task":
            return "Yes. MAGIC" if "MAGIC" in system else "Yes."
        if role == "generate":
            return json.dumps(triggers(20))
        if role == "propose":
            return f"Here it is:\n~~~~\n{better}~~~~\n" if "whole new text" in prompt else "~~~~\nAnswers it all.\n~~~~"
        if "The skills:" in prompt:
            return "demo" if " about it" in prompt.rsplit("The request:")[1] else "none"
        passed = "MAGIC" in prompt
        count = len(re.findall(r"^\d+\. ", prompt.rsplit("The expectations:")[1], re.MULTILINE))
        verdict = {"passed": passed, "evidence": "MAGIC" if passed else ""}
        return json.dumps({"expectations": [{"number": n + 1, **verdict} for n in range(count)]})

    return answer


def run(root: Path, skill: Path, env: Mapping[str, str], steps: Optional[Steps] = None, job: str = "job-1") -> Outcome:
    """One enhancement, in this process."""
    root.mkdir(parents=True, exist_ok=True)
    room = Room(env, root / job, root / "completions.sqlite3", job)
    return enhance(skill, "demo", steps or Steps(), NOW, room)
