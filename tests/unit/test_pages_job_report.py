"""The page of a finished job: whatever the result holds, it is well-formed, fetches nothing and says what the result says."""

from __future__ import annotations

import ast
import json
import re
from datetime import datetime, timezone
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mega_code import evaluation, pages
from mega_code.job import TERMINAL
from mega_code.pages.job_report import POLICY, render
from mega_code.pages.reading import digits
from mega_code.paths import MEGA_DIR
from support.evaluation import Steps

JOB = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
NOW = datetime(2026, 4, 22, 6, 11, 55, tzinfo=timezone.utc)
VOID = {"meta"}
NUMBERS = set("x y x1 x2 y1 y2 cx cy r rx width height".split())
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?%?")
EVIL = "</style></script><script src=//x onload=alert(1)>'\"&<img src=x>\u202e\x00\ud800"


class Page(HTMLParser):
    """A page taken apart; raises where an element is not closed, or closed twice."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, Optional[str]]]] = []
        self.texts: list[str] = []
        self.titles: list[str] = []
        self.words: dict[int, list[str]] = {}
        self.figures: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "data":
            self.figures.append((dict(attrs)["value"] or "", ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.texts.append(data)
        if self.open and self.open[-1] == "data":
            self.figures[-1] = (self.figures[-1][0], data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def headings(self) -> list[str]:
        return [tag for tag, _ in self.elements if re.fullmatch("h[1-6]", tag)]


def check(page: str) -> Page:
    """What holds of every page: whole, inert, and every number in a picture a number."""
    parsed = Page(page)
    page.encode("utf-8")
    names = {tag for tag, _ in parsed.elements}
    assert not names & set(
        "script img iframe object embed link base form input a audio video image use foreignobject".split()
    )
    for tag, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "href", "srcset", "style")]
        for name in NUMBERS & set(attributes):
            assert NUMBER.fullmatch(attributes[name] or ""), (tag, name, attributes[name])
    policies = [
        given["content"] for tag, given in parsed.elements if given.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [POLICY] and POLICY.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert page.count("<style>") == 1 and page.startswith("<!DOCTYPE html>\n")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page)
    assert parsed.headings()[:1] == ["h1"] and parsed.headings().count("h1") == 1
    pictures = [given for tag, given in parsed.elements if tag == "svg"]
    assert all(
        given.get("aria-hidden") or (given.get("role"), bool(given.get("aria-label"))) == ("img", True)
        for given in pictures
    )
    assert sum(tag == "title" for tag, _ in parsed.elements) == 1 + sum("aria-label" in given for given in pictures)
    return parsed


def verdict(passed: bool, repeat: int, evidence: str = "MAGIC") -> dict[str, Any]:
    return {"expectation": "It is signed", "passed": passed, "evidence": evidence, "by": "judge", "repeat": repeat}


def arm(score: float, tokens: float, *passed: bool) -> dict[str, Any]:
    verdicts = [verdict(one, repeat) for repeat, one in enumerate(passed)]
    return {"score": score, "tokens": tokens, "verdicts": verdicts, "problems": []}


def figures(rate: float, tokens: float, low: float, high: float) -> dict[str, Any]:
    return {"pass_rate": rate, "tokens": tokens, "ci95": [low, high]}


ARMS: dict[str, Any] = {
    "baseline": figures(0.614583, 31.9, 0.51, 0.709876),
    "original": figures(0.703125, 61.4, 0.6, 0.8),
    "candidate": figures(0.90625, 1234.5, 0.803556, 0.932768),
}
ROI: dict[str, Any] = {
    "model": "scripted-1",
    "performance_increase": "29%",
    "token_savings": "-102%",
    "vs_original": {"performance_increase": "20%", "token_savings": "-16%", "ci95": [8.3, 32.5], "p_value": 0.0027},
    "cases": 16,
    "repeats": 3,
    "compared_with": "baseline",
}
EVALUATION: dict[str, Any] = {
    "model": "scripted-1",
    "models": ["scripted-1", "scripted-2"],
    "method": "Every case was answered by each arm.",
    "seed": 0,
    "repeats": 3,
    "arms": ARMS,
    "cases": [
        {"case": "train-1", "split": "train", "prompt": "Say one.", "arms": {"original": arm(0.0, 60.0, False)}},
        {
            "case": "held-1",
            "split": "held_out",
            "prompt": "Say two.",
            "arms": {
                "baseline": arm(0.333333, 30.5, False, False, True),
                "original": {**arm(0.0, 61.4, False), "problems": ["Not graded: no JSON, 2 times in a row."]},
                "candidate": arm(1.0, 70.0, True, True, True),
            },
        },
    ],
    "triggers": {
        "queries": 8,
        "held_out": 2,
        "arms": {
            "original": {"precision": 0.666667, "recall": None, "over": 1, "under": 2},
            "candidate": {"precision": 1.0, "recall": 0.5, "over": 0, "under": 1},
        },
        "cases": [
            {
                "query": "sign this",
                "should_trigger": True,
                "arms": {"original": {"triggered": False}, "candidate": {"triggered": True}},
            }
        ],
    },
    "by_model": {"scripted-1": {"arms": ARMS}, "scripted-2": {"arms": {"original": figures(0.5, 60.0, 0.4, 0.6)}}},
    "notes": ["Case 7 names files; a model gets its prompt alone."],
    "plan": {"calls": 400, "tokens": 1000},
}
LINEAGE: list[dict[str, Any]] = [
    {"candidate": 0, "parent": None, "component": None, "diff": "", "train_score": 0.75, "tokens": 61.0, "kept": True, "why": "the skill as uploaded"},
    {"candidate": 1, "parent": 0, "component": "body", "diff": "--- a/SKILL.md\n+++ b/SKILL.md\n@@ -1 +1 @@\n-old\n+middle", "train_score": 0.8125, "tokens": 62.0, "kept": True, "why": "kept: 3.00 to 3.25 of 4 on train"},
    {"candidate": 2, "parent": 0, "component": "description", "diff": "", "train_score": None, "tokens": None, "kept": False, "why": "dropped: not usable"},
    {"candidate": 3, "parent": 1, "component": "body", "diff": "--- a/SKILL.md\n+++ b/SKILL.md\n@@ -1 +1 @@\n-middle\n+new", "train_score": 0.9375, "tokens": 70.0, "kept": True, "why": "kept: 3.25 to 3.75 of 4 on train", "chosen": True},
]  # fmt: skip


def result(**given: Any) -> dict[str, Any]:
    return {
        "job_id": JOB,
        "skill_id": "demo",
        "status": "succeeded",
        "artifact_kind": "enhanced",
        "artifact": {
            "files": [{"relpath": "SKILL.md", "url": "https://x/?signature=1", "sha256": "ab" * 32, "size": 1765}]
        },
        "roi": [ROI],
        "reason": "Better: on 16 held-out cases the pass rate rises by 20.3 points.",
        "invariants": [],
        "evidence": None,
        "evaluation": EVALUATION,
        "usage_snapshot": {"calls": 358, "cached_calls": 2, "cost_usd": 0.0125, "wall_s": 6.304},
        "lineage": LINEAGE,
        "completed_at": "2026-04-22T06:11:55Z",
        **given,
    }


def numbers_in(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [one for inner in value.values() for one in numbers_in(inner)]
    if isinstance(value, (list, tuple)):
        return [one for inner in value for one in numbers_in(inner)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


# What it says


def test_every_figure_of_the_result_stands_on_the_page_with_all_its_digits() -> None:
    page = check(render(result()))
    shown = {value for value, _ in page.figures}
    parts = (ARMS, EVALUATION["cases"], EVALUATION["triggers"], result()["usage_snapshot"])
    wanted = numbers_in([*parts, [(entry["train_score"], entry["tokens"]) for entry in LINEAGE]])
    assert {repr(number) for number in wanted} - shown == set()
    for value, said in page.figures:
        bare = said.replace("\N{MINUS SIGN}", "-").replace(",", "")
        share = bare.endswith("\N{NO-BREAK SPACE}%")
        assert Decimal(bare.rstrip("%\N{NO-BREAK SPACE}")) == Decimal(value) * (100 if share else 1)
    for figure in ("29%", "-102%", "20%", "-16%", "8.3 to 32.5", "p = 0.0027"):
        assert figure in page.text
    assert "80.3556\N{NO-BREAK SPACE}% to 93.2768\N{NO-BREAK SPACE}%" in page.text


@pytest.mark.parametrize(
    ("value", "shift", "text"),
    [(0.703125, 2, "70.3125"), (1, 0, "1"), (1.0, 2, "100"), (0.0, 2, "0"), (-0.0, 0, "0"), (1234567.25, 0, "1,234,567.25"),
     (1e-07, 2, "0.00001"), (-8.9, 0, "\N{MINUS SIGN}8.9"), (120, 0, "120")],
)  # fmt: skip
def test_a_number_keeps_its_digits(value: float, shift: int, text: str) -> None:
    assert digits(value, shift) == text


def test_the_held_out_cases_come_first_and_the_chosen_candidates_steps_are_shown_in_order() -> None:
    text = check(render(result())).text
    order = ["What it brings", "Arms", "What the chosen candidate changes", "-old", "+middle", "-middle", "+new"]
    order += [
        "Triggering",
        "Held-out cases: these decide (1)",
        "held-1",
        "Train cases",
        "train-1",
        "Lineage",
        "★ chosen",
    ]
    places = [text.index(word) for word in order]
    assert places == sorted(places)
    assert "not run" in text and "Not graded: no JSON, 2 times in a row." in text
    assert text.count("kept: 3.25 to 3.75 of 4 on train") == 1 and "dropped: not usable" in text
    assert "signature" not in render(result())


def test_the_figures_of_what_was_not_published_do_not_read_as_if_it_were() -> None:
    text = check(render(result(artifact_kind="source"))).text
    assert "What was measured" in text and "The candidate was not published; these are its figures." in text
    assert "What it brings" not in text and "It was not published." in text


def test_repeats_that_came_out_alike_stand_together() -> None:
    text = check(render(result())).text
    assert "✗ fail by judge; repeats 0, 1" in text and "✓ pass by judge; repeat 2" in text
    assert "✓ pass by judge; repeats 0, 1, 2" in text


@pytest.mark.parametrize("status", [*TERMINAL, "some-news", None, 7])
@pytest.mark.parametrize("kind", ["enhanced", "source", "none", None])
def test_every_ending_has_a_page_that_names_it_and_its_reason(status: Any, kind: Any) -> None:
    ended = {"job_id": JOB, "skill_id": "demo", "status": status, "artifact_kind": kind, "reason": "It was so."}
    empty: dict[str, Any] = {"roi": [], "evaluation": None, "lineage": None, "artifact": None, "evidence": None}
    for extra in ({}, empty):
        page = check(render({**ended, **extra}))
        assert "It was so." in page.text and (status is None or str(status) in page.text)
        assert {tag for tag, _ in page.elements if tag in ("svg", "table", "section")} == set()


def test_findings_broken_rules_and_unknown_keys_are_shown() -> None:
    finding = {
        "category": "piped_download",
        "severity": "high",
        "file": "SKILL.md",
        "line": 11,
        "evidence": "curl x | sh",
        "rule": "pipe-to-shell",
        "text": "It runs what it downloads.",
    }
    given = {
        "invariants": ["The name changed."],
        "evidence": {"findings": [finding], "score": 3},
        "new_key": {"a": [1]},
    }
    text = check(render(result(**given))).text
    for words in (
        "The name changed.",
        "SKILL.md:11",
        "curl x | sh",
        "rule: pipe-to-shell",
        "new_key",
        '{"a": [1]}',
        "score",
    ):
        assert words in text


def test_a_real_static_job_has_a_page(tmp_path: Path) -> None:
    room = evaluation.Room({}, tmp_path / "job", tmp_path / "completions.sqlite3", "job")
    skill = MEGA_DIR / "examples" / "commit-message"
    outcome = evaluation.enhance(skill, "commit-message", Steps(), NOW, room)
    body = {**outcome._asdict(), "job_id": JOB, "skill_id": "commit-message"}
    del body["files"]
    page = check(render(body))
    assert outcome.reason in page.text and "★ chosen" in page.text
    assert len([given for tag, given in page.elements if tag == "pre"]) == 2 * (len(outcome.lineage) - 1)
    for case in outcome.evaluation["cases"]:
        for one in case["arms"].values():
            assert repr(one["score"]) in {value for value, _ in page.figures}
            assert all(verdict["text"] in page.text for verdict in one["verdicts"])


def test_the_same_result_gives_the_same_page_and_is_left_as_it_was() -> None:
    given, before = result(), json.dumps(result())
    assert render(given) == render(json.loads(before)) and json.dumps(given) == before


# What it withstands


def poisoned(value: Any, evil: str = EVIL) -> Any:
    """The same shape with hostile text in place of every text and beside every key."""
    if isinstance(value, dict):
        return {**{key: poisoned(inner, evil) for key, inner in value.items()}, evil: evil}
    if isinstance(value, list):
        return [*(poisoned(inner, evil) for inner in value), evil]
    return f"{value}{evil}" if isinstance(value, str) else value


def test_hostile_text_stays_text_wherever_it_stands() -> None:
    page = render(poisoned(result(evidence={"findings": [{"file": "a", "line": 1, "text": "b", "severity": "high"}]})))
    parsed = check(page)
    assert "<script" not in page and "<img" not in page and page.count("</style>") == 1
    assert "</style></script><script src=//x onload=alert(1)>'\"&<img src=x>\ufffd\ufffd\ufffd" in parsed.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["<b>&", EVIL, "5%", "held_out"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from("findings arms cases case split verdicts evidence file line text score passed".split()) | st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(one for key, inner in pairs for one in places(inner, (*path, key)))] if path else [
        one for key, inner in pairs for one in places(inner, (key,))
    ]  # fmt: skip


def fits(value: Any, key: Any) -> bool:
    """Whether `key` is there in `value`, after other places were changed."""
    return key in value if isinstance(value, dict) else isinstance(value, list) and key in range(len(value))


WHOLE = result(evidence={"findings": [{"file": "a", "line": 1, "text": "b"}]})


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(places(WHOLE)), JSON), min_size=1, max_size=4))
def test_any_value_in_any_place_gives_a_whole_and_harmless_page(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    body = json.loads(json.dumps(WHOLE))
    for path, value in changes:
        inner = body
        for key in path[:-1]:
            inner = inner[key] if fits(inner, key) else None
        if fits(inner, path[-1]):
            inner[path[-1]] = value
    check(render(body))


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(list(WHOLE)) | st.text(), JSON, max_size=6))
def test_any_mapping_gives_a_page(body: dict[str, Any]) -> None:
    check(render(body))


def test_a_lineage_that_goes_in_circles_or_down_for_ever_is_drawn_all_the_same() -> None:
    deep = [{"candidate": n, "parent": n - 1, "kept": True, "diff": f"+{n}"} for n in range(250)]
    circle = [{"candidate": n, "parent": (n + 1) % 5, "chosen": True, "diff": "+x"} for n in range(5)]
    same = [{"candidate": 1, "parent": 1, "diff": "+x"}] * 3
    for lineage in (deep, circle, same):
        page = check(render(result(lineage=lineage)))
        assert sum(tag == "li" and not given for tag, given in page.elements) >= len(lineage)


def test_megabytes_of_evidence_are_cut_and_the_page_says_so() -> None:
    long = "x" * 5_000_000
    case: dict[str, Any] = {"case": "c", "split": "held_out", "prompt": long, "arms": {"original": arm(0.5, 1.0)}}
    case["arms"]["original"]["verdicts"] = [verdict(False, n, f"{n}" + "y" * 5_000) for n in range(5_000)]
    many = [{**case, "case": n, "prompt": f"{n} " + "z" * 9_000} for n in range(2_000)]
    body = result(
        reason=long,
        evaluation={**EVALUATION, "cases": [case, *many]},
        evidence={"log": long, "findings": [{"text": long}] * 900},
    )
    page = render(body)
    check(page)
    assert len(page) < 5_000_000
    assert "4,992,000 more characters" in page and "This page is cut short:" in page
    assert "cut short" not in render(result())


# How it is made


def test_the_pages_own_words_name_no_resource_and_run_nothing() -> None:
    page = render(result(artifact=None)).lower()
    for word in ("http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "javascript:", "<a "):
        assert word not in page
    assert page.count("http") == 1 and 'http-equiv="content-security-policy"' in page


def test_pages_import_nothing_but_the_domain_words() -> None:
    allowed = ("mega_code.pages", "mega_code.plain")
    for path in Path(pages.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            assert [name for name in names if name.startswith("mega_code") and not name.startswith(allowed)] == []
