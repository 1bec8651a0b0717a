"""What the lines of a Markdown text are: its leaf blocks, the code among them, the sections they stand in."""

from __future__ import annotations

import enum
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from mega_code.evaluation.inline import Link, Span, links, mask, protected


class Kind(enum.Enum):
    """What a line belongs to."""

    BLANK = "blank"
    PARAGRAPH = "paragraph"
    HEADING = "heading"
    RULE = "rule"
    FENCED = "fenced code"
    INDENTED = "indented code"
    HTML = "html"


VERBATIM = frozenset((Kind.FENCED, Kind.INDENTED, Kind.HTML))
_TAG_LINE = re.compile(r"<(/?)([A-Za-z][\w-]*)(?:\s[^<>]*)?>")
PROSE = frozenset((Kind.PARAGRAPH, Kind.HEADING))


@dataclass
class Block:
    """One leaf block: line indexes `first` to `last`, both inclusive, below `depth` lists and quotes.

    `closed` is False for a fence or an HTML block such as a comment that runs on to the end of what holds it.
    `level` is a heading's, else 0; `setext` marks a heading that is underlined.
    """

    kind: Kind
    first: int
    last: int
    depth: int
    closed: bool = True
    level: int = 0
    setext: bool = False
    end: str = ""  # what closes it: the fence's own characters, or the end of an HTML block


@dataclass(frozen=True)
class Prose:
    """The text of a paragraph or heading, its lines joined by line feeds, and what stands in it."""

    block: Block
    text: str

    @cached_property
    def spans(self) -> list[Span]:
        """Code spans, HTML and autolinks, in order."""
        return protected(self.text)

    @cached_property
    def masked(self) -> str:
        """The text with spaces in place of the spans."""
        return mask(self.text, self.spans)

    @cached_property
    def links(self) -> list[Link]:
        """Links, images and link definitions."""
        return list(links(self.text, self.masked))

    @cached_property
    def _ends(self) -> list[int]:
        return [match.start() for match in re.finditer("\n", self.text)]

    def line(self, offset: int) -> int:
        """The index, in the document, of the line that an offset of the text lies in."""
        return self.block.first + bisect_left(self._ends, offset)

    def code_spans(self) -> list[str]:
        """The code spans as written, backticks and all."""
        return [self.text[span.start : span.end] for span in self.spans if span.code]


@dataclass(frozen=True)
class Document:
    """`lines` without their ends, the kind of each, and the leaf blocks in order.

    `faithful` is False where the text holds what this parser does not follow: a lone carriage return, a NUL, or
    lists and quotes nested deeper than it goes. Nobody should rewrite such a text.
    """

    lines: tuple[str, ...]
    kinds: tuple[Kind, ...]
    blocks: tuple[Block, ...]
    faithful: bool

    @cached_property
    def between_tags(self) -> frozenset[int]:
        """The lines from a tag such as <example> alone on its line to its end tag: a template or sample, as code is."""
        opened: dict[str, list[int]] = {}
        change = [0] * (len(self.lines) + 1)
        for index, line in enumerate(self.lines):
            tag = _TAG_LINE.fullmatch(line.strip())
            if not tag or self.kinds[index] in (Kind.FENCED, Kind.INDENTED):
                continue
            if not tag.group(1):
                opened.setdefault(tag.group(2), []).append(index)
            elif opened.get(tag.group(2)):
                change[opened[tag.group(2)].pop()] += 1
                change[index + 1] -= 1
        return frozenset(index for index, depth in enumerate(accumulate(change)) if depth > 0)

    @cached_property
    def prose(self) -> tuple[Prose, ...]:
        """The paragraphs and headings, in order."""
        return tuple(Prose(block, self.text(block)) for block in self.blocks if block.kind in PROSE)

    def text(self, block: Block) -> str:
        """A block's lines, joined by line feeds."""
        return "\n".join(self.lines[block.first : block.last + 1])


def verbatim(document: Document) -> tuple[tuple[str, ...], ...]:
    """The lines of every code and HTML block, in order; a closing fence is not counted, so it may be added."""
    return tuple(
        document.lines[block.first : block.last + (0 if block.kind is Kind.FENCED and block.closed else 1)]
        for block in document.blocks
        if block.kind in VERBATIM
    )


def sections(document: Document) -> Iterator[tuple[Block, tuple[int, ...]]]:
    """Every block with the path of headings it stands under, as indexes of their first lines, outermost first."""
    path: list[Block] = []
    for block in document.blocks:
        if block.kind is Kind.HEADING and block.depth == 0:
            while path and path[-1].level >= block.level:
                path.pop()
            path.append(block)
        yield block, tuple(heading.first for heading in path)
