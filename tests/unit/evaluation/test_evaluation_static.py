"""One enhancement by the static model, from the folder to the outcome."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mega_code.evaluation import Outcome
from mega_code.evaluation.blocks import verbatim
from mega_code.evaluation.checks import EXPECTATIONS
from mega_code.evaluation.folder import Skill
from mega_code.evaluation.markdown import parse
from mega_code.evaluation.outcome import percent
from mega_code.evaluation.rewrites import REWRITES
from mega_code.evaluation.static import broken_rules as invariants
from mega_code.evaluation.static import enhance
from mega_code.skill import check_enhanced, parse_frontmatter, split

Run = Callable[..., Outcome]
NOW = datetime(2026, 4, 22, tzinfo=timezone.utc)
HEAD = "---\nname: sample\ndescription: Does one thing well. Use when it is due.\nmetadata:\n  tags:\n    - x\n---\n"
CLEAN = HEAD + "# Sample\n\nDo the thing.\n"
NO_CALLS = {"calls": 0, "cached_calls": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}


class Recorder:
    def __init__(self, stop_at: Any = None) -> None:
        self.told: list[Any] = []
        self.stop_at = stop_at

    def phase(self, name: str) -> None:
        self._tell(name)

    def worked(self) -> None:
        self._tell("worked")

    def iteration(self, current: int, total: int) -> None:
        self._tell((current, total))

    def _tell(self, what: Any) -> None:
        self.told.append(what)
        if what == self.stop_at:
            raise KeyboardInterrupt


def verdicts(outcome: Outcome, arm: str) -> dict[str, Any]:
    cases = [case["arms"][arm] for case in outcome.evaluation["cases"] if arm in case["arms"]]
    return {verdict["expectation"]: verdict["passed"] for case in cases for verdict in case["verdicts"]}


def test_a_skill_with_nothing_to_mend_comes_back_as_source(run: Run) -> None:
    outcome = run({"SKILL.md": CLEAN})
    wall = outcome.usage_snapshot.pop("wall_s")
    assert 0 <= wall < 10
    assert outcome._replace(evaluation={}) == Outcome(
        status="succeeded",
        artifact_kind="source",
        files={},
        roi=[],
        reason="No better: every static check passes; nothing to mend.",
        invariants=[],
        evidence=None,
        evaluation={},
        usage_snapshot=NO_CALLS,
        lineage=[
            {
                "candidate": 0,
                "parent": None,
                "component": None,
                "rewrite": None,
                "diff": "",
                "train_score": 1.0,
                "kept": True,
                "why": "the skill as uploaded",
            }
        ],
    )
    assert outcome.evaluation["arms"] == {"original": {"pass_rate": 1.0, "tokens": 16}}


def test_a_skill_that_can_be_mended_comes_back_enhanced(run: Run) -> None:
    outcome = run({"SKILL.md": CLEAN.replace("# Sample", "##Sample"), "scripts/a.py": "x = 1\n"})
    figures = {"performance_increase": "2%", "token_savings": "-2%"}
    assert outcome.files == {
        "SKILL.md": (
            b"---\nname: sample\ndescription: Does one thing well. Use when it is due.\nmetadata:\n  tags:\n    - x\n"
            b'  author: co-authored by www.megacode.ai\n  version: "1.1.0"\n  generated_at: "2026-04-22T06:11:55Z"\n'
            b'  roi:\n    - model: static-checks\n      performance_increase: "2%"\n      token_savings: "-2%"\n---\n'
            b"## Sample\n\nDo the thing.\n"
        )
    }
    against = {"vs_original": {**figures, "ci95": None, "p_value": None}}
    counts = {"cases": 7, "repeats": 1, "compared_with": "original"}
    assert outcome.roi == [{"model": "static-checks", **figures, **against, **counts}]
    assert (outcome.status, outcome.artifact_kind, outcome.invariants) == ("succeeded", "enhanced", [])
    assert outcome.reason == "Mended by machine: put the space into headings."
    assert outcome.lineage[1:] == [
        {
            "candidate": 1,
            "parent": 0,
            "component": "body",
            "rewrite": "headings",
            "diff": (
                "--- a/SKILL.md\n+++ b/SKILL.md\n@@ -5,6 +5,6 @@\n   tags:\n     - x\n ---\n-##Sample\n+## Sample\n \n"
                " Do the thing.\n"
            ),
            "train_score": 1.0,
            "kept": True,
            "why": "put the space into headings: 1 finding fewer",
            "chosen": True,
        }
    ]
    assert verdicts(outcome, "original") == {**verdicts(outcome, "candidate"), "headings": False}
    assert outcome.evaluation["arms"]["candidate"] == {"pass_rate": 1.0, "tokens": 17}


def test_what_a_person_has_to_mend_is_said_and_does_not_stand_in_the_way(run: Run) -> None:
    text = CLEAN.replace("Does one thing well. Use when it is due.", "Does one thing and does it well.")
    unmended = run({"SKILL.md": text, "a.json": "{"})
    assert (unmended.status, unmended.artifact_kind, unmended.files) == ("succeeded", "source", {})
    assert unmended.reason == (
        "No better: nothing can be mended by machine; left for a person: SKILL.md:3 does not say in its description when to use it; "
        "a.json:1 is no valid JSON: Expecting property name enclosed in double quotes."
    )
    assert unmended.evidence == {
        "findings": [
            {"file": "SKILL.md", "line": 3, "text": "does not say in its description when to use it"},
            {
                "file": "a.json",
                "line": 1,
                "text": "is no valid JSON: Expecting property name enclosed in double quotes",
            },
        ]
    }
    mended = run({"SKILL.md": text + "a \n", "a.json": "{"})
    assert mended.artifact_kind == "enhanced"
    assert mended.reason.startswith("Mended by machine: took out white space at line ends; left for a person: ")


def test_it_tells_its_phases_and_iterations_in_order(run: Run) -> None:
    recorder = Recorder()
    run({"SKILL.md": CLEAN}, recorder)
    count = len(REWRITES)
    iterations = [(number, count) for number in range(1, count + 1)]
    assert recorder.told == ["intake", "evaluation_setup", "iterating", *iterations, "publishing"]


@pytest.mark.parametrize("stop_at", ["intake", "evaluation_setup", "iterating", (3, len(REWRITES)), "publishing"])
def test_what_progress_raises_ends_the_work(run: Run, stop_at: Any) -> None:
    recorder = Recorder(stop_at)
    with pytest.raises(KeyboardInterrupt):
        run({"SKILL.md": CLEAN}, recorder)
    assert recorder.told[-1] == stop_at


TOO_LONG = "The description has 1025 characters; the specification allows 1024."
BAD_NAME = "The name {!r} breaks the specification: lower-case letters, digits and single inner hyphens, 64 characters at most."


@pytest.mark.parametrize(
    ("files", "invariants"),
    [
        ({"a.md": "a"}, ["There is no SKILL.md at the root of the skill."]),
        ({"SKILL.md": "a"}, ["SKILL.md does not start with frontmatter between two --- lines."]),
        ({"SKILL.md": b"---\nname: a\n---\n\xff"}, ["SKILL.md is no UTF-8 text (line 4)."]),
        ({"SKILL.md": "---\nname: a\n---\n\0"}, ["SKILL.md holds a NUL byte, so it is no text."]),
        ({"SKILL.md": CLEAN + "a" * 600_000}, ["SKILL.md is over 512 KiB, more than an agent can load."]),
        ({"SKILL.md": CLEAN + "\n" * 30_000}, ["SKILL.md has over 20000 lines, more than an agent can load."]),
        ({"SKILL.md": "---\n- a\n---\n"}, ["The frontmatter of SKILL.md is no mapping of keys to values."]),
        ({"SKILL.md": "---\na: " + "[" * 60_000 + "\n---\n"}, ["The frontmatter of SKILL.md is nested too deep."]),
        (
            {"SKILL.md": "---\nname: A B\nmetadata: x\n---\n"},
            [
                BAD_NAME.format("A B"),
                "The frontmatter has no description.",
                "The metadata in the frontmatter is no mapping of keys to values.",
            ],
        ),
        ({"SKILL.md": "---\nname: a--b\ndescription: c\n---\n"}, [BAD_NAME.format("a--b")]),
        (
            {"SKILL.md": "---\nname: 12\ndescription: [a]\n---\n"},
            [
                "The name in the frontmatter is read as '12', which is no text; put it in quotes.",
                "The description in the frontmatter is no text.",
            ],
        ),
        ({"SKILL.md": f"---\nname: sample\ndescription: {'a' * 1025}\n---\n"}, [TOO_LONG]),
    ],
)
def test_what_no_rewrite_may_mend_is_rejected(run: Run, files: dict[str, Any], invariants: list[str]) -> None:
    outcome = run(files)
    outcome.usage_snapshot.pop("wall_s")
    reason = "No rewrite may mend this: " + " ".join(invariants)
    assert outcome == Outcome("rejected", "none", {}, [], reason, invariants, None, {}, NO_CALLS, [])


def test_a_description_that_only_gaps_make_too_long_is_mended(run: Run) -> None:
    text = CLEAN.replace("Does one", "Does" + " " * 1100 + "one")
    assert run({"SKILL.md": text}).reason == "Mended by machine: closed gaps in the description."


def test_the_folder_is_only_read_and_its_links_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "a skill"
    (root / "references").mkdir(parents=True)
    (root / "SKILL.md").write_text(CLEAN + "a \n")
    (tmp_path / "secret.md").write_text("##Secret\n")
    os.symlink(tmp_path / "secret.md", root / "references" / "link.md")
    os.symlink(tmp_path, root / "loop")
    for path in (root / "SKILL.md", root / "references", root):
        path.chmod(0o555 if path.is_dir() else 0o444)
    outcome = enhance(root, "sample", Recorder(), NOW)
    assert list(outcome.files) == ["SKILL.md"]
    assert (root / "SKILL.md").read_text() == CLEAN + "a \n"
    for path in (root, root / "references"):
        path.chmod(0o755)


def before_and_after(old: str, new: str) -> list[str]:
    files = frozenset(("SKILL.md", "a.md"))
    return invariants(Skill("sample", files, {"SKILL.md": old}), Skill("sample", files, {"SKILL.md": new}))


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        (CLEAN, CLEAN, []),
        (CLEAN + "[a](gone.md)", CLEAN + "[a](gone.md)\n", []),
        (CLEAN, CLEAN.replace("name: sample", "name: other"), ["The name of the skill changed."]),
        (CLEAN, CLEAN.replace("one thing", "one " * 300), ["The description has", "The texts grew"]),
        (CLEAN + "[a](a.md)", CLEAN + "[a](b.md)", ["A link leads nowhere: b.md."]),
        (CLEAN, CLEAN + "a" * 80, ["The texts grew from 64 to 144 bytes."]),
        (CLEAN + "```\na\n```\n", CLEAN + "```\nb\n```\n", ["A code block changed."]),
    ],
)
def test_an_invariant_that_is_broken_is_named(old: str, new: str, broken: list[str]) -> None:
    found = before_and_after(old, new)
    assert len(found) == len(broken)
    assert all(sentence.startswith(start) for sentence, start in zip(found, broken))


HOSTILE = {
    "quotes": "> " * 200_000,
    "lists": "- " * 63 + "x\n" + "\n" * 15_000,
    "brackets": "[" * 400_000,
    "links": "[a](b " * 60_000,
    "broken links": "[a](b.md) " * 5_000,
    "backticks": "`a" * 200_000,
    "tags": "<" * 400_000,
    "comments": "x <!--" * 60_000,
    "attributes": "<a" + " a" * 200_000 + "\n",
    "spaces": ("a" + " " * 200 + "b\n") * 2_000,
    "trailing": "a `\n" * 8_000 + "b \n" * 8_000,
    "repeats": ("word " * 14 + "\n\n") * 5_000,
    "headings": "##a\n\n" * 8_000,
    "doubled": "abcd abcd " * 40_000,
    "tabs": "\t" * 400_000,
    "open fences": "```\n~~~\n" * 8_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_takes_seconds_and_ends_well(run: Run, text: str) -> None:
    started = time.process_time()  # what else the machine does says nothing
    outcome = run({"SKILL.md": HEAD + text, "scripts/a.sh": "true\n"})
    assert time.process_time() - started < 20
    assert outcome.status == "succeeded"
    assert len(json.dumps(outcome._replace(files={}), allow_nan=False)) < 2_000_000


def test_the_result_can_be_written_as_json_whatever_the_skill_holds(run: Run) -> None:
    files = {
        "SKILL.md": CLEAN + "\u2028\ufeff\x01\x7f😀 \n[a](\x02.md)\n",
        "references/é\n.md": b"\xff",
        "a\x03.json": "{",
    }
    outcome = run(files)
    assert outcome.artifact_kind == "enhanced"
    assert json.loads(json.dumps(outcome._replace(files={}), allow_nan=False))[0] == "succeeded"


def test_every_expectation_can_be_told_from_the_others() -> None:
    assert len({expectation.id for expectation in EXPECTATIONS}) == len(EXPECTATIONS)
    assert all(expectation.text and not expectation.text.endswith(".") for expectation in EXPECTATIONS)
    assert [percent(value) for value in (0.4, -0.4, 0.5, 1.5, -1.0, 66.7)] == ["0%", "0%", "0%", "2%", "-1%", "67%"]


SOURCES = st.lists(
    st.sampled_from(
        [
            *("author: Ann\n", "version: 1.10\n", 'version: "2.0"\n', "tags: a, b\n", "tags: [c]\n", "license: MIT\n"),
            *("# note\n", "custom: x\n", "allowed-tools: [Read]\n", "when_to_use: now\n", "metadata:\n", "\n"),
            *(
                "metadata:\n  version: 1.0\n  x: y\n",
                "metadata: {tags: d, author: Bo}\n",
                "metadata:\n  # c\n  tags:\n",
            ),
        ]
    ),
    max_size=4,
    unique_by=lambda line: line.split(":")[0],
).map("".join)
BODY = st.lists(
    st.sampled_from(
        [
            *(
                "- ",
                "> ",
                "    ",
                " \n",
                "  \n",
                "```",
                "````\n",
                "~~~\n",
                "##A\n",
                "#B\n",
                "# C\n",
                "foo ",
                "foo foo",
                "`",
            ),
            *(
                "<!-- ",
                "-->",
                "\n",
                "\n\n",
                "\n\n\n\n",
                "\r\n",
                "\\",
                "[a](A.MD)",
                "[b](b.md)",
                "[c](#c)",
                "| a | b | \n",
            ),
            "A paragraph of more than sixty characters, which is said again and again.\n\n",
        ]
    ),
    max_size=25,
).map("".join)


@given(SOURCES, st.sampled_from(["Does  it. Use when due.", "It works"]), BODY, BODY)
@settings(max_examples=100, deadline=None)
def test_an_enhanced_skill_keeps_its_code_and_is_source_the_next_time(
    run: Run, source: str, description: str, body: str, reference: str
) -> None:
    head = f"---\nname: sample\ndescription: {description}\n{source}---\n"
    files: dict[str, Any] = {"SKILL.md": head + body, "references/r.md": reference, "a.md": "##x \n"}
    first = run(files)
    if first.artifact_kind != "enhanced":
        assert (first.status, first.files) in (("succeeded", {}), ("rejected", {}))
        return
    assert set(first.files) <= {"SKILL.md", "references/r.md"}
    text = first.files["SKILL.md"].decode()
    check_enhanced(parse_frontmatter(text))
    assert verbatim(parse(split(text).body)) == verbatim(parse(body))
    second = run({**files, **first.files})
    assert (second.status, second.artifact_kind, second.files) == ("succeeded", "source", {})
