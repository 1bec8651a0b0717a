"""The form of a Markdown text: what is untidy or broken in it, and which of that can be mended without a loss.

Each function takes a parsed document and gives line indexes or blocks; checks report them and rewrites mend them,
so the two never disagree about what is wrong.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mega_code.evaluation.blocks import PROSE, VERBATIM, Block, Document, Kind, sections

LONG_RUN = 3
PARAGRAPH_CHARACTERS = 60
_GLUED = re.compile(r"#{2,6}(?=[^\W_])(?![\w-]+\[)[^#]*$")
_GLUED_TITLE = re.compile(r"#(?=[^\W\d_])[^#]*$")
_PLACED = re.compile(r"\b(?:above|below|following|previous|preceding|next|here|step|section)\b", re.IGNORECASE)
# What tells somebody to do or not to do something at a certain point.
_BOUND = re.compile(
    r"\b(?:after|again|always|ask|asks|before|check|confirm|do not|don't|ensure|finally|first|if|important|last|make sure|"
    r"must|never|now|once|only|remember|stop|then|unless|until|verify|wait|warn|when|whenever|while|without)\b",
    re.IGNORECASE,
)
_STEP = re.compile(r"#* *(?:\W*\d|(?:step|phase|stage|part|option|task|case|mode|if|when|for)\b)", re.IGNORECASE)
_FENCE_OR_HEADING = re.compile(r" {0,3}(?:`{3,}|~{3,}|#{2,6} )")
_DOUBLED = re.compile(r"\b([^\W\d_]{4,})[ \t]+\1\b")
_DOUBLED_RIGHTLY = frozenset(("that", "nous", "vous"))


class Repeat(NamedTuple):
    """A paragraph that says word for word what the paragraph `first` says; `removable` if nothing is lost with it."""

    first: Block
    block: Block
    removable: bool


def trailing_space(document: Document) -> list[int]:
    """Lines that end in spaces or tabs which mean nothing.

    Left out are two spaces that break a line inside a paragraph, the inside of code and HTML, and a line end whose
    removal would turn a backslash into a line break.
    """
    blocks = {index: block for block in document.blocks for index in range(block.first, block.last + 1)}
    inside = _ends_inside_spans(document)
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
        inside = index < len(document.lines) and document.kinds[index] is Kind.BLANK
        if inside and not document.lines[index].strip(" \t"):
            continue
        after_marker = start > 0 and document.kinds[start - 1] is Kind.BLANK
        if index - start >= LONG_RUN and not after_marker:
            runs.append((start, index - 1))
        start = index + 1
    return runs


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
        if block.kind is Kind.PARAGRAPH and block.depth == 0 and not indented:
            title = number == 0 and block.first == block.last and _GLUED_TITLE.match(line)
            if title or _GLUED.match(line):
                found.append(block.first)
    return found


def open_fences(document: Document) -> list[tuple[Block, bool]]:
    """Fences that nothing closes, and whether a closing line at the end of the text is what was meant.

    It is where the code is one run of lines up to the end: no prose can be caught in it.
    """
    found = []
    for block in document.blocks:
        if block.kind is Kind.FENCED and not block.closed:
            lines = document.lines[block.first : block.last + 1]
            code = "\n".join(lines[1:]).rstrip("\n \t").split("\n")
            closable = (
                block.last == len(document.lines) - 1
                and lines[0].lstrip(" ").startswith(block.end)
                and all(line.strip() and not # What tells somebody to do or not to do something at a certain point.
_BOUND = re.compile(
    r"\b(?:after|again|always|ask|asks|before|check|confirm|do not|don't|ensure|finally|first|if|important|last|make sure|"
    r"must|never|now|once|only|remember|stop|then|unless|until|verify|wait|warn|when|whenever|while|without)\b",
    re.IGNORECASE,
)
_STEP = re.compile(r"#* *(?:\W*\d|(?:step|phase|stage|part|option|task|case|mode|if|when|for)\b)", re.IGNORECASE)
_FENCE_OR_HEADING.match(line) for line in code)
            )
            found.append((block, closable))
    return found


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


def repeats(document: Document) -> list[Repeat]:
    """Paragraphs of plain prose, outside lists and quotes, that were said before word for word.

    Place can be meaning. One is removable only if it introduces nothing, points nowhere and leaves no section empty;
    and where the first stands in another section than its own or one around it, only if it binds nobody to do
    something at that point and is not in one of several steps or cases.
    """
    seen: dict[str, dict[tuple[int, ...], Block]] = {}
    found = []
    under = list(sections(document))
    for number, (block, path) in enumerate(under):
        text = document.text(block)
        if not _is_prose(block, text):
            continue
        earlier = seen.setdefault("\n".join(line.strip() for line in text.split("\n")), {})
        if earlier:
            covering = [earlier[path[:depth]] for depth in range(len(path) + 1) if path[:depth] in earlier]
            free = bool(covering) or _is_free_of_place(document, text, path)
            removable = free and not _PLACED.search(text) and _stands_alone(document, under, number)
            found.append(Repeat(next(iter(covering or earlier.values())), block, removable))
        earlier.setdefault(path, block)
    return found


def _is_free_of_place(document: Document, text: str, path: tuple[int, ...]) -> bool:
    """Whether a paragraph says the same wherever it stands; only known of English."""
    steps = any(_STEP.match(document.lines[heading]) for heading in path)
    return text.isascii() and not steps and not _BOUND.search(text)


def _is_prose(block: Block, text: str) -> bool:
    plain = block.kind is Kind.PARAGRAPH and block.depth == 0 and len(text) >= PARAGRAPH_CHARACTERS
    return plain and not set("`|<") & set(text) and not text.lstrip().startswith("[") and not text.endswith(":")


def _stands_alone(document: Document, under: list[tuple[Block, tuple[int, ...]]], number: int) -> bool:
    """Whether a block can go without a change to what is before and after it."""
    block, _ = under[number]
    before = under[number - 1][0]
    after = under[number + 1][0] if number + 1 < len(under) else None
    next_line = next((i for i in range(block.last + 1, len(document.lines)) if document.lines[i].strip()), None)
    if next_line != (after.first if after else None):
        return False  # an empty list item or quote, which is no block
    if after is None or after.kind is Kind.HEADING:
        return before.kind is not Kind.HEADING and (after is None or after.depth == 0)  # else its section is empty
    indented = document.lines[after.first][:1].isspace()
    return after.depth == 0 and after.kind in (Kind.PARAGRAPH, Kind.RULE) and not indented


def ends_well(document: Document, text: str) -> bool:
    """Whether a text ends with exactly one line end; one that is empty, or ends inside open code or HTML, does."""
    last = document.blocks[-1] if document.blocks else None
    if not text.strip() or (last and not last.closed and last.last == len(document.lines) - 1):
        return True
    return text.endswith("\n") and bool(document.lines[-1].strip(" \t"))
