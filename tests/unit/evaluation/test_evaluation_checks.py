"""What each check finds, and what it does not take for a fault."""

from __future__ import annotations

from typing import Optional

import pytest

from mega_code.evaluation.checks import EXPECTATIONS, evaluate
from mega_code.evaluation.folder import Finding, Skill

NAME = "name: sample\n"
DESCRIPTION = "description: Does one thing well. Use when it is due.\n"
TAGS = "metadata:\n  tags:\n    - x\n"
FILES = {"references/guide.md": "# Guide\n", "scripts/run.py": "", "assets/a.txt": "", "x/Y.md": "", "x/y.md": ""}
LONG = "This paragraph holds more than sixty characters, so it is no mere label."


def skill_of(
    source: str = NAME + DESCRIPTION + TAGS, body: str = "See references/.\n", guide: str = "# Guide\n"
) -> Skill:
    texts = {"SKILL.md": f"---\n{source}---\n{body}", "references/guide.md": guide}
    return Skill("sample", frozenset((*FILES, "SKILL.md")), texts)


def failures(skill: Skill) -> dict[str, list[Finding]]:
    return {verdict.expectation.id: list(verdict.findings) for verdict in evaluate(skill).failed()}


def test_a_good_skill_passes_and_what_it_does_not_have_does_not_count() -> None:
    report = evaluate(skill_of())
    assert failures(skill_of()) == {}
    assert {id for id, verdict in report.verdicts.items() if verdict.passed is None} == {
        *("tools-type", "tools-style", "compatibility", "links", "python", "shell", "json", "yaml"),
        "fences",
    }
    assert set(report.cases()) == {expectation.case for expectation in EXPECTATIONS}


def test_the_pass_rate_is_the_mean_of_the_cases_and_these_of_their_expectations() -> None:
    report = evaluate(skill_of(source=NAME + "description: Short one.\n" + TAGS))
    failed = {verdict.expectation.id for verdict in report.failed()}
    assert failed == {"description-what", "description-when"}
    assert report.pass_rate() == pytest.approx((6 + 3 / 5) / 7)


@pytest.mark.parametrize(
    ("source", "id", "line", "text"),
    [
        (DESCRIPTION + TAGS, "name-there", 1, "has no name in its frontmatter"),
        ("name: other\n" + DESCRIPTION + TAGS, "name-folder", 2, "is named 'other', but its folder is 'sample'"),
        (
            NAME + "description: Use when due.\n" + TAGS,
            "description-what",
            3,
            "has a description of fewer than 5 words",
        ),
        (
            NAME + "description: '[TODO: use when]'\n" + TAGS,
            "description-what",
            3,
            "has a placeholder for a description",
        ),
        (NAME + "description: I help you when it is due.\n" + TAGS, "description-person", 3, None),
        (NAME + "description: Does  it when it is due.\n" + TAGS, "description-space", 3, None),
        (NAME + "description: Does <it> when it is due.\n" + TAGS, "description-plain", 3, None),
        (NAME + "description: Does it well and then stops.\n" + TAGS, "description-when", 3, None),
        (NAME + DESCRIPTION + TAGS + "colour: red\n", "keys-known", 7, None),
        (NAME + DESCRIPTION + TAGS + "version: '1'\n", "keys-place", 7, None),
        (NAME + DESCRIPTION + TAGS + "  version: 1.0\n", "metadata-types", 4, None),
        (NAME + DESCRIPTION, "tags", 1, "has no tags in its metadata"),
        (NAME + DESCRIPTION + TAGS + "allowed-tools: 5\n", "tools-type", 7, None),
        (NAME + DESCRIPTION + TAGS + "allowed-tools: [Read]\n", "tools-style", 7, None),
        (NAME + DESCRIPTION + TAGS + f"compatibility: {'a' * 501}\n", "compatibility", 7, None),
    ],
)
def test_a_fault_in_the_frontmatter_is_found(source: str, id: str, line: int, text: Optional[str]) -> None:
    found = failures(skill_of(source=source))
    assert list(found) == [id]
    ((finding,),) = found.values()
    assert (finding.file, finding.line) == ("SKILL.md", line)
    assert text in (None, finding.text)


