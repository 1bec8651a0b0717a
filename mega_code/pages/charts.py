"""Small pictures as inline SVG. They stretch with their place: every x is in per cent, every y in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Optional

from mega_code.pages.html import Html, tag
from mega_code.pages.reading import Number, digits

HEIGHT = 28
MIDDLE = HEIGHT / 2


class Scale(NamedTuple):
    """From a value to its x. The ends keep a margin, so that no mark is cut off."""

    low: float
    high: float
    margin: float = 3.0

    def x(self, value: Number) -> str:
        """Per cent of the picture's width; a value past an end stands at that end."""
        span = self.high - self.low
        share = (min(max(value, self.low), self.high) - self.low) / span if span > 0 else 0.0
        return f"{self.margin + share * (100 - 2 * self.margin):.3f}%"


def interval_row(
    scale: Scale,
    point: Optional[Number],
    ends: Optional[tuple[Number, Number]],
    ticks: Sequence[Number],
    kind: str,
    what: str,
    shift: int = 0,
    zero: Optional[Number] = None,
) -> Html:
    """A point with its interval, over a grid; `zero` is a heavier line. `what` names it, times ten to the `shift`."""
    said = [what if point is None else f"{what} {digits(point, shift)}"]
    said += [f"interval {digits(ends[0], shift)} to {digits(ends[1], shift)}"] if ends else []
    marks: list[Html] = [_vertical(scale.x(tick), "heavy" if tick == zero else "grid") for tick in ticks]
    if ends:
        low, high = (scale.x(end) for end in ends)
        marks.append(tag("line", x1=low, x2=high, y1=MIDDLE, y2=MIDDLE, class_=f"ci {kind}"))
        marks += [tag("line", x1=x, x2=x, y1=MIDDLE - 5, y2=MIDDLE + 5, class_=f"cap {kind}") for x in (low, high)]
    if point is not None:
        marks.append(tag("circle", cx=scale.x(point), cy=MIDDLE, r=5, class_=f"dot {kind}"))
    return picture(", ".join(said), marks, HEIGHT)


def bar(value: Optional[Number], high: float, kind: str, what: str, height: int = HEIGHT, shift: int = 0) -> Html:
    """A bar from zero to at most `high`; an empty track where there is no value. `what` is as in `interval_row`."""
    title = what if value is None else f"{what} {digits(value, shift)}"
    marks = [tag("rect", x=0, y=height / 2 - 3, width="100%", height=6, rx=3, class_="track")]
    if value is not None and high > 0:
        width = 100 * min(max(value / high, 0.0), 1.0)
        marks.append(tag("rect", x=0, y=height / 2 - 3, width=f"{width:.3f}%", height=6, rx=3, class_=f"bar {kind}"))
    return picture(title, marks, height)


def axis(scale: Scale, ticks: Sequence[Number], unit: str, shift: int = 0) -> Html:
    """The labels below rows of one scale; for the eye only, since every row has its figures."""
    labels = []
    for tick in ticks:
        labels.append(tag("text", digits(tick, shift) + unit, x=scale.x(tick), y=12, text_anchor="middle"))
    return tag("svg", *labels, class_="axis", width="100%", height=16, aria_hidden="true", focusable="false")


class Node(NamedTuple):
    """One candidate in the picture of a search: a score from 0 to 1 or none, and the place of its parent in the list."""

    label: str
    score: Optional[Number]
    parent: Optional[int]
    kind: str


TOP, LOW, LANE = 22, 160, 200


def search_picture(nodes: Sequence[Node], title: str, words: str) -> Html:
    """Candidates from left to right as they were made, up by their score; a line leads to each from its parent.

    The ones without a score stand in a lane at the bottom.
    """
    scores = [node.score for node in nodes if node.score is not None]
    low, high = min(scores, default=0.0), max(scores, default=1.0)
    low, high = math.floor(max(0.0, low - 0.02) * 10) / 10, min(1.0, math.ceil((high + 0.02) * 10) / 10)
    scale = Scale(0, max(1, len(nodes) - 1), 7.0)

    def y(node: Node) -> float:
        share = 0.0 if node.score is None else (min(max(node.score, low), high) - low) / ((high - low) or 1)
        return LANE if node.score is None else round(LOW - share * (LOW - TOP), 2)

    marks: list[Html] = []
    for share in (low, high):
        height = y(Node("", share, None, ""))
        marks.append(tag("line", x1="0%", x2="100%", y1=height, y2=height, class_="grid"))
        marks.append(tag("text", f"{digits(round(share, 1), 2)} %", x="0%", y=height - 4, class_="label"))
    for place, node in enumerate(nodes):
        if node.parent is not None:
            ends = {"x1": scale.x(node.parent), "x2": scale.x(place)}
            marks.append(tag("line", **ends, y1=y(nodes[node.parent]), y2=y(node), class_=f"edge {node.kind}"))
    for place, node in enumerate(nodes):
        x, height = scale.x(place), y(node)
        if node.kind == "chosen":
            marks.append(tag("circle", cx=x, cy=height, r=11, class_="ring"))
        marks.append(tag("circle", cx=x, cy=height, r=7, class_=f"node {node.kind}"))
        if len(nodes) <= 40:
            marks.append(tag("text", node.label, x=x, y=height + 22, text_anchor="middle", class_="label"))
    return picture(title, marks, (LOW if all(node.score is not None for node in nodes) else LANE) + 30, words)


def picture(title: str, marks: Sequence[Html], height: int, words: str = "") -> Html:
    """An SVG that is named for who cannot see it."""
    named = [tag("title", title), tag("desc", words) if words else None]
    return tag("svg", *named, *marks, role="img", aria_label=title, width="100%", height=height, focusable="false")


def _vertical(x: str, kind: str) -> Html:
    return tag("line", x1=x, x2=x, y1=0, y2=HEIGHT, class_=kind)


def symmetric(values: Sequence[Number]) -> Scale:
    """A scale around zero that holds all of `values`, to the next ten."""
    most = max((abs(value) for value in values), default=10)
    high = max(10, math.ceil(most / 10) * 10)
    return Scale(-high, high)
