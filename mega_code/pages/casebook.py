"""Case by case: the score of every arm, and behind it each verdict with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from mega_code.pages.charts import bar
from mega_code.pages.html import Html, join, tag
from mega_code.pages.parts import arm_kind, arm_name, header, in_order, more, section, wide
from mega_code.pages.reading import listing, mapping, mappings, number, words
from mega_code.pages.shown import Shown

CASES = 400
VERDICTS = 600  # of one case
PROMPT_CHARACTERS = 4_000
EVIDENCE_CHARACTERS = 600
HALVES = {"held_out": "Held-out cases: these decide", "train": "Train cases: these were searched on"}


class Verdict(NamedTuple):
    """One verdict, or the same one of several repeats."""

    passed: Any
    evidence: str
    by: str


def cases(evaluation: Mapping[str, Any], shown: Shown) -> Optional[Html]:
    """The table of all cases, the held-out ones first."""
    found = mappings(evaluation.get("cases"))
    arms = in_order(arm for case in found for arm in mapping(case.get("arms")))[:10]
    if not found or not arms:
        return None
    halves: dict[str, list[Mapping[str, Any]]] = {half: [] for half in HALVES}
    for case in shown.first(sorted(found, key=_half), CASES):
        halves.setdefault(words(case.get("split") or ""), []).append(case)
    bodies = [_half_table(half, group, arms, shown) for half, group in halves.items() if group]
    head = header("Case", *[arm_name(arm, shown) for arm in arms])
    caption = tag("caption", "The share of its expectations that each arm meets")
    return section("Case by case", tag("table", caption, head, *bodies, class_="cases"))


def _half(case: Mapping[str, Any]) -> int:
    split = case.get("split")
    return list(HALVES).index(split) if isinstance(split, str) and split in HALVES else len(HALVES)


def _half_table(half: str, group: list[Mapping[str, Any]], arms: list[str], shown: Shown) -> Html:
    name = f"{HALVES[half]} ({len(group)})" if half in HALVES else shown.text(half, 80) if half else None
    title = tag("tr", tag("th", name, colspan=len(arms) + 1, scope="rowgroup"), class_="half") if name else None
    return tag("tbody", title, *[_case(case, arms, shown) for case in group])


def _case(case: Mapping[str, Any], arms: list[str], shown: Shown) -> Html:
    found = mapping(case.get("arms"))
    cells = [_score(arm, mapping(found.get(arm)), shown) for arm in arms]
    name = tag("th", shown.text("–" if case.get("case") is None else case["case"], 120), scope="row")
    return join([
        tag("tr", name, *cells, class_="top"),
        tag("tr", tag("td", _behind(case, arms, shown), colspan=len(arms) + 1), class_="more"),
    ])  # fmt: skip


def _score(arm: str, figures: Mapping[str, Any], shown: Shown) -> Html:
    if not figures:
        return tag("td", tag("span", "not run", class_="none"))
    score = number(figures.get("score"))
    tokens = figures.get("tokens")
    small = tag("small", shown.figure(tokens), " tokens") if tokens is not None else None
    return tag("td", shown.rate(figures.get("score")), bar(score, 1.0, arm_kind(arm), "Score", 12, 2), small)


def _behind(case: Mapping[str, Any], arms: list[str], shown: Shown) -> Html:
    found = mapping(case.get("arms"))
    table, count = _verdicts({arm: mappings(mapping(found.get(arm)).get("verdicts")) for arm in arms}, shown)
    problems = [
        tag("li", arm_name(arm, shown), ": ", shown.text(problem))
        for arm in arms
        for problem in shown.first(listing(mapping(found.get(arm)).get("problems")), 50)
    ]
    prompt = tag("pre", shown.text(case["prompt"], PROMPT_CHARACTERS)) if case.get("prompt") else None
    counted = f"{count} verdict{'' if count == 1 else 's'}"
    mark = tag("span", f" · {len(problems)} not graded", class_="bad") if problems else None
    said = (
        [tag("span", shown.text(" ".join(words(case["prompt"])[:200].split()), 160), class_="said"), " · "]
        if prompt
        else []
    )
    name = join([*said, counted, mark])
    return more(name, prompt, tag("ul", *problems, class_="bad") if problems else None, table)


def _verdicts(by_arm: Mapping[str, list[Mapping[str, Any]]], shown: Shown) -> tuple[Optional[Html], int]:
    """A row for each expectation, arm and different verdict, with the repeats that came out so; and the count of all."""
    grouped: dict[str, dict[str, dict[Verdict, list[Any]]]] = {}
    every = [(arm, verdict) for arm, verdicts in by_arm.items() for verdict in verdicts]
    for arm, entry in shown.first(every, VERDICTS):
        expected = words(entry.get("text") or entry.get("expectation") or "an expectation")
        verdict = Verdict(
            entry.get("passed") if isinstance(entry.get("passed"), bool) else None,
            _evidence(entry),
            words(entry.get("by") or ""),
        )
        grouped.setdefault(expected, {}).setdefault(arm, {}).setdefault(verdict, []).append(entry.get("repeat"))
    rows = [row for expected, found in grouped.items() for row in _expectation(expected, found, shown)]
    if not rows:
        return None, 0
    head = header("Expectation", "Arm", "Verdict", "Evidence")
    return wide("Verdicts", tag("table", head, tag("tbody", *rows), class_="verdicts")), len(every)


def _expectation(expected: str, found: Mapping[str, Mapping[Verdict, list[Any]]], shown: Shown) -> list[Html]:
    height = sum(len(verdicts) for verdicts in found.values())
    first: Optional[Html] = tag("th", shown.text(expected, 600), scope="rowgroup", rowspan=height)
    rows = []
    for arm, verdicts in found.items():
        for verdict, repeats in verdicts.items():
            cells = [tag("td", arm_name(arm, shown)), tag("td", _passed(verdict, repeats, shown), class_="how")]
            evidence = tag(
                "td", tag("span", shown.text(verdict.evidence, EVIDENCE_CHARACTERS), class_="quote"), class_="evidence"
            )
            rows.append(tag("tr", first, *cells, evidence))
            first = None
    return rows


def _passed(verdict: Verdict, repeats: list[Any], shown: Shown) -> Html:
    kind, said = {True: ("good", "✓ pass"), False: ("bad", "✗ fail")}.get(verdict.passed, ("quiet", "not applicable"))
    counted = [shown.figure(repeat) for repeat in repeats if repeat is not None]
    notes = [shown.text(f"by {verdict.by}", 60) if verdict.by else None]
    notes.append(join(["repeat " if len(counted) == 1 else "repeats ", join(counted, ", ")]) if counted else None)
    small = join([note for note in notes if note], "; ")
    return join([tag("span", said, class_=kind), tag("small", " ", small) if small else None])


def _evidence(entry: Mapping[str, Any]) -> str:
    """The evidence as one text; findings one to a line, each with its place."""
    evidence = entry.get("evidence")
    if not isinstance(evidence, list):
        return "" if evidence is None else words(evidence)
    lines = []
    for finding in evidence:
        found = mapping(finding)
        place = f"{words(found.get('file'))}:{words(found['line'])} " if found.get("line") else ""
        lines.append(place + words(found["text"]) if "text" in found else words(finding))
    left = (number(entry.get("findings")) or 0) - len(evidence)
    return "\n".join([*lines, f"and {left} more"] if left > 0 else lines)
