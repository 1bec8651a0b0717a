"""What a page shows of a result: text without control characters, and not more of it than a page can hold."""

from __future__ import annotations

from typing import Any

from mega_code.pages.html import Html, join, tag
from mega_code.pages.reading import Number, digits, number, words
from mega_code.plain import plain

KEPT = "\n\t\u200c\u200d"  # line ends, tabs, and the joiners of emoji and of some scripts
TEXT_CHARACTERS = 2_000
PAGE_CHARACTERS = 1_500_000
ENTRY_CHARACTERS = 200  # what a row costs besides its texts
LEAST_CHARACTERS = 80  # of every text, however much stood before it
LEAST_ENTRIES = 10


class Shown:
    """Hands out texts and figures for one page, and counts what it left out."""

    def __init__(self) -> None:
        self.left = PAGE_CHARACTERS
        self.cut_texts = 0
        self.cut_characters = 0
        self.cut_entries = 0

    def text(self, value: Any, limit: int = TEXT_CHARACTERS) -> Html:
        """A value as text; what is past the limit is counted in its place."""
        whole = words(value)
        limit = min(limit, max(self.left, LEAST_CHARACTERS))
        self.left -= min(limit, len(whole))
        shown = plain(whole[:limit], KEPT)
        if len(whole) <= limit:
            return join([shown])
        self.cut_texts += 1
        self.cut_characters += len(whole) - limit
        return join([shown, tag("span", f" [{len(whole) - limit:,} more characters]", class_="cut")])

    def first(self, entries: list[Any], limit: int) -> list[Any]:
        """The first `limit` entries; when the page is full, fewer."""
        limit = limit if self.left > 0 else min(limit, LEAST_ENTRIES)
        self.left -= ENTRY_CHARACTERS * min(limit, len(entries))
        self.cut_entries += max(0, len(entries) - limit)
        return entries[:limit]

    def note(self) -> str:
        """What the page leaves out, as a sentence; empty where that is nothing."""
        if not self.cut_texts and not self.cut_entries:
            return ""
        return (
            f"This page is cut short: {self.cut_characters:,} characters of {self.cut_texts:,} long texts and"
            f" {self.cut_entries:,} entries are not shown. The result itself has them."
        )

    def figure(self, value: Any, unit: str = "", shift: int = 0) -> Html:
        """A number with all its digits, times ten to the `shift`; anything else as text, null as a dash."""
        given = number(value)
        if given is not None:
            return data(given, unit, shift)
        return tag("span", "–", class_="none") if value is None else self.text(value, LEAST_CHARACTERS)

    def rate(self, value: Any) -> Html:
        """A share from 0 to 1, in per cent."""
        return self.figure(value, "\N{NO-BREAK SPACE}%", 2)


def data(value: Number, unit: str = "", shift: int = 0) -> Html:
    """A number for people, with the number as it stands in the result beside it for machines."""
    return tag("data", digits(value, shift) + unit, value=repr(value))
