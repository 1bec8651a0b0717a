"""Checks of the Markdown: its length, its links, its form; and of the files that it leans on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Callable, Optional

from mega_code.evaluation import form, targets
from mega_code.evaluation import repeats as repeated
from mega_code.evaluation.folder import BOM, REFERENCES, Finding, Page, Skill
from mega_code.evaluation.frontmatter_checks import description
from mega_code.skill import SKILL_MD

Found = Optional[list[Finding]]

BODY_LINES = 500
BODY_TOKENS = 5000
BYTES_A_TOKEN = 4


def tokens(skill: Skill) -> float:
    """Estimated tokens of what an agent loads: the description and the body of SKILL.md, no other frontmatter.

    The estimate is UTF-8 bytes by four: no tokenizer is at hand, and before and after are measured alike.
    """
    return _estimate(description(skill), skill.page(SKILL_MD).body)


def _estimate(*texts: str) -> float:
    return sum(len(text.encode()) for text in texts) / BYTES_A_TOKEN


def body_is_there(skill: Skill) -> Found:
    page = skill.page(SKILL_MD)
    text = "has no instructions below its frontmatter"
    return [] if page.body.strip() else [Finding(SKILL_MD, page.first_line, text)]


def body_is_short(skill: Skill) -> Found:
    page = skill.page(SKILL_MD)
    lines = len(page.document.lines)
    return [] if lines <= BODY_LINES else [Finding(SKILL_MD, page.line(BODY_LINES), f"has a body of {lines} lines")]


def body_is_light(skill: Skill) -> Found:
    page = skill.page(SKILL_MD)
    size = _estimate(page.body)
    text = f"has a body of about {size:.0f} tokens"
    return [] if size <= BODY_TOKENS else [Finding(SKILL_MD, page.first_line, text)]


def references_are_named(skill: Skill) -> Found:
    """Every file below references/ is named in SKILL.md, or SKILL.md speaks of the folder as a whole."""
    paths = sorted(path for path in skill.files if path.startswith(REFERENCES))
    body = skill.page(SKILL_MD).body
    if not paths or re.search(r"\breferences/(?:[\s`'\")*<\[{.,;:]|$)", body):
        return [] if paths else None
    unnamed = [path for path in paths if path.rsplit("/", 1)[1].rsplit(".", 1)[0] not in body]
    return [Finding(path, 0, "is named nowhere in SKILL.md, so no agent finds it") for path in unnamed]


def links_resolve(skill: Skill) -> Found:
    if next(targets.local_links(skill), None) is None:
        return None
    return [broken.finding for broken in targets.broken_links(skill)]


def files_are_utf8(skill: Skill) -> Found:
    return list(skill.unreadable) if any(path.startswith(REFERENCES) for path in skill.files) else None


def line_ends(skill: Skill) -> Found:
    found = []
    for path, text in skill.texts.items():
        bare = text.replace("\r\n", "\n")
        if text.startswith(BOM):
            found.append(Finding(path, 1, "begins with a byte-order mark"))
        if "\r" in bare:
            line = bare.count("\n", 0, bare.index("\r")) + 1
            found.append(Finding(path, line, "has a carriage return in the middle of a line"))
        if len(bare) != len(text):
            found.append(Finding(path, 1, "has Windows line ends"))
    return found


def final_newline(skill: Skill) -> Found:
    return [
        Finding(page.path, page.line(len(page.document.lines) - 1), "does not end with one line end")
        for page in skill.pages()
        if not form.ends_well(page.document, page.body)
    ]


def _at_lines(skill: Skill, find: Callable[[Page], Iterable[int]], text: str) -> list[Finding]:
    return [Finding(page.path, page.line(index), text) for page in skill.pages() for index in find(page)]


def trailing_space(skill: Skill) -> Found:
    return _at_lines(skill, lambda page: form.trailing_space(page.document), "ends in white space")


def blank_lines(skill: Skill) -> Found:
    text = f"begins a run of {form.LONG_RUN} or more blank lines"
    return _at_lines(skill, lambda page: (first for first, _ in form.blank_runs(page.document)), text)


def headings(skill: Skill) -> Found:
    return _at_lines(skill, lambda page: form.glued_headings(page.document), "has no space after the # of its heading")


def doubled_words(skill: Skill) -> Found:
    return _at_lines(skill, lambda page: form.doubled_words(page.document), "says a word twice in a row")


def fences(skill: Skill) -> Found:
    if not any(block.end[:1] in ("`", "~") for page in skill.pages() for block in page.document.blocks if block.end):
        return None
    return _at_lines(
        skill,
        lambda page: (block.first for block, _ in form.open_fences(page.document)),
        "opens a code block that nothing closes",
    )


def comments(skill: Skill) -> Found:
    return _at_lines(
        skill,
        lambda page: (block.first for block in form.open_comments(page.document)),
        "opens a comment or other HTML that nothing closes, so what follows is not read as text",
    )


def repeats(skill: Skill) -> Found:
    found = [(page, repeat) for page in skill.pages() for repeat in repeated.find(page.document)]
    text = "repeats the paragraph of line {}"
    return [Finding(p.path, p.line(r.block.first), text.format(p.line(r.first.first))) for p, r in found]
