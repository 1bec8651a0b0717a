"""What is read without the YAML library is what the library reads, and most frontmatter is read so."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml

from mega_code import plain_yaml

ENHANCED = """\
name: demo-skill
description: Writes commit messages (short ones), e.g. `fix:x`; use it when somebody says "commit" — or means it.
argument-hint: "[<skill>] [--all]"
disable-model-invocation: true
metadata:
  author: co-authored by www.megacode.ai
  version: "1.1.0"
  generated_at: '2026-04-22T06:11:55Z'
  tags: [git, automation, a.b/c d]

  roi:
    - model: gemini-3-flash-preview
      performance_increase: "67%"
      nested:
        deep: one
    - model: other
allowed-tools:
- Read
-  Bash
"""
# Lines and values that meet each other in every order; most of them are where plain ends.
PIECES = [
    *("a:", "a: b", "b:  two words ", "  c: d", "    e: f", "- x", "  - y", "-  z: w", "    - k: v", "- - a", "-", "- a:"),
    *("a: 'q'", 'a: "q"', "a: 'it''s'", 'a: "\\n"', 'a: "q" # c', "a: b # c", "a: b #c", "# c", "a: b:", "a: b: c", "a: b:c"),
    *("a: true", "a: True", "a: no", "on: x", "a: null", "a: 1", "a: 1.5", "a: x1", "a: 2001-01-01", "a: ~", "a: |", "a: >-"),
    *("a: [b, c]", "a: []", "a: [b,]", "a: [b, true]", "a: [b, 1]", "a: [on]", "a: [b", "a: {b: c}", "a: *x", "a: &x y", "a: !t y"),
    *("? a", ": b", "a : b", "a:b", "---", "...", "--- a", "%YAML 1.1", "<<: {a: b}", "=: a", " a: b", "text", "  text", ""),
    *("a:\tb", "a: b\t", "é: b", "a: é", "a: \u2028b", "a: \ufeffb", "a: b\r", "a: \x07", "a: \x85b", "_a-1: -b", "a: [a\u00a0]"),
]  # fmt: skip


def by_library(source: str) -> Any:
    try:
        return yaml.load(source, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return None


def test_frontmatter_as_it_is_written_is_read_without_the_library() -> None:
    plain = plain_yaml.read(ENHANCED)
    assert plain is not None and plain == by_library(ENHANCED)


@pytest.mark.parametrize("loader", ["the C library's", "the pure one's"])
def test_whatever_is_read_without_the_library_is_what_the_library_reads(loader: str) -> None:
    draw, understood = random.Random(11), 0
    for _ in range(20_000):
        source = "\n".join(draw.choices(PIECES, k=draw.randint(1, 4))) + draw.choice(["", "\n"])
        plain = plain_yaml.read(source)
        if plain is not None:
            understood += 1
            assert plain == (by_library(source) if loader == "the C library's" else yaml.safe_load(source)), source
    assert understood > 500


def test_nesting_has_an_end() -> None:
    deep = "".join(f"{' ' * depth}a:\n" for depth in range(2000)) + " " * 2000 + "a: b\n"
    assert plain_yaml.read(deep) is None and plain_yaml.read("- a: b\n" * 9) is None
