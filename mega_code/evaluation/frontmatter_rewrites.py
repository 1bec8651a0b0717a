"""Rewrites of the frontmatter of SKILL.md. Each proposes the new text, or None where there is nothing it can mend.

They change what they name and no other value: `frontmatter.checked` reads every proposal back.
"""

from __future__ import annotations

from typing import Optional, Union

import yaml

from mega_code.evaluation import frontmatter, spec, tags
from mega_code.evaluation.folder import Skill
from mega_code.evaluation.frontmatter_checks import MOVABLE, description, metadata


def add_name(skill: Skill) -> Optional[str]:
    """The folder's name, which is the skill's name already."""
    if "name" in skill.frontmatter:
        return None
    indent = " " * skill.source.indent
    text = frontmatter.edit(skill.text, 0, 0, [f"{indent}name: {frontmatter.scalar(skill.skill_id)}"])
    return frontmatter.checked(text, {**skill.frontmatter, "name": skill.skill_id})


def tidy_description(skill: Skill) -> Optional[str]:
    """One space for every run of white space between words; line breaks stay, since they may set off a list."""
    entry, old = skill.source.entry("description"), description(skill)
    if entry is None or spec.tidy(old) == old or "`" in old:
        return None
    lines = "\n".join(skill.source.lines)
    start, end = entry.value.start_mark.index, entry.value.end_mark.index
    new = lines[:start] + spec.GAP.sub(" ", lines[start:end]) + lines[end:]
    at = skill.text.index("\n") + 1
    text = skill.text[:at] + new + skill.text[at + len(lines) :]
    after = frontmatter.load(text)
    if str(after.get("description")).strip() != spec.tidy(old):
        return None
    return frontmatter.checked(text, {**skill.frontmatter, "description": after["description"]})


def move_into_metadata(skill: Skill) -> Optional[str]:
    """Author, version and tags to where the specification has room for them.

    What is there already stays, and so does a key with a comment, which could not say where it belongs.
    """
    text, updates, left = skill.text, {}, dict(skill.frontmatter)
    for key in MOVABLE:
        entry = frontmatter.read(text).entry(key)
        value = _as_it_should_be(key, entry.value) if entry else None
        empty = key in left and left[key] is None
        free = entry is not None and not _is_commented(text, entry)
        if entry and free and (empty or (value and metadata(skill).get(key) is None)):
            text = frontmatter.edit(text, entry.first, entry.end, [])
            del left[key]
            if value:
                updates[key] = value
    frontmatter.checked(text, left)
    return frontmatter.set_metadata(text, updates) if updates else text


def _is_commented(text: str, entry: frontmatter.Entry) -> bool:
    lines = frontmatter.read(text).lines
    above = lines[entry.first - 1] if entry.first else ""
    return above.lstrip().startswith("#") or "#" in "".join(lines[entry.first : entry.end])


def mend_types(skill: Skill) -> Optional[str]:
    """A version that YAML reads as a number becomes the text that was written, a line of tags becomes a list."""
    entry = skill.source.entry("metadata")
    pairs = entry.value.value if entry and isinstance(entry.value, yaml.MappingNode) else []
    updates = {}
    for key, node in pairs:
        value = _as_it_should_be(key.value, node) if key.value in MOVABLE else None
        if value and value != metadata(skill).get(key.value):
            updates[key.value] = value
    return frontmatter.set_metadata(skill.text, updates) if updates else None


def _as_it_should_be(key: str, node: yaml.Node) -> Union[str, list[str], None]:
    """The value of `key` as a text, or for tags a list of texts; None where it is empty or something else."""
    if isinstance(node, yaml.ScalarNode):
        text = str(node.value).strip()
        if not text or node.tag == "tag:yaml.org,2002:null":
            return None
        return [tag.strip() for tag in text.split(",") if tag.strip()] if key == "tags" else text
    items = node.value if key == "tags" and isinstance(node, yaml.SequenceNode) else []
    return [str(item.value) for item in items if isinstance(item, yaml.ScalarNode)] or None


def add_tags(skill: Skill) -> Optional[str]:
    """Tags from the words of the name and the description."""
    if metadata(skill).get("tags") or skill.frontmatter.get("tags"):
        return None
    name = str(skill.frontmatter.get("name") or skill.skill_id).strip()
    return frontmatter.set_metadata(skill.text, {"tags": tags.derive(name, description(skill))})


def list_tools_by_line(skill: Skill) -> Optional[str]:
    """`allowed-tools: [A, B]` as a block list; not where a comment would be lost."""
    entry, values = skill.source.entry("allowed-tools"), skill.frontmatter.get("allowed-tools")
    if entry is None or not isinstance(values, list) or not values or not getattr(entry.value, "flow_style", False):
        return None
    if "#" in "".join(skill.source.lines[entry.first : entry.end]) or not all(isinstance(v, str) for v in values):
        return None
    indent = " " * skill.source.indent
    new = [f"{indent}allowed-tools:", *frontmatter.sequence(values, indent + "  ")]
    return frontmatter.checked(frontmatter.edit(skill.text, entry.first, entry.end, new), skill.frontmatter)
