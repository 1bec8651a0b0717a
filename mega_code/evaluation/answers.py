"""What a language model wrote, taken apart: the JSON in it, or the text that it proposes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Optional

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n`]*\n(.*?)^ {0,3}\1[`~]*[ \t\r]*$", re.DOTALL | re.MULTILINE)
_OPENING = re.compile(r"(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})(?P<info>[^`\n]*)$")
_LINE_END = re.compile(r"\r\n?")
_OPENERS = re.compile(r"[\[{]")
TRIES = 200
CHARACTERS = 1024 * 1024


def json_in(text: str) -> Optional[Any]:
    """The JSON object or list that somebody was asked for, None where there is none.

    It is that of the first fenced block that has one, else of the text. Models put words around it even when told not
    to, and words may hold a `[1]`; so of several it is the longest.
    """
    text = text[:CHARACTERS]
    for part in (*(match.group(2) for match in _FENCE.finditer(text)), text):
        found = _longest(part)
        if found:
            return found[0]
    return None


def first_json_in(text: str) -> Optional[Any]:
    """The first JSON object or list in an output, None where there is none."""
    return next((value for value, _ in _values(text[:CHARACTERS])), None)


def _longest(text: str) -> Optional[tuple[Any]]:
    """The longest JSON object or list, wrapped so that an empty one is something; of equal ones the first."""
    found = max(_values(text), key=lambda one: one[1], default=None)
    return found and (found[0],)


def _values(text: str) -> Iterator[tuple[Any, int]]:
    """The JSON objects and lists in a text, one after the other, each with its length."""
    decoder, position = json.JSONDecoder(), 0
    for _ in range(TRIES):
        opener = _OPENERS.search(text, position)
        if not opener:
            return
        try:
            value, position = decoder.raw_decode(text, opener.start())
        except (ValueError, RecursionError):
            position = opener.end()
            continue
        yield value, position - opener.start()


def proposal_in(text: str) -> str:
    """The text that a `propose` answer gives: the whole where it starts with `---` or has no fence, else the first block.

    A block that is never closed ends with the answer. Its lines end with a line feed, however they came.
    """
    stripped = _LINE_END.sub("\n", text).strip()
    lines = stripped.split("\n")
    first = next((index for index, line in enumerate(lines) if _OPENING.match(line)), None)
    if stripped.startswith("---") or first is None:
        return stripped + "\n"
    return "\n".join(_block(lines, first)).strip("\n") + "\n"


def _block(lines: list[str], first: int) -> list[str]:
    """The lines inside the block that opens at `first`, without its own indentation.

    A block of Markdown holds blocks of its own, so that the first closing fence is often not its own.
    """
    match = _OPENING.match(lines[first])
    assert match
    fence, nests = match["fence"], match["info"].strip().lower() in ("markdown", "md")
    depth, closings = 0, list[int]()
    for index in range(first + 1, len(lines)):
        inner = _OPENING.match(lines[index])
        if not inner or inner["fence"][0] != fence[0] or len(inner["fence"]) < len(fence):
            continue
        if inner["info"].strip():
            depth += nests
            continue
        closings.append(index)
        if depth == 0:
            break
        depth -= 1
    indent = re.compile(f" {{0,{len(match['indent'])}}}")
    return [indent.sub("", line, count=1) for line in lines[first + 1 : closings[-1] if closings else None]]
