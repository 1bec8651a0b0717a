"""Editing YAML frontmatter by the line: what is not replaced keeps its bytes, its order and its comments.

What is written is block style with plain or double-quoted strings only: the reference validator of the Agent Skills
specification (`agentskills validate`, PyPI skills-ref 0.1.1) reads frontmatter with strictyaml, which takes no flow
style, no tags and no anchors.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

import yaml

from mega_code.errors import MegaCodeError
from mega_code.skill import FRONTMATTER_BYTES, parse_frontmatter, split
from mega_code.yaml_events import TooDeep, events

MAX_DEPTH = 32
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9_./ -]*[A-Za-z0-9_./-])?")


class Entry(NamedTuple):
    """One key of a block mapping: its value, and its lines from index `first` up to, not including, `end`."""

    key: str
    value: yaml.Node
    first: int
    end: int


class Source(NamedTuple):
    """The lines of a frontmatter, without their line feeds, and its top-level entries, `indent` columns in."""

    lines: list[str]
    entries: list[Entry]
    indent: int

    def entry(self, key: str) -> Optional[Entry]:
        """The entry of that key."""
        return next((entry for entry in self.entries if entry.key == key), None)

    def raw(self, *keys: str) -> Optional[str]:
        """The scalar below `keys` as it is spelt, before YAML makes a number or a date of it."""
        entry = self.entry(keys[0])
        node = entry.value if entry else None
        for key in keys[1:]:
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            node = next((value for name, value in pairs if name.value == key), None)
        return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def load(text: str) -> dict[str, Any]:
    """The frontmatter of a SKILL.md text as plain values.

    Raises MegaCodeError `invalid_frontmatter` as `skill.parse_frontmatter` does, and where collections are nested
    deeper than `MAX_DEPTH`: a YAML loader recurses, and the one in C ends the process when its stack is full.
    """
    source = split(text).frontmatter
    if len(source) <= FRONTMATTER_BYTES:
        try:
            for _ in events(source, MAX_DEPTH):
                pass
        except TooDeep:
            raise MegaCodeError("invalid_frontmatter", "The frontmatter of SKILL.md is nested too deep.") from None
        except yaml.YAMLError:
            pass  # parse_frontmatter says it better
    return parse_frontmatter(text)


def read(text: str) -> Source:
    """The frontmatter's source, for a text that `load` takes.

    Raises MegaCodeError `invalid_frontmatter` where it is no block mapping, or has a key twice.
    """
    source = split(text).frontmatter
    try:
        node = yaml.compose(source, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())[:200]
        raise MegaCodeError("invalid_frontmatter", f"The frontmatter of SKILL.md is no valid YAML: {reason}") from None
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        raise MegaCodeError("invalid_frontmatter", "The frontmatter of SKILL.md is not one `key: value` a line.")
    lines = source.split("\n")
    found = _entries(source, lines, node, len(lines) - 1)
    twice = sorted(key for key, times in Counter(entry.key for entry in found).items() if times > 1)
    if twice:
        raise MegaCodeError("invalid_frontmatter", f"The frontmatter of SKILL.md has {', '.join(twice)[:80]} twice.")
    return Source(lines, found, node.start_mark.column)


def _entries(source: str, lines: list[str], node: yaml.MappingNode, limit: int) -> list[Entry]:
    """The entries of a block mapping that ends before line `limit`."""
    # Line numbers are counted here, since YAML takes more characters for a line end than the line feed.
    starts = [source.count("\n", 0, key.start_mark.index) for key, _ in node.value]
    found = []
    for (key, value), first, end in zip(node.value, starts, [*starts[1:], limit]):
        while end > first + 1 and _is_filler(lines[end - 1], node.start_mark.column):
            end -= 1
        found.append(Entry(str(key.value), value, first, end))
    return found


def _is_filler(line: str, indent: int) -> bool:
    """A blank line, or a comment too far left to be content of what stands above it."""
    text = line.strip()
    return not text or (text.startswith("#") and len(line) - len(line.lstrip()) <= indent)


def edit(text: str, first: int, end: int, new: list[str]) -> str:
    """`text` with the frontmatter lines from index `first` up to, not including, `end` replaced by `new`."""
    source = split(text).frontmatter
    lines = source.split("\n")
    ending = "\r" if "\r\n" in source else ""
    changed = "\n".join([*lines[:first], *(line + ending for line in new), *lines[end:]])
    at = text.index("\n") + 1
    return text[:at] + changed + text[at + len(source) :]


def checked(text: str, expected: Mapping[str, object]) -> str:
    """`text` itself. Raises MegaCodeError `invalid_frontmatter` unless its frontmatter says `expected`."""
    if load(text) != expected:
        raise MegaCodeError("invalid_frontmatter", "The frontmatter of SKILL.md would not read back as it was meant.")
    return text


def set_metadata(text: str, updates: Mapping[str, object]) -> str:
    """`text` with keys of `metadata` set: in place where they are there, else at its end.

    Raises MegaCodeError `invalid_frontmatter` where the result does not parse back as exactly that.
    """
    before, source = load(text), read(text)
    old = before.get("metadata") or {}
    entry = source.entry("metadata")
    first, end = (entry.first, entry.end) if entry else (len(source.lines) - 1, len(source.lines) - 1)
    if entry and isinstance(entry.value, yaml.MappingNode) and not entry.value.flow_style and _is_plain(entry.value):
        new = _merged(split(text).frontmatter, source, entry, {**old, **updates}, set(updates))
    else:
        indent = " " * source.indent
        new = [f"{indent}metadata:", *_mapping({**old, **updates}, indent + "  ")]
    return checked(edit(text, first, end, new), {**before, "metadata": {**old, **updates}})


def _is_plain(node: yaml.Node) -> bool:
    return bool(node.tag.startswith("tag:yaml.org,2002:"))


def _merged(text: str, source: Source, entry: Entry, values: Mapping[str, object], updated: set[str]) -> list[str]:
    """The lines of a `metadata` block: keys in `updated` written anew, the others as they stand."""
    assert isinstance(entry.value, yaml.MappingNode)
    inner = _entries(text, source.lines, entry.value, entry.end)
    indent = " " * entry.value.start_mark.column
    new = source.lines[entry.first : inner[0].first]
    for sub, limit in zip(inner, [*(after.first for after in inner[1:]), entry.end]):
        if sub.key in values and (sub.key in updated or _is_flow(sub.value)):
            pair = _pair(sub.key, values[sub.key], indent)
            new += [pair[0] + _comment(text, sub.value), *pair[1:]]
        else:
            new += source.lines[sub.first : sub.end]
        new += source.lines[sub.end : limit]
    there = {sub.key for sub in inner}
    new += _mapping({key: value for key, value in values.items() if key in updated - there}, indent)
    return [line.rstrip("\r") for line in new]


def _comment(text: str, node: yaml.Node) -> str:
    """The comment after a value, with the space before it, where both stand on one line."""
    rest = text[node.end_mark.index :].split("\n", 1)[0].rstrip("\r")
    one_line = node.start_mark.line == node.end_mark.line
    return rest if one_line and re.match(r"[ \t]+#", rest) else ""


def _is_flow(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style) and bool(node.value)


def _mapping(values: Mapping[Any, object], indent: str) -> list[str]:
    return [line for key, value in values.items() for line in _pair(key, value, indent)]


def _pair(key: object, value: object, indent: str) -> list[str]:
    name = f"{indent}{scalar(key)}:"
    if isinstance(value, dict) and value:
        return [name, *_mapping(value, indent + "  ")]
    if isinstance(value, list) and value:
        return [name, *sequence(value, indent + "  ")]
    return [f"{name} {scalar(value)}"]


def sequence(values: list[Any], indent: str) -> list[str]:
    """The lines of a block sequence; its items are scalars, mappings or sequences."""
    lines: list[str] = []
    for value in values:
        nested: list[str] = []
        if isinstance(value, dict):
            nested = _mapping(value, indent + "  ")
        elif isinstance(value, list):
            nested = sequence(value, indent + "  ")
        head = nested[0].lstrip(" ") if nested else scalar(value)
        lines += [f"{indent}- {head}", *nested[1:]]
    return lines


def scalar(value: object) -> str:
    """A value on one line: a string plain where nothing could read it as anything else, else in double quotes."""
    if not isinstance(value, str):
        text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
        return str(text).split("\n...")[0].rstrip("\n")
    if _PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return {"\n": "\\n", "\t": "\\t"}.get(char) or f"\\U{ord(char):08X}"
