"""Whose skill it says it is, and what may be done with it before a person was asked.

The frontmatter is what the skill claims; nothing here proves it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mega_code.evaluation.audit.finding import HIGH, LOW, Finding

# Names as a whole word, in lower case, and domains with all that is below them.
KNOWN_AUTHORS = ("megacode", "mega-code", "anthropic", "anthropics")
KNOWN_DOMAINS = ("megacode.ai", "anthropic.com", "claude.com", "github.com/anthropics")
# Words that say nothing about who it is.
NEUTRAL = frozenset("by and & the co-authored with inc inc. pbc ltd llc team".split())
_VALUES = 32

FULL_ACCESS, WARN, SKIP = "full_access", "warn_and_continue", "skip_ab"


def known_author(frontmatter: Mapping[Any, Any]) -> bool:
    """Whether every author in `metadata.author` and `author` is one we know, and there is one.

    Every word has to be a known name, a known domain, or neutral such as "by": `not-anthropic`, `anthropic.evil.com`
    and `eve, co-authored by www.megacode.ai` are not known.
    """
    metadata = frontmatter.get("metadata")
    claims = [frontmatter.get("author"), metadata.get("author") if isinstance(metadata, Mapping) else None]
    words = [word for claim in claims for value in _values(claim) for word in re.split(r"[\s,;|()<>]+", value.lower())]
    named = [word for word in words if word and word not in NEUTRAL]
    return bool(named) and all(_known(word) for word in named)


def policy(findings: Iterable[Finding], frontmatter: Mapping[Any, Any]) -> str:
    """What may be done without asking: `full_access`, `warn_and_continue` (ask first), `skip_ab` (run nothing).

    An unknown author is always asked about, and with a high finding nothing of the skill is run.
    """
    severities = {finding.severity for finding in findings}
    if not known_author(frontmatter):
        return SKIP if HIGH in severities else WARN
    return FULL_ACCESS if severities <= {LOW} else WARN


def _values(claim: object) -> Iterator[str]:
    """The texts in an author, which may be a list or a mapping; at most `_VALUES`, and anything odd is one unknown."""
    items = list(claim.values()) if isinstance(claim, Mapping) else claim if isinstance(claim, list) else [claim]
    for item in items[:_VALUES]:
        if item not in (None, ""):
            yield item if isinstance(item, str) else "?"
    if len(items) > _VALUES:
        yield "?"


def _known(word: str) -> bool:
    if word in KNOWN_AUTHORS:
        return True
    match = re.fullmatch(r"(?:https?://|[\w.+-]+@)?([a-z0-9.-]+(?:/[a-z0-9-]+)?)/?", word)
    return (
        bool(match)
        and any(match.group(1) == domain or match.group(1).endswith("." + domain) for domain in KNOWN_DOMAINS)
        if match
        else False
    )
