"""What was measured, arm by arm: pass rate, tokens, triggering, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from mega_code.pages.charts import Scale, axis, bar, interval_row
from mega_code.pages.html import Html, join, tag
from mega_code.pages.parts import (
    arm_kind,
    arm_name,
    chart,
    chart_row,
    entries,
    facts,
    header,
    in_order,
    more,
    section,
    wide,
)
from mega_code.pages.reading import interval, listing, mapping, mappings, number
from mega_code.pages.shown import Shown

RATE = Scale(0.0, 1.0)
RATE_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
ARMS_SHOWN = 20
QUERIES = 400
SHOWN_APART = ("arms", "cases", "triggers", "by_model", "notes", "model")
ABOUT = {
    "models": "Models",
    "method": "Method",
    "token_estimator": "How tokens are estimated",
    "compared_with": "Compared with",
    "seed": "Seed",
    "repeats": "Repeats of a held-out case",
    "plan": "Plan",
}


def arms(evaluation: Mapping[str, Any], shown: Shown) -> Optional[Html]:
    """Pass rate and tokens of every arm; for several models, of each."""
    by_model = mapping(evaluation.get("by_model"))
    groups = [(model, mapping(mapping(value).get("arms"))) for model, value in shown.first(list(by_model.items()), 50)]
    groups = groups or [(None, mapping(evaluation.get("arms")))]
    drawn = [
        join([tag("h3", shown.text(model, 200)) if model else None, _pass_rates(group, shown), _tokens(group, shown)])
        for model, group in groups
        if group
    ]
    return section("Arms", *drawn)


def _chosen(group: Mapping[str, Any], shown: Shown) -> list[tuple[str, Mapping[str, Any]]]:
    return [(arm, mapping(group.get(arm))) for arm in shown.first(in_order(group), ARMS_SHOWN)]


def _pass_rates(group: Mapping[str, Any], shown: Shown) -> Html:
    rows, drawn = [], False
    for arm, figures in _chosen(group, shown):
        rate, both = number(figures.get("pass_rate")), interval(figures.get("ci95"))
        drawn = drawn or both is not None
        picture = interval_row(RATE, rate, both, RATE_TICKS, arm_kind(arm), "Pass rate", shift=2)
        ends = tag("small", shown.rate(both[0]), " to ", shown.rate(both[1])) if both else None
        rows.append(chart_row(arm_name(arm, shown), picture, shown.rate(figures.get("pass_rate")), ends))
    caption = "Pass rate" + (", with the 95\N{NO-BREAK SPACE}% interval" if drawn else "")
    return chart(caption, rows, axis(RATE, RATE_TICKS, "\N{NO-BREAK SPACE}%", shift=2))


def _tokens(group: Mapping[str, Any], shown: Shown) -> Html:
    chosen = _chosen(group, shown)
    counts = [number(figures.get("tokens")) for _, figures in chosen]
    most = max((count for count in counts if count is not None), default=0)
    rows = [
        chart_row(arm_name(arm, shown), bar(count, most, arm_kind(arm), "Tokens"), shown.figure(figures.get("tokens")))
        for (arm, figures), count in zip(chosen, counts)
    ]
    return chart("Tokens", rows)


def triggers(evaluation: Mapping[str, Any], shown: Shown) -> Optional[Html]:
    """How well the description decides when the skill is loaded, and each held-out query."""
    measured = mapping(evaluation.get("triggers"))
    group = mapping(measured.get("arms"))
    rows = [
        tag(
            "tr",
            tag("th", arm_name(arm, shown), scope="row"),
            *[tag("td", shown.rate(figures.get(key)), class_="n") for key in ("precision", "recall")],
            *[tag("td", shown.figure(figures.get(key)), class_="n") for key in ("over", "under")],
        )
        for arm, figures in _chosen(group, shown)
    ]
    head = header("Description", "Precision", "Recall", "Loaded in vain", "Missed", numbers=(1, 2, 3, 4))
    table = tag("table", head, tag("tbody", *rows)) if rows else None
    counted = facts(entries(measured, {"queries": "Queries", "held_out": "Held out"}, shown, ("arms", "cases")))
    queries = mappings(measured.get("cases"))
    listed = more(f"The {len(queries)} held-out queries", _queries(queries, list(group), shown)) if queries else None
    return section("Triggering", wide("Triggering", table) if table else None, counted, listed)


def _queries(queries: list[Mapping[str, Any]], arms: list[str], shown: Shown) -> Html:
    names = in_order(arms)[:ARMS_SHOWN]
    rows = []
    for query in shown.first(queries, QUERIES):
        wanted, found = query.get("should_trigger"), mapping(query.get("arms"))
        loads = [mapping(found.get(arm)).get("triggered") for arm in names]
        cells = [tag("td", _load(load, wanted)) for load in loads]
        rows.append(
            tag("tr", tag("th", shown.text(query.get("query"), 500), scope="row"), tag("td", _yes(wanted)), *cells)
        )
    head = header("Query", "Should load", *[arm_name(arm, shown) for arm in names])
    return wide("Held-out queries", tag("table", head, tag("tbody", *rows), class_="verdicts"))


def _load(load: Any, wanted: Any) -> Html:
    right = load is wanted
    mark = "✓ " if right else "✗ "
    return (
        tag("span", mark, _yes(load), class_="good" if right else "bad") if isinstance(load, bool) else tag("span", "–")
    )


def _yes(value: Any) -> str:
    return "yes" if value is True else "no" if value is False else "–"


def method(evaluation: Mapping[str, Any], shown: Shown) -> Optional[Html]:
    """How it was measured, and what is to be known about that."""
    notes = [tag("li", shown.text(note)) for note in shown.first(listing(evaluation.get("notes")), 100)]
    leave = SHOWN_APART if evaluation.get("models") else [key for key in SHOWN_APART if key != "model"]
    names = {**ABOUT, "model": "Model"}
    return section(
        "How it was measured", tag("ul", *notes) if notes else None, facts(entries(evaluation, names, shown, leave))
    )
