"""The review page: one document with everything in it, from the data of a review. Pure."""

from __future__ import annotations

import hashlib
import secrets
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, Optional

from mega_code.hitl.benchmark_view import overview
from mega_code.hitl.case_view import Space, area, case_view
from mega_code.hitl.feedback import OVERALL, Entry, Feedback
from mega_code.hitl.html import Html, data, tag
from mega_code.hitl.review_data import LETTERS, SHORT, Review

SHORTCUTS = (
    ("j", "next"),
    ("k", "back"),
    ("v", "rendered, raw, difference"),
    ("c", "other pair"),
    ("r", "other repeat"),
    ("f", "write"),
    ("Esc", "leave the box"),
    ("1 2 \u2026", "vote"),
    ("0", "no difference"),
)
VIEWS = (("rendered", "Rendered"), ("raw", "Raw"), ("difference", "Difference"))


def document(body: str, state: dict[str, Any], nonce: str, meta: Optional[Html] = None) -> str:
    """The whole page. `nonce` is what its policy lets the style and the script by."""
    head = tag(
        "head",
        {},
        tag("meta", {"charset": "utf-8"}),
        meta,
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("meta", {"name": "color-scheme", "content": "light dark"}),
        tag("link", {"rel": "icon", "href": "data:,"}),
        tag("title", {}, f"Review: {state['title']}"),
        tag("style", {"nonce": nonce}, _asset("review.css")),
    )
    script = tag("script", {"nonce": nonce}, _asset("review.js"))
    shown = tag("body", {}, Html(body), data("data", state), script)
    return f"<!doctype html>\n{tag('html', {'lang': 'en'}, head, shown)}\n"


