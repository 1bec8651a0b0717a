"""skills/skill-enhance-hitl/SKILL.md can be followed literally, and its references say what the code says."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Union

import pytest

from mega_code import workspace
from mega_code.errors import CODES
from mega_code.evaluation import cases, invariants, spec
from mega_code.evaluation.audit import Finding, policy
from mega_code.evaluation.audit.look import RULES
from mega_code.hitl import cli, runs
from mega_code.skill import parse_frontmatter, split
from support.room import REPOSITORY
from support.scripted_model import ACTION, PLACEHOLDER, WRITE, Ask, Bash, Output, Reader, Step, Text, Write

FOLDER = REPOSITORY / "skills" / "skill-enhance-hitl"
SOURCE = (FOLDER / "SKILL.md").read_text("utf-8")
SCRIPT = (REPOSITORY / "scripts" / "hitl.sh").read_text("utf-8")
GUIDES = REPOSITORY / "references" / "hitl"
TEXT = Text(split(SOURCE).body)
STEPS = list(TEXT.steps.values())
BLOCKS = [step.block for step in STEPS if step.block]
PRINTED = {"HITL_DIR", "SKILL_NAME"} | set(
    "LOG ITERATION_DIR CASES RUNS CALLS_AT_MOST TOKENS_AT_MOST MODEL URL VERSION INSTALLED_PATH".split()
)


def rows(guide: str, number: int = 0) -> list[tuple[str, ...]]:
    """The rows of a table of a guide, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", (GUIDES / guide).read_text("utf-8"), re.MULTILINE)
    return [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in tables[number].splitlines()[2:]]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def commands() -> dict[str, argparse.ArgumentParser]:
    (group,) = (a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(group.choices)


# Form


def test_it_is_short_internal_and_names_its_tools() -> None:
    frontmatter = parse_frontmatter(SOURCE)
    assert len(SOURCE.splitlines()) < 200
    assert frontmatter["name"] == FOLDER.name
    assert frontmatter["disable-model-invocation"] is True and frontmatter["user-invocable"] is False
    assert sorted(frontmatter["allowed-tools"].split(", ")) == ["AskUserQuestion", "Bash", "Edit", "Read", "Write"]
    assert [os.readlink(FOLDER / name) for name in ("scripts", "references")] == ["../../scripts", "../../references"]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_one_command_that_is_there_with_flags_that_it_has(block: str) -> None:
    script, *words = shlex.split(block)
    name = script.rpartition("/")[2]
    assert script == f"<HITL_DIR>/scripts/{name}" and "\n" not in block
    source = (FOLDER / "scripts" / name).read_text("utf-8")
    for flag in (word for word in words if word.startswith("--")):
        assert re.search(rf"^  (\S+ \| )*{re.escape(flag)}( \| \S+)*\) ", source, re.MULTILINE), flag
    if name == "hitl.sh" and words[0] != "publish":
        known = {option for action in commands()[words[0]]._actions for option in action.option_strings}
        assert {word for word in words if word.startswith("--")} <= known | {"--log"}


def test_a_placeholder_is_a_value_that_is_printed_or_set() -> None:
    assigned = {match["set"] or match["key"] for match in ACTION.finditer(SOURCE)} - {None}
    dispatching = (REPOSITORY / "skills" / "skill-enhance" / "SKILL.md").read_text("utf-8")
    assert "`HITL_DIR=${CLAUDE_SKILL_DIR}-hitl`; go on with it." in dispatching
    assert set(PLACEHOLDER.findall(TEXT.preamble.partition("- **Ask**")[2])) <= PRINTED
    for step in STEPS:
        assert set(PLACEHOLDER.findall(f"{step.block} {step.prose} {step.branches}")) <= PRINTED | assigned, step


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.number)
def test_every_line_below_a_step_leads_somewhere(step: Step) -> None:
    assert step.branches
    for branch in step.branches:
        last = list(ACTION.finditer(branch.actions))[-1]
        assert last["step"] or last["like"] or last["word"] == "end", branch
        assert (last["step"] or last["like"] or step.number) in TEXT.steps
    if step.block:
        assert re.match(r"any (other )?exit$", step.branches[-1].condition)


def test_every_step_can_be_reached() -> None:
    assert set(re.findall(r"\bstep (\d+(?:\.\d+)?)", SOURCE)) == set(TEXT.steps)


def test_a_question_has_two_to_four_options_and_a_short_header() -> None:
    for step in (step for step in STEPS if step.prose.startswith("Ask")):
        assert 2 <= len(step.branches) <= 4 and all(branch.label for branch in step.branches)
        header = re.match(r"Ask \(([^)]+)\) \"", step.prose)
        assert header and len(header[1]) <= 12


