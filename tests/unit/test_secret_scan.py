"""The search for fixed bytes in front of the patterns changes nothing that the patterns alone would find."""

from __future__ import annotations

import random
import re

import pytest

from mega_code.secret_scan import SHAPES, Shape, find, pattern

# What tokens are made of, and what stands around them, cut so that pieces meet in every way.
PIECES = [
    *(start for shape in SHAPES for start in shape.starts),
    *(b"-", b"_", b".", b" ", b"\n", b"=", b"/", b"\\n", b'"', b",", b"a", b"7:", b"Z", b"A", b"B", b"proj-", b"sk"),
    *(b"PRIVATE KEY", b"PRIVATE KEY-----", b"RSA ", b" BLOCK-----", b"/B1/", b"AgEIcHlwaS5vcmc", b"b-", b"1-"),
    *(b"Ab0" * n for n in (3, 5, 7, 11, 12, 13, 20)),
    *(b"J" * 16, b"7f" * 20, b"x" * 22, b"y" * 43, b"k" * 35, b"12345678", b"0a" * 16),
]


def plain(text: bytes) -> set[tuple[int, str]]:
    """Where the patterns by themselves first match; the kinds of all that match there."""
    matches = [(re.search(pattern(shape), text), shape.kind) for shape in SHAPES]
    found = [(match.start(), kind) for match, kind in matches if match]
    return {each for each in found if each[0] == min(found)[0]}


def test_a_text_of_random_pieces_has_the_secrets_that_the_plain_patterns_find() -> None:
    draw, with_secret = random.Random(7), 0
    for _ in range(4000):
        text = b"".join(draw.choices(PIECES, k=draw.randint(1, 9)))
        expected, found = plain(text), find(text)
        assert (found in expected) if expected else found is None, text
        with_secret += bool(expected)
    assert 400 < with_secret < 3600


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.starts[0].decode())
def test_a_secret_is_found_behind_many_false_starts(shape: Shape) -> None:
    for start in shape.starts:
        text = (start + b" ") * 1000 + b"key=AKIA" + b"J" * 16
        assert find(text) == (text.index(b"AKIAJ"), "AWS access key") or shape.rest == b""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"xoxb-" + b"1" * 10, "Slack token"),
        (b"AccountKey=" + b"abcde12345/" * 6, "Azure storage key"),
        (b"-----BEGIN PRIVATE KEY-----\n", "private-key block"),
        (b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", "private-key block"),
        (b"PuTTY-User-Key-File-3:", "private-key block"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_shortest_words_that_a_secret_can_be_made_of_are_looked_at(text: bytes, kind: str) -> None:
    assert find(b"one " + text) == (4, kind)
