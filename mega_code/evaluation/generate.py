"""Cases and trigger queries from a model, for a skill that brings none."""

from __future__ import annotations

from typing import Any, NamedTuple

from mega_code.evaluation import cases, triggers
from mega_code.evaluation.answers import json_in
from mega_code.evaluation.cases import Case
from mega_code.evaluation.models.base import Completer, Request
from mega_code.evaluation.triggers import Trigger

CASES = 24
BATCH = 8
CASE_CALLS = 5
TRIGGERS = 20
TRIGGER_CALLS = 2
OUTPUT_TOKENS = 4096
SKILL_CHARACTERS = 48 * 1024
SYSTEM = """\
You write test cases for a skill: a text of instructions that a language model gets for certain tasks. Answer with JSON \
and nothing else."""
CASES_PROMPT = """\
The skill, between two lines of marks:
=====
{skill}
=====

Write {count} tasks that a person could really give to somebody who has this skill, and that a text answer alone can \
solve: no tools, no files, everything needed stands in the task. Vary subject, length, difficulty and tone; include the \
cases where the skill's more particular rules matter, and some that try its limits. A task never mentions the skill.
For each give 2 to 5 expectations that an answer must meet, each checkable on its own and not met by every answer. \
Wherever code can decide, use a check: {{"contains": "text"}}, {{"not_contains": "text"}}, {{"regex": "pattern"}} \
(Python), {{"json": "/pointer", "equals": value}}; else a sentence.
{known}
The shape:
{{"evals": [{{"prompt": "the task", "expectations": [{{"contains": "text"}}, "a sentence"]}}]}}"""
TRIGGERS_PROMPT = """\
The skill, between two lines of marks:
=====
{skill}
=====

Write {count} requests that people send to an agent that has this skill among others: one half for which it should load \
the skill, put in many ways and seldom with the skill's own words; the other half near misses that share words or \
subject with it and for which it should not.
The shape:
[{{"query": "the request", "should_trigger": true}}]"""


class Generated(NamedTuple):
    """What came of it, and a note for each entry that could not be used."""

    items: list[Any]
    notes: list[str]


def generate_cases(skill_text: str, model: Completer) -> Generated:
    """About `CASES` cases in `CASE_CALLS` calls at most; fewer, or none, where the model writes no better."""
    found: list[Case] = []
    notes: list[str] = []
    for call in range(CASE_CALLS):
        if len(found) >= CASES:
            break
        known = "".join(f"- {case.prompt.strip().splitlines()[0][:120]}\n" for case in found)
        prompt = CASES_PROMPT.format(
            skill=skill_text[:SKILL_CHARACTERS],
            count=min(BATCH, CASES - len(found)),
            known=f"These tasks are there already; write others:\n{known}" if known else "",
        )
        value = _ask(model, prompt, call)
        entries = value.get("evals") if isinstance(value, dict) else value
        new, problems = cases.salvage(entries if isinstance(entries, list) else [], len(found) + 1)
        notes += problems if isinstance(entries, list) else [f"Call {call + 1} for cases gave no list of them."]
        prompts = {case.prompt.strip() for case in found}
        found += [case for case in new[: CASES - len(found)] if case.prompt.strip() not in prompts]
    return Generated([case._replace(id=str(number)) for number, case in enumerate(found, 1)], notes)


def generate_triggers(skill_text: str, model: Completer) -> Generated:
    """About `TRIGGERS` queries in `TRIGGER_CALLS` calls at most; none where the model writes nothing of use."""
    found: list[Trigger] = []
    notes: list[str] = []
    for call in range(TRIGGER_CALLS):
        if found:
            break
        prompt = TRIGGERS_PROMPT.format(skill=skill_text[:SKILL_CHARACTERS], count=TRIGGERS)
        value = _ask(model, prompt, call)
        entries = next(iter(value.values()), None) if isinstance(value, dict) and len(value) == 1 else value
        new, problems = triggers.salvage(entries if isinstance(entries, list) else [])
        notes += problems if isinstance(entries, list) else [f"Call {call + 1} for triggers gave no list of them."]
        found += new[:TRIGGERS]
    return Generated(found, notes)


def _ask(model: Completer, prompt: str, attempt: int) -> Any:
    return json_in(model.complete_all([Request("generate", SYSTEM, prompt, attempt, OUTPUT_TOKENS)])[0].text)
