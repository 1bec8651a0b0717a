"""The form of a Markdown text: what is untidy or broken in it, and which of that can be mended without a loss.

Each function takes a parsed document and gives line indexes or blocks; checks report them and rewrites mend them,
so the two never disagree about what is wrong. What stands between tags is a sample and its form is nobody's fault.
"""

from __future__ import annotations

import re

from mega_code.evaluation.blocks import PROSE, VERBATIM, Block, Document, Kind

LONG_RUN = 3
_GLUED = re.compile(r"#{2,6}(?=[^\W_])(?![\w-]+\[)[^#]*$")
_GLUED_TITLE = re.compile(r"#(?=[^\W\d_])[^#]*$")
_FENCE_OR_HEADING = re.compile(r" {0,3}(?:`{3,}|~{3,}|#{2,6} )")
_DOUBLED = re.compile(r"\b([^\W\d_]{4,})[ \t]+\1\b")
_DOUBLED_RIGHTLY = frozenset(("that", "nous", "vous"))


def trailing_space(document: Document) -> list[int]:
    """Lines that end in spaces or tabs which mean nothing.

    Left out are two spaces that break a line inside a paragraph, the inside of code and HTML, and a line end whose
    removal would turn a backslash into a line break.
    """
    blocks = {index: block for block in document.blocks for index in range(block.first, block.last + 1)}
    inside = _ends_inside_spans(document) | document.between_tags
    found = []
    for index, line in enumerate(document.lines):
        bare = line.rstrip(" \t")
        if bare == line or bare.endswith("\\"):
            continue
        block = blocks.get(index)
        kind = block.kind if block else Kind.BLANK
        breaks = kind in PROSE and block is not None and index < block.last and line.endswith("  ")
        if not breaks and kind not in VERBATIM and index not in inside:
            found.append(index)
    return found


def _ends_inside_spans(document: Document) -> set[int]:
    """The lines whose end stands inside a code span or a tag."""
    spans = ((prose, span) for prose in document.prose for span in prose.spans)
    return {line for prose, span in spans for line in range(prose.line(span.start), prose.line(span.end))}


def blank_runs(document: Document) -> list[tuple[int, int]]:
    """First and last line of every run of `LONG_RUN` or more blank lines outside code and HTML.

    Left out is a run after an empty list item: renderers differ in whether the list goes on after it.
    """
    runs, start = [], 0
    for index in range(len(document.lines) + 1):
        if index < len(document.lines) and _is_empty(document, index):
            continue
        after_marker = start > 0 and document.kinds[start - 1] is Kind.BLANK
        if index - start >= LONG_RUN and not after_marker:
            runs.append((start, index - 1))
        start = index + 1
    return runs


def _is_empty(document: Document, index: int) -> bool:
    blank = document.kinds[index] is Kind.BLANK and not document.lines[index].strip(" \t")
    return blank and index not in document.between_tags


def glued_headings(document: Document) -> list[int]:
    """Lines such as `##Title`, which were meant as a heading and are none.

    A single `#` counts only where it begins the text, since elsewhere it may be a tag. Left out is what has another
    `#` (a placeholder such as ##NAME##), a command such as ##vso[...], and what has an indented line below it, which
    would become code.
    """
    found = []
    for number, block in enumerate(document.blocks):
        line = document.lines[block.first]
        indented = block.first < block.last and document.lines[block.first + 1][:1].isspace()
        sample = block.first in document.between_tags
        if block.kind is Kind.PARAGRAPH and block.depth == 0 and not indented and not sample:
            title = number == 0 and block.first == block.last and _GLUED_TITLE.match(line)
            if title or _GLUED.match(line):
                found.append(block.first)
    return found


def open_fences(document: Document) -> list[tuple[Block, bool]]:
    """Fences that nothing closes, and whether a closing line at the end of the text is what was meant.

    It is not where what follows the opening looks as if the code had ended earlier: with another fence, with a
    heading, or with a last paragraph of prose.
    """
    found = []
    for block in document.blocks:
        if block.kind is Kind.FENCED and not block.closed:
            lines = document.lines[block.first : block.last + 1]
            closable = (
                block.last == len(document.lines) - 1
                and lines[0].lstrip(" ").startswith(block.end)
                and any(line.strip() for line in lines[1:])
                and not any(_FENCE_OR_HEADING.match(line) for line in lines[1:])
                and not _ends_in_prose(lines[1:])
            )
            found.append((block, closable))
    return found


def _ends_in_prose(code: tuple[str, ...]) -> bool:
    """Whether the last paragraph of several is a sentence, with nothing in it that code is made of."""
    before, _, last = "\n".join(line.strip(" \t") for line in code).strip("\n").rpartition("\n\n")
    return bool(before) and last[:1].isupper() and last[-1:] in ".!?:" and not set(last) & set("={}()<>;$|\\#")


def doubled_words(document: Document) -> list[int]:
    """Lines of prose with the same word twice in a row."""
    found = []
    for prose in document.prose:
        for match in _DOUBLED.finditer(prose.masked):
            side_by_side = prose.text.startswith(match.group(), match.start())  # and no code between the two
            if side_by_side and match.group(1).lower() not in _DOUBLED_RIGHTLY:
                found.append(prose.line(match.start()))
    return found


def open_comments(document: Document) -> list[Block]:
    """HTML comments, and the like, that nothing closes."""
    return [block for block in document.blocks if block.kind is Kind.HTML and not block.closed]


def ends_well(document: Document, text: str) -> bool:
    """Whether a text ends with exactly one line end; one that is empty, or ends inside open code or HTML, does."""
    last = document.blocks[-1] if document.blocks else None
    if not text.strip() or (last and not last.closed and last.last == len(document.lines) - 1):
        return True
    return text.endswith("\n") and bool(document.lines[-1].strip(" \t"))