def test_every_file_that_is_written_has_a_guide_that_is_there() -> None:
    writing = {}
    for step in STEPS:
        match = WRITE.search(step.prose)
        if match:
            guide = match["guide"].replace("<HITL_DIR>", str(FOLDER))
            assert os.path.isfile(guide)
            writing[match["path"].rpartition("/")[2]] = os.path.basename(guide)
    assert writing == {
        workspace.CASES: "test-cases.md",
        workspace.GRADINGS: "grading.md",
        workspace.DRAFT: "enhancement.md",
    }


def test_the_errors_that_are_branched_on_are_errors_of_the_code() -> None:
    assert set(re.findall(r"`ERROR_CODE=(\w+)`", SOURCE)) <= set(CODES)


# The script


def test_the_script_takes_every_command_and_flag_of_the_module() -> None:
    taken = re.search(r"^start \|.*\) shift ;;$", SCRIPT, re.MULTILINE)
    assert taken and taken[0][: -len(") shift ;;")].split(" | ") == [*commands(), "publish"]
    for name, parser in commands().items():
        assert re.search(rf"^#   {name} ", SCRIPT, re.MULTILINE), name
        for flag in (
            o for a in parser._actions for o in a.option_strings if o not in ("-h", "--help", "--result-json")
        ):
            assert re.search(rf"^  (\S+ \| )*{flag}( \| \S+)*\) ", SCRIPT, re.MULTILINE), flag


# The references


def test_the_files_are_those_of_an_iteration() -> None:
    known = {
        value
        for name, value in vars(workspace).items()
        if name.isupper()
        and isinstance(value, str)
        and (value.endswith((".json", ".md")) or name in ("ORIGINAL", "ACCEPTED"))
    }
    assert {code(row[0])[0] for row in rows("workspace.md", 1)} == known
    assert f"`{workspace.COMPLETIONS}`" in (GUIDES / "workspace.md").read_text()


def test_the_commands_have_the_flags_that_are_named() -> None:
    common = {"-h", "--help", "--skill", "--iteration", "--project-dir", "--result-json"}
    expected = {
        name: [o for a in parser._actions for o in a.option_strings if o not in common]
        for name, parser in commands().items()
    }
    named = {code(row[0])[0]: code(row[2]) for row in rows("workspace.md", 2)}
    assert named == {**expected, "publish": []}


def test_the_arms_are_those_of_the_runs() -> None:
    assert [code(row[0])[0] for row in rows("workspace.md", 3)] == [runs.WITH_SKILL, runs.BASELINE, runs.PREVIOUS]


def test_the_test_cases_that_are_shown_can_be_used() -> None:
    text = (GUIDES / "test-cases.md").read_text("utf-8")
    shown = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert shown
    (case,) = cases.read(shown[1])
    assert [expectation.kind for expectation in case.expectations] == ["regex", "not_contains", "judge"]
    named = [re.findall(r'"(\w+)"', code(row[0])[0])[0] for row in rows("test-cases.md")[1:]]
    assert tuple(named) == cases.KINDS


def test_the_gradings_that_are_shown_have_the_keys_that_are_named() -> None:
    shown = re.search(r"```json\n(.*?)```", (GUIDES / "grading.md").read_text("utf-8"), re.DOTALL)
    assert shown
    (entry,) = json.loads(shown[1])["gradings"]
    assert [code(row[0])[0] for row in rows("grading.md")] == [*entry, *entry["expectations"][0]]


def test_the_rules_of_a_draft_are_the_invariants() -> None:
    table: dict[str, str] = {row[0]: row[1] for row in rows("enhancement.md")}
    assert len(table) == len(re.findall(r"^        \(", inspect.getsource(invariants.broken), re.MULTILINE)) - 1
    assert str(spec.DESCRIPTION_CHARACTERS) in table["the description"]
    assert f"{invariants.GROWTH} times" in table["size"]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("severity", ["high", "medium", "low", None])
def test_the_trust_policy_is_that_of_the_audit(known: bool, severity: str) -> None:
    findings = [Finding("c", severity, "f", 1, "", "r", "t")] if severity else []
    found = policy(findings, {"author": "anthropic" if known else "somebody"})
    expected = "full_access" if known else "warn_and_continue"
    if known and severity in ("high", "medium"):
        expected = "warn_and_continue"
    if not known and severity == "high":
        expected = "skip_ab"
    assert found == expected
    assert expected in [code(row[0])[0] for row in rows("security.md")]


