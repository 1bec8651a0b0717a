"""What an audit says, and what a rule is."""

from __future__ import annotations

import re
from typing import NamedTuple

LOW, MEDIUM, HIGH = "low", "medium", "high"
ORDER = {LOW: 0, MEDIUM: 1, HIGH: 2}
EVIDENCE_CHARACTERS = 200


class Finding(NamedTuple):
    """A red flag: `file` is a path below the skill folder, `line` counts from 1, `evidence` is an excerpt on one line.

    `severity` is `high`, `medium` or `low`; `rule` names the rule, `text` says in a sentence what it is about.
    """

    category: str
    severity: str
    file: str
    line: int
    evidence: str
    rule: str
    text: str


class Rule(NamedTuple):
    """A pattern that is a red flag where it matches.

    Where the pattern has a group `at`, that is what it is about, and the rest what surrounds it. `needs` are lower-case strings of which a text has one wherever `pattern` matches; they make the search fast.
    `places` are those of `lines.Unit`. `installer` says that the well-known ones are milder, `spoken` that it speaks
    to an agent, which reads comments too.
    """

    id: str
    category: str
    severity: str
    needs: tuple[str, ...]
    pattern: re.Pattern[str]
    text: str
    places: tuple[str, ...] = ("prose", "code", "comment")
    installer: bool = False
    spoken: bool = False


def milder(severity: str, other: str) -> str:
    """The lower of two severities."""
    return min(severity, other, key=ORDER.__getitem__)


def excerpt(line: str, around: int = 0) -> str:
    """A line as evidence: control and invisible characters escaped, at most 200 characters, `around` among them."""
    if len(line) > EVIDENCE_CHARACTERS:
        line = line[max(0, around - 40) : max(0, around - 40) + EVIDENCE_CHARACTERS]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in line.strip())
    return shown if len(shown) <= EVIDENCE_CHARACTERS else shown[: EVIDENCE_CHARACTERS - 1] + "…"
