"""SKILL.md: its frontmatter, its body, and the contract of an enhanced one."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Optional

from mega_code import plain_yaml
from mega_code.errors import MegaCodeError

SKILL_MD = "SKILL.md"
FRONTMATTER_BYTES = 64 * 1024
LEVELS = 64
NUMBER_BITS = 1024
_FRONTMATTER = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_LONG_NUMBER = re.compile(r"[0-9A-Fa-f_:]{100}")


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
    source = split(text).frontmatter
    if len(source.encode("utf-8", "replace")) > FRONTMATTER_BYTES:
        raise MegaCodeError("invalid_frontmatter", "The frontmatter of SKILL.md is over 64 KiB.")
    plain = plain_yaml.read(source)
    return _parse(source) if plain is None else plain


def _parse(source: str) -> dict[str, Any]:
    """A frontmatter as the YAML library reads it. Raises as `parse_frontmatter`."""
    import yaml  # takes longer than everything else in most commands

    from mega_code.yaml_events import LOADER, TooDeep

    try:
        if _may_be_hostile(source):
            _check_aliases(source)
        value = yaml.load(source, Loader=LOADER)
    except MegaCodeError:
        raise
    except TooDeep:
        raise MegaCodeError(
            "invalid_frontmatter", f"The frontmatter of SKILL.md is over {LEVELS} levels deep."
        ) from None
    except Exception as error:  # its constructors let KeyError, IndexError and AttributeError through as well
        reason = " ".join(str(error).split())[:200]
        raise MegaCodeError("invalid_frontmatter", f"The frontmatter of SKILL.md is no valid YAML: {reason}") from None
    if not isinstance(value, dict):
        raise MegaCodeError("invalid_frontmatter", "The frontmatter of SKILL.md is no mapping of keys to values.")
    if _LONG_NUMBER.search(source):
        _check_numbers(value)
    return value


def _may_be_hostile(source: str) -> bool:
    """Whether it holds what aliases or deep nesting are made of; a look at its events costs as much as reading it."""
    return "*" in source or sum(source.count(opener) for opener in ("[", "{", "- ", "? ", ": ")) > LEVELS


def _check_aliases(source: str) -> None:
    """Refuse aliases. Raises TooDeep as well."""
    import yaml

    from mega_code.yaml_events import events

    if any(isinstance(event, yaml.AliasEvent) for event in events(source, LEVELS)):
        raise MegaCodeError("invalid_frontmatter", "The frontmatter of SKILL.md uses YAML aliases.")


def _check_numbers(value: Any) -> None:
    """Refuse whole numbers that Python reads (in hexadecimal, or in base 60 with colons) but cannot print."""
    if isinstance(value, int) and value.bit_length() > NUMBER_BITS:
        raise MegaCodeError("invalid_frontmatter", "The frontmatter of SKILL.md holds a number that is too large.")
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple, set)):
        for inner in value:
            _check_numbers(inner)


def other_name(frontmatter: dict[str, Any], name: str) -> Optional[str]:
    """What a skill in a folder `name` calls itself, where that is something else.

    A name without quotes may be a number or a date to YAML, as `name` itself is then.
    """
    own = frontmatter.get("name")
    if own is None or own == name:
        return None
    same = not isinstance(own, str) and parse_frontmatter(f"---\nname: {name}\n---\n").get("name") == own
    return None if same else str(own)[:80]


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


def authors_of(frontmatter: dict[str, Any]) -> str:
    """`metadata.author` and a top-level `author`, a line each; empty lines where there is none."""
    metadata = frontmatter.get("metadata")
    nested = metadata.get("author") if isinstance(metadata, dict) else None
    return f"{nested or ''}\n{frontmatter.get('author') or ''}"
