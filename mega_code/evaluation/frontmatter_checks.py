"""Checks of the name, the description and the other keys in the frontmatter of SKILL.md."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Optional

from mega_code.evaluation import spec
from mega_code.evaluation.folder import Finding, Skill
from mega_code.skill import SKILL_MD

Found = Optional[list[Finding]]

MOVABLE = ("author", "version", "tags")
DESCRIPTION_WORDS = 5
_WHEN = re.compile(
    r"\b(?:when|whenever|triggers?|triggered|invoke[sd]?|should be used|to be used|is used|"
    r"use (?:it|this|for|to|if|in|on|as|at|after|before|during|only|proactively)|"
    r"used? (?:for|when)|if (?:the|a|you|they|someone|asked)|(?:asks?|asked|asking) (?:for|to|about))\b",
    re.IGNORECASE,
)
_PERSON = re.compile(r"(?:I|I'm|I'll|we|you|your|my|our|let me)\b(?!/)", re.IGNORECASE)


def at(skill: Skill, key: str, text: str) -> list[Finding]:
    """A finding at the line of a top-level key, or at the opening line where there is none."""
    entry = skill.source.entry(key)
    return [Finding(SKILL_MD, entry.first + 2 if entry else 1, text)]


def metadata(skill: Skill) -> dict[Any, Any]:
    """The mapping below `metadata`, empty where there is none."""
    return skill.frontmatter.get("metadata") or {}


def description(skill: Skill) -> str:
    """The description, without white space around it."""
    return str(skill.frontmatter.get("description") or "").strip()


def name_is_there(skill: Skill) -> Found:
    return [] if "name" in skill.frontmatter else at(skill, "name", "has no name in its frontmatter")


def name_is_the_folders(skill: Skill) -> Found:
    if "name" not in skill.frontmatter:
        return None
    name = str(skill.frontmatter["name"]).strip()
    if unicodedata.normalize("NFKC", name) == unicodedata.normalize("NFKC", skill.skill_id):
        return []
    return at(skill, "name", f"is named {name[:80]!r}, but its folder is {skill.skill_id[:80]!r}")


def description_says_what(skill: Skill) -> Found:
    text = description(skill)
    if re.match(r"\W*(?:TODO|TBD|FIXME)\b", text):
        return at(skill, "description", "has a placeholder for a description")
    enough = len(re.findall(r"\w+", text)) >= DESCRIPTION_WORDS or not _is_english(text)
    return [] if enough else at(skill, "description", f"has a description of fewer than {DESCRIPTION_WORDS} words")


def description_says_when(skill: Skill) -> Found:
    """Not asked where an agent never chooses the skill, nor in a language that the words are not known in."""
    frontmatter, text = skill.frontmatter, description(skill)
    if frontmatter.get("disable-model-invocation") is True or not _is_english(text):
        return None
    if frontmatter.get("when_to_use") or _WHEN.search(text):
        return []
    return at(skill, "description", "does not say in its description when to use it")


def _is_english(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    return sum(char.isascii() for char in letters) * 2 >= len(letters)


def description_is_third_person(skill: Skill) -> Found:
    opening = _PERSON.match(description(skill))
    if not opening:
        return []
    return at(skill, "description", f"begins its description with {opening.group()!r} instead of the third person")


def description_is_tidy(skill: Skill) -> Found:
    text = description(skill)
    return [] if spec.tidy(text) == text else at(skill, "description", "has runs of white space in its description")


def description_has_no_tags(skill: Skill) -> Found:
    found = re.search(r"<[^<>]{0,40}>|<|>", description(skill))
    return at(skill, "description", f"has angle brackets ({found.group()}) in its description") if found else []


def keys_are_known(skill: Skill) -> Found:
    known = spec.KEYS | spec.CLAUDE_CODE_KEYS | set(MOVABLE)
    return [
        finding
        for entry in skill.source.entries
        if entry.key not in known
        for finding in at(skill, entry.key, f"has the key {entry.key[:80]!r}, which is not of the specification")
    ]


def keys_are_in_metadata(skill: Skill) -> Found:
    return [
        finding
        for key in MOVABLE
        if skill.source.entry(key)
        for finding in at(skill, key, f"has {key!r} at the top of its frontmatter and not below metadata")
    ]


def metadata_types(skill: Skill) -> Found:
    values = metadata(skill)
    there = [key for key in MOVABLE if values.get(key) is not None]
    wrong = [key for key in there if not (_is_tags(values[key]) if key == "tags" else isinstance(values[key], str))]
    text = "writes metadata.{} as something other than {}"
    kinds = {"tags": "a list of texts"}
    return [at(skill, "metadata", text.format(key, kinds.get(key, "a text in quotes")))[0] for key in wrong]


def _is_tags(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(tag, str) for tag in value)


def tags_are_there(skill: Skill) -> Found:
    there = metadata(skill).get("tags") or skill.frontmatter.get("tags")
    return [] if there else at(skill, "metadata", "has no tags in its metadata")


def allowed_tools(skill: Skill) -> Found:
    if "allowed-tools" not in skill.frontmatter:
        return None
    value = skill.frontmatter["allowed-tools"]
    good = isinstance(value, str) or (isinstance(value, list) and all(isinstance(tool, str) for tool in value))
    return [] if good else at(skill, "allowed-tools", "has allowed-tools that are neither a text nor a list of texts")


def allowed_tools_in_block_style(skill: Skill) -> Found:
    entry = skill.source.entry("allowed-tools")
    if entry is None or not isinstance(skill.frontmatter.get("allowed-tools"), list):
        return None
    text = "lists allowed-tools in brackets, which the reference validator does not read"
    return at(skill, entry.key, text) if getattr(entry.value, "flow_style", False) else []


def compatibility(skill: Skill) -> Found:
    if "compatibility" not in skill.frontmatter:
        return None
    value, most = skill.frontmatter["compatibility"], spec.COMPATIBILITY_CHARACTERS
    good = isinstance(value, str) and 0 < len(value) <= most
    return [] if good else at(skill, "compatibility", f"has a compatibility that is no text of 1 to {most} characters")
