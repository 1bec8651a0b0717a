"""A file cut into the units that rules look at: a paragraph, a table row, a command with its continuation lines."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from mega_code.evaluation.audit.context import WARNS
from mega_code.evaluation.blocks import Document, Kind, sections
from mega_code.evaluation.folder import read_page

MARKDOWN = (".md", ".markdown", ".mdx", ".txt", ".rst")
UNIT_LINES = 12
WINDOW = 2048
OVERLAP = 512
_COMMENT = re.compile(r"\s*(?:#(?!!)|//|/?\*(?:\s|/|$)|--\s|;;|rem\s)", re.IGNORECASE)
_MAY_GO_ON = re.compile(r"[(\[)\]]")
_GOES_ON = re.compile(r"(?:\\|\||&&)\s*$")


class Unit(NamedTuple):
    """A piece of text on one line, the line ends in it replaced by spaces.

    `place` is `prose`, `code` or `comment`; `starts` are the offsets at which its 2nd, 3rd, … line begin; `warned` is
    true where what leads up to it warns of what it shows.
    """

    line: int
    text: str
    place: str
    starts: tuple[int, ...] = ()
    warned: bool = False

    def line_of(self, offset: int) -> int:
        """The line in the file of an offset of the text."""
        return self.line + bisect_right(self.starts, offset)


def units(path: str, text: str) -> Iterator[Unit]:
    """The units of a file, in order, none longer than `WINDOW`; time is linear in the text. Never raises."""
    found = _markdown(path, text) if path.lower().endswith(MARKDOWN) else _code(1, text.split("\n"), False)
    for unit in found:
        yield from _windows(unit)


def _windows(unit: Unit) -> Iterator[Unit]:
    """A long unit in overlapping pieces, so that what a pattern costs does not grow with the square of a line."""
    if len(unit.text) <= WINDOW:
        yield unit
        return
    for begin in range(0, len(unit.text), WINDOW - OVERLAP):
        starts = tuple(start - begin for start in unit.starts if begin < start < begin + WINDOW)
        yield unit._replace(line=unit.line_of(begin), text=unit.text[begin : begin + WINDOW], starts=starts)


def _markdown(path: str, text: str) -> Iterator[Unit]:
    page = read_page(path, text)
    yield from _code(1, page.head.split("\n"), False)
    document, led, item = page.document, False, False
    under = {id(block): _warned_by_headings(document, path_of) for block, path_of in sections(document)}
    for block in document.blocks:
        lines = list(document.lines[block.first : block.last + 1])
        first, warned = page.line(block.first), under[id(block)]
        if block.kind in (Kind.FENCED, Kind.INDENTED):
            yield from _code(first, lines, warned or led)
            continue
        if block.kind is Kind.RULE:
            continue
        yield from _prose(first, lines, warned or (led and (item or block.depth > 0)))
        item = block.depth > 0
        led = _leads(document.text(block)) if not item else led


def _warned_by_headings(document: Document, headings: tuple[int, ...]) -> bool:
    return any(WARNS.search(document.lines[index][:WINDOW]) for index in headings)


def _leads(text: str) -> bool:
    """Whether what follows a paragraph is what it warns of: its last sentence does, and ends in a colon."""
    last = text.rstrip()[-WINDOW:]
    return bool(last.endswith((":", "**", ")")) and WARNS.search(re.split(r"[.!?]\s", last)[-1]))


def _prose(first: int, lines: list[str], warned: bool) -> Iterator[Unit]:
    """A paragraph as one unit, but a table row, like a quote's or a list's line, by itself."""
    rows = [index for index, line in enumerate(lines) if line.lstrip().startswith("|")]
    if rows:
        head = bool(WARNS.search(lines[0][:WINDOW]))
        for index, line in enumerate(lines):
            yield Unit(first + index, line, "prose", (), warned or head)
    elif lines:
        yield _joined(first, lines, "prose", warned)


def _code(first: int, lines: list[str], warned: bool) -> Iterator[Unit]:
    """Commands with their continuation lines, up to `UNIT_LINES`; a comment by itself."""
    index = 0
    while index < len(lines):
        start, depth = index, 0
        place = "comment" if _COMMENT.match(lines[index]) else "code"
        while True:
            line = lines[index]
            if _MAY_GO_ON.search(line):
                depth += sum(map(line.count, "([")) - sum(map(line.count, ")]"))
            index += 1
            more = place == "code" and (depth > 0 or _GOES_ON.search(line[-80:]))
            if not more or index >= len(lines) or index - start >= UNIT_LINES:
                break
        if any(line.strip() for line in lines[start:index]):
            yield _joined(first + start, lines[start:index], place, warned)


def _joined(first: int, lines: list[str], place: str, warned: bool) -> Unit:
    starts, at = [], 0
    for line in lines[:-1]:
        at += len(line) + 1
        starts.append(at)
    text = " ".join(line[:-1] + " " if line.endswith(("\\", "\r")) else line for line in lines)
    return Unit(first, text, place, tuple(starts), warned)
