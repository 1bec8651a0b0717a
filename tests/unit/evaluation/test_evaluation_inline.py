"""What stands inside a paragraph: code spans, HTML, links."""

from __future__ import annotations

import pytest

from mega_code.evaluation.inline import links, mask, protected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a `b` c ``d ` e`` f", ["`b`", "``d ` e``"]),
        (r"\`a` b `c\` d", ["` b `"]),
        ("`a <b `c>` d", ["`a <b `"]),
        ("<b `c>` d `", ["<b `c>", "` d `"]),
        ("a <!-- ` --> `b`", ["<!-- ` -->", "`b`"]),
        ("<https://a.b/`c> `d", ["<https://a.b/`c>"]),
        ("`a\nb` ``c", ["`a\nb`"]),
        ("[a](<b c>)", []),
        ("<!-- never closed", []),
        ("1 < 2 and 3 > 2", []),
    ],
)
def test_code_spans_and_html_are_found(text: str, expected: list[str]) -> None:
    spans = protected(text)
    assert [text[span.start : span.end] for span in spans] == expected
    masked = mask(text, spans)
    assert len(masked) == len(text)
    assert masked.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](b.md) ![c](d.png)", ["b.md", "d.png"]),
        ("[a](<b c.md>) [d](e.md \"title\") [f]( g.md 'x' )", ["b c.md", "e.md", "g.md"]),
        ("[a](b(c).md#d)", ["b(c).md#d"]),
        ("[![a](b.png)](c.md)", ["b.png", "c.md"]),
        ("`[a](b)` <x y='[c](d)'> [e](f)", ["f"]),
        (r"[a\](b) a](c)", ["c"]),
        ("a](b)", []),
        ("[a](b c)", []),
        ("[a]: b.md\n[^1]: note\n[c]: <d e.md> 'f'", ["b.md", "d e.md"]),
        ("[a](\nb.md\n)", ["b.md"]),
        ("[a]()", []),
    ],
)
def test_links_are_found_where_they_are_links(text: str, expected: list[str]) -> None:
    found = list(links(text, mask(text, protected(text))))
    assert [link.target for link in found] == expected
    assert [text[link.start : link.end] for link in found] == expected