def policy(nonce: str, served: bool = True) -> str:
    """The Content-Security-Policy: nothing from elsewhere, and no style or script but the page's own."""
    parts = [
        "default-src 'none'",
        f"script-src 'nonce-{nonce}'",
        f"style-src 'nonce-{nonce}'",
        "img-src data:",
        "connect-src 'self'" if served else "connect-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    return "; ".join([*parts, "frame-ancestors 'none'"] if served else parts)


def static(review: Review, feedback: Feedback) -> str:
    """A page that needs no server; what is written in it is downloaded."""
    nonce = secrets.token_urlsafe(16)
    allowed = tag("meta", {"http-equiv": "Content-Security-Policy", "content": policy(nonce, served=False)})
    shown = {**state(review, feedback, False), "served": False, "arms": review.letters("", False)}
    return document(body(review, False), shown, nonce, allowed)


def notice(text: str) -> str:
    """A page that says one thing; its link comes from this server itself, which a strict cookie asks for."""
    again = tag("p", {}, tag("a", {"href": "./"}, "Try again"))
    return f"<!doctype html>\n{tag('html', {'lang': 'en'}, tag('title', {}, 'Review'), tag('p', {}, text), again)}\n"


def state(review: Review, feedback: Feedback, blind: bool, ended: bool = False) -> dict[str, Any]:
    """What the page's script works with. Where arms are shown blind it holds letters only."""
    return {
        "served": True,
        "title": f"{review.skill_name}, iteration {review.iteration}",
        "key": hashlib.sha256(f"{review.seed} {blind}".encode("utf-8", "replace")).hexdigest()[:16],
        "submitted": feedback.submitted,
        "blind": feedback.blind,
        "ended": ended,
        "cases": [entry(review, case.id, feedback.entry(case.id), blind) for case in review.cases],
        "overall": entry(review, OVERALL, feedback.entry(OVERALL), blind),
    }


def entry(review: Review, case: Optional[str], given: Entry, blind: bool) -> dict[str, Any]:
    """A box as the page knows it: the arm that is preferred by its letter."""
    letters = {arm: letter for letter, arm in review.letters(case or "", blind).items()}
    preference = letters.get(given.preference or "", given.preference)
    return {"case": case, "text": given.text, "preference": preference, "version": given.version}


def body(review: Review, blind: bool) -> str:
    """The page without what changes from one look at it to the next."""
    space = Space()
    cases = [case_view(review, number, blind, space) for number in range(1, len(review.cases) + 1)]
    first = tag("h2", {"tabindex": -1}, "Overview")
    views = [
        tag("section", {"id": "overview", "class": "view"}, first, _facts(review), overview(review, blind)),
        *cases,
        _finish(blind),
    ]
    return tag(
        "div",
        {"class": "page"},
        _header(review),
        tag("div", {"class": "trouble", "role": "alert", "hidden": True}),
        tag("div", {"class": "columns"}, _navigation(review), tag("main", {}, _controls(review, blind), views)),
        _footer(),
    )


def _header(review: Review) -> Html:
    title = tag("h1", {}, review.skill_name, tag("span", {}, f"iteration {review.iteration}"))
    return tag("header", {}, title, tag("p", {"id": "status", "role": "status"}))


def _navigation(review: Review) -> Html:
    cases = [(f"case-{number}", str(number), case.id) for number, case in enumerate(review.cases, 1)]
    listed = [("overview", "", "Overview"), *cases, ("finish", "", "Finish")]
    items = [
        tag(
            "li",
            {},
            tag(
                "a",
                {"href": f"#{view}"},
                tag("span", {"class": "number"}, number) if number else None,
                tag("span", {"class": "id"}, text),
            ),
        )
        for view, number, text in listed
    ]
    return tag("nav", {"aria-label": "Cases"}, tag("ol", {}, items))


def _facts(review: Review) -> Html:
    counted = [
        f"{len(review.cases)} case{'s' * (len(review.cases) != 1)}",
        f"{len(review.arms)} versions of the output",
    ]
    if len(review.repeats) > 1:
        counted.append(f"{len(review.repeats)} repeats")
    if review.model:
        counted.append(f"model {review.model}")
    return tag("p", {"class": "facts"}, " \u00b7 ".join(counted))


def _controls(review: Review, blind: bool) -> Html:
    letters = [letter for letter, _ in zip(LETTERS, review.arms)]
    labels = {letter: letter if blind else SHORT.get(arm, arm) for letter, arm in zip(letters, review.arms)}
    pairs = [(one + other, f"{labels[one]} \u2013 {labels[other]}") for one, other in combinations(letters, 2)]
    repeats = [(str(repeat), str(number)) for number, repeat in enumerate(review.repeats, 1)]
    groups = [
        _switch("view", "Show", list(VIEWS)),
        _switch("pair", "Compare" if blind else "Compare skills", pairs if blind else pairs[::-1])
        if len(pairs) > 1
        else None,
        _switch("repeat", "Repeat", repeats) if len(repeats) > 1 else None,
    ]
    shown = {"class": "controls", "data-pair": "".join(letters) if len(pairs) <= 1 else None, "hidden": True}
    return tag("div", shown, groups)


def _switch(kind: str, label: str, choices: list[tuple[str, str]]) -> Html:
    buttons = [
        tag(
            "button",
            {"type": "button", "data-set": kind, "value": value, "aria-pressed": "true" if at == 0 else "false"},
            text,
        )
        for at, (value, text) in enumerate(choices)
    ]
    return tag("div", {"class": "switch", "role": "group", "aria-label": label}, tag("span", {}, label), buttons)


def _finish(blind: bool) -> Html:
    said = (
        "Submitting shows which output was whose."
        if blind
        else "Submitting ends the review and tells the session to go on."
    )
    return tag(
        "section",
        {"id": "finish", "class": "view", "hidden": True},
        tag("h2", {"tabindex": -1}, "Finish"),
        tag("p", {"id": "summary", "class": "facts"}),
        tag(
            "form",
            {"class": "box overall", "data-box": -1, "aria-label": "Feedback on the whole"},
            area("text-all", "On the whole: what should the skill do better?"),
        ),
        tag("p", {"class": "note", "id": "said"}, said),
        tag(
            "p",
            {"class": "actions"},
            tag("button", {"type": "button", "id": "submit", "class": "main"}, "Submit the review"),
            tag("button", {"type": "button", "id": "download"}, "Download feedback.json"),
        ),
    )


def _footer() -> Html:
    keys = [tag("span", {}, tag("kbd", {}, key), f" {text}") for key, text in SHORTCUTS]
    return tag("footer", {"aria-label": "Keyboard"}, keys)


@cache
def _asset(file: str) -> Html:
    """Our own style or script, which holds no end tag."""
    return Html(Path(__file__).with_name(file).read_text("utf-8"))
