"""SKILL.md: its frontmatter, its body, and the contract of an enhanced one."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from mega_code.errors import MegaCodeError

SKILL_MD = "SKILL.md"
FRONTMATTER_BYTES = 64 * 1024
_FRONTMATTER = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)


class Split(NamedTuple):
    """A SKILL.md in its two parts: the YAML text between the `---` lines, and all that follows them."""

    frontmatter: str
    body: str


def split(text: str) -> Split:
    """The two parts of a SKILL.md. Raises MegaCodeError `invalid_frontmatter` where it does not start with one."""
    match = _FRONTMATTER.match(text)
    if not match:
        raise MegaCodeError("invalid_frontmatter", "SKILL.md does not start with frontmatter between two --- lines.")
    return Split(match.group(1), text[match.end() :])


def parse_frontmatter(text: str) -> dict[str, Any]:
    """The frontmatter of a SKILL.md text, as plain YAML values.

    Raises MegaCodeError `invalid_frontmatter` if it is missing, over 64 KiB, no mapping, no valid YAML, or uses
    aliases (a few lines of those can stand for gigabytes).
    """
    import yaml  # 20 ms that only commands which read a skill have to pay

    source = split(text).frontmatter
    if len(source.encode("utf-8", "replace")) > FRONTMATTER_BYTES:
        raise MegaCodeError("invalid_frontmatter", "The frontmatter of SKILL.md is over 64 KiB.")
    try:
        if "*" in source and any(isinstance(token, yaml.AliasToken) for token in yaml.scan(source)):
            raise MegaCodeError("invalid_frontmatter", "The frontmatter of SKILL.md uses YAML aliases.")
        value = yaml.load(source, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MegaCodeError("invalid_frontmatter", f"The frontmatter of SKILL.md is no valid YAML: {reason}") from None
    if not isinstance(value, dict):
        raise MegaCodeError("invalid_frontmatter", "The frontmatter of SKILL.md is no mapping of keys to values.")
    return value


def check_enhanced(frontmatter: dict[str, Any]) -> None:
    """The contract of an `enhanced` SKILL.md.

    Raises MegaCodeError `invalid_frontmatter` unless `metadata` is a mapping with non-empty lists `tags` and `roi`.
    """
    metadata = frontmatter.get("metadata")
    if not isinstance(metadata, dict):
        raise MegaCodeError("invalid_frontmatter", "The enhanced SKILL.md has no metadata mapping.")
    for key in ("tags", "roi"):
        if not (isinstance(metadata.get(key), list) and metadata[key]):
            raise MegaCodeError("invalid_frontmatter", f"The enhanced SKILL.md has no list in metadata.{key}.")


def author_of(frontmatter: dict[str, Any]) -> str:
    """`metadata.author`, else a top-level `author`, else an empty string."""
    metadata = frontmatter.get("metadata")
    nested = metadata.get("author") if isinstance(metadata, dict) else None
    return str(nested or frontmatter.get("author") or "")
