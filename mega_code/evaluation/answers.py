"""What a language model wrote, taken apart: the JSON in it, or the text that it proposes."""

from __future__ import annotations

import json
import re
from typing import Any, Optional

_FENCE = re.compile(r"^(`{3,}|~{3,})[^\n`]*\n(.*?)^\1[`~]*[ \t]*$", re.DOTALL | re.MULTILINE)
_OPENING = re.compile(r"(`{3,}|~{3,})([^`\n]*)$")
_OPENERS = re.compile(r"[\[{]")
TRIES = 200
CHARACTERS = 1024 * 1024


def json_in(text: str) -> Optional[Any]:
    """The JSON object or list in an answer, None where there is none.

    It is that of the first fenced block that has one, else of the text. Models put words around it even when told not
    to, and words may hold a `[1]`; so of several it is the longest.
    """
    text = text[:CHARACTERS]
    for part in (*(match.group(2) for match in _FENCE.finditer(text)), text):
        found = _longest(part)
        if found:
            return found[0]
    return None


def _longest(text: str) -> Optional[tuple[Any]]:
    """The longest JSON object or list, wrapped so that an empty one is something; of equal ones the first."""
    decoder = json.JSONDecoder()
    longest, found, position = 0, None, 0
    for _ in range(TRIES):
        opener = _OPENERS.search(text, position)
        if not opener:
            break
        try:
            value, position = decoder.raw_decode(text, opener.start())
        except (ValueError, RecursionError):
            position = opener.end()
            continue
        if position - opener.start() > longest:
            longest, found = position - opener.start(), (value,)
    return found


def proposal_in(text: str) -> str:
    """The text that a `propose` answer gives: the whole where it starts with `---` or has no fence, else the first block.

    A block that is never closed ends with the answer.
    """
    stripped = text.strip()
    lines = stripped.split("\n")
    first = next((index for index, line in enumerate(lines) if _OPENING.match(line)), None)
    if stripped.startswith("---") or first is None:
        return stripped + "\n"
    return "\n".join(_block(lines, first)).strip("\n") + "\n"


def _block(lines: list[str], first: int) -> list[str]:
    """The lines inside the block that opens at `first`.

    A block of Markdown holds blocks of its own, so that the first closing fence is often not its own.
    """
    match = _OPENING.match(lines[first])
    assert match
    fence, nests = match.group(1), match.group(2).strip().lower() in ("markdown", "md")
    depth, closings = 0, []
    for index in range(first + 1, len(lines)):
        inner = _OPENING.match(lines[index])
        if not inner or inner.group(1)[0] != fence[0] or len(inner.group(1)) < len(fence):
            continue
        if inner.group(2).strip():
            depth += nests
            continue
        closings.append(index)
        if depth == 0:
            return lines[first + 1 : index]
        depth -= 1
    return lines[first + 1 : closings[-1] if closings else None]
