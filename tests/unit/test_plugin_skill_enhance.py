"""skills/skill-enhance/SKILL.md can be followed literally: every step, block, placeholder and branch of it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union

import pytest

from mega_code.client.headline import HEADLINES
from mega_code.skill import parse_frontmatter, split
from support.room import REPOSITORY
from support.scripted_model import ACTION, PLACEHOLDER, Ask, Bash, Misread, Output, Read, Reader, Step, Text

FOLDER = REPOSITORY / "skills" / "skill-enhance"
SOURCE = (FOLDER / "SKILL.md").read_text("utf-8")
LINES = 200
PRINTED_BY_SCRIPTS = {
    *("HITL", "SKILL_NAME", "POLL_TIMEOUT", "JOB_ID", "RESIDUAL_ARGS"),
    *("MEGA_DIR", "DATA_DIR", "PROJECT_DIR", "MEGA_CODE_SESSION_ID"),
    *("LOG", "RESULT_JSON", "OUTCOME", "ERROR_CODE", "ERROR_MESSAGE", "TIME_LEFT"),
    *HEADLINES,
}
JOB = "01234567-89ab-cdef-0123-456789abcdef"


def sent(arguments: str = "") -> str:
    """The text as Claude Code sends it."""
    body = split(SOURCE).body.strip() + "\n"
    return body.replace("$ARGUMENTS", arguments).replace("${CLAUDE_SKILL_DIR}", str(FOLDER))


TEXT = Text(sent())
STEPS = list(TEXT.steps.values())
BLOCKS = [TEXT.arguments_block or "", *(step.block for step in STEPS if step.block)]


def script_of(block: str) -> str:
    """The script that a block runs."""
    match = re.match(r'"([^"]+)/scripts/(\w+\.sh)"', block)
    assert match, block
    assert match[1] in (str(FOLDER), f"{FOLDER}-hitl")
    return match[2]


# Form


def test_it_is_short() -> None:
    assert len(SOURCE.splitlines()) < LINES


def test_the_frontmatter_is_that_of_a_command_for_people() -> None:
    frontmatter = parse_frontmatter(SOURCE)
    assert frontmatter["name"] == FOLDER.name
    assert frontmatter["disable-model-invocation"] is True
    assert frontmatter["argument-hint"] == "[<skill-name>] [--hitl] [--poll-timeout <s>] [--poll-existing <job-id>]"
    assert "--hitl" in frontmatter["description"]


def test_it_may_run_its_own_scripts_and_those_of_the_local_flow_and_no_other_command() -> None:
    allowed = parse_frontmatter(SOURCE)["allowed-tools"]
    scripts = {f'Bash("${{CLAUDE_SKILL_DIR}}/scripts/{script_of(block)}":*)' for block in BLOCKS}
    local = {f'Bash("${{CLAUDE_SKILL_DIR}}-hitl/scripts/{name}.sh":*)' for name in ("skills", "hitl")}
    iterations = "~/.local/share/mega-code/data/skill-enhance/**"
    files = {"Read(/${CLAUDE_PLUGIN_ROOT}/**)", f"Read({iterations})", f"Edit({iterations})"}
    assert set(allowed) == scripts | local | files | {"AskUserQuestion"}


def test_the_arguments_stand_once_and_in_a_quoted_here_document_that_ends_the_file() -> None:
    assert SOURCE.count("$ARGUMENTS") == 1
    match = re.search(r"<<'(\w+)'\n\$ARGUMENTS\n(\w+)\n```\n\Z", SOURCE)
    assert match
    assert match[1] == match[2]
    assert SOURCE.count(match[1]) == 2
    assert re.search(r"[0-9a-f]{16}$", match[1])


@pytest.mark.parametrize("block", BLOCKS, ids=script_of)
def test_a_block_is_one_command_of_a_script_that_is_there_with_flags_that_it_has(block: str) -> None:
    words = shlex.split(block)
    script = REPOSITORY / "scripts" / script_of(block)
    assert os.access(script, os.X_OK)
    assert "\n" not in block or script.name == "args.sh"
    for flag in (word for word in words if word.startswith("--")):
        assert re.search(rf"^  (\S+ \| )*{re.escape(flag)}( \| \S+)*\) ", script.read_text("utf-8"), re.MULTILINE), flag


@pytest.mark.parametrize("block", BLOCKS, ids=script_of)
def test_a_placeholder_is_a_key_that_a_script_prints_or_that_the_text_sets(block: str) -> None:
    assigned = {match["set"] or match["key"] for match in ACTION.finditer(SOURCE)} - {None}
    assert set(PLACEHOLDER.findall(block)) <= PRINTED_BY_SCRIPTS | assigned


def test_every_mention_of_a_reference_is_of_a_file_that_is_there() -> None:
    for name in re.findall(r"\$\{CLAUDE_SKILL_DIR\}/(references/[\w.-]+)", SOURCE):
        assert (FOLDER / name).is_file()


# Branches


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.number)
def test_every_line_below_a_step_leads_somewhere(step: Step) -> None:
    for branch in step.branches:
        last = list(ACTION.finditer(branch.actions))[-1]
        assert last["step"] or last["like"] or last["word"] in ("end", "go on with it"), branch
        assert (last["step"] or last["like"] or step.number) in TEXT.steps


@pytest.mark.parametrize("step", [step for step in STEPS if step.block and step.branches], ids=lambda step: step.number)
def test_every_exit_of_a_block_is_thought_of(step: Step) -> None:
    assert re.match(r"any (other )?exit$", step.branches[-1].condition)


def test_every_step_can_be_reached() -> None:
    named = set(re.findall(r"\bstep (\d+(?:\.\d+)?)", SOURCE)) | {"0"}
    assert named == set(TEXT.steps)


def test_a_question_has_two_to_four_options_and_a_short_header() -> None:
    asking = [step for step in STEPS if step.prose.startswith("Ask")]
    assert len(asking) >= 5
    for step in asking:
        assert 2 <= len(step.branches) <= 4
        assert all(branch.label for branch in step.branches)
        header = re.match(r"Ask \(([^)]+)\)", step.prose)
        assert header
        assert len(header[1]) <= 12


# Following it, without a client


def follow(outputs: dict[str, list[Output]], answers: dict[str, str], text: str = "") -> Iterator[Any]:
    """The moves of a run in which scripts print what `outputs` says, in turn, and questions are answered."""
    course = Reader(text or sent("demo")).run()
    received: Union[Output, str, None] = None
    try:
        while True:
            move = next(course) if received is None else course.send(received)
            yield move
            if isinstance(move, Bash):
                received = outputs[script_of(move.command)].pop(0)
            elif isinstance(move, Ask):
                received = next(answer for part, answer in answers.items() if part in move.question)
            else:
                received = Output(Path(move.path).read_text("utf-8"), 0)
    except StopIteration:
        return


def started(polls: list[Output]) -> dict[str, list[Output]]:
    """What the scripts print up to the first poll."""
    values = "SKILL_NAME=demo\nPOLL_TIMEOUT=1200\nJOB_ID=\nRESIDUAL_ARGS=demo"
    resolved = '{"name": "demo", "path": "/p/SKILL.md", "scope": "project", "content": "KEY=x"}'
    return {
        "args.sh": [Output(f"HITL=0\n{values}", 0)],
        "setup.sh": [Output("MEGA_DIR=/m\nDATA_DIR=/d\nPROJECT_DIR=/a p\nMEGA_CODE_SESSION_ID=s-1", 0)],
        "skills.sh": [Output(resolved, 0)],
        "submit.sh": [Output(f"LOG=/tmp/x.log\nRESULT_JSON=/tmp/x.json\nOUTCOME=submitted\nJOB_ID={JOB}", 0)],
        "poll.sh": polls,
        "report.sh": [Output("a report", 0)] * 9,
    }


def test_it_polls_in_slices_until_the_persons_time_is_used_up_and_starts_anew_when_told_to() -> None:
    said = "LOG=/tmp/x.log\nRESULT_JSON=/tmp/x.json\nOUTCOME={}\n{}"
    lefts = ["660", "120", "none", "660"]
    polls = [Output(said.format("timeout", f"TIME_LEFT={left}"), 3) for left in lefts]
    polls.append(Output(said.format("terminal", "STATUS=failed"), 0))
    answers = {"still running": "Wait longer", "another skill": "Done"}
    moves = list(follow(started(polls), answers))
    polling = [move.command for move in moves if isinstance(move, Bash) and "poll.sh" in move.command]
    waited = [shlex.split(command)[shlex.split(command).index("--poll-timeout") + 1] for command in polling]
    assert waited == ["1200", "660", "120", "1200", "660"]
    assert [move.question for move in moves if isinstance(move, Ask)] == [
        f"Job {JOB} is still running. Wait another 1200 s?",
        "Enhance another skill?",
    ]


def test_every_call_has_the_longest_time_that_bash_gives() -> None:
    moves = list(follow(started([Output("OUTCOME=error\nERROR_CODE=not_found", 4)]), {}))
    assert {move.timeout for move in moves if isinstance(move, Bash)} == {600_000}


def test_values_are_escaped_inside_double_quotes() -> None:
    outputs = started([Output("", 4)])
    folder = '/a "$(touch canary)`touch canary`\\'
    outputs["setup.sh"] = [Output(f"MEGA_CODE_SESSION_ID=s-1\nPROJECT_DIR={folder}", 0)]
    resolving = next(move for move in follow(outputs, {}) if isinstance(move, Bash) and "skills.sh" in move.command)
    printing = resolving.command.replace(f'"{FOLDER}/scripts/skills.sh"', "printf '%s\\n'")
    words = subprocess.run(["bash", "-c", printing], check=True, capture_output=True, text=True).stdout.splitlines()
    assert words == ["resolve", "demo", "--project-dir", folder, "--session-id", "s-1"]


def test_the_local_flow_is_read_and_followed() -> None:
    outputs = {
        "args.sh": [Output("HITL=1\nSKILL_NAME=\nPOLL_TIMEOUT=1200\nJOB_ID=\nRESIDUAL_ARGS=", 0)],
        "skills.sh": [Output("[]", 0)],
    }
    _, read, listing = follow(outputs, {})
    assert read == Read(f"{FOLDER}-hitl/SKILL.md")
    assert listing.command == f'"{FOLDER}-hitl/scripts/skills.sh" list --all'


@pytest.mark.parametrize(
    "text",
    [
        sent().replace("exit 0: step 2.1.", "exit 0: step 9.9."),
        sent().replace("exit 0: step 2.1.", "exit 0: good."),
        sent().replace("exit 0: step 2.1.", "all is well: step 2.1."),
        sent().replace("<PROJECT_DIR>", "<PROJECT_FOLDER>"),
    ],
    ids=["a step that is not there", "no next step", "no condition", "an unknown placeholder"],
)
def test_what_cannot_be_followed_literally_is_noticed(text: str) -> None:
    outputs = started([])
    outputs["args.sh"] = [Output("HITL=0\nSKILL_NAME=\nPOLL_TIMEOUT=1200\nJOB_ID=\nRESIDUAL_ARGS=", 0)]
    with pytest.raises(Misread):
        list(follow(outputs, {}, text=text))
