"""Inside a paragraph or heading of Markdown: code spans, raw HTML, and links. Pure, and linear in the text."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple, Optional


class Span(NamedTuple):
    """Offsets `start` to `end` (exclusive) of something that is not prose; `code` is False for HTML and autolinks."""

    start: int
    end: int
    code: bool


class Link(NamedTuple):
    """A link or image, or the definition of a reference link.

    `start` and `end` are the offsets of `target` as written, without angle brackets and title.
    """

    start: int
    end: int
    target: str


_TOKEN = re.compile(r"\\.|`+|<", re.DOTALL)
_TICKS = re.compile(r"`+")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<[?!][^<>]*>")
_INLINE = re.compile(
    r"\]\([ \t\n]*(?:<([^<>\n]*)>|((?:[^\s()<>\\]|\\.|\([^\s()]*\))(?:[^\s()\\]|\\.|\([^\s()]*\))*))"
    r"(?:[ \t\n]+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?[ \t\n]*\)"
)
_DEFINITION = re.compile(r"^ {0,3}\[(?!\^)[^\[\]\n]+\]:[ \t]*(?:<([^<>\n]*)>|(\S+))", re.MULTILINE)


def protected(text: str) -> list[Span]:
    """The code spans, HTML tags, HTML comments and autolinks of a paragraph's text, in order."""
    runs: dict[int, list[int]] = {}
    for run in _TICKS.finditer(text):
        runs.setdefault(len(run.group()), []).append(run.start())
    comment_ends = [match.end() for match in re.finditer("-->", text)]
    spans: list[Span] = []
    pos = 0
    while True:
        token = _TOKEN.search(text, pos)
        if token is None:
            return spans
        start, end, code = token.start(), None, False
        if token.group()[0] == "`":
            end, code = _closing_run(runs.get(len(token.group()), []), token), True
        elif token.group() == "<":
            end = _end_of_html(text, start, comment_ends)
        if end is None:
            pos = token.end()
        else:
            spans.append(Span(start, end, code))
            pos = end


def _closing_run(starts: list[int], opening: re.Match[str]) -> Optional[int]:
    at = bisect_left(starts, opening.end())
    return starts[at] + len(opening.group()) if at < len(starts) else None


def _end_of_html(text: str, start: int, comment_ends: list[int]) -> Optional[int]:
    if text.endswith(("](", "]: "), 0, start):
        return None  # a link's target between angle brackets
    if text.startswith("<!--", start):
        at = bisect_left(comment_ends, start + 5)
        return comment_ends[at] if at < len(comment_ends) else None
    tag = _TAG.match(text, start)
    return tag.end() if tag else None


def mask(text: str, spans: list[Span]) -> str:
    """`text` with spaces in place of `spans`, line ends and length kept."""
    parts, pos = [], 0
    for span in spans:
        parts += [text[pos : span.start], re.sub(r"[^\n]", " ", text[span.start : span.end])]
        pos = span.end
    return "".join([*parts, text[pos:]])


def links(text: str, masked: str) -> Iterator[Link]:
    """The links, images and link definitions of a paragraph's text; none in what is `masked` in it."""
    opened = masked.find("[")
    for match in _INLINE.finditer(masked):
        if 0 <= opened < match.start() and not text.endswith("\\", 0, match.start()):
            yield _link(match)
    for match in _DEFINITION.finditer(masked):
        yield _link(match)


def _link(match: re.Match[str]) -> Link:
    group = 1 if match.group(1) is not None else 2
    return Link(match.start(group), match.end(group), match.group(group))
