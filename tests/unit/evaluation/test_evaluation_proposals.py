"""Candidates: what goes into a SKILL.md byte for byte, and what an answer must be to become one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mega_code.evaluation import proposals
from mega_code.evaluation.arms import Measured, Run
from mega_code.evaluation.cases import Case, Expectation
from mega_code.evaluation.grading import Verdict
from mega_code.evaluation.models.base import Completion
from mega_code.evaluation.proposals import Candidate, Failure, Unusable
from mega_code.evaluation.triggers import Trigger
from mega_code.skill import parse_frontmatter, split
from support.evaluation import SKILL
from support.room import REPOSITORY

SHARED = REPOSITORY.parent / "shared" / "corpus"
PARENT = proposals.original(SKILL)


def said(text: str, outcome: str = "answer") -> Completion:
    return Completion(text, "m", 1, 1, 0.0, outcome)


def corpus() -> list[Path]:
    return [*sorted(REPOSITORY.glob("examples/*/SKILL.md")), *sorted(SHARED.glob("*/SKILL.md"))]


def test_every_skill_of_the_corpus_comes_back_byte_for_byte_and_takes_other_parts() -> None:
    for path in corpus():
        text = path.read_bytes().decode()
        before = proposals.original(text)
        assert proposals.assemble(text, before) == text, path
        other = Candidate('Says: "it" \\ at\nonce # not: a comment', "New.\n")
        changed = proposals.assemble(text, other)
        assert proposals.original(changed) == other, path
        assert {**parse_frontmatter(text), "description": other.description} == parse_frontmatter(changed)
        assert proposals.assemble(changed, before).endswith(before.body)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).filter(lambda text: text.strip() == text))
def test_any_description_reads_back(description: str) -> None:
    changed = proposals.assemble(SKILL, PARENT._replace(description=description))
    assert proposals.original(changed) == PARENT._replace(description=description)


def test_a_new_body_keeps_the_blank_line_and_the_line_ends_of_the_old_one() -> None:
    assert proposals.read_body(said("~~~~\n# New\n\nText\n~~~~"), PARENT, "demo").body == "\n# New\n\nText\n"
    assert (
        proposals.read_body(said("~~~~\r\n# New\r\n\r\nText\r\n~~~~\r\n"), PARENT, "demo").body == "\n# New\n\nText\n"
    )
    crlf = SKILL.replace("\n", "\r\n")
    child = proposals.read_body(said("~~~~\n\n# New\nText\n~~~~"), proposals.original(crlf), "demo")
    assert child.body == "\r\n# New\r\nText\r\n"
    whole = proposals.assemble(crlf, child)
    assert "\n" not in whole.replace("\r\n", "") and split(whole).body == child.body


@pytest.mark.parametrize("more", ["", "allowed-tools: Bash(*)\n", "license: MIT\nmetadata: {author: somebody else}\n"])
def test_of_a_whole_skill_the_two_parts_are_taken_and_nothing_else_of_its_frontmatter(more: str) -> None:
    whole = SKILL.replace("Answers questions", "Answers all").replace("politely", "briefly")
    child = proposals.read_body(said(whole.replace("name: demo\n", f"name: demo\n{more}")), PARENT, "demo")
    assert child == proposals.original(whole) and proposals.assemble(SKILL, child) == whole


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("---\nname: demo\n---\n# New\n", Candidate(PARENT.description, "# New\n")),
        ("---\nname: demo\ndescription: d\n---\n---\n\nA rule.\n", Candidate("d", "\n---\n\nA rule.\n")),
        (
            "---\nname: demo\ndescription: d\n---\n---\nname: demo\nallowed-tools: Bash(*)\n---\nText\n",
            Candidate("d", "\n---\nname: demo\nallowed-tools: Bash(*)\n---\nText\n"),
        ),
    ],
    ids=["no description", "a body that begins with a rule", "a frontmatter behind the frontmatter"],
)
def test_what_a_whole_skill_lacks_or_has_twice_changes_no_frontmatter(answer: str, expected: Candidate) -> None:
    child = proposals.read_body(said(answer), PARENT, "demo")
    assert child == expected
    front = parse_frontmatter(proposals.assemble(SKILL, child))
    assert front == {**parse_frontmatter(SKILL), "description": expected.description}


def test_a_whole_skill_of_another_name_stays_as_it_is_so_that_the_invariant_can_be_told() -> None:
    whole = SKILL.replace("name: demo", "name: other").replace("politely", "briefly")
    child = proposals.read_body(said(whole), PARENT, "demo")
    assert child == Candidate(PARENT.description, whole) and proposals.assemble(SKILL, child) == whole
    described = child._replace(description="Other.")
    assert proposals.original(proposals.assemble(SKILL, described)) == Candidate("Other.", split(whole).body)


def test_a_body_that_starts_with_a_rule_of_dashes_is_no_whole_skill() -> None:
    ruled = "---\nname: demo\ndescription: d\n---\n---\n\nBelow a rule.\n"
    before = proposals.original(ruled)
    assert before.body.startswith("---") and proposals.assemble(ruled, before) == ruled
    assert proposals.assemble(ruled, before._replace(description="e")) == ruled.replace(
        "description: d", "description: e"
    )
    assert proposals.read_body(said("~~~~\n# New\n~~~~"), before, "demo").body == "# New\n"
    with pytest.raises(Unusable):
        proposals.read_body(said("---\n\nBelow another.\n"), PARENT, "demo")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (said("~~~~\nhalf of it", "cut"), "the answer was cut before its end"),
        (said("", "refused"), "the model refused"),
        (said("", "empty"), "the answer was empty"),
        (said("~~~~\n\n~~~~"), "the answer was empty"),
        (said("~~~~\na\0b\n~~~~"), "it holds control characters"),
        (said("~~~~\na\x1b[2Jb\n~~~~"), "it holds control characters"),
    ],
)
def test_a_part_of_an_answer_or_none_is_no_candidate(answer: Completion, why: str) -> None:
    with pytest.raises(Unusable, match=f"^{re.escape(why)}$"):
        proposals.read_description(answer, PARENT)
    with pytest.raises(Unusable, match=f"^{re.escape(why)}$"):
        proposals.read_body(answer, PARENT, "demo")


@pytest.mark.parametrize(
    ("answer", "description"),
    [
        ("~~~~\nDoes it.\nUse when asked.\n~~~~", "Does it. Use when asked."),
        ('~~~~\n"Does it."\n~~~~', "Does it."),
        ('~~~~\nUse for "a" and "b"\n~~~~', 'Use for "a" and "b"'),
        ('~~~~\n"A" and "b"\n~~~~', '"A" and "b"'),
        ('~~~~\ndescription: "Does it: all."\n~~~~', "Does it: all."),
        ("~~~~\nDescription: Does it: all.\n~~~~", "Does it: all."),
        ("~~~~\ndescription: >-\n  Does it.\n  Always.\n~~~~", "Does it. Always."),
        ("---\nname: demo\ndescription: Does it.\n---\n", "Does it."),
    ],
)
def test_a_description_is_read_however_it_is_written(answer: str, description: str) -> None:
    assert proposals.read_description(said(answer), PARENT) == PARENT._replace(description=description)


def test_a_description_that_is_too_long_and_a_text_that_grew_too_much_break_a_rule_by_name() -> None:
    child = proposals.read_description(said("d" * 1025), PARENT)
    assert child == PARENT._replace(description="d" * 1025)
    assert proposals.too_large(child, SKILL, SKILL) == ["The description has 1025 characters; 1024 are allowed."]
    assert proposals.too_large(PARENT, "x" * 4096, SKILL) == []
    assert proposals.too_large(PARENT, "x" * 20001, "x" * 10000) == [
        "The text grew from 10000 to 20001 bytes; 20000 are allowed."
    ]


def test_a_proposer_sees_the_misses_first_and_no_more_than_fits() -> None:
    case = Case("1", "T" * 9000, tuple(Expectation("contains", f"e{n}") for n in range(50)))
    verdicts = tuple(Verdict(f"expectation {n} {'v' * 300}", n != 49, "", "code") for n in range(50))
    run = Run(case, 0, said("O" * 90_000), verdicts)
    asked = proposals.body_request(SKILL, [Measured(case, (run,))] * 4, ["d" * 9000] * 20, 7)
    assert asked.prompt.index("NOT MET: expectation 49") < asked.prompt.index("- met: expectation 0")
    assert SKILL in asked.prompt and len(asked.prompt) < 4 * 3 * 2300 + 6 * 2300 + 2000
    assert (asked.role, asked.repeat, asked.max_output_tokens) == ("propose", 7, 2048)
    passed = Measured(case, (run._replace(verdicts=(Verdict("e", True, "", "code"),)),))
    assert proposals.SHORTEN in proposals.body_request(SKILL, [passed], [], 1).prompt


def test_a_proposer_of_descriptions_sees_which_queries_went_wrong_and_how() -> None:
    wrong = [Failure(Trigger("one\nquery", True), False), Failure(Trigger("two", False), True)]
    asked = proposals.description_request("demo", "Does it.", wrong, [], 1)
    assert "- not loaded, and should be: one query\n- loaded, and should not be: two" in asked.prompt
