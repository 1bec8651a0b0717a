"""The lineage of a search: every candidate and every proposal, with where it came from and what became of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from mega_code.evaluation import proposals
from mega_code.evaluation.outcome import JSON
from mega_code.evaluation.proposals import COMPONENTS, Candidate

DIFF_CHARACTERS = 20_000


def first(original: Candidate) -> JSON:
    """The entry of the original, which is number 0."""
    entry = {"candidate": 0, "parent": None, "component": None, "diff": "", "kept": True}
    return {**entry, **original._asdict(), "train_score": None, "tokens": None, "why": "the skill as uploaded"}


def note(
    known: list[JSON],
    original: str,
    parent: Candidate,
    component: str,
    child: Optional[Candidate],
    why: str,
    text: Optional[str] = None,
    broken: Sequence[str] = (),
) -> None:
    """Add a proposal for the skill text `original` to a lineage; `broken` are the rules for whose sake it is never run."""
    before = proposals.assemble(original, parent)
    parts = child._asdict() if child else dict.fromkeys(COMPONENTS)
    known.append(
        {
            "candidate": len(known),
            "parent": entry_of(known, parent)["candidate"],
            "component": component,
            "diff": _diff(before, text) if text is not None else "",
            "kept": False,
            **parts,
            "train_score": None,
            "tokens": None,
            "why": why,
            **({"invariants": list(broken)} if broken else {}),
        }
    )


def entry_of(known: Sequence[JSON], candidate: Candidate) -> JSON:
    """What the lineage says of a candidate. Raises StopIteration for one that it does not know."""
    return next(entry for entry in known if candidate_of(entry) == candidate)


def candidate_of(entry: Mapping[str, Any]) -> Candidate:
    """The candidate that an entry is about."""
    return Candidate(*(entry[name] for name in COMPONENTS))


def _diff(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "a/SKILL.md", "b/SKILL.md", lineterm="")
    return "\n".join(lines)[:DIFF_CHARACTERS]
