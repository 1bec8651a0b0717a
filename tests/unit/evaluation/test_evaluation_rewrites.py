"""Each rewrite mends what it is for, and leaves alone what only looks like it."""

from __future__ import annotations

from typing import Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mega_code.evaluation.blocks import verbatim
from mega_code.evaluation.folder import Skill
from mega_code.evaluation.rewrites import REWRITES, guard

HEAD = "---\nname: sample\ndescription: Does a thing. Use when it is due.\n---\n"
FAMILIES = {rewrite.id: rewrite for rewrite in REWRITES}
LONG = "This paragraph holds more than sixty characters, so it is no mere label."
OTHER = "Something else that stands between."
FILES = frozenset(("SKILL.md", "references/guide.md", "assets/A b.png", "LICENSE.txt", "x/y.md", "x/Y.md"))


def skill_of(text: str, reference: str = "") -> Skill:
    return Skill("sample", FILES, {"SKILL.md": text, "references/guide.md": reference})


def rewritten(family: str, text: str) -> Optional[str]:
    """What a rewrite makes of SKILL.md, which must be allowed and final; None if it proposes nothing."""
    skill = skill_of(text)
    proposal = FAMILIES[family].propose(skill)
    if not proposal:
        return None
    after = skill.changed(proposal)
    assert guard(FAMILIES[family], skill, after) == ""
    assert FAMILIES[family].propose(after) == {}
    return after.text


def body(family: str, text: str) -> Optional[str]:
    result = rewritten(family, HEAD + text)
    return None if result is None else result[len(HEAD) :]


