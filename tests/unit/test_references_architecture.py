"""references/architecture.md says what the code says."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml

from mega_code import backups, envelope, errors, skill
from mega_code.client import headline, skill_enhance_helper
from mega_code.client.arguments import HITL, Arguments
from mega_code.client.arguments import parse as parse_arguments
from mega_code.client.remote_enhance import cli, records
from mega_code.client.remote_enhance.progress import describe
from mega_code.job import PHASES, RUNNING, TERMINAL
from mega_code.paths import DataDir
from support.room import REPOSITORY

TEXT = (REPOSITORY / "references" / "architecture.md").read_text("utf-8")
JOB = "01234567-89ab-cdef-0123-456789abcdef"
Row = tuple[str, ...]


def section(title: str) -> str:
    """What stands below a heading."""
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert match, title
    return match[1]


def tables(title: str) -> list[list[Row]]:
    """The rows of a section's tables, without their heads."""
    found: list[list[Row]] = []
    for block in re.findall(r"(?:^\|.*\n)+", section(title), re.MULTILINE):
        rows = [tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]) for line in block.splitlines()]
        found.append(rows[2:])
    return found


def code(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def as_table(rows: Sequence[Row]) -> str:
    """Rows as they should be written."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def flags(parser: argparse.ArgumentParser) -> Iterator[Row]:
    """Every flag of a parser with its value, and its help."""
    formatter = parser._get_formatter()
    for action in parser._actions:
        if action.option_strings and action.dest != "help":
            value = action.metavar or "|".join(map(str, action.choices or []))
            flag = f"{action.option_strings[0]} {value}".strip().replace("|", "\\|")
            yield f"`{flag}`", formatter._expand_help(action)


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """A parser's commands."""
    (group,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(group.choices)


# How a command ends


@pytest.mark.parametrize(
    ("status", "made"),
    [
        (errors.FINISHED, {"submitted": {}}),
        (errors.CONFLICT, {"conflict": {}}),
        (errors.TIMEOUT, {"timeout": {}}),
        (errors.BAD_INPUT, {"error": {"code": "invalid_arguments"}}),
        (errors.NETWORK, {"error": {"code": "network_failure"}}),
        (130, {"interrupted": {"signal": "SIGINT"}}),
        (143, {"interrupted": {"signal": "SIGTERM"}}),
    ],
)
def test_the_exit_codes_are_those_of_the_envelopes(status: int, made: dict[str, Any]) -> None:
    rows = {int(row[0]): row for row in tables("Exit codes")[0]}
    assert envelope.exit_status(made) == status
    assert status == 0 or code(rows[status][2]) == list(made)


def test_no_other_exit_code_is_named() -> None:
    ours = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    assert {int(row[0]) for row in tables("Exit codes")[0]} == ours | {130, 143}


def test_the_outcomes_and_their_values_are_those_of_the_headline() -> None:
    rows = tables("Outcomes")[0]
    assert {code(row[0])[0] for row in rows} == {*headline.OUTCOMES, "installed", "ready", "terminal"}
    listed = re.search(r"Values that may follow.*?\.\n", section("Outcomes"), re.DOTALL)
    assert listed
    assert code(listed[0]) == [*headline.HEADLINES, "ERROR_CODE", "ERROR_MESSAGE"]
    assert 'printf "TIME_LEFT=' in (REPOSITORY / "scripts" / "poll.sh").read_text("utf-8")
    assert "`TIME_LEFT`" in section("Outcomes")


@pytest.mark.parametrize("row", tables("Outcomes")[0], ids=lambda row: code(row[0])[0])
def test_an_outcome_is_told_by_the_keys_that_are_named(row: Row) -> None:
    outcome = code(row[0])[0]
    made: dict[str, Any] = {key: True if key in ("installed", "needs_install_location") else {} for key in code(row[2])}
    assert headline.headline(made)[0] == f"OUTCOME={outcome}"


def test_the_error_codes_are_those_of_the_code() -> None:
    expected = [(f"`{name}`", str(c.exit_status), c.meaning, c.remedy) for name, c in errors.CODES.items()]
    assert tables("Error codes")[0] == expected, as_table(expected)
    assert errors.exit_status("a_code_nobody_knows") == 4


# A job


def test_the_statuses_are_those_of_the_code_and_only_one_row_installs() -> None:
    rows = tables("Status and artifact")[0]
    assert code(rows[0][0]) == ["queued", *RUNNING]
    assert {code(row[0])[0] for row in rows[1:]} == set(TERMINAL)
    for status, kind, then in rows[1:]:
        for artifact_kind in code(kind) or ["enhanced", "source", "none", ""]:
            result: dict[str, Any] = {"status": code(status)[0], "artifact_kind": artifact_kind}
            assert records.is_enhanced(result) == (then == "ready to install"), result


def test_the_phases_and_their_lines_are_those_of_the_code() -> None:
    rows = tables("Phases")[0]
    assert [code(row[1])[0] for row in rows[1:-1]] == list(PHASES)
    for status, phase, line in rows:
        named = None if phase == "null" else (code(phase) or ["news"])[0]
        assert describe({"status": code(status)[0], "phase_public": named}) == code(line)[0]
    job: dict[str, Any] = {"status": "running", "phase_public": "iterating"}
    assert describe({**job, "current_iteration": 1, "total_iterations": 3}) == "iterating [1/3]"


# Files


def test_every_path_of_the_data_folder_is_named() -> None:
    data = DataDir(Path("DATA_DIR"))
    known = {str(value) for name, value in vars(data).items() if name != "root"}
    for name, method in inspect.getmembers(data, inspect.ismethod):
        if not name.startswith("_"):
            known.add(str(method(JOB)).replace(JOB, "JOB_ID"))
    named = {code(row[0])[0] for row in tables("Data layout")[0]}
    others = {
        f"DATA_DIR/enhancements/TIME{backups.SUFFIX}/SKILL",
        f"DATA_DIR/enhancements/TIME{backups.NEW}/SKILL.json",
        "DATA_DIR/runtime/venv",
        "/tmp/mega-code-enhance-TIME.log",
    }
    assert named == known | others
    assert 'VENV="$DATA_DIR/runtime/venv"' in (REPOSITORY / "scripts" / "lib" / "python.sh").read_text()
    assert "/tmp/mega-code-enhance-$(date" in (REPOSITORY / "scripts" / "lib" / "common.sh").read_text()


def example() -> dict[str, Any]:
    """The frontmatter that is shown."""
    match = re.search(r"```yaml\n(.*?)```", section("Frontmatter contract"), re.DOTALL)
    assert match
    return dict(yaml.safe_load(match[1]))


def test_the_frontmatter_that_is_shown_keeps_its_contract() -> None:
    skill.check_enhanced(example())
    assert f"{skill.FRONTMATTER_BYTES // 1024} KiB" in section("Frontmatter contract")


@pytest.mark.parametrize("key", ["metadata", "tags", "roi"])
@pytest.mark.parametrize("value", [None, []])
def test_the_frontmatter_breaks_its_contract_without_what_is_required(key: str, value: Optional[list[Any]]) -> None:
    frontmatter = example()
    (frontmatter if key == "metadata" else frontmatter["metadata"])[key] = value
    assert f"`{key}`" in section("Frontmatter contract")
    with pytest.raises(errors.MegaCodeError, match=key):
        skill.check_enhanced(frontmatter)


# Flags


def test_the_flags_of_the_slash_command_are_understood() -> None:
    rows = tables("Flags")[0]
    values = {"SKILL_NAME": "a-skill", "S": "7", "JOB_ID": JOB}
    for name in ("SKILL_NAME", "--poll-timeout S", "--poll-existing JOB_ID"):
        assert any(code(row[0])[0] == name for row in rows)
    spoken = [[values.get(word, word) for word in code(row[0])[0].split()] for row in rows]
    together = " ".join(word for words in spoken for word in words if HITL not in words)
    assert parse_arguments(together) == Arguments(False, "a-skill", "7", JOB)
    assert parse_arguments(HITL.upper()).hitl
    with pytest.raises(errors.MegaCodeError):
        parse_arguments(f"{together} {HITL}")
    assert f"(default: {cli.DEFAULT_TIMEOUT_S:g})" in section("Flags")


def test_the_flags_of_the_modules_are_those_of_their_parsers() -> None:
    _, remote, helper = tables("Flags")
    expected = list(flags(cli.parser()))
    assert remote == expected, as_table(expected)
    commands = subparsers(skill_enhance_helper.parser())
    wanted = [(f"`{name}`", *flag) for name, command in commands.items() for flag in flags(command)]
    assert helper == wanted, as_table(wanted)


def test_the_table_at_the_top_names_every_section() -> None:
    links = re.findall(r"^\| \[([^]]+)\]\(#([a-z-]+)\)", TEXT, re.MULTILINE)
    titles = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert [title for title, _ in links] == titles
    assert [anchor for _, anchor in links] == [title.lower().replace(" ", "-") for title in titles]
