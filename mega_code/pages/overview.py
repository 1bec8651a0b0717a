"""The top of a job's page: how it ended and why, and the figures that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from mega_code.pages.charts import Scale, axis, interval_row, symmetric
from mega_code.pages.html import Html, join, tag
from mega_code.pages.parts import ARMS, chart, chart_row, entries, facts, header, more, section, wide
from mega_code.pages.reading import interval, listing, mapping, mappings, percent
from mega_code.pages.shown import Shown

MODELS = 50
FINDINGS = 200
REASON_CHARACTERS = 8_000
ENDINGS = {
    ("succeeded", "enhanced"): ("good", "Succeeded: an enhanced version was published"),
    ("succeeded", "source"): ("even", "Succeeded: the skill stays as it is"),
    "succeeded": ("even", "Succeeded, with nothing to install"),
    "failed": ("bad", "Failed"),
    "rejected": ("bad", "Rejected: the skill breaks the specification"),
    "quarantined": ("bad", "Quarantined: red flags, and an author who is not known"),
    "cancelled": ("even", "Cancelled"),
    "enhancement_blocked": ("even", "Blocked: the budget or the model did not let it come to an end"),
    "revoked": ("bad", "Revoked"),
    "invariant_violation": ("bad", "The chosen candidate broke a rule that every enhanced skill keeps"),
}
USAGE = {
    "calls": "Model calls",
    "cached_calls": "Calls answered from the cache",
    "input_tokens": "Input tokens",
    "output_tokens": "Output tokens",
    "cost_usd": "Cost in US dollars",
    "wall_s": "Seconds on the clock",
}


def top(result: Mapping[str, Any], shown: Shown) -> Html:
    """The skill, the ending, the reason verbatim, and which rules were broken."""
    status, kind = result.get("status"), result.get("artifact_kind")
    pair = (status, kind) if isinstance(status, str) and isinstance(kind, str) else ("", "")
    tone, words = ENDINGS.get(pair) or ENDINGS.get(pair[0] or str(status)) or ("even", None)
    broken = [tag("li", shown.text(rule)) for rule in shown.first(listing(result.get("invariants")), FINDINGS)]
    about = [
        ("Job", shown.text(result["job_id"], 80) if result.get("job_id") else None),
        ("Completed", shown.text(result["completed_at"], 80) if result.get("completed_at") else None),
        ("Status", _status(status, kind, shown)),
    ]
    return tag(
        "header",
        tag("p", "Enhancement report", class_="over"),
        tag("h1", shown.text(result.get("skill_id") or "A skill", 200)),
        tag("p", words or shown.text(status if status is not None else "No status", 200), class_=f"status {tone}"),
        tag("p", shown.text(result["reason"], REASON_CHARACTERS), class_="lead") if result.get("reason") else None,
        tag("ul", *broken) if broken else None,
        facts(about),
    )


def _status(status: Any, kind: Any, shown: Shown) -> Html:
    parts = [shown.text(part, 80) for part in (status, kind) if part is not None]
    return join(parts, ", artifact: ")


def headline(result: Mapping[str, Any], shown: Shown) -> Optional[Html]:
    """The two figures of every model, and its lift over the original with its interval."""
    roi = shown.first(mappings(result.get("roi")), MODELS)
    if not roi:
        return None
    published = result.get("artifact_kind") == "enhanced"
    return section(
        "What it brings" if published else "What was measured",
        None if published else tag("p", "The candidate was not published; these are its figures.", class_="soft"),
        tag("div", *[_card(entry, shown) for entry in roi], class_="cards"),
        _lift(roi, shown),
    )


def _card(entry: Mapping[str, Any], shown: Shown) -> Html:
    against = entry.get("compared_with")
    name = ARMS.get(against, "").lower() if isinstance(against, str) else ""
    against_words = name or (shown.text(against, 80) if against else "what it was compared with")
    pair = [
        tag("p", tag("span", _headline(entry.get(key), shown), class_="big"), words)
        for key, words in (("performance_increase", "performance"), ("token_savings", "token savings"))
    ]
    counted = [
        join([shown.figure(entry[key]), f" {key[:-1] if entry[key] == 1 else key}"])
        for key in ("cases", "repeats")
        if entry.get(key) is not None
    ]
    small = join(
        [
            "In points of pass rate and per cent of tokens, against ",
            "the " if name == "original" else None,
            against_words,
            ". " if counted else ".",
            join(counted, ", "),
        ]
    )
    heading = tag("h3", shown.text(entry.get("model") or "unknown model", 200))
    return tag("div", heading, tag("div", *pair, class_="pair"), tag("p", small, class_="soft"), class_="card")


def _headline(value: Any, shown: Shown) -> Html:
    """A figure of the ROI as it stands there: text or a number of per cents."""
    return shown.text(value, 40) if isinstance(value, str) else shown.figure(value, "%")


def _lift(roi: list[Any], shown: Shown) -> Optional[Html]:
    """A row a model: the lift of the pass rate over the original, with the interval where there is one."""
    rows = [(entry, mapping(entry.get("vs_original"))) for entry in roi]
    rows = [(entry, lift) for entry, lift in rows if percent(lift.get("performance_increase")) is not None]
    if not rows:
        return None
    points = [percent(lift.get("performance_increase")) or 0.0 for _, lift in rows]
    ends = [end for _, lift in rows for end in interval(lift.get("ci95")) or ()]
    scale = symmetric([*points, *ends])
    ticks = [scale.low, scale.low / 2, 0.0, scale.high / 2, scale.high]
    drawn = [_lift_row(entry, lift, scale, ticks, shown) for entry, lift in rows]
    caption = "Lift over the original, in percentage points of pass rate" + (
        ", with the 95\N{NO-BREAK SPACE}% interval" if ends else "; no sample was drawn, so there is no interval"
    )
    return chart(caption, drawn, axis(scale, ticks, ""))


def _lift_row(
    entry: Mapping[str, Any], lift: Mapping[str, Any], scale: Scale, ticks: list[float], shown: Shown
) -> Html:
    both, point = interval(lift.get("ci95")), percent(lift.get("performance_increase"))
    notes = []
    if both:
        notes.append(join([shown.figure(both[0]), " to ", shown.figure(both[1])]))
    if lift.get("p_value") is not None:
        notes.append(join(["p = ", shown.figure(lift["p_value"])]))
    if lift.get("token_savings") is not None:
        notes.append(join(["token savings ", _headline(lift["token_savings"], shown)]))
    drawn = interval_row(scale, point, both, ticks, "candidate", "Lift", zero=0.0)
    figures = [_headline(lift.get("performance_increase"), shown), *[tag("small", note) for note in notes]]
    return chart_row(shown.text(entry.get("model") or "unknown model", 80), drawn, *figures)


def findings(result: Mapping[str, Any], shown: Shown) -> Optional[Html]:
    """What the evidence says: its findings one by one, anything else as it is."""
    evidence = result.get("evidence")
    found = mappings(mapping(evidence).get("findings"))
    items = [_finding(finding, shown) for finding in shown.first(found, FINDINGS)]
    rest = {key: value for key, value in mapping(evidence).items() if key != "findings" or not found}
    if evidence and not isinstance(evidence, Mapping):
        rest = {"evidence": evidence}
    listed = tag("ul", *items, class_="findings") if items else None
    return section("Findings", listed, facts(entries(rest, {"evidence": "Evidence"}, shown)))


def _finding(finding: Mapping[str, Any], shown: Shown) -> Html:
    place = shown.text(finding["file"], 300) if finding.get("file") else None
    line = finding.get("line")
    where = join([place, ":" if place and line else None, shown.figure(line) if line else None])
    severity = finding.get("severity")
    mark = (
        tag("span", shown.text(severity, 40), class_=f"tag {'bad' if severity == 'high' else 'even'}")
        if severity
        else None
    )
    known = ("file", "line", "severity", "text", "evidence")
    return tag(
        "li",
        tag("p", join([mark, tag("strong", where) if where else None], " ")),
        tag("p", shown.text(finding["text"])) if finding.get("text") else None,
        tag("p", tag("code", shown.text(finding["evidence"]), class_="quote")) if finding.get("evidence") else None,
        tag(
            "p",
            join([join([name, ": ", value]) for name, value in entries(finding, {}, shown, known)], " · "),
            class_="soft",
        ),
    )


def rest(result: Mapping[str, Any], shown: Shown) -> list[Optional[Html]]:
    """What was published, what it took, and what else the result carries."""
    known = "job_id skill_id skill_name status artifact_kind artifact roi reason invariants evidence evaluation".split()
    known += ["usage_snapshot", "lineage", "completed_at"]
    others = facts(entries(result, {}, shown, known))
    usage = facts(entries(mapping(result.get("usage_snapshot")), USAGE, shown))
    return [
        section("Published files", _files(result, shown)),
        section("What it took", usage),
        section("Also in the result", more("Keys that this page does not know", others) if others else None),
    ]


def _files(result: Mapping[str, Any], shown: Shown) -> Optional[Html]:
    """Path, size and digest of every file. Never its URL, which is a key to it."""
    files = shown.first(mappings(mapping(result.get("artifact")).get("files")), FINDINGS)
    rows = [
        tag(
            "tr",
            tag("th", shown.text(file.get("relpath"), 300), scope="row"),
            tag("td", shown.figure(file.get("size")), class_="n"),
            tag("td", tag("code", shown.text(file.get("sha256") or "–", 80), class_="quote")),
        )
        for file in files
    ]
    head = header("File", "Bytes", "SHA-256", numbers=(1,))
    return wide("Published files", tag("table", head, tag("tbody", *rows))) if rows else None
