"""Paragraphs that are said twice, and which of them can go without a loss."""

from __future__ import annotations

import re
from typing import NamedTuple

from mega_code.evaluation.blocks import Block, Document, Kind, sections

PARAGRAPH_CHARACTERS = 60
_PLACED = re.compile(r"\b(?:above|below|following|previous|preceding|next|here|step|section)\b", re.IGNORECASE)
# What tells somebody to do or not to do something at a certain point.
_BOUND = re.compile(
    r"\b(?:after|again|always|ask|asks|before|check|confirm|do not|don't|ensure|finally|first|if|important|last|make sure|"
    r"must|never|now|once|only|remember|stop|then|unless|until|verify|wait|warn|when|whenever|while|without)\b",
    re.IGNORECASE,
)
_STEP = re.compile(r"#* *(?:\W*\d|(?:step|phase|stage|part|option|task|case|mode|if|when|for)\b)", re.IGNORECASE)


class Repeat(NamedTuple):
    """A paragraph that says word for word what the paragraph `first` says; `removable` if nothing is lost with it."""

    first: Block
    block: Block
    removable: bool


def find(document: Document) -> list[Repeat]:
    """Paragraphs of plain prose, outside lists, quotes and samples between tags, that were said before word for word.

    Place can be meaning. One is removable only if it introduces nothing, points nowhere and leaves no section empty;
    and where the first stands in another section than its own or one around it, only if it binds nobody to do
    something at that point and is not in one of several steps or cases.
    """
    seen: dict[str, dict[tuple[int, ...], Block]] = {}
    found = []
    under = list(sections(document))
    for number, (block, path) in enumerate(under):
        text = document.text(block)
        if not _is_prose(block, text) or block.first in document.between_tags:
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
