"""The renderer of outputs: what it makes of Markdown, and that nothing gets through it."""

from __future__ import annotations

import time
from html.parser import HTMLParser
from typing import Optional

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mega_code.hitl import marks
from mega_code.hitl.diff import diff
from mega_code.hitl.html import data, tag
from mega_code.hitl.inline import SAFE_URL
from mega_code.hitl.markdown import TAGS, render

ATTRIBUTES = {
    "a": {"href", "rel", "target"},
    "ol": {"start"},
    "td": {"class", "colspan"},
    "mark": {"class", "data-quote"},
}
CLASSED = ("th", "div", "tr", "table", "p")
PIECES = st.sampled_from(
    "* ** _ __ ~~ ` ``` [ ]( ) ![ < > & \" ' <script> </script> <img/onerror=x> javascript:x https://e.org mailto:a@b "
    "<https://e.org> | |- :-: # ## > - 1. \n \\ \0 \t word é 😀 &lt; - [ ] ~~~ === --- [a](data:x) "
    '<a\thref="x"> ]]> <!-- --> \u2028 \u202e'.split(" ")
)
TEXTS = st.one_of(st.text(), st.lists(st.one_of(PIECES, st.sampled_from([" ", "\n", "\n\n", "    "]))).map("".join))


class Strict(HTMLParser):
    """Fails at a tag or attribute that is not of the fixed set, and where tags do not nest."""

    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.allowed, self.open, self.text = allowed, list[str](), ""

    def handle_starttag(self, name: str, attributes: list[tuple[str, Optional[str]]]) -> None:
        assert name in self.allowed
        assert {key for key, _ in attributes} <= ATTRIBUTES.get(name, {"class"} if name in CLASSED else set())
        for key, value in attributes:
            if key == "href":
                assert SAFE_URL.fullmatch(value or "")
            if key == "rel":
                assert value == "noopener noreferrer"
        if name not in ("br", "hr"):
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, text: str) -> None:
        self.text += text

    def handle_comment(self, text: str) -> None:
        raise AssertionError(f"a comment: {text!r}")

    def handle_decl(self, text: str) -> None:
        raise AssertionError(f"a declaration: {text!r}")

    def unknown_decl(self, text: str) -> None:
        raise AssertionError(f"a declaration: {text!r}")

    def handle_pi(self, text: str) -> None:
        raise AssertionError(f"an instruction: {text!r}")


def strictly(html: str, allowed: frozenset[str] = TAGS) -> str:
    """The text of `html`, which holds nothing but allowed tags, well nested, and no other `<`."""
    parser = Strict(allowed)
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert html.count("<") == html.count(">")
    return parser.text


@given(TEXTS)
@example("[a](javascript:alert(1))")
@example("<https://e.org/\"onmouseover='x'>")
@example("**a*b**c*")
@example("|a|\n|-|\n|<b>|")
def test_no_text_renders_to_anything_but_the_fixed_tags(text: str) -> None:
    strictly(render(text))


@given(TEXTS, st.lists(st.text(min_size=1, max_size=8), max_size=4))
def test_marks_add_nothing_but_themselves(text: str, words: list[str]) -> None:
    rendered = render(text)
    quotes = [marks.Quote(word, number, "met") for number, word in enumerate([*words, text[2:9], text[:4]])]
    marked, found = marks.mark(rendered, quotes)
    assert strictly(marked, TAGS | {"mark"}) == strictly(rendered)
    assert all(f'data-quote="{number}"' in marked for number in found)


@given(TEXTS, TEXTS)
def test_a_difference_shows_both_texts_and_runs_neither(old: str, new: str) -> None:
    strictly(diff(old, new), TAGS | {"ins", "del"})


