"""What a reader does not see and an agent does: invisible characters, comments, text in the colour of the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mega_code.evaluation.audit.finding import HIGH, LOW, MEDIUM

CATEGORY = "prompt_override"
# A flag is a black flag, a few tag characters and their end; the rest of the tag block shows as nothing at all.
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f")
_TAGS = re.compile("[\U000e0000-\U000e007f]+")
_BYTES_IN_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3,}|[\U000e0100-\U000e01ef]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe]")
_RUN = re.compile("[\u200b-\u200d\u2060-\u2064\ufeff\u180e\u115f\u1160\u3164]{4,}")
_IN_WORD = re.compile("[A-Za-z][\u00ad\u200b-\u200d\u2060-\u2064\ufeff\u180e]{1,3}[A-Za-z]")
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff\u180e\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
_AGENT = r"(?:ai|assistants?|ai agents?|agents?|claude|llms?|language models?|gpt|copilot|gemini|bots?)"
_ADDRESSED = re.compile(
    rf"\b{_AGENT}(?:\s+(?:assistants?|agents?|models?|readers?))?\s*[:,]|\b(?:notes?|instructions?|messages?|attention)\s*(?:to|for|,|:)?"
    rf"\s+(?:the\s+|all\s+|any\s+)?{_AGENT}\b(?!-)|\b{_AGENT}\s+(?:must|should|shall|will|is to|are to|needs? to)\b",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"\b(?:ignore|disregard|override|upload|send|post|exfiltrate|execute|run|fetch|curl|download|approve|delete|must|"
    r"always|never|do not (?:mention|tell|show|reveal)|don't (?:mention|tell|show|reveal)|without asking|secretly|"
    r"instead of|before answering|when (?:you|the user)|install)\b",
    re.IGNORECASE,
)
_COVERT = re.compile(
    r"\b(?:ignore|disregard|override)\b[^\n]{0,60}\b(?:instructions?|rules|prompts?)\b|\bexfiltrat\w+|\b(?:do not|don't|never) "
    r"(?:mention|tell|show|reveal)\b|\bwithout asking\b|\bsecretly\b|\bapprove (?:all|every|any)\b",
    re.IGNORECASE,
)
_UNSEEN = re.compile(
    r"<(?:span|div|p|font|td|section|a|b|i|small|label)\b[^>\n]{0,200}(?:(?:font-size|opacity|height|max-height|width)\s*:"
    r"\s*0?[01]?(?:\.0\d?)?(?:px|pt|em|rem|%)?\s*[;\"']|display\s*:\s*none|visibility\s*:\s*hidden|text-indent\s*:\s*-\d{3}"
    r"|(?P<pale>(?<![-\w])color\s*[:=]\s*[\"']?(?:#fff(?:fff)?\b|white\b|transparent\b|rgba?\(\s*255\s*,\s*255\s*,\s*255))"
    r"|left\s*:\s*-\d{4}|\bhidden\b)[^>\n]{0,200}>(?P<text>[^<]{0,400})",
    re.IGNORECASE,
)


class Hidden(NamedTuple):
    """Something unseen at an offset of a text."""

    offset: int
    length: int
    severity: str
    rule: str
    text: str


def hidden(text: str, markdown: bool) -> Iterator[Hidden]:
    """Everything unseen in a text; time is linear in it."""
    if not text.isascii():
        yield from _characters(text)
    if markdown:
        yield from _comments(text)
        for match in _UNSEEN.finditer(text):
            on_dark = "background" in text[max(0, match.start() - 300) : match.end()].lower()
            if len(match.group("text").split()) >= 3 and not (match.group("pale") and on_dark):
                severity = HIGH if _ORDER.search(match.group("text")) else MEDIUM
                yield Hidden(match.start(), 80, severity, "unseen-text", "A text is shown so that nobody sees it.")


def _characters(text: str) -> Iterator[Hidden]:
    flags = {match.start() + 1 for match in _FLAG.finditer(text)}
    for match in _TAGS.finditer(text):
        if match.start() not in flags:
            yield Hidden(match.start(), 20, HIGH, "tag-characters", "Invisible characters spell out a text.")
    for match in _BYTES_IN_SELECTORS.finditer(text):
        severity = HIGH if len(match.group()) > 3 else LOW
        yield Hidden(match.start(), 20, severity, "variation-selectors", "Invisible characters may carry a text.")
    for match in _RUN.finditer(text):
        yield Hidden(match.start(), 20, HIGH, "zero-width-run", "A run of invisible characters may carry a text.")
    for match in _IN_WORD.finditer(text):
        severity = LOW if "\u00ad" in match.group() else MEDIUM
        yield Hidden(match.start(), 20, severity, "split-by-zero-width", "An invisible character stands inside a word.")
    if not _RIGHT_TO_LEFT.search(text):
        for match in _BIDI.finditer(text):
            yield Hidden(
                match.start(), 20, HIGH, "turned-text", "It shows characters in another order than they stand."
            )


def _comments(text: str) -> Iterator[Hidden]:
    """HTML comments, and link definitions used as such, that give an agent orders."""
    end = 0
    while (start := text.find("<!--", end)) >= 0:
        end = text.find("-->", start + 4)
        end = len(text) if end < 0 else end
        yield from _comment(text, start, end)
    for match in re.finditer(r"^\[(?://|comment|_|\.)\]:\s*(?:#|<>)[^\n]{0,2000}", text, re.MULTILINE):
        yield from _comment(text, match.start(), match.end())


def _comment(text: str, start: int, end: int) -> Iterator[Hidden]:
    said = " ".join(text[start:end][:20_000].split())
    if _COVERT.search(said) or (_ADDRESSED.search(said) and _ORDER.search(said)):
        severity = HIGH if _COVERT.search(said) else MEDIUM
        yield Hidden(
            start, 80, severity, "comment-to-agent", "A comment, which no reader sees, gives the agent orders."
        )