def test_the_checklist_names_every_category_of_the_audit() -> None:
    named = {code(row[0])[0] for row in rows("security.md", 1)}
    assert named == {rule.category for rule in RULES} | {"unread"}


# Following it, without a client

STARTED = Output("LOG=/tmp/x.log\nITERATION_DIR=/an iteration\nCASES=0", 0)
RUNS = "RUNS=12\nMODEL=m\nCALLS_AT_MOST=12\nTOKENS_AT_MOST=9"


def follow(outputs: dict[str, list[Output]], answers: dict[str, list[str]]) -> Iterator[str]:
    """What a literal reader does, in words, where the commands print what `outputs` says and questions are answered."""
    dispatching = (REPOSITORY / "skills" / "skill-enhance" / "SKILL.md").read_text("utf-8")
    sent = split(dispatching).body.strip().replace("$ARGUMENTS", "x") + "\n"
    sent = sent.replace("${CLAUDE_SKILL_DIR}", str(FOLDER)[: -len("-hitl")])
    course = Reader(sent, author=lambda path, sources: "{}").run()
    outputs["args"] = [Output("HITL=1\nSKILL_NAME=demo\nPOLL_TIMEOUT=1200\nJOB_ID=\nRESIDUAL_ARGS=demo", 0)]
    received: Union[Output, str, None] = None
    try:
        while True:
            move = next(course) if received is None else course.send(received)
            if isinstance(move, Bash):
                command = shlex.split(move.command)[1] if "/hitl.sh" in move.command else "args"
                yield command
                received = outputs[command].pop(0)
            elif isinstance(move, Ask):
                yield f"? {move.header}"
                received = answers[move.header].pop(0)
            elif isinstance(move, Write):
                yield f"write {os.path.basename(move.path)}"
                received = Output("", 0)
            else:
                there = os.path.isfile(move.path)
                received = Output(Path(move.path).read_text("utf-8") if there else "none", 0 if there else None)
    except StopIteration:
        return


def test_what_is_refused_is_written_anew_and_a_run_goes_on_until_it_is_done() -> None:
    refused, timeout = Output("ERROR_CODE=invalid_gradings", 4), Output("OUTCOME=timeout", 3)
    outputs = {
        "start": [STARTED],
        "check-cases": [Output("ERROR_CODE=invalid_cases", 4), Output("CASES=6", 0)],
        "audit": [Output("POLICY=full_access\nMAY_RUN=1", 0)],
        "run": [Output(RUNS, 0), timeout, timeout, Output("TO_GRADE=12", 0)],
        "check-gradings": [refused, Output("", 0)],
        "aggregate": [Output("", 0)],
        "accept": [Output("ERROR_CODE=invalid_draft", 4), Output("VERSION=1.1.0\nINSTALLED_PATH=/p", 0)],
        "publish": [Output("", 0)],
    }
    answers = {
        "Cases": ["Use them"],
        "Cost": ["Run them"],
        "Review": ["No page"],
        "Next": ["Draft a better one"],
        "Draft": ["Draft again", "Install it", "Install it"],
        "Then": ["Publish it", "Done"],
    }
    assert list(follow(outputs, answers)) == [
        *("args", "start", "write test-cases.json", "check-cases", "write test-cases.json", "check-cases", "? Cases"),
        *("audit", "run", "? Cost", "run", "run", "run"),
        *("write gradings.json", "check-gradings", "write gradings.json", "check-gradings", "aggregate", "? Review"),
        *("? Next", "write draft-skill.md", "? Draft", "write draft-skill.md", "? Draft", "accept"),
        *("write draft-skill.md", "? Draft", "accept", "? Then", "publish", "? Then"),
    ]


@pytest.mark.parametrize("answer", ["Do not run it", "Stop"])
def test_nothing_is_run_where_the_person_does_not_want_it(answer: str) -> None:
    outputs = {
        "start": [Output(f"{STARTED.text[:-1]}7", 0)],
        "check-cases": [Output("CASES=7", 0)],
        "audit": [Output("POLICY=warn_and_continue\nMAY_RUN=0", 0)] * 2,
    }
    answers = {"Cases": ["Use them"], "Audit": [answer], "Draft": ["Stop"]}
    walked = list(follow(outputs, answers))
    assert walked[:6] == ["args", "start", "check-cases", "? Cases", "audit", "? Audit"]
    assert walked[6:] == (["audit", "write draft-skill.md", "? Draft"] if answer == "Do not run it" else [])
