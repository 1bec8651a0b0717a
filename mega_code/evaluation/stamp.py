"""The stamp of an enhanced skill: who, when, which version, and what was measured, in the frontmatter's `metadata`."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from mega_code.evaluation import frontmatter
from mega_code.evaluation.folder import Skill
from mega_code.evaluation.frontmatter_checks import description, metadata
from mega_code.evaluation.tags import derive

AUTHOR = "co-authored by www.megacode.ai"
OURS = "megacode.ai"
FIRST_VERSION = "1.1.0"
STAMP_BYTES = 2048  # more than a stamp adds to a text
_VERSION = re.compile(r"(v?)(\d{1,9})(?:\.(\d{1,9})(\.\d{1,9}(?:[-+][\w.+-]*)?)?)?")


def stamp(skill: Skill, roi: list[dict[str, Any]], now: datetime, fresh: bool = False) -> str:
    """SKILL.md with its stamp; `now` is aware, `roi` as the result carries it, of which three keys are kept.

    Other keys of `metadata` and all else in the file stay as they are. `fresh` says that `metadata` is ours from the
    beginning, so that it may be written anew in the usual order. Raises MegaCodeError `invalid_frontmatter`
    where that cannot be written so that it reads back the same.
    """
    kept, there = ("model", "performance_increase", "token_savings"), metadata(skill)
    values = {
        "author": author(there.get("author")),
        "version": bumped(skill.source.raw("metadata", "version")),
        "generated_at": now.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tags": _tags(skill),
        "roi": [{key: entry[key] for key in kept} for entry in roi],
    }
    entry = skill.source.entry("metadata")
    text = frontmatter.edit(skill.text, entry.first, entry.end, []) if entry and fresh else skill.text
    return frontmatter.set_metadata(text, values)


def _tags(skill: Skill) -> list[str]:
    """The tags that the skill has, wherever it has them, as texts; from its words if it has none."""
    for tags in (metadata(skill).get("tags"), skill.frontmatter.get("tags")):
        if isinstance(tags, (list, dict)) and tags:
            return [str(tag) for tag in tags]
        if isinstance(tags, str) and tags.strip(" ,"):
            return [tag.strip() for tag in tags.split(",") if tag.strip()]
    return derive(str(skill.frontmatter.get("name", skill.skill_id)).strip(), description(skill))


def author(old: object) -> str:
    """The author with our part in it, once, after whoever is named already."""
    parts = list(old.values()) if isinstance(old, dict) else old if isinstance(old, list) else [old]
    name = ", ".join(str(part).strip() for part in parts if part not in (None, ""))
    if OURS in name.lower():
        return name
    return f"{name}, {AUTHOR}" if name else AUTHOR


def bumped(old: object) -> str:
    """The next minor version in the spelling of the old one: 1.2.3 to 1.3.0, 1.0 to 1.1, none to 1.1.0.

    What is no version number stays, since nobody but its author knows what follows it.
    """
    text = str(old or "").strip()
    match = _VERSION.fullmatch(text)
    if not match:
        return text or FIRST_VERSION
    prefix, major, minor, patch = match.groups()
    return f"{prefix}{major}.{int(minor or 0) + 1}" + (".0" if patch else "")
