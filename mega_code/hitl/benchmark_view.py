"""The benchmark of an iteration as HTML: the decision, the arms with their intervals, the cases."""

from __future__ import annotations

from typing import Any, Optional

from mega_code.hitl.diff import diff
from mega_code.hitl.html import Child, Html, tag
from mega_code.hitl.review_data import NAMES, Previous, Review

JSON = dict[str, Any]
BAR = 200
KINDS = {
    "better": "Better",
    "cheaper": "Cheaper, and no worse",
    "no better": "No better",
    "worse": "Worse",
    "inconclusive": "Not settled",
}


def name(arm: str) -> str:
    """What an arm is called on the page."""
    return NAMES.get(arm, arm)


def overview(review: Review, blind: bool) -> Html:
    """What stands before the cases. Where arms are shown blind it names none of them."""
    if blind:
        hidden = (
            "This review is blind: which output is whose, what it cost and how they compare is shown when you submit. "
            "The letters are shuffled anew for each case."
        )
        return tag("p", {"class": "decision"}, hidden)
    parts: list[Child] = [_decisions(review.benchmark), _arms(review), _scores(review)]
    if review.previous and review.previous.skill_text:
        parts.append(_skill_change(review.previous, review.skill_text))
    return tag("div", {}, parts)


def _decisions(benchmark: Optional[JSON]) -> Html:
    """What the current skill comes to against each of the others, and what is to be known about it."""
    if benchmark is None:
        return tag("p", {"class": "decision"}, "There is no benchmark yet; what the outputs show stands on its own.")
    compared = benchmark.get("comparisons") or [benchmark.get("decision")]
    notes = [tag("p", {"class": "note"}, str(note)) for note in benchmark.get("notes") or []]
    return tag("div", {}, [_decision(one) for one in compared if isinstance(one, dict)], notes)


def _decision(decision: JSON) -> Html:
    kind, against = str(decision.get("kind") or ""), decision.get("against")
    headline = KINDS.get(kind, kind.capitalize())
    if against:
        headline += f", against {name(str(against)).lower()}"
    shown = {"class": "decision good" if decision.get("publish") else "decision"}
    return tag("div", shown, tag("strong", {}, headline), tag("p", {}, str(decision.get("reason") or "")))


def _arms(review: Review) -> Optional[Html]:
    now = _figures(review.benchmark)
    before = _figures(review.previous.benchmark) if review.previous else {}
    if not now and not before:
        return None
    heads = ["", "Pass rate, with its 95\u00a0% interval", "Tokens a run"]
    if before and review.previous:
        heads += [f"Pass rate, iteration {review.previous.iteration}", "Tokens a run"]
    rows = [
        tag(
            "tr",
            {},
            tag("th", {"scope": "row"}, name(arm)),
            _cells(now.get(arm)),
            _cells(before.get(arm)) if before else None,
        )
        for arm in (*review.arms, *(arm for arm in before if arm not in review.arms))
    ]
    head = tag("thead", {}, tag("tr", {}, [tag("th", {"scope": "col"}, text) for text in heads]))
    return tag("div", {"class": "wide"}, tag("table", {"class": "arms"}, head, tag("tbody", {}, rows)))


def _figures(benchmark: Optional[JSON]) -> dict[str, JSON]:
    arms = (benchmark or {}).get("arms")
    return {arm: one for arm, one in arms.items() if isinstance(one, dict)} if isinstance(arms, dict) else {}


def _cells(arm: Optional[JSON]) -> Child:
    if arm is None:
        return [tag("td", {"class": "none", "colspan": 2}, "not measured")]
    rate, limits = float(arm.get("pass_rate") or 0.0), arm.get("ci95")
    low, high = (float(limits[0]), float(limits[1])) if isinstance(limits, list) and len(limits) == 2 else (rate, rate)
    words = tag("span", {"class": "limits"}, f"{_percent(low)} to {_percent(high)}")
    return [
        tag("td", {}, tag("span", {"class": "rate"}, f"{_percent(rate)}\u00a0%"), _bar(rate, low, high), words),
        tag("td", {"class": "right"}, f"{float(arm.get('tokens') or 0.0):,.0f}"),
    ]


def _percent(rate: float) -> str:
    return f"{rate * 100:.0f}"


def _bar(rate: float, low: float, high: float) -> Html:
    """A scale from 0 to 1 with the interval on it; its numbers stand beside it in words."""

    def at(value: float) -> str:
        return f"{4 + min(1.0, max(0.0, value)) * BAR:.1f}"

    width = f"{max(1.0, (min(1.0, high) - max(0.0, low)) * BAR):.1f}"
    return tag(
        "svg",
        {"class": "bar", "width": BAR + 8, "height": 16, "viewBox": f"0 0 {BAR + 8} 16", "aria-hidden": "true"},
        tag("line", {"class": "scale", "x1": 4, "x2": BAR + 4, "y1": 8, "y2": 8}),
        tag("rect", {"class": "interval", "x": at(low), "y": 5, "width": width, "height": 6, "rx": 3}),
        tag("circle", {"class": "point", "cx": at(rate), "cy": 8, "r": 4}),
    )


def _scores(review: Review) -> Optional[Html]:
    listed = (review.benchmark or {}).get("cases")
    if not isinstance(listed, list) or not listed:
        return None
    numbers = {case.id: number for number, case in enumerate(review.cases, 1)}
    rows = []
    for case in listed:
        number, arms = numbers.get(str(case.get("case"))), case.get("arms") or {}
        known: Child = tag("a", {"href": f"#case-{number}"}, str(case.get("case"))) if number else str(case.get("case"))
        scores = [_score(arms.get(arm)) for arm in review.arms]
        rows.append(tag("tr", {}, tag("th", {"scope": "row"}, known), scores))
    heads = [
        tag("th", {"scope": "col", "class": "right" if arm else None}, name(arm) if arm else "Case")
        for arm in ("", *review.arms)
    ]
    table = tag("table", {"class": "scores"}, tag("thead", {}, tag("tr", {}, heads)), tag("tbody", {}, rows))
    return tag("div", {}, tag("h3", {}, "Pass rate by case"), tag("div", {"class": "wide"}, table))


def _score(measured: Optional[JSON]) -> Html:
    if not isinstance(measured, dict):
        return tag("td", {"class": "right none"}, "\u2013")
    return tag("td", {"class": "right"}, f"{_percent(float(measured.get('score') or 0.0))}\u00a0%")


def _skill_change(previous: Previous, now: str) -> Html:
    title = f"What changed in SKILL.md since iteration {previous.iteration}"
    return tag("details", {}, tag("summary", {}, title), tag("div", {"class": "wide"}, diff(previous.skill_text, now)))
