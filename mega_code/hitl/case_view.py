"""One case of a review as HTML: the task, the verdicts, the outputs, what differs between them, the feedback box."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple, Optional

from mega_code.hitl import marks
from mega_code.hitl.benchmark_view import name
from mega_code.hitl.diff import diff
from mega_code.hitl.feedback import TEXT_CHARACTERS, TIE
from mega_code.hitl.html import Attributes, Child, Html, data, tag
from mega_code.hitl.markdown import render
from mega_code.hitl.review_data import Case, Output, Review, Verdict

SHOWN_CHARACTERS = 60_000
OUTCOMES = {
    "refused": "The model refused.",
    "empty": "The model gave an empty answer.",
    "cut": "The answer was cut off at the limit of output tokens.",
}


class Space:
    """How many characters of whole outputs a page may still carry beside what it shows."""

    def __init__(self, characters: int = 32 * 1024 * 1024) -> None:
        self.left = characters

    def take(self, characters: int) -> bool:
        if characters > self.left:
            return False
        self.left -= characters
        return True


class _Side(NamedTuple):
    """An arm as the page shows it: by its letter, which its marks carry, and by its label."""

    letter: str
    arm: str
    label: str


def case_view(review: Review, number: int, blind: bool, space: Space) -> Html:
    """The section of the case with this number, counted from 1."""
    case = review.cases[number - 1]
    letters = review.letters(case.id, blind)
    sides = [_Side(letter, arm, f"Output {letter}" if blind else name(arm)) for letter, arm in letters.items()]
    heading = tag(
        "h2", {"tabindex": -1}, f"Case {number} of {len(review.cases)} ", tag("span", {"class": "id"}, case.id)
    )
    task = tag("div", {"class": "task", "tabindex": 0, "role": "region", "aria-label": "Task"}, case.prompt)
    repeats = [_repeat(case, sides, number, repeat, blind, space) for repeat in review.repeats]
    attributes: Attributes = {"id": f"case-{number}", "class": "view case", "hidden": True}
    said = review.previous.feedback.get(case.id, "") if review.previous else ""
    return tag("section", attributes, heading, task, repeats, _box(number, sides, blind, said, review))


def _repeat(case: Case, sides: list[_Side], number: int, repeat: int, blind: bool, space: Space) -> Html:
    outputs = {side.letter: case.outputs.get((side.arm, repeat)) for side in sides}
    articles = [
        _output(side, outputs[side.letter], f"full-{number}-{side.letter}-{repeat}", blind, space) for side in sides
    ]
    return tag(
        "div",
        {"class": "repeat", "data-repeat": repeat},
        _verdicts(sides, outputs, blind),
        tag("div", {"class": "outputs"}, articles),
        [_difference(one, other, outputs) for one, other in combinations(sides, 2)],
    )


def _verdicts(sides: list[_Side], outputs: Mapping[str, Optional[Output]], blind: bool) -> Optional[Html]:
    """A row for each expectation, a column for each side."""
    texts = list(dict.fromkeys(v.expectation for output in outputs.values() if output for v in output.verdicts))
    if not texts:
        return None
    heads = [tag("th", {"scope": "col", "data-arm": side.letter}, side.label) for side in sides]
    rows = []
    for text in texts:
        cells = [_verdict(side, outputs[side.letter], text) for side in sides]
        rows.append(tag("tr", {}, tag("th", {"scope": "row"}, text), cells))
    head = tag("thead", {}, tag("tr", {}, tag("th", {"scope": "col"}, "Expectation"), heads))
    table = tag("div", {"class": "wide"}, tag("table", {"class": "verdicts"}, head, tag("tbody", {}, rows)))
    # Whoever has to judge for themselves looks at other judgements when they want to.
    return tag("details", {"open": not blind}, tag("summary", {}, "Verdicts"), table)


def _verdict(side: _Side, output: Optional[Output], text: str) -> Html:
    verdicts = output.verdicts if output else ()
    number = next((at for at, verdict in enumerate(verdicts) if verdict.expectation == text), None)
    if number is None:
        return tag("td", {"class": "none", "data-arm": side.letter, "data-label": side.label}, "not graded")
    verdict = verdicts[number]
    sign = tag("span", {"class": "sign"}, "\u2713 met" if verdict.passed else "\u2717 not met")
    attributes: Attributes = {"class": _kind(verdict), "data-arm": side.letter, "data-label": side.label}
    return tag("td", attributes, tag("div", {}, sign, _evidence(verdict, number, side, output)))


def _kind(verdict: Verdict) -> str:
    return "met" if verdict.passed else "unmet"


def _evidence(verdict: Verdict, number: int, side: _Side, output: Optional[Output]) -> Optional[Html]:
    if not verdict.evidence:
        return None
    if output is None or verdict.evidence not in output.text[:SHOWN_CHARACTERS]:
        return tag("span", {"class": "why"}, verdict.evidence)
    attributes: Attributes = {"type": "button", "class": "quote", "data-arm": side.letter, "data-quote": number}
    return tag("button", {**attributes, "title": "Show where it stands"}, verdict.evidence)


def _output(side: _Side, output: Optional[Output], full: str, blind: bool, space: Space) -> Html:
    attributes: Attributes = {"class": "output", "data-arm": side.letter, "aria-label": side.label}
    if output is None:
        return tag(
            "article",
            attributes,
            tag("h3", {}, side.label),
            tag("p", {"class": "note"}, "There is no output of this run."),
        )
    shown = _start(output.text)
    quotes = [marks.Quote(v.evidence, at, _kind(v)) for at, v in enumerate(output.verdicts) if v.evidence]
    rendered, _ = marks.mark(render(shown), [quote for quote in quotes if quote.words in shown])
    raw, _ = marks.mark(Html(tag("span", {}, shown)), [quote for quote in quotes if quote.words in shown])
    outcome = (
        tag("p", {"class": "note"}, OUTCOMES.get(output.outcome, output.outcome))
        if output.outcome != "answer"
        else None
    )
    return tag(
        "article",
        attributes,
        tag("h3", {}, side.label, None if blind else _figures(output)),
        outcome,
        tag("div", {"class": "text rendered", "dir": "auto"}, rendered),
        tag("pre", {"class": "text raw", "dir": "auto", "hidden": True, "tabindex": 0}, raw),
        _rest(output.text, len(shown), full, space),
    )


def _figures(output: Output) -> Html:
    met = sum(verdict.passed for verdict in output.verdicts)
    graded = f"{met} of {len(output.verdicts)} met \u00b7 " if output.verdicts else ""
    tokens = f"{output.input_tokens:,} tokens in, {output.output_tokens:,} out"
    return tag("span", {"class": "figures"}, graded + tokens)


def _start(text: str) -> str:
    """As much of the text as a page shows at once, up to the end of a line where there is one near."""
    if len(text) <= SHOWN_CHARACTERS:
        return text
    end = text.rfind("\n", SHOWN_CHARACTERS * 9 // 10, SHOWN_CHARACTERS)
    return text[: end if end > 0 else SHOWN_CHARACTERS]


def _rest(text: str, shown: int, full: str, space: Space) -> Child:
    if shown == len(text):
        return None
    note = f"Shown are the first {shown:,} of {len(text):,} characters. "
    if not space.take(len(text)):
        return tag("p", {"class": "note"}, note, "The whole is in runs.json.")
    button = tag("button", {"type": "button", "class": "all", "data-full": full}, "Show all, as raw text")
    return [tag("p", {"class": "note"}, note, button), data(full, text)]


def _difference(one: _Side, other: _Side, outputs: Mapping[str, Optional[Output]]) -> Html:
    left, right = outputs[one.letter], outputs[other.letter]
    attributes: Attributes = {"class": "difference", "data-pair": one.letter + other.letter, "hidden": True}
    title = tag(
        "h3",
        {},
        tag("span", {"class": "gone"}, f"\u2212 {one.label}"),
        tag("span", {"class": "came"}, f"+ {other.label}"),
    )
    if left is None or right is None:
        return tag("div", attributes, title, tag("p", {"class": "note"}, "There is only one output."))
    return tag("div", attributes, title, tag("div", {"class": "wide"}, diff(_start(left.text), _start(right.text))))


def _box(number: int, sides: list[_Side], blind: bool, said: str, review: Review) -> Html:
    choices = [(side.letter, f"{side.letter}" if blind else side.label) for side in sides]
    votes = [_vote(number, value, label) for value, label in (*choices, (TIE, "No difference"), ("", "No vote"))]
    legend = tag("legend", {}, "Better output")
    before = None
    if said and review.previous:
        title = tag("summary", {}, f"What you said in iteration {review.previous.iteration}")
        before = tag("details", {"class": "before"}, title, tag("p", {}, said))
    return tag(
        "form",
        {"class": "box", "data-box": number - 1, "aria-label": f"Feedback on case {number}"},
        tag("fieldset", {"class": "votes"}, legend, votes),
        area(f"text-{number}", "Feedback"),
        before,
    )


def area(identifier: str, label: str) -> Html:
    """A feedback box, and where it says how its saving goes."""
    attributes: Attributes = {
        "id": identifier,
        "rows": 2,
        "maxlength": TEXT_CHARACTERS,
        "autocomplete": "off",
    }
    return tag(
        "div",
        {"class": "area"},
        tag("label", {"for": identifier}, label),
        tag("textarea", attributes),
        tag("div", {"class": "conflict", "role": "alert", "hidden": True}),
    )


def _vote(number: int, value: str, label: str) -> Html:
    radio = tag("input", {"type": "radio", "name": f"vote-{number}", "value": value, "autocomplete": "off"})
    return tag("label", {}, radio, tag("span", {}, label))
