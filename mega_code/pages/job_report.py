"""The page of one finished job: everything that its result says, in one HTML file that fetches and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mega_code.pages import casebook, lineage, measures, overview
from mega_code.pages.html import Html, tag
from mega_code.pages.reading import mapping
from mega_code.pages.shown import Shown
from mega_code.pages.style import CSS

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render(result: Mapping[str, Any]) -> str:
    """The page of a result body, whatever it holds: unknown keys are shown, nulls and wrong types left out.

    The same result gives the same page. Its figures are the result's own, with every digit; a share is shown in per
    cent. Texts past a limit are cut, and the page says so. It can be written as UTF-8.
    """
    shown = Shown()
    evaluation = mapping(result.get("evaluation"))
    candidates = lineage.read(result.get("lineage"), shown)
    main = tag(
        "main",
        overview.top(result, shown),
        overview.headline(result, shown),
        measures.arms(evaluation, shown),
        overview.findings(result, shown),
        lineage.changes(candidates, result.get("artifact_kind") == "enhanced", shown),
        measures.triggers(evaluation, shown),
        casebook.cases(evaluation, shown),
        lineage.tree(candidates, shown),
        measures.method(evaluation, shown),
        *overview.rest(result, shown),
        tag("footer", tag("p", shown.note(), class_="soft")) if shown.note() else None,
    )
    return f"<!DOCTYPE html>\n{tag('html', _head(result, shown), tag('body', main), lang='en')}\n"


def _head(result: Mapping[str, Any], shown: Shown) -> Html:
    name = shown.text(result.get("skill_id") or "A skill", 200)
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", "Enhancement report: ", Html(name)),
        tag("style", Html(CSS)),
    )
