"""What the Agent Skills specification asks for so firmly that no mechanical rewrite may put it right.

Source: agentskills.io/specification, and its reference validator skills-ref 0.1.1.
"""

from __future__ import annotations

import re
import unicodedata

from mega_code.errors import MegaCodeError
from mega_code.evaluation.folder import Skill

NAME_CHARACTERS = 64
DESCRIPTION_CHARACTERS = 1024
COMPATIBILITY_CHARACTERS = 500
GAP = re.compile(r"(?<=\S)(?:[ \t]{2,}|\t)(?=\S)")
KEYS = frozenset(("name", "description", "license", "compatibility", "metadata", "allowed-tools"))
# Claude Code's own, code.claude.com/docs/en/skills.
CLAUDE_CODE_KEYS = frozenset(
    """
    agent argument-hint arguments context disable-model-invocation disallowed-tools effort hooks model paths shell
    user-invocable when_to_use
    """.split()
)


def violations(skill: Skill) -> list[str]:
    """One sentence for each rule that is broken for good; an empty list means that work can begin."""
    try:
        frontmatter, _ = skill.frontmatter, skill.source
    except MegaCodeError as error:
        return [error.message]
    found = [_name(frontmatter["name"])] if "name" in frontmatter else [_missing_name(skill.skill_id)]
    found.append(_description(frontmatter.get("description")))
    if not isinstance(frontmatter.get("metadata"), (dict, type(None))):
        found.append("The metadata in the frontmatter is no mapping of keys to values.")
    return [sentence for sentence in found if sentence]


def is_name(name: str) -> bool:
    """Whether `name` is a skill name: lower-case letters, digits and single inner hyphens, 64 characters at most."""
    name = unicodedata.normalize("NFKC", name)
    letters = all(char.isalnum() or char == "-" for char in name) and name == name.lower()
    return letters and 0 < len(name) <= NAME_CHARACTERS and name.strip("-") == name and "--" not in name


def tidy(description: str) -> str:
    """A description without runs of spaces and tabs between words, and without white space around it."""
    return GAP.sub(" ", description.strip())


def _name(name: object) -> str:
    if not isinstance(name, str):
        return f"The name in the frontmatter is read as {str(name)[:80]!r}, which is no text; put it in quotes."
    if is_name(name.strip()):
        return ""
    return (
        f"The name {name[:80]!r} breaks the specification: lower-case letters, digits and single inner hyphens,"
        f" {NAME_CHARACTERS} characters at most."
    )


def _missing_name(skill_id: str) -> str:
    return "" if is_name(skill_id) else "The frontmatter has no name, and the folder's name could not be one."


def _description(description: object) -> str:
    if description is None or (isinstance(description, str) and not description.strip()):
        return "The frontmatter has no description."
    if not isinstance(description, str):
        return "The description in the frontmatter is no text."
    length = len(tidy(description))
    if length > DESCRIPTION_CHARACTERS:
        return f"The description has {length} characters; the specification allows {DESCRIPTION_CHARACTERS}."
    return ""
