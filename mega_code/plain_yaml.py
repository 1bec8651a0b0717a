"""YAML in its plainest form, which nearly every frontmatter has, without the YAML library.

To import that library and to read two hundred skills with it takes longer than all the rest of listing them. `read`
gives what the library gives, or leaves the text to it: whatever is not plain is not understood here.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Optional, Union

DEEPEST = 40  # columns
_ODD = re.compile("[^\n -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_ENTRY = re.compile(r"([A-Za-z_][A-Za-z0-9_-]{0,60}):(?: +(.*))?")
_QUOTED = re.compile(r"\"([^\"\\]*)\"|'([^']*)'")
_FLOW = re.compile(r"\[([A-Za-z0-9_./, -]*)\]")
_RESERVED = frozenset(("true", "false", "yes", "no", "on", "off", "null"))
_BOOLEANS = {"true": True, "false": False}


class _NotPlain(Exception):
    """Something that only the library reads."""


class _Line(NamedTuple):
    indent: int
    text: str


def read(source: str) -> Optional[dict[str, Any]]:
    """A mapping of words to strings on one line, booleans, and lists and mappings of those; None for all else."""
    if _ODD.search(source):
        return None
    bare = [(line, line.strip(" ")) for line in source.split("\n")]
    reader = _Reader([_Line(len(line) - len(line.lstrip(" ")), text) for line, text in bare if text])
    try:
        value = reader.mapping(0)
    except _NotPlain:
        return None
    return value if value and not reader.lines else None


class _Reader:
    """Takes the lines away from the end of `lines`, which are in reverse, as it understands them."""

    def __init__(self, lines: list[_Line]) -> None:
        self.lines = lines[::-1]

    def _next(self) -> _Line:
        return self.lines[-1] if self.lines else _Line(-1, "")

    def mapping(self, indent: int) -> dict[str, Any]:
        """The entries that stand at `indent`, up to a line that is none."""
        if indent > DEEPEST:
            raise _NotPlain
        found: dict[str, Any] = {}
        while self._next().indent == indent and not self._next().text.startswith("- "):
            entry = _ENTRY.fullmatch(self.lines.pop().text)
            if not entry or entry[1].lower() in _RESERVED:
                raise _NotPlain
            found[entry[1]] = _scalar(entry[2]) if entry[2] else self._below(indent)
        return found

    def _below(self, indent: int) -> Union[dict[str, Any], list[Any]]:
        """The value of an entry that goes on in the next line; a list may begin right below its key."""
        line = self._next()
        if line.indent >= indent and line.text.startswith("- "):
            return self._sequence(line.indent)
        if line.indent > indent:
            return self.mapping(line.indent)
        raise _NotPlain

    def _sequence(self, indent: int) -> list[Any]:
        items: list[Any] = []
        while self._next().indent == indent and self._next().text.startswith("- "):
            text = self.lines.pop().text
            item = text[2:].lstrip(" ")
            if _ENTRY.fullmatch(item):
                inner = indent + len(text) - len(item)
                self.lines.append(_Line(inner, item))
                items.append(self.mapping(inner))
            else:
                items.append(_scalar(item))
        return items


def _scalar(text: str) -> Union[str, bool, list[Union[str, bool]]]:
    """A string, `true` or `false`, or a list of those between brackets."""
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        return quoted[1] if quoted[1] is not None else quoted[2]
    flow = _FLOW.fullmatch(text)
    if flow:
        return [_plain(item.strip(" ")) for item in flow[1].split(",")]
    return _plain(text)


def _plain(text: str) -> Union[str, bool]:
    """What begins with a letter is a string, unless it is one of a few words or an entry or comment begins in it."""
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if not (text[:1].isascii() and text[:1].isalpha()) or text.lower() in _RESERVED:
        raise _NotPlain
    if ": " in text or " #" in text or text.endswith(":"):
        raise _NotPlain
    return text
