"""references/evaluation.md says what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks import decisions
from mega_code import model_settings
from mega_code.errors import MegaCodeError
from mega_code.evaluation import cases, decision, generate, grading, material, plan, triggers
from mega_code.evaluation.budget import Limits
from mega_code.evaluation.cases import Expectation
from mega_code.evaluation.models import agents, openai
from mega_code.evaluation.outcome import Outcome
from mega_code.evaluation.patience import ATTEMPTS
from mega_code.evaluation.statistics import ALPHA, FEWEST_CASES, LEVEL
from mega_code.gateway.folders import HISTORY, Folders
from mega_code.job import TERMINAL
from mega_code.paths import DataDir
from support.room import REPOSITORY

TEXT = (REPOSITORY / "references" / "evaluation.md").read_text("utf-8")
# Set by our scripts, and for an agent's process; and where everything lies.
NOT_SETTINGS = {"MEGA_CODE_LAUNCHER", "MEGA_CODE_ROLE", "MEGA_CODE_DATA_DIR"}


def section(title: str) -> str:
    """What stands below a heading, in one line a paragraph."""
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert match, title
    return match[1]


def words(title: str) -> str:
    return " ".join(section(title).split())


def rows(title: str) -> list[list[str]]:
    """The rows of a section's only table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_table_at_the_top_names_every_section() -> None:
    links = re.findall(r"^\| \[([^]]+)\]\(#([a-z-]+)\)", TEXT, re.MULTILINE)
    titles = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert links == [(title, title.lower().replace(" ", "-")) for title in titles]


# Cases


def test_the_cases_that_are_shown_are_cases() -> None:
    first, second, queries = re.findall(r"```json\n(.*?)```", section("Cases"), re.DOTALL)
    assert [len(case.expectations) for case in (*cases.read(first), *cases.read(second))] == [2, 1]
    assert [query.should_trigger for query in triggers.read(queries)] == [True, False]


def test_every_kind_of_check_is_there_and_can_be_written_as_it_is_shown() -> None:
    shown = [json.loads(code(row[0])[0]) for row in rows("Cases")[1:]]
    assert [next(iter(check)) for check in shown] == list(cases.KINDS)
    read = cases.read(json.dumps({"evals": [{"prompt": "p", "expectations": ["A sentence.", *shown]}]}))
    assert [expectation.kind for expectation in read[0].expectations] == ["judge", *cases.KINDS]
    assert grading.by_code(Expectation("contains", "A"), "a").passed is False


def test_the_figures_about_cases_are_those_of_the_code() -> None:
    said = words("Cases")
    assert f"writes {generate.CASES} cases" in said
    assert f"writes {generate.TRIGGERS} queries" in said
    assert f"{material.FEWEST_CASES} cases, so {FEWEST_CASES} held out" in said
    assert f"and {2 * decisions.CASES} to find" in said
    assert {f"`{cases.PATH}`", f"`{triggers.PATH}`"} <= set(re.findall(r"`evals/[^`]+`", said))


# Models and settings


def test_every_kind_of_model_is_there() -> None:
    shown = [spec for row in rows("Models") for spec in code(row[0])]
    assert shown[0] == model_settings.STATIC
    kinds = {(one.kind, bool(one.model)) for one in model_settings.named(",".join(shown[1:]))}
    assert kinds == {(kind, named) for kind in model_settings.AGENTS for named in (True, False)} | {("openai", True)}
    with pytest.raises(MegaCodeError):
        model_settings.named("openai")


def settings_in_the_code() -> set[str]:
    """Every variable of ours that the evaluation's code names."""
    paths = [REPOSITORY / "mega_code/model_settings.py", *(REPOSITORY / "mega_code/evaluation").rglob("*.py")]
    named = {name for path in paths for name in re.findall(r"MEGA_CODE_[A-Z_]*[A-Z]\b", path.read_text("utf-8"))}
    return named - NOT_SETTINGS


def test_every_setting_of_the_evaluation_is_there_with_its_default() -> None:
    limits, none = Limits(), "no limit"
    assert openai.TIMEOUT_S == agents.TIMEOUT_S
    defaults = {
        "MODEL": model_settings.STATIC,
        "MODEL_URL": "none",
        "MODEL_KEY": "none",
        "MODEL_TIMEOUT_S": f"{openai.TIMEOUT_S:g}",
        "MODEL_PATIENCE_S": f"{limits.patience_s:g}",
        "MAX_CALLS": str(limits.calls),
        "MAX_TOKENS": none if limits.tokens is None else str(limits.tokens),
        "MAX_COST_USD": none if limits.cost_usd is None else str(limits.cost_usd),
        "MAX_OUTPUT_TOKENS": str(limits.output_tokens),
        "CONCURRENCY": str(limits.concurrency),
        "PRICE_INPUT": "what the model says",
        "PRICE_OUTPUT": "what the model says",
        "EXECUTOR": "threads of the gateway",
    }
    shown = {code(row[0])[0]: row[1].strip("`") for row in rows("Settings")}
    assert shown == {f"MEGA_CODE_{name}": value for name, value in defaults.items()}
    assert set(shown) == settings_in_the_code()
    assert limits.prices is None and ATTEMPTS == 6 and "six times at most" in section("Settings")


# Endings, decision, cost


def test_every_terminal_status_is_there_with_fields_that_exist() -> None:
    shown = rows("Endings")
    assert {code(row[0])[0] for row in shown} == set(TERMINAL) and len(shown) == len(TERMINAL)
    named = {field.partition(".")[0] for row in shown for field in code(row[2])}
    assert named <= set(Outcome._fields)
    again = re.search(r"A job that ended (.*?) may be submitted again", words("Endings"))
    source = (REPOSITORY / "mega_code/gateway/jobs.py").read_text("utf-8")
    assert again and set(code(again[1])) == set(
        re.findall(r"'(\w+)'", source.split("status NOT IN (")[1].split(")")[0])
    )


def test_the_rule_is_that_of_the_code() -> None:
    said = words("The decision")
    assert f"one-sided p ≤ {ALPHA}," in said and f"fewer tokens (p ≤ {ALPHA})" in said
    assert (
        f"not more than {decision.MARGIN * 100:g} points lower (one-sided {LEVEL:.0%} bound)".replace("95%", "95 %")
        in said
    )
    assert f"at least {decision.LEAST_SAVING * 100:g} % fewer tokens" in said
    assert f"on {decisions.CASES} held-out cases and {decisions.REPEATS} repeats, 2,000 simulated" in said
    assert [row[0] for row in rows("The decision")] == [scenario.name for scenario in decisions.SCENARIOS]


def test_the_figures_that_are_shown_keep_the_bars() -> None:
    for row, scenario in zip(rows("The decision"), decisions.SCENARIOS):
        ours, theirs, covered = (float(cell.rstrip("%")) / 100 for cell in row[1:])
        result = decisions.Result(scenario, 2000, ours, theirs, 0.0, covered)
        assert result.missed() == []


def test_the_plan_and_the_places_are_those_of_the_code() -> None:
    said, folders = words("Cost"), Folders(DataDir(Path("DATA_DIR")).gateway)
    assert f"up to {plan.ITERATIONS} iterations" in said
    assert f"`{folders.completions}`" in said
    assert f"`{folders.job('JOB_ID') / HISTORY}`" in words("Endings")
