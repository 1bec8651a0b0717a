"""The search for fixed bytes in front of the patterns changes nothing that the patterns alone would find."""

from __future__ import annotations

import importlib
import random
import re
import sys
from collections.abc import Iterable

import pytest

from mega_code.bundle import CHUNK
from mega_code.errors import MegaCodeError
from mega_code.secret_scan import AHEAD, BEHIND, HELD, SHAPES, SecretScanner, Shape, find, pattern

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


def scanned(chunks: Iterable[bytes]) -> str:
    """What a scanner says of a file that comes in these chunks; nothing where it finds nothing."""
    scanner = SecretScanner("a")
    try:
        for chunk in chunks:
            scanner.feed(chunk)
        scanner.finish()
    except MegaCodeError as error:
        return error.message
    return ""


def said(text: bytes) -> str:
    """What is to be said of the whole text."""
    found = find(text)
    line = text.count(b"\n", 0, found[0]) + 1 if found else 0
    return f"'a', line {line}: {found[1]}; take it out of the file." if found else ""


def test_a_text_has_the_same_secrets_wherever_its_chunks_end() -> None:
    draw, with_secret, borders = random.Random(11), 0, (0, AHEAD, AHEAD - BEHIND, AHEAD + BEHIND)
    for _ in range(1500):
        core = b"".join(draw.choices(PIECES, k=draw.randint(1, 9)))
        before = draw.choice((b"x", b"y z", b"\n", b" ")) * draw.randint(HELD, HELD + 50)
        text = before + core + draw.choice((b"", b"B", b" ", b"\n")) * draw.choice((1, 3 * AHEAD))
        expected = said(text)
        with_secret += bool(expected)
        for border in borders:
            cut = len(before) + draw.randint(0, len(core)) + border
            assert scanned((text[:cut], text[cut:])) == expected, (text, cut)
        size = draw.randint(1, 3000)
        assert scanned(text[at : at + size] for at in range(0, len(text), size)) == expected, (text, size)
    assert 150 < with_secret < 1350


KEY = b"AKIA" + b"J" * 16
MENTION = b"see `-----BEGIN PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        (b"x " * CHUNK)[: CHUNK - len(KEY)] + KEY + b"JJJJ and so on\n" * 90,
        (b"q" * (CHUNK - AHEAD - 1)) + b"Z" + KEY + b" " + b"b " * CHUNK,
        (b"q" * (CHUNK - 513)) + b"Z" + KEY + b" " + b"b " * CHUNK,
        b"w" * (CHUNK - len(MENTION)) + MENTION + b"` in the docs\n" + b"z\n" * 900,
    ],
    ids=["a word that goes on", "a word that began before", "a word that began a while before", "a mention in prose"],
)
def test_what_is_no_secret_is_none_at_the_end_of_what_is_read_at_once_either(text: bytes) -> None:
    assert find(text) is None
    for shift in range(3):
        longer = b"x" * shift + text
        assert scanned(longer[at : at + CHUNK] for at in range(0, len(longer), CHUNK)) == ""


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.starts[0].decode())
def test_no_shape_looks_further_than_what_is_held_back(shape: Shape) -> None:
    parser = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
    assert parser.parse(pattern(shape)).getwidth()[1] < AHEAD
    edge = parser.parse(shape.edge.replace(b"?<=", b"?:")).getwidth()[1]
    assert edge <= BEHIND


def test_a_scanner_holds_little_of_a_large_file() -> None:
    scanner = SecretScanner("a")
    for _ in range(50):
        scanner.feed(b"x y\n" * (CHUNK // 4))
        assert len(scanner.window) <= HELD
    scanner.finish()
    assert scanner.line > 50 * CHUNK // 4 - HELD
