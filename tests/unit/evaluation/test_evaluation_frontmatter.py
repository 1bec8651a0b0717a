"""Editing frontmatter: what is not replaced keeps its bytes, and what is written reads back the same."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mega_code.errors import MegaCodeError
from mega_code.evaluation import frontmatter


def text_of(source: str, body: str = "body\n") -> str:
    return f"---\n{source}---\n{body}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("name: a\n", 'name: a\nmetadata:\n  version: "2"\n', id="none yet"),
        pytest.param("name: a\n# end\n", 'name: a\n# end\nmetadata:\n  version: "2"\n', id="after a last comment"),
        pytest.param("metadata:\nname: a\n", 'metadata:\n  version: "2"\nname: a\n', id="empty"),
        pytest.param("metadata: {a: b, c: [d]}\n", 'metadata:\n  a: b\n  c:\n    - d\n  version: "2"\n', id="flow"),
        pytest.param(
            "metadata:\n    # one\n    a:   b  # two\n    version: 1.0  # three\n    c: |\n      # text\n\n# four\nname: x\n",
            'metadata:\n    # one\n    a:   b  # two\n    version: "2"  # three\n    c: |\n      # text\n\n# four\nname: x\n',
            id="comments",
        ),
        pytest.param(
            "metadata:\n  a: {b: c}\n  d: []\n  version:\n    long: 1\n  e: f\n",
            'metadata:\n  a:\n    b: c\n  d: []\n  version: "2"\n  e: f\n',
            id="flow below a block",
        ),
        pytest.param("metadata:\r\n  a: b\r\n", 'metadata:\r\n  a: b\r\n  version: "2"\r\n', id="Windows line ends"),
        pytest.param("  name: a\n", '  name: a\n  metadata:\n    version: "2"\n', id="indented"),
        pytest.param(
            "'name': \"é\u2028 😀\"\n", '\'name\': "é\u2028 😀"\nmetadata:\n  version: "2"\n', id="odd characters"
        ),
    ],
)
def test_one_key_of_metadata_is_set_and_all_else_stays(before: str, after: str) -> None:
    assert frontmatter.set_metadata(text_of(before), {"version": "2"}) == text_of(after)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("co-authored by www.megacode.ai", "co-authored by www.megacode.ai"),
        ("1.10", '"1.10"'),
        ("yes", '"yes"'),
        ("null", '"null"'),
        ("a: b", '"a: b"'),
        ("a #b", '"a #b"'),
        ("- a", '"- a"'),
        ("", '""'),
        ("é\n\u2028\ufeff😀\x01", '"é\\n\\U00002028\\U0000FEFF😀\\U00000001"'),
        (5, "5"),
        (None, "null"),
        (True, "true"),
    ],
)
def test_a_scalar_is_plain_only_where_nothing_could_misread_it(value: object, expected: str) -> None:
    assert frontmatter.scalar(value) == expected
    assert yaml.safe_load(expected) == value


SCALARS = st.one_of(st.text(max_size=20), st.integers(), st.booleans(), st.none(), st.dates())
VALUES = st.recursive(
    SCALARS.filter(lambda value: not isinstance(value, str) or value.isprintable() or value < "\ud800"),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3), st.dictionaries(st.text(min_size=1, max_size=8), inner, min_size=1)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["author", "version", "tags", "other key"]), VALUES, min_size=1))
def test_any_metadata_that_is_written_reads_back_the_same(values: dict[str, Any]) -> None:
    text = frontmatter.set_metadata(text_of("name: a\n"), values)
    assert frontmatter.load(text) == {"name": "a", "metadata": values}
    assert frontmatter.set_metadata(text, {"version": "2"}).startswith(text_of("name: a\n")[:12])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a: " + "[" * 60_000 + "\n", "The frontmatter of SKILL.md is nested too deep."),
        ("- " * 30_000 + "\n", "The frontmatter of SKILL.md is nested too deep."),
        ("{a: b}\n", "The frontmatter of SKILL.md is not one `key: value` a line."),
        ("a: b\nc: d\na: e\n", "The frontmatter of SKILL.md has a twice."),
        ("a: &x [b]\nc: *x\n", "The frontmatter of SKILL.md uses YAML aliases."),
    ],
)
def test_frontmatter_that_cannot_be_edited_is_refused(source: str, message: str) -> None:
    def load_and_read(text: str) -> None:
        frontmatter.load(text)
        frontmatter.read(text)

    with pytest.raises(MegaCodeError) as caught:
        load_and_read(text_of(source))
    assert (caught.value.code, caught.value.message) == ("invalid_frontmatter", message)


def test_an_edit_that_would_not_read_back_is_refused() -> None:
    with pytest.raises(MegaCodeError, match="would not read back"):
        frontmatter.checked(text_of("a: b\n"), {"a": "c"})
