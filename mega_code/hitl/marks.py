"""Showing where evidence stands: `<mark>` around it in HTML that was made from the text it was quoted from."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

from mega_code.hitl.html import Html, escape

_PIECES = re.compile(r"(<[^>]*>)")
# Markdown's own marks and blanks are in the quote or in the rendered text, seldom in both.
_IGNORED = frozenset(" \t\n\r*_`~#>|\\[]()!+-")


class Quote(NamedTuple):
    """Words to mark, and what is written on the mark: its number and a class."""

    words: str
    number: int
    kind: str


def mark(rendered: Html, quotes: Sequence[Quote]) -> tuple[Html, frozenset[int]]:
    """`rendered` with the first place of each quote marked, and the numbers of the quotes that were found."""
    pieces = _PIECES.split(rendered)
    texts = [html.unescape(piece) if index % 2 == 0 else "" for index, piece in enumerate(pieces)]
    where = [(index, at) for index, text in enumerate(texts) for at, char in enumerate(text) if char not in _IGNORED]
    letters = "".join(texts[index][at] for index, at in where)
    spans: list[tuple[int, int, Quote]] = []
    for quote in quotes:
        wanted = "".join(char for char in quote.words if char not in _IGNORED)
        start = letters.find(wanted) if wanted else -1
        while start >= 0 and any(start < end and begin < start + len(wanted) for begin, end, _ in spans):
            start = letters.find(wanted, start + 1)
        if start >= 0:
            spans.append((start, start + len(wanted), quote))
    cuts: dict[int, list[tuple[int, int, Quote]]] = {}
    for start, end, quote in spans:
        for index in {where[n][0] for n in range(start, end)}:
            places = [where[n][1] for n in range(start, end) if where[n][0] == index]
            cuts.setdefault(index, []).append((places[0], places[-1] + 1, quote))
    for index, marks in cuts.items():
        pieces[index] = _cut(texts[index], sorted(marks, key=lambda one: one[0]))
    return Html("".join(pieces)), frozenset(quote.number for _, _, quote in spans)


def _cut(text: str, marks: Sequence[tuple[int, int, Quote]]) -> str:
    shown, at = "", 0
    for start, end, quote in marks:
        opened = f'<mark class="{escape(quote.kind)}" data-quote="{quote.number}">'
        shown += f"{escape(text[at:start])}{opened}{escape(text[start:end])}</mark>"
        at = end
    return shown + escape(text[at:])
