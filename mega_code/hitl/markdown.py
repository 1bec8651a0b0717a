"""A model's Markdown as HTML that can do no harm.

Headings, paragraphs, lists, quotes, code, tables and rules of CommonMark (with tables as GitHub has them). HTML in the
text is text. What comes out holds the tags of `TAGS` and nothing else; only links carry an address, to the web or a
mail. Time is linear in the text: the depth of quotes and lists is capped, and below the cap they are text.
"""

from __future__ import annotations

import re
from typing import Optional

from mega_code.hitl.html import Html, tag
from mega_code.hitl.inline import inline

TAGS = frozenset("a blockquote br code del em h4 h5 h6 hr li ol p pre strong table tbody td th thead tr ul div".split())
MAX_DEPTH = 12
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^`]*)$")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*$")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_UNDERLINE = re.compile(r" {0,3}(?:(=+)|-+)[ \t]*$")
_ITEM = re.compile(r"( {0,3})([-*+]|(\d{1,9})[.)])(?:( {1,4})(?=\S)|( )|$)")
_QUOTE = re.compile(r" {0,3}> ?")
_DELIMITERS = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_CELL = re.compile(r"(?:[^|\\]|\\.|\\$)*")
_TASK = re.compile(r"\[([ xX])\] ")


def render(text: str) -> Html:
    """`text` as HTML. Never raises."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return _Blocks([line.expandtabs(4) for line in lines], 0).run()


class _Blocks:
    """The blocks of some lines; `depth` is how many quotes and lists they stand in."""

    def __init__(self, lines: list[str], depth: int, tight: bool = False) -> None:
        self.lines, self.depth, self.tight = lines, depth, tight
        self.at = 0
        self.out: list[Html] = []
        self.paragraph: list[str] = []

    def run(self) -> Html:
        kinds = (self._blank, self._indented, self._fenced, self._heading, self._rule, self._table)
        nested = (self._quote, self._list) if self.depth < MAX_DEPTH else ()
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if not any(kind(line) for kind in (*kinds, *nested)):
                self.paragraph.append(line.lstrip())
                self.at += 1
        self._end_paragraph()
        return Html("\n".join(self.out))

    def _emit(self, block: Html) -> bool:
        self._end_paragraph()
        self.out.append(block)
        return True

    def _end_paragraph(self) -> None:
        if self.paragraph:
            words = inline("\n".join(self.paragraph).rstrip())
            self.out.append(words if self.tight else tag("p", {}, words))
            self.paragraph = []

    def _blank(self, line: str) -> bool:
        if line.strip():
            return False
        self._end_paragraph()
        self.at += 1
        return True

    def _indented(self, line: str) -> bool:
        if self.paragraph or not line.startswith("    "):
            return False
        code = []
        while self.at < len(self.lines) and (self.lines[self.at].startswith("    ") or not self.lines[self.at].strip()):
            code.append(self.lines[self.at][4:])
            self.at += 1
        return self._emit(_code("\n".join(code).rstrip()))

    def _fenced(self, line: str) -> bool:
        opened = _FENCE.match(line)
        if not opened:
            return False
        mark, indent = opened.group(1), len(line) - len(line.lstrip())
        closing = re.compile(rf" {{0,3}}{re.escape(mark[0])}{{{len(mark)},}} *$")
        self.at += 1
        code = []
        while self.at < len(self.lines):
            inner = self.lines[self.at]
            self.at += 1
            if closing.match(inner):
                break
            code.append(inner[min(indent, len(inner) - len(inner.lstrip())) :])
        return self._emit(_code("\n".join(code)))

    def _heading(self, line: str) -> bool:
        found = _HEADING.match(line)
        if found:
            self.at += 1
            return self._emit(_headline(len(found.group(1)), found.group(2) or ""))
        under = _UNDERLINE.match(line) if self.paragraph else None
        if under:
            text, self.paragraph = "\n".join(self.paragraph), []
            self.at += 1
            return self._emit(_headline(1 if under.group(1) else 2, text))
        return False

    def _rule(self, line: str) -> bool:
        if not _RULE.match(line):
            return False
        self.at += 1
        return self._emit(tag("hr"))

    def _quote(self, line: str) -> bool:
        if not _QUOTE.match(line):
            return False
        inner: list[str] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if not _QUOTE.match(line) and (not inner[-1].strip() or not self._goes_on(line)):
                break
            inner.append(_QUOTE.sub("", line, count=1))
            self.at += 1
        return self._emit(tag("blockquote", {}, _Blocks(inner, self.depth + 1).run()))

    def _goes_on(self, line: str) -> bool:
        """Whether a line without its mark or indent is still of the paragraph before it."""
        others = (_FENCE, _HEADING, _RULE, _QUOTE, _ITEM)
        return bool(line.strip()) and not any(other.match(line) for other in others)

    def _list(self, line: str) -> bool:
        first = _ITEM.match(line)
        # A paragraph is not ended by an empty item, nor by a number that happens to start a line.
        if not first or (self.paragraph and (first.end() == len(line) or first.group(3) not in (None, "1"))):
            return False
        items: list[list[str]] = []
        while self.at < len(self.lines):
            found = _ITEM.match(self.lines[self.at])
            if not found or found.group(2)[-1] != first.group(2)[-1] or _RULE.match(self.lines[self.at]):
                break
            items.append(self._item(found))
        loose = any(not line.strip() for item in items[:-1] for line in item) or any(
            not line.strip() for line in items[-1][:-1]
        )
        shown = [tag("li", {}, self._inside(item, not loose)) for item in items]
        start = first.group(3)
        if start is None:
            return self._emit(tag("ul", {}, shown))
        return self._emit(tag("ol", {"start": int(start) if int(start) != 1 else None}, shown))

    def _inside(self, lines: list[str], tight: bool) -> Html:
        done = _TASK.match(lines[0])
        if done:
            lines = [("\u2610 " if done.group(1) == " " else "\u2611 ") + lines[0][done.end() :], *lines[1:]]
        return _Blocks(lines, self.depth + 1, tight).run()

    def _item(self, found: re.Match[str]) -> list[str]:
        """The lines of one item, without its indent; a blank line at the end tells that the list is loose."""
        width = found.end() if found.group(4) or found.group(5) else found.end() + 1
        lines = [self.lines[self.at][found.end() :]]
        self.at += 1
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if not line.strip():
                lines.append("")
            elif line.startswith(" " * width):
                lines.append(line[width:])
            elif lines[-1].strip() and self._goes_on(line):
                lines.append(line.lstrip())
            else:
                break
            self.at += 1
        while len(lines) > 1 and not lines[-1] and not lines[-2]:
            lines.pop()
        return lines

    def _table(self, line: str) -> bool:
        below = self.lines[self.at + 1] if self.at + 1 < len(self.lines) else ""
        if "|" not in line or self.paragraph or not _DELIMITERS.match(below):
            return False
        heads, sides = _cells(line), [_side(cell) for cell in _cells(below)]
        if len(heads) != len(sides):
            return False
        self.at += 2
        rows = []
        while self.at < len(self.lines) and self._goes_on(self.lines[self.at]):
            cells = [*_cells(self.lines[self.at]), *[""] * len(heads)]
            rows.append(_row("td", cells[: len(heads)], sides))
            self.at += 1
        table = tag("table", {}, tag("thead", {}, _row("th", heads, sides)), tag("tbody", {}, rows))
        return self._emit(tag("div", {"class": "wide"}, table))


def _headline(level: int, text: str) -> Html:
    """The page's own headings are h1 to h3."""
    return tag(f"h{min(level + 3, 6)}", {}, inline(text.strip()))


def _code(text: str) -> Html:
    return tag("pre", {}, tag("code", {}, text))


def _cells(line: str) -> list[str]:
    """The cells of a line of a table; `\\|` is a bar inside one."""
    inner = line.strip()
    inner = inner[1:] if inner.startswith("|") else inner
    cells, at = [], 0
    while at <= len(inner):
        found = _CELL.match(inner, at)
        assert found
        cells.append(found.group().replace("\\|", "|").strip())
        at = found.end() + 1
    return cells[:-1] if len(cells) > 1 and not cells[-1] else cells


def _side(cell: str) -> Optional[str]:
    if not cell.endswith(":"):
        return None
    return "middle" if cell.startswith(":") else "right"


def _row(name: str, cells: list[str], sides: list[Optional[str]]) -> Html:
    return tag("tr", {}, [tag(name, {"class": side}, inline(cell)) for cell, side in zip(cells, sides)])