BODIES = [
    # family, before, after (None: nothing is proposed)
    ("trailing-space", "a \n\tb\t \n \n# c  \n", "a\n\tb\n\n# c\n"),
    ("trailing-space", "a  \nb\n", None),  # a line break
    ("trailing-space", "a   \nb  \n", "a   \nb\n"),
    ("trailing-space", "a\\ \nb\n", None),  # without the space, a line break
    ("trailing-space", "a `b \nc` d \ne\n", "a `b \nc` d\ne\n"),
    ("trailing-space", "a <b \nc='d'> e \nf\n", "a <b \nc='d'> e\nf\n"),
    ("trailing-space", "```\na \n\n \n```\n", None),
    ("trailing-space", "    a \n     \n    b\n", None),
    ("trailing-space", "<!--\na \n-->\n<pre>\nb \n</pre>\n", None),
    ("trailing-space", "- a  \n  b \n- \n", "- a  \n  b\n-\n"),
    ("trailing-space", "> a  \n> b \n> \n", "> a  \n> b\n>\n"),
    ("trailing-space", "| a | \n|---| \n| b | \n", "| a |\n|---|\n| b |\n"),
    ("trailing-space", "a\u00a0\nb\u3000\n", None),  # a character of its own
    ("trailing-space", "a \rb \n", None),  # a lone carriage return is not understood
    ("blank-lines", "a\n\n\n\nb\n\n\nc\n", "a\n\nb\n\n\nc\n"),
    ("blank-lines", "a\n \n\t\n\nb\n", "a\n\nb\n"),
    ("blank-lines", "```\na\n\n\n\nb\n```\n", None),
    ("blank-lines", "~~~\n\n\n\n```\n\n\n\n~~~\n", None),
    ("blank-lines", "- a\n\n  ```\n\n\n\n  ```\n", None),
    ("blank-lines", "    a\n\n\n\n    b\n", None),
    ("blank-lines", "<!--\n\n\n\n-->\n", None),
    ("blank-lines", "> a\n>\n>\n>\n> b\n", None),
    ("blank-lines", "-\n\n\n\n- a\n", None),  # renderers differ in whether that is one list
    ("final-newline", "a", "a\n"),
    ("final-newline", "a\n\n\n", "a\n"),
    ("final-newline", "    a  \n\n", "    a  \n"),
    ("final-newline", "```\na\n```", "```\na\n```\n"),
    ("final-newline", "```\na", None),  # that is for a person, or for `fences`
    ("final-newline", "<!-- a\n\n", None),
    ("final-newline", "", None),
    ("headings", "##A b\n\n###1. C\ntext\n", "## A b\n\n### 1. C\ntext\n"),
    ("headings", "#Title\n\n#Next\n", "# Title\n\n#Next\n"),  # elsewhere it may be a tag
    ("headings", "#123\n", None),
    ("headings", "a\n##B\n", None),
    ("headings", "##NAME##\n\n##vso[task.complete]\n\n##!x\n\n#######a\n\n\\##a\n", None),
    ("headings", "```\n##A\n```\n\n    ##B\n\n> ##C\n\n- ##D\n\n<!--\n##E\n-->\n", None),
    ("headings", "##A\n    b\n", None),  # would become code
    ("headings", "##标题\n", "## 标题\n"),
    ("fences", "a\n```sh\nb\n", "a\n```sh\nb\n```\n"),
    ("fences", "````md\n```\na", "````md\n```\na"),
    ("fences", "~~~~\na\n\nb()", "~~~~\na\n\nb()\n~~~~\n"),
    ("fences", "- a\n\n  ```\n  b", "- a\n\n  ```\n  b\n  ```\n"),
    ("fences", "```sh\na\n\nThen look at the result.\n", None),  # the code may have ended before
    ("fences", "```\na\n\n## Next\n\nb\n", None),
    ("fences", "> ```\n> a\n", None),
    ("fences", "- ```\n  a\nb\n", None),
    ("fences", "```\n", None),
    ("fences", "```\na\n```\n", None),
    ("repeats", f"{LONG}\n\n{OTHER}\n\n{LONG}\n\nb\n", f"{LONG}\n\n{OTHER}\n\nb\n"),
    ("repeats", f"{LONG}\n\n# A\n\nb\n\n{LONG}\n", f"{LONG}\n\n# A\n\nb\n"),
    ("repeats", f"# A\n\na\n\n{LONG}\n\n# B\n\nb\n\n{LONG}\n\n# C\n", f"# A\n\na\n\n{LONG}\n\n# B\n\nb\n\n# C\n"),
    ("repeats", f"# A\n\n{LONG}\n\n# B\n\n{LONG}\n", None),  # B would be empty
    ("repeats", f"# Step 1\n\n{LONG}\n\n# Step 2\n\nb\n\n{LONG}\n", None),
    ("repeats", "# A\n\n{0}\n\n# B\n\nb\n\n{0}\n".format(f"Always ask before this. {LONG}"), None),
    ("repeats", "{0}\n\na\n\n{0}\n\nb\n".format(f"Look at the list below. {LONG}"), None),
    ("repeats", f"{LONG}\n\n- a\n\n{LONG}\n\n- b\n", None),  # it introduces, and parts two lists
    ("repeats", f"{LONG}\n\n    a\n\n{LONG}\n\n    b\n", None),
    ("repeats", f"{LONG}\n\na\n\n{LONG}\n\n  b\n", None),
    ("repeats", "{0}\n\na\n\n{0}\n".format(LONG[:-1] + ":"), None),
    ("repeats", "{0}\n\na\n\n{0}\n".format(LONG + " `x`"), None),
    ("repeats", f"- {LONG}\n\n- {LONG}\n\n> {LONG}\n\n> {LONG}\n\n| {LONG} |\n\n| {LONG} |\n", None),
    ("repeats", "{0}\n\na\n\n{0}\n".format("Too short to count."), None),
    ("repeats", f"{LONG}\n\na\n\n{LONG} And more.\n", None),
    ("links", "[a](References\\Guide.md#b 'c')\n", "[a](references/guide.md#b 'c')\n"),
    ("links", "![a](<assets/a B.PNG>) [b](./license.txt?x)\n", "![a](<assets/A b.png>) [b](./LICENSE.txt?x)\n"),
    ("links", "[a][b]\n\n[b]: REFERENCES/guide.md 'c'\n", "[a][b]\n\n[b]: references/guide.md 'c'\n"),
    ("links", "[a](References/) [b](references\\\\guide.MD)\n", "[a](references/) [b](references/guide.md)\n"),
    ("links", "[a](X/y.MD)\n", None),  # two files differ in case only
    ("links", "[a](assets/a%20b.png)\n", None),
    ("links", "[a](guide.md) [b](other.md)\n", None),
    ("links", "`[a](References/Guide.md)` <!-- [b](License.txt) -->\n", None),
    ("links", "```\n[a](References/Guide.md)\n```\n", None),
    ("links", "[a](https://x.y/License.txt) [b](/License.txt) [c](#License.txt) [d](mailto:a@b.c)\n", None),
    ("trailing-space", "<example>\na \n\nb \n</example>\nc \n", "<example>\na \n\nb \n</example>\nc\n"),
    ("trailing-space", "<a>\n\n<b>\n\nc \n\n</a>\n\nd \n\n</b>\n", None),
    ("trailing-space", "<a>\n\nb \n", "<a>\n\nb\n"),
    ("blank-lines", "Sample:\n<x y='z'>\na\n\n\n\nb\n</x>\n", None),
    ("headings", "<x>\n\n##A\n\n</x>\n", None),
    ("repeats", f"{LONG}\n\n<x>\n\n{LONG}\n\na\n\n</x>\n", None),
    ("line-ends", "a\r\n\r\n```\r\nb\r\n```\r\n", "a\n\n```\nb\n```\n"),
    ("line-ends", "a\r\nb\rc\r\n", None),  # a lone one may mean something
]


