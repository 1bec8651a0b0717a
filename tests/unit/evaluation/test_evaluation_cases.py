"""Cases: both shapes read, every fault named by index and key, and two halves that never mix."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mega_code.evaluation import cases
from mega_code.evaluation.cases import Case, CaseError, Expectation

WHOLE = {
    "skill_name": "demo",
    "evals": [
        {
            "id": 7,
            "prompt": "Say hello.",
            "expected_output": "A greeting",
            "files": ["evals/a.txt", "b.txt"],
            "expectations": [
                "It is friendly",
                {"contains": "hello"},
                {"not_contains": "bye"},
                {"regex": "^h.*o$"},
                {"json": "/a/0", "equals": None},
            ],
        },
        {"prompt": "Say no.", "expected_output": "A refusal "},
    ],
}


def read(value: Any) -> list[Case]:
    return cases.read(json.dumps(value), ["evals/a.txt", "evals/b.txt"])


def problems(value: Any) -> list[str]:
    with pytest.raises(CaseError) as caught:
        read(value)
    return caught.value.problems


def test_the_fields_shape_is_read_whole() -> None:
    first, second = read(WHOLE)
    assert first == Case(
        "7",
        "Say hello.",
        (
            Expectation("judge", "It is friendly"),
            Expectation("contains", "hello"),
            Expectation("not_contains", "bye"),
            Expectation("regex", "^h.*o$"),
            Expectation("json", "/a/0", None),
        ),
        ("evals/a.txt", "b.txt"),
    )
    assert second == Case(
        "2", "Say no.", (Expectation("judge", "The output agrees with this description of a good one: A refusal"),)
    )
    assert [expectation.text for expectation in first.expectations] == [
        "It is friendly",
        "contains 'hello'",
        "not contains 'bye'",
        "regex '^h.*o$'",
        "json /a/0 equals null",
    ]
    assert first.needs_judge and not first._replace(expectations=first.expectations[1:]).needs_judge


def test_the_four_case_shape_is_read_too() -> None:
    assert read({"cases": [{"task": "Do it.", "expectations": ["Done"]}]}) == [
        Case("1", "Do it.", (Expectation("judge", "Done"),))
    ]


GOOD: dict[str, Any] = {"prompt": "p", "expectations": ["e"]}


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("text", "evals[1] must be an object."),
        ({**GOOD, "prompt": " "}, "evals[1].prompt must be a text of 1 to 65536 characters."),
        ({**GOOD, "id": True}, "evals[1].id must be a number or a short text."),
        ({**GOOD, "files": "a"}, "evals[1].files must be a list of paths."),
        ({**GOOD, "files": ["c"]}, "evals[1].files names 'c', which is not in the skill."),
        ({**GOOD, "expectations": []}, "evals[1].expectations must be a list of 1 to 50 sentences or checks."),
        ({**GOOD, "expectations": ["e", 3]}, "evals[1].expectations[1] must be a sentence or an object with a check."),
        ({**GOOD, "expectations": [" "]}, "evals[1].expectations[0] must not be blank."),
        (
            {**GOOD, "expectations": [{"contains": "a", "regex": "b"}]},
            "evals[1].expectations[0] must have exactly one of the keys contains, not_contains, regex, json.",
        ),
        (
            {**GOOD, "expectations": [{"contains": ""}]},
            "evals[1].expectations[0] must give contains a text of at most 4096 characters.",
        ),
        (
            {**GOOD, "expectations": [{"regex": "("}]},
            "evals[1].expectations[0] must be a regular expression that Python can compile.",
        ),
        (
            {**GOOD, "expectations": [{"json": "/a"}]},
            "evals[1].expectations[0] must have a JSON pointer (empty, or from a slash on) under json, and a value"
            " under equals.",
        ),
    ],
)
def test_a_malformed_case_is_named_by_index_and_key(entry: Any, problem: str) -> None:
    assert problems({"evals": [GOOD, entry]}) == [problem]


def test_every_problem_is_named_and_no_case_is_dropped() -> None:
    assert problems({"evals": [{**GOOD, "prompt": 1}, GOOD, {"prompt": "p"}]}) == [
        "evals[0].prompt must be a text of 1 to 65536 characters.",
        "evals[2].expectations must be a list of 1 to 50 sentences or checks.",
    ]
    assert (
        problems({"evals": [{}, {**GOOD, "id": "a"}, {**GOOD, "id": "a"}]})[-1] == "evals[2].id is 'a', as in evals[1]."
    )


def test_a_case_without_an_id_takes_a_number_that_no_other_case_has() -> None:
    entries = [GOOD, {**GOOD, "id": 1}, GOOD, {**GOOD, "id": "5"}, {**GOOD, "id": 6}, GOOD]
    assert [case.id for case in read({"evals": entries})] == ["7", "1", "3", "5", "6", "8"]


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (
            '{"evals": [{"prompt": "a", "expectations": ["b"]}], "evals": [{"prompt": "c", "expectations": ["d"]}]}',
            "evals",
        ),
        ('{"evals": [{"prompt": "a", "prompt": "b", "expectations": ["c"]}]}', "prompt"),
    ],
)
def test_what_another_of_the_same_key_would_hide_is_refused(data: str, key: str) -> None:
    with pytest.raises(CaseError) as caught:
        cases.read(data)
    assert caught.value.problems == [f"evals/evals.json has a key more than once in one object: {key!r}."]


def test_cases_in_both_shapes_in_one_file_are_refused_and_none_ignored() -> None:
    both = {"evals": [GOOD], "cases": [{"task": "p", "expectations": ["e"]}]}
    assert problems(both) == [
        'evals/evals.json has cases under "evals" and under "cases"; all of them must stand under one.'
    ]
    assert len(read({**both, "cases": None})) == 1


@pytest.mark.parametrize("value", [[], {}, {"evals": {}}, {"evals": []}, {"cases": [GOOD] * 501}, None, 3])
def test_what_is_no_list_of_cases_is_refused(value: Any) -> None:
    assert len(problems(value)) == 1


@pytest.mark.parametrize("data", ["{", "[" * 100_000, b"\xff", b" " * (4 * 1024 * 1024 + 1)])
def test_what_is_no_json_is_refused(data: Any) -> None:
    with pytest.raises(CaseError, match=r"evals/evals\.json is"):
        cases.read(data)


def test_a_models_usable_cases_are_kept_and_numbered_and_the_others_named() -> None:
    entries = [GOOD, {"prompt": ""}, {**GOOD, "id": 1, "prompt": "q"}, {"task": "t", "expectations": ["e"]}]
    found, dropped = cases.salvage(entries, 5)
    assert [(case.id, case.prompt) for case in found] == [("5", "p"), ("6", "q"), ("7", "t")]
    assert len(dropped) == 2 and all(problem.startswith("evals[1].") for problem in dropped)


@given(st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=40), st.integers(0, 99))
def test_the_halves_share_no_prompt_and_lose_no_case(prompts: list[str], seed: int) -> None:
    given_cases = [Case(str(n), prompt, (Expectation("judge", "e"),)) for n, prompt in enumerate(prompts)]
    split = cases.split(given_cases, seed)
    assert sorted((*split.train, *split.held_out)) == sorted(given_cases)
    assert not {case.prompt for case in split.train} & {case.prompt for case in split.held_out}
    assert len(split.train) <= len(split.held_out)
    assert cases.split(given_cases, seed) == split


def test_of_an_odd_number_the_held_out_half_has_one_more_and_another_seed_gives_another_half() -> None:
    given_cases = [Case(str(n), f"prompt {n}", (Expectation("judge", "e"),)) for n in range(33)]
    split = cases.split(given_cases, 0)
    assert (len(split.train), len(split.held_out)) == (16, 17)
    assert {case.id for case in split.train} != {case.id for case in cases.split(given_cases, 1).train}