@given(st.text())
def test_data_of_a_script_never_ends_its_element(text: str) -> None:
    assert data("x", [text, "</script><!--"]).count("<") == 2


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# A *b*", "<h4>A <em>b</em></h4>"),
        ("Title\n=====\nand\n---", "<h4>Title</h4>\n<h5>and</h5>"),
        ("a **b *c* d** `e<f`", "<p>a <strong>b <em>c</em> d</strong> <code>e&lt;f</code></p>"),
        (
            "***both*** ~~gone~~ snake_case_word",
            "<p><em><strong>both</strong></em> <del>gone</del> snake_case_word</p>",
        ),
        ("one  \ntwo\\\nthree", "<p>one<br>\ntwo<br>\nthree</p>"),
        ("- a\n- b\n  1. c\n  2. d", "<ul><li>a</li><li>b\n<ol><li>c</li><li>d</li></ol></li></ul>"),
        ("3) x\n4) y", '<ol start="3"><li>x</li><li>y</li></ol>'),
        ("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
        ("- [ ] a\n- [x] b", "<ul><li>\u2610 a</li><li>\u2611 b</li></ul>"),
        ("> a\nb\n\nc", "<blockquote><p>a\nb</p></blockquote>\n<p>c</p>"),
        ("```py\n<b>\n```", "<pre><code>&lt;b&gt;</code></pre>"),
        ("    code\n\n    more", "<pre><code>code\n\nmore</code></pre>"),
        ("a\n***\nb", "<p>a</p>\n<hr>\n<p>b</p>"),
        (
            "|a|b|\n|-|-:|\n|1\\|2|**3**|",
            '<div class="wide"><table><thead><tr><th>a</th><th class="right">b</th></tr></thead>'
            '<tbody><tr><td>1|2</td><td class="right"><strong>3</strong></td></tr></tbody></table></div>',
        ),
        (
            "[a](https://e.org/x_(y) 'z') and http://e.org/.",
            '<p><a href="https://e.org/x_(y)" rel="noopener noreferrer" target="_blank">a</a> and '
            '<a href="http://e.org/" rel="noopener noreferrer" target="_blank">http://e.org/</a>.</p>',
        ),
        (
            "![p](https://e.org/p.png)",
            '<p><a href="https://e.org/p.png" rel="noopener noreferrer" target="_blank">image: p</a></p>',
        ),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>"),
        ("<b onclick=x>", "<p>&lt;b onclick=x&gt;</p>"),
        ("\\*a\\* 2 * 3 * 4", "<p>*a* 2 * 3 * 4</p>"),
        ("`` a`b ``", "<p><code>a`b</code></p>"),
    ],
)
def test_markdown_is_rendered_as_it_is_meant(text: str, html: str) -> None:
    assert render(text) == html


@pytest.mark.parametrize(
    "piece",
    [
        "*a ",
        "**a*",
        "[a](",
        "[",
        "`",
        "``` ",
        "> ",
        "- ",
        "<http://",
        "a|",
        "\\",
        "https://",
        "- a\n",
        "_*",
        "[a](x",
        "|\n",
        "  ",
        "  \n",
    ],
)
def test_no_text_takes_time_with_the_square_of_its_length(piece: str) -> None:
    began = time.process_time()
    strictly(render(piece * (40_000 // len(piece))))
    assert time.process_time() - began < 4.0


def test_a_quote_is_marked_across_the_marks_of_markdown() -> None:
    marked, found = marks.mark(render("It **prints one** `line`."), [marks.Quote("prints one** `line", 0, "met")])
    opened = '<mark class="met" data-quote="0">'
    assert marked == f"<p>It <strong>{opened}prints one</mark></strong> <code>{opened}line</mark></code>.</p>"
    assert found == {0}


def test_words_that_differ_are_set_off() -> None:
    shown = diff("same\nthe old word", "same\nthe new word")
    assert "the <del>old</del> word" in shown and "the <ins>new</ins> word" in shown


def test_the_longest_texts_are_compared_in_no_time() -> None:
    began = time.process_time()
    shown = diff("\n".join("same same same" for _ in range(5000)), "\n".join(f"same {n % 7} same" for n in range(5000)))
    assert "Compared are the first" in shown
    assert time.process_time() - began < 4.0


def test_an_element_escapes_its_text_and_its_attributes() -> None:
    assert tag("p", {"class": '"><x>', "hidden": True, "id": None}, "<&>", [tag("br"), None]) == (
        '<p class="&quot;&gt;&lt;x&gt;" hidden>&lt;&amp;&gt;<br></p>'
    )