@pytest.mark.parametrize(("family", "before", "after"), BODIES, ids=[f"{row[0]} {row[1][:24]!r}" for row in BODIES])
def test_a_rewrite_of_the_body_does_this(family: str, before: str, after: Optional[str]) -> None:
    assert body(family, before) == (None if after == before else after)


FRONTMATTER = [
    ("name", "description: a\n", "name: sample\ndescription: a\n"),
    ("name", "# b\n  description: a\n", "  name: sample\n# b\n  description: a\n"),
    ("name", "name: other\n", None),
    ("description-space", "description: a  b   c\n", "description: a b c\n"),
    ("description-space", "description: 'a  b'  # c  d\n", "description: 'a b'  # c  d\n"),
    ("description-space", "description: >\n  a  b\n  c\n\n  d\n", "description: >\n  a b\n  c\n\n  d\n"),
    (
        "description-space",
        "description: |\n  a:\n    - b\n    - c\n",
        None,
    ),  # line breaks and indentation set off a list
    ("description-space", 'description: "a\\t b"\n', None),  # an escape is no white space in the source
    ("description-space", "description: a `b  c`\n", None),
    ("keys-place", "author: A\nversion: 1.10\nname: a\n", 'name: a\nmetadata:\n  author: A\n  version: "1.10"\n'),
    ("keys-place", "tags: a, b c\nmetadata:\n  x: y\n", "metadata:\n  x: y\n  tags:\n    - a\n    - b c\n"),
    (
        "keys-place",
        "tags: [a, 1.0, yes]\nname: a\n",
        'name: a\nmetadata:\n  tags:\n    - a\n    - "1.0"\n    - "yes"\n',
    ),
    ("keys-place", "version:\nname: a\n", "name: a\n"),
    ("keys-place", 'version: "1"\nmetadata:\n  version: "2"\n', None),  # nobody knows which one holds
    ("keys-place", "author:\n  name: A\n", None),
    ("keys-place", "# who\nauthor: A\n", None),  # the comment would stay behind
    ("keys-place", "author: A  # who\n", None),
    ("metadata-types", "metadata:\n  version: 1.10  # b\n", 'metadata:\n  version: "1.10"  # b\n'),
    ("metadata-types", "metadata:\n  version: 2024-05-01\n", 'metadata:\n  version: "2024-05-01"\n'),
    ("metadata-types", "metadata:\n  tags: a, b,\n", "metadata:\n  tags:\n    - a\n    - b\n"),
    ("metadata-types", "metadata:\n  tags: [1.0, on]\n", 'metadata:\n  tags:\n    - "1.0"\n    - "on"\n'),
    ("metadata-types", "metadata:\n  internal: true\n  priority: 5\n  author: [A, B]\n", None),
    ("tools-style", "allowed-tools: [Read, 'Bash(a:*)']\n", 'allowed-tools:\n  - Read\n  - "Bash(a:*)"\n'),
    ("tools-style", "allowed-tools: [\n  Read, # why\n]\n", None),
    ("tools-style", "allowed-tools: Read, Grep\n", None),
    ("tools-style", "argument-hint: [file]\n", None),
    ("tags", "name: a-b\ndescription: X\n", "name: a-b\ndescription: X\nmetadata:\n  tags:\n    - a-b\n"),
    ("tags", "name: git-log\ntags: x\n", None),
    ("tags", "metadata:\n  tags: x\n", None),
]