@pytest.mark.parametrize(
    "source",
    [
        NAME + "description: Does one thing, used for others.\n" + TAGS,
        NAME + "description: Does one thing and no other one.\ndisable-model-invocation: true\n" + TAGS,
        NAME + "description: Does one thing and no other one.\nwhen_to_use: Now.\n" + TAGS,
        NAME + "description: 生成提交信息\n" + TAGS,
        NAME + "description: >-\n  I/O made easy, for when\n  it is due.\n" + TAGS,
        NAME + DESCRIPTION + TAGS + "argument-hint: '[file]'\nmodel: x\nhooks: {}\npaths: [a]\nallowed-tools: Read\n",
    ],
)
def test_a_good_frontmatter_has_no_fault(source: str) -> None:
    assert failures(skill_of(source=source)) == {}


@pytest.mark.parametrize(
    ("body", "id", "line", "text"),
    [
        ("references/\n" + "a\n" * 500, "body-lines", 508, "has a body of 501 lines"),
        ("references/ " + "a " * 9_993 + "a\n", None, 0, None),
        ("references/ " + "a " * 10_000 + "a\n", "body-tokens", 8, "has a body of about 5004 tokens"),
        ("a\n", "references", 0, "is named nowhere in SKILL.md, so no agent finds it"),
        ("The guide is good.\n", None, 0, None),
        ("[a](references/no.md) guide\n", "links", 8, "links to 'references/no.md', which is not in the skill"),
        ("references/\n\n[a](../x.md)\n", "links", 10, "links to '../x.md', which is outside the skill folder"),
        ("[a](X/y.md) guide\n", "links", 8, "links to 'X/y.md', which is not in the skill"),
        ("guide [a](Scripts/run.py)\n", "links", 8, "links to 'Scripts/run.py', which is there as 'scripts/run.py'"),
        (
            "[a](references/guide.md#x) [b](./) [c](x/) [d](https://x.y) [e](path/to/x) [f](<{x}>) [g](url)\n",
            None,
            0,
            None,
        ),
        (
            "guide\n\n# A & B: c\n\n[a](#a--b-c) [b](#a-b-c-1) [c](#no)\n",
            "anchors",
            12,
            "links to '#no', but no heading",
        ),
        ("guide <a id='x-y'></a> [a](#x-y)\n", None, 0, None),
        ("guide\n\nRun `scripts/no.py`.\n", "files", 10, "names 'scripts/no.py', which is not in the skill"),
        (
            "guide\n\n```sh\npython3 -u scripts/no.py a\n```\n",
            "files",
            11,
            "names 'scripts/no.py', which is not in the skill",
        ),
        ("guide `./scripts/run.py`, e.g. `scripts/no.py`; write `scripts/new.py`\n", None, 0, None),
        ("guide `scripts/<name>.py` `templates/no.py` scripts/no.py\n", None, 0, None),
        ("guide\n```\na\n", "fences", 9, "opens a code block that nothing closes"),
        ("guide\n<!-- a\n", "comments", 9, None),
        ("guide\n\n##A\n", "headings", 10, "has no space after the # of its heading"),
        (f"guide\n\n{LONG}\n\n# A\n\nb\n\n{LONG}\n", "repeats", 16, "repeats the paragraph of line 10"),
        ("The the guide guide is here.\n", "doubled-words", 8, "says a word twice in a row"),
        ("guide `x` guide, that that is\n", None, 0, None),
        ("guide \n", "trailing-space", 8, "ends in white space"),
        ("guide\n\n\n\na\n", "blank-lines", 9, "begins a run of 3 or more blank lines"),
        ("guide", "final-newline", 8, "does not end with one line end"),
        ("guide\r\n", "line-ends", 1, "has Windows line ends"),
        ("guide\na\rb\n", "line-ends", 9, "has a carriage return in the middle of a line"),
    ],
)
def test_a_fault_in_the_body_is_found(body: str, id: Optional[str], line: int, text: Optional[str]) -> None:
    found = failures(skill_of(body=body))
    assert list(found) == ([id] if id else [])
    if id:
        finding = found[id][0]
        assert finding.line == line
        assert text is None or finding.text.startswith(text)


def test_a_body_that_is_not_there_is_missed() -> None:
    assert failures(skill_of(body="\n"))["body-there"] == [
        Finding("SKILL.md", 8, "has no instructions below its frontmatter")
    ]


def test_a_reference_is_checked_by_the_same_rules_with_its_own_lines() -> None:
    guide = "---\nx: y\n---\n# Guide \n[a](../x/Y.md) [b](x/Y.md) [c](Y.md)\n"
    assert failures(skill_of(guide=guide)) == {
        "links": [Finding("references/guide.md", 5, "links to 'Y.md', which is not in the skill")],
        "trailing-space": [Finding("references/guide.md", 4, "ends in white space")],
    }
