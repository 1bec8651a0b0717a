"""Frontmatter: whatever a SKILL.md holds, it is a mapping whose values can be shown, or `invalid_frontmatter`."""

from __future__ import annotations

import yaml

from fuzz.refusal import refused_with
from mega_code import plain_yaml
from mega_code.skill import authors_of, check_enhanced, parse_frontmatter, split

CODES = ("invalid_frontmatter",)

SEEDS = tuple(
    text.encode()
    for text in (
        "---\nname: x\nmetadata:\n  tags: [a]\n  roi:\n    - model: m\n---\nbody\n",
        "---\na: &x [1]\nb: *x\n---\n",
        "---\na: !!python/object/apply:os.system [id]\n---\n",
        "---\na: !!binary aGk=\nb: !!set {x}\nc: 2001-01-01\nd: 1:30:00\ne: 0x1F\n---\n",
        "---\n? [a, b]\n: |\n  text\n...\n---\n",
        "---\n<<: {a: 1}\nb: 'x'\nc: \"\\u263A\"\n---\n",
        "\ufeff---\r\na: 1.5e9\r\n---\r\n",
        "---\na: " + "[" * 80 + "\n---\n",
        "---\ndescription: 0x" + "f" * 5000 + "\n---\n",
    )
)


def check(data: bytes) -> None:
    """`data` is a SKILL.md."""
    text = data.decode("utf-8", "replace")
    frontmatter = None
    with refused_with(CODES):
        parts = split(text)
        frontmatter = parse_frontmatter(text)
    plain = plain_yaml.read(parts.frontmatter) if frontmatter is not None else None
    assert plain is None or plain == yaml.safe_load(parts.frontmatter)
    if frontmatter is None:
        return
    assert text.endswith(parts.body) and parts.frontmatter in text
    assert isinstance(str(frontmatter.get("description") or ""), str) and authors_of(frontmatter).count("\n") >= 1
    with refused_with(CODES):
        check_enhanced(frontmatter)