@pytest.mark.parametrize(("family", "before", "after"), FRONTMATTER, ids=[f"{r[0]} {r[1][:24]!r}" for r in FRONTMATTER])
def test_a_rewrite_of_the_frontmatter_does_this(family: str, before: str, after: Optional[str]) -> None:
    result = rewritten(family, f"---\n{before}---\nbody\n")
    assert result == (None if after is None else f"---\n{after}---\nbody\n")


def test_a_byte_order_mark_and_windows_line_ends_go_from_the_frontmatter_too() -> None:
    assert rewritten("line-ends", "\ufeff" + HEAD.replace("\n", "\r\n") + "a\r\n") == HEAD + "a\n"


def test_references_are_rewritten_too_and_their_frontmatter_is_not() -> None:
    skill = skill_of(HEAD + "a\n", "---\nx: y \n---\nb \n[c](../License.txt)\n")
    assert FAMILIES["trailing-space"].propose(skill) == {
        "references/guide.md": "---\nx: y \n---\nb\n[c](../License.txt)\n"
    }
    assert FAMILIES["links"].propose(skill) == {"references/guide.md": "---\nx: y \n---\nb \n[c](../LICENSE.txt)\n"}


ATOMS = [
    *(
        "- ",
        "1. ",
        "> ",
        "  ",
        "    ",
        "\t",
        " \n",
        "  \n",
        "\\ \n",
        "```",
        "````",
        "~~~",
        "##",
        "# ",
        "---",
        "foo",
        "`",
        "|",
    ),
    *(
        "<div>",
        "<!-- ",
        "-->",
        "<pre>",
        "</pre>",
        "\n",
        "\n\n",
        "\n\n\n\n",
        "\r\n",
        "\\",
        "[a](LICENSE.TXT)",
        f"{LONG}\n\n",
    ),
]
TEXTS = st.lists(st.sampled_from(ATOMS), max_size=30).map("".join)


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_white_space_and_fences_are_mended_without_a_change_to_the_rendered_page(text: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    render = markdown_it.MarkdownIt("commonmark", {"maxNesting": 99}).render

    def page(skill: Skill) -> str:
        body = skill.page("SKILL.md").body
        lines = render(body if body.endswith("\n") else body + "\n").rstrip().split("\n")
        return "\n".join(line.rstrip() for line in lines).replace(" </", "</")

    skill = skill_of(HEAD + text)
    for family in ("line-ends", "trailing-space", "blank-lines", "final-newline", "fences"):
        after = skill.changed(FAMILIES[family].propose(skill))
        if not guard(FAMILIES[family], skill, after):
            assert page(skill) == page(after), family


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_no_rewrite_that_is_allowed_changes_code(text: str) -> None:
    skill = skill_of(HEAD + text)
    for rewrite in REWRITES:
        after = skill.changed(rewrite.propose(skill))
        if not guard(rewrite, skill, after):
            for path in skill.texts:
                assert verbatim(after.page(path).document) == verbatim(skill.page(path).document)
