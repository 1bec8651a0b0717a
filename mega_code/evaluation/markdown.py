"""From a Markdown text to its blocks: which lines are code, which are prose, and where each block ends.

A rewriter may only touch what it understands, so this follows the block rules of CommonMark 0.31 (containers, lazy
continuation, the seven kinds of HTML block, fences inside lists) and not a few regular expressions. Tables are
paragraphs here. Time is linear in the text: the depth of containers is capped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

from mega_code.evaluation import html_blocks
from mega_code.evaluation.blocks import Block, Document, Kind

MAX_DEPTH = 64


@dataclass
class _Container:
    """A block quote (`width` 0) or a list item whose content stands `width` columns in."""

    width: int
    empty: bool = True


_SPACES = re.compile(r" *")
_HEADING = re.compile(r"(#{1,6})(?: |$)")
_FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,})")
_SETEXT = re.compile(r"(?:=+|-+) *$")
_BULLET = re.compile(r"(?:[*+-]|(\d{1,9})[.)])(?= |$)")


def parse(text: str) -> Document:
    """The blocks of `text`, whose lines may end in LF or CRLF. Never raises."""
    lines = [line[:-1] if line.endswith("\r") else line for line in text.split("\n")]
    if not lines[-1]:
        lines.pop()
    return _Parser(lines).run()


class _Parser:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.kinds = [Kind.BLANK] * len(lines)
        self.blocks: list[Block] = []
        self.stack: list[_Container] = []
        self.leaf: Optional[Block] = None
        self.faithful = True

    def run(self) -> Document:
        for index, line in enumerate(self.lines):
            self.faithful = self.faithful and "\r" not in line and "\0" not in line
            # A tab stop is four columns from the line's own start, wherever the tab stands.
            self._feed(index, line.expandtabs(4))
        self._close()
        return Document(tuple(self.lines), tuple(self.kinds), tuple(self.blocks), self.faithful)

    def _feed(self, index: int, line: str) -> None:
        pos, matched = self._match(line)
        whole = matched == len(self.stack)
        if whole and self.leaf and self._goes_on(self.leaf, index, line, pos):
            return
        self._start(index, line, pos, matched)

    def _match(self, line: str) -> tuple[int, int]:
        """How far into the line the open containers reach, and how many of them it continues."""
        pos = matched = 0
        for container in self.stack:
            at = _content(line, pos)
            if container.width == 0:
                if at - pos > 3 or not line.startswith(">", at):
                    break
                pos = at + 1 + line.startswith(" ", at + 1)
            elif at == len(line):
                if container.empty:
                    break
                pos = min(pos + container.width, at)
            elif at - pos >= container.width:
                pos += container.width
            else:
                break
            matched += 1
        return pos, matched

    def _goes_on(self, leaf: Block, index: int, line: str, pos: int) -> bool:
        """Let a verbatim block take the line; False if the open block is another or has ended."""
        at = _content(line, pos)
        if leaf.kind is Kind.FENCED:
            run = line[at:].rstrip(" ")
            self._take(index)
            if at - pos <= 3 and run.startswith(leaf.end) and not run.strip(leaf.end[0]):
                leaf.closed, self.leaf = True, None
            return True
        if leaf.kind is Kind.INDENTED:
            if at == len(line):
                return True  # part of the code only if more code follows
            if at - pos >= 4:
                self._take(index)
                return True
            self._close()
        if leaf.kind is Kind.HTML:
            if leaf.end == "" and at == len(line):
                self._close()
                return False
            self._take(index)
            self._end_html(leaf, line[pos:])
            return True
        return False

    def _start(self, index: int, line: str, pos: int, matched: int) -> None:
        """Open the containers and the leaf that begin on this line."""
        paragraph = self.leaf if self.leaf and self.leaf.kind is Kind.PARAGRAPH else None
        whole = matched == len(self.stack)
        opened = False
        while True:
            at = _content(line, pos)
            if at == len(line) or at - pos > 3:
                break
            inside = paragraph if whole and not opened else None
            if line[at] == ">":
                width, after = 0, at + 1 + line.startswith(" ", at + 1)
            elif self._leaf_starts(line[at:], inside, lazy=paragraph is not None and not opened):
                break
            else:
                item = _item(line, pos, at, inside is not None)
                if item is None:
                    break
                width, after = item
            if len(self.stack) >= MAX_DEPTH:
                self.faithful = False
                break
            if not opened:
                self._truncate(matched)
                opened = True
            self._push(width)
            pos = after
        self._leaf(index, line, pos, None if opened else paragraph, matched if not opened else len(self.stack))

    @staticmethod
    def _leaf_starts(rest: str, inside: Optional[Block], lazy: bool) -> bool:
        """Whether a block other than a paragraph or code by indentation begins with `rest`."""
        if (inside and _SETEXT.match(rest)) or _HEADING.match(rest) or _FENCE.match(rest) or _is_rule(rest):
            return True
        return html_blocks.end_of_block(rest, lazy) is not None

    def _leaf(self, index: int, line: str, pos: int, paragraph: Optional[Block], matched: int) -> None:
        at = _content(line, pos)
        rest, whole = line[at:], matched == len(self.stack)
        indented = at - pos > 3
        inside = paragraph if whole else None
        if rest and paragraph and (indented or not self._leaf_starts(rest, inside, lazy=True)):
            self._take(index)  # the paragraph goes on, lazily or not
            return
        if not whole:
            self._truncate(matched)
        if not rest:
            self._close()
        elif indented:
            self._begin(Kind.INDENTED, index)
        elif inside and _SETEXT.match(rest):
            self._underline(inside, index, 1 if rest[0] == "=" else 2)
        else:
            self._begin_marked(index, rest, paragraph is not None)

    def _begin_marked(self, index: int, rest: str, lazy: bool) -> None:
        heading, fence, end = _HEADING.match(rest), _FENCE.match(rest), html_blocks.end_of_block(rest, lazy)
        if heading:
            self._begin(Kind.HEADING, index).level = len(heading.group(1))
            self._close()
        elif fence:
            block = self._begin(Kind.FENCED, index)
            block.end, block.closed = fence.group(1) or fence.group(2), False
        elif end is not None:
            block = self._begin(Kind.HTML, index)
            block.end, block.closed = end, end == ""
            self._end_html(block, rest)
        elif _is_rule(rest):
            self._begin(Kind.RULE, index)
            self._close()
        else:
            self._begin(Kind.PARAGRAPH, index)

    def _end_html(self, block: Block, line: str) -> None:
        if html_blocks.ends(line, block.end):
            block.closed, self.leaf = True, None

    def _underline(self, block: Block, index: int, level: int) -> None:
        self._take(index)
        block.kind, block.level, block.setext = Kind.HEADING, level, True
        self.kinds[block.first : index + 1] = [Kind.HEADING] * (index + 1 - block.first)
        self._close()

    def _begin(self, kind: Kind, index: int) -> Block:
        self._close()
        if self.stack:
            self.stack[-1].empty = False
        self.leaf = Block(kind, index, index, len(self.stack))
        self.blocks.append(self.leaf)
        self.kinds[index] = kind
        return self.leaf

    def _take(self, index: int) -> None:
        if self.leaf:
            self.kinds[self.leaf.last + 1 : index + 1] = [self.leaf.kind] * (index - self.leaf.last)
            self.leaf.last = index

    def _push(self, width: int) -> None:
        if self.stack:
            self.stack[-1].empty = False
        self.stack.append(_Container(width))

    def _truncate(self, matched: int) -> None:
        self._close()
        del self.stack[matched:]

    def _close(self) -> None:
        self.leaf = None


def _content(line: str, pos: int) -> int:
    match = _SPACES.match(line, pos)
    return match.end() if match else len(line)


def _is_rule(rest: str) -> bool:
    marks = rest.replace(" ", "")
    return len(marks) > 2 and marks[0] in "*-_" and marks == marks[0] * len(marks)


def _item(line: str, pos: int, at: int, interrupts: bool) -> Optional[tuple[int, int]]:
    """Width and content position of the list item whose marker stands at `at`; None if there is none."""
    marker = _BULLET.match(line, at)
    if not marker:
        return None
    content = _content(line, marker.end())
    blank = content == len(line)
    if interrupts and (blank or marker.group(1) not in (None, "1")):
        return None
    gap = content - marker.end()
    if blank or gap > 4:
        return marker.end() + 1 - pos, min(marker.end() + 1, len(line))
    return content - pos, content
