"""What differs between two texts, as HTML: lines that went and came, and inside them the words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from mega_code.hitl.html import Child, Html, escape, tag

# The comparison takes time with the square of its input; a page with a hundred of them must still be there at once.
LINES = 400
LINE_CHARACTERS = 2000
CONTEXT = 3
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


def diff(old: str, new: str) -> Html:
    """The lines of `old` that are gone and those of `new` that came, with some around them."""
    before, after = old.splitlines(), new.splitlines()
    if before == after:
        return tag("p", {"class": "same"}, "Both outputs are the same, line for line.")
    cut = len(before) > LINES or len(after) > LINES or max(map(len, [*before, *after])) > LINE_CHARACTERS
    one, other = ([line[:LINE_CHARACTERS] for line in lines[:LINES]] for lines in (before, after))
    rows = [
        row
        for group in SequenceMatcher(None, one, other).get_grouped_opcodes(CONTEXT)
        for row in _group(group, one, other)
    ]
    note = f"Compared are the first {LINES} lines, and of each the first {LINE_CHARACTERS} characters."
    return tag(
        "div",
        {},
        tag("p", {"class": "note"}, note) if cut else None,
        tag("table", {"class": "diff"}, tag("tbody", {}, rows)),
    )


def _group(codes: Sequence[tuple[str, int, int, int, int]], old: list[str], new: list[str]) -> Iterator[Html]:
    first, last = codes[0], codes[-1]
    where = f"lines {first[1] + 1} to {last[2]} and {first[3] + 1} to {last[4]}"
    yield tag("tr", {"class": "where"}, tag("td", {"colspan": 3}, where))
    for kind, start, end, begin, stop in codes:
        if kind == "equal":
            for offset, line in enumerate(old[start:end]):
                yield _row("", str(start + offset + 1), line)
            continue
        pairs = [_words(one, other) for one, other in zip(old[start:end], new[begin:stop])]
        gone: list[Child] = [pair[0] for pair in pairs]
        came: list[Child] = [pair[1] for pair in pairs]
        for offset, shown in enumerate([*gone, *old[start + len(pairs) : end]]):
            yield _row("gone", str(start + offset + 1), shown)
        for offset, shown in enumerate([*came, *new[begin + len(pairs) : stop]]):
            yield _row("came", str(begin + offset + 1), shown)


def _row(kind: str, number: str, shown: Child) -> Html:
    sign = {"gone": "\u2212", "came": "+"}.get(kind, "")
    cells = (tag("td", {"class": "number"}, number), tag("td", {"class": "sign"}, sign), tag("td", {}, shown))
    return tag("tr", {"class": kind or None}, cells)


def _words(old: str, new: str) -> tuple[Html, Html]:
    """Two lines with the words that differ set off; as they are where they have little in common."""
    one, other = _WORDS.findall(old), _WORDS.findall(new)
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    if len(one) * len(other) > 40_000 or matcher.ratio() < 0.4:
        return escape(old), escape(new)
    gone, came = "", ""
    for kind, start, end, begin, stop in matcher.get_opcodes():
        left, right = "".join(one[start:end]), "".join(other[begin:stop])
        gone += escape(left) if kind == "equal" or not left else tag("del", {}, left)
        came += escape(right) if kind == "equal" or not right else tag("ins", {}, right)
    return Html(gone), Html(came)
