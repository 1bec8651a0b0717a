"""Trigger queries: read, halved, asked and counted."""

from __future__ import annotations

import json
from typing import Any, Optional

import pytest

from mega_code.evaluation import cases, triggers
from mega_code.evaluation.cases import Case, CaseError, Expectation
from mega_code.evaluation.triggers import Trigger


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        ("{", ["evals/triggers.json is no JSON"]),
        ("[" * 100_000, ["evals/triggers.json is no JSON"]),
        (" " * (4 * 1024 * 1024 + 1), ["evals/triggers.json is over 4 MiB."]),
        ("{}", ["evals/triggers.json must be a list of 1 to 200 queries."]),
        ("[]", ["evals/triggers.json must be a list of 1 to 200 queries."]),
        (json.dumps([{"query": "q", "should_trigger": True}] * 201), ["evals/triggers.json must be a list"]),
        (
            json.dumps([{"query": " ", "should_trigger": True}, {"query": "q", "should_trigger": 1}, 3]),
            ["triggers[0].query must be", "triggers[1].should_trigger must be", "triggers[2].query must be"],
        ),
        (
            json.dumps([{"query": "q", "should_trigger": True}, {"query": " Q", "should_trigger": False}]),
            ["triggers[1].should_trigger is the opposite of triggers[0], of the same query."],
        ),
        ('[{"query": "\\ud800", "should_trigger": true}]', ["triggers[0].query must be"]),
        (
            '[{"query": "q", "query": "r", "should_trigger": true}]',
            ["evals/triggers.json has a key more than once in one object: 'query'."],
        ),
    ],
    ids=range(10),
)
def test_every_fault_is_named(data: str, problems: list[str]) -> None:
    with pytest.raises(CaseError) as caught:
        triggers.read(data)
    assert [found.startswith(start) for found, start in zip(caught.value.problems, problems)] == [True] * len(problems)


def test_both_halves_have_both_kinds_and_no_query_twice() -> None:
    queries = [Trigger(f"q{n}", n % 3 == 0) for n in range(12)] + [Trigger("Q0 ", True), Trigger("q1", True)]
    split = triggers.split(queries, 0)
    assert sorted((*split.train, *split.held_out)) == sorted(queries[:12])
    assert [sum(one.should_trigger for one in half) for half in split] == [2, 2]
    assert split == triggers.split(queries, 0) != triggers.split(queries, 1)


def test_a_query_that_is_the_prompt_of_a_case_goes_into_the_half_of_that_case() -> None:
    met = (Expectation("contains", "x"),)
    halves = cases.split([Case(str(n), f"Do the thing {n}", met) for n in range(12)], 0)
    held = {case.prompt for case in halves.held_out}
    prompts = [Trigger(f" do THE thing {n}", True) for n in reversed(range(12))]
    queries = [*prompts, *(Trigger(f"else {n}", n % 2 == 0) for n in range(8))]
    split = triggers.split(queries, 0, halves)
    assert sorted((*split.train, *split.held_out)) == sorted(queries)
    for half, is_held in ((split.train, False), (split.held_out, True)):
        assert {f"Do the thing {one.query.split()[-1]}" in held for one in half if one in prompts} == {is_held}
        assert [sum(one.should_trigger is kind for one in half) for kind in (True, False)] == [8, 2]
    alone = triggers.split(prompts, 0, cases.Split(halves.train + halves.held_out, ()))
    assert (len(alone.train), alone.held_out) == (12, ())


@pytest.mark.parametrize(
    ("answer", "loads"),
    [
        ("demo", True),
        ("`Demo`.", True),
        ("I would load **demo** for that.", True),
        ("none", False),
        ("None. A demo is not wanted.", False),
        ("demo or translation", False),
        ("demo-two", False),
        ("", False),
    ],
)
def test_an_answer_loads_the_skill_that_it_names_alone(answer: str, loads: bool) -> None:
    assert triggers.loaded("demo", answer) is loads


def test_a_skill_that_is_named_as_one_of_the_others_stands_once_among_them() -> None:
    asked = triggers.request("translation", "Mine.\n Really.", Trigger("Translate!", True), 0).prompt
    assert asked.count("- translation: ") == 1 and "- translation: Mine. Really." in asked
    assert triggers.loaded("translation", "translation") and not triggers.loaded("translation", "debugging")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([True, True, False, False], (1.0, 1.0, 0, 0)),
        ([True, False, True, True], (0.333333, 0.5, 2, 1)),
        ([False] * 4, (None, 0.0, 0, 2)),
    ],
)
def test_over_and_under_triggering_both_count(
    found: list[bool], expected: tuple[Optional[float], Optional[float], int, int]
) -> None:
    queries = [Trigger("a", True), Trigger("b", True), Trigger("c", False), Trigger("d", False)]
    figures: dict[str, Any] = triggers.figures(queries, found)
    assert tuple(figures.values()) == expected


def test_where_nothing_should_trigger_there_is_no_recall() -> None:
    assert triggers.figures([Trigger("a", False)], [False]) == {
        "precision": None,
        "recall": None,
        "over": 0,
        "under": 0,
    }
