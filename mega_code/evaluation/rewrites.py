"""Mechanical rewrites that keep the meaning: each mends one kind of finding, wherever it can.

A rewrite proposes new texts for SKILL.md and for Markdown below references/ and never for another file. It proposes
nothing where it cannot be sure. Code, HTML and code spans are never touched; `guard` holds every proposal to that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable, NamedTuple, Optional

from mega_code.errors import MegaCodeError
from mega_code.evaluation import form, targets
from mega_code.evaluation import frontmatter_rewrites as front
from mega_code.evaluation import repeats as repeated
from mega_code.evaluation.blocks import Document, verbatim
from mega_code.evaluation.folder import BOM, Page, Skill
from mega_code.skill import SKILL_MD

Texts = dict[str, str]


class Rewrite(NamedTuple):
    """`component` is `description`, `frontmatter` or `body`; `text` says what was done, in the past tense.

    `propose` gives the texts that it would change, by path, none where there is nothing to mend. `same_words` says that
    it may change white space only.
    """

    id: str
    component: str
    text: str
    propose: Callable[[Skill], Texts]
    same_words: bool = False


def guard(rewrite: Rewrite, before: Skill, after: Skill) -> str:
    """Why a proposal must not be kept, or an empty string.

    All code is to be the same, byte for byte and in order. A line's end is the file's and not the code's, so that
    Windows line ends can be mended. A change to the body leaves the frontmatter's values alone, and the other way.
    """
    if rewrite.component == "body" and before.frontmatter != after.frontmatter:
        return "it would change the frontmatter"
    if rewrite.component != "body" and [page.body for page in before.pages()] != [page.body for page in after.pages()]:
        return "it would change the instructions"
    for page in before.pages():
        new = after.page(page.path)
        if rewrite.same_words and _characters(page) != _characters(new):
            return f"it would change the words of {page.path}"
        if verbatim(page.document) != verbatim(new.document):
            return f"it would change a code block of {page.path}"
        if _spans(page.document) != _spans(new.document):
            return f"it would change a code span of {page.path}"
    return ""


def _characters(page: Page) -> str:
    return "".join(page.body.lstrip(BOM).split())


def _spans(document: Document) -> list[str]:
    return [span for prose in document.prose for span in prose.code_spans()]


def _each_page(skill: Skill, mend: Callable[[Page], Iterable[str]]) -> Texts:
    """The texts that `mend`, which gives the new lines of a page's body, changes."""
    changed = {}
    for page in skill.pages():
        if page.document.faithful and "\r" not in page.body and not page.body.startswith(BOM):
            ending = "\n" if page.body.endswith("\n") else ""
            text = page.head + "\n".join(mend(page)) + ending
            if text != skill.texts[page.path]:
                changed[page.path] = text
    return changed


def line_ends(skill: Skill) -> Texts:
    """LF for CRLF and no byte-order mark; nothing where a carriage return stands alone and may mean something."""
    changed = {}
    for path, text in skill.texts.items():
        new = text.lstrip(BOM).replace("\r\n", "\n")
        if new != text and "\r" not in new:
            changed[path] = new
    return changed


def trailing_space(skill: Skill) -> Texts:
    def mend(page: Page) -> list[str]:
        mended = set(form.trailing_space(page.document))
        return [line.rstrip(" \t") if at in mended else line for at, line in enumerate(page.document.lines)]

    return _each_page(skill, mend)


def blank_lines(skill: Skill) -> Texts:
    def mend(page: Page) -> list[str]:
        dropped = {at for first, last in form.blank_runs(page.document) for at in range(first, last)}
        return _without(page.document, dropped)

    return _each_page(skill, mend)


def _without(document: Document, dropped: set[int]) -> list[str]:
    return [line for at, line in enumerate(document.lines) if at not in dropped]


def headings(skill: Skill) -> Texts:
    def mend(page: Page) -> list[str]:
        lines = list(page.document.lines)
        for at in form.glued_headings(page.document):
            marks = len(lines[at]) - len(lines[at].lstrip("#"))
            lines[at] = f"{lines[at][:marks]} {lines[at][marks:]}"
        return lines

    return _each_page(skill, mend)


def repeats(skill: Skill) -> Texts:
    """Take out paragraphs that were said before, each with the blank lines after it."""

    def mend(page: Page) -> list[str]:
        lines = page.document.lines
        dropped: set[int] = set()
        for repeat in repeated.find(page.document):
            if repeat.removable:
                end = repeat.block.last + 1
                while end < len(lines) and not lines[end].strip(" \t"):
                    end += 1
                dropped.update(range(repeat.block.first, end))
        kept = _without(page.document, dropped)
        return _trimmed(kept) if len(lines) - 1 in dropped else kept

    return _each_page(skill, mend)


def _trimmed(lines: list[str]) -> list[str]:
    """Without blank lines at the end, which a paragraph taken out there leaves."""
    end = len(lines)
    while end > 1 and not lines[end - 1].strip(" \t"):
        end -= 1
    return lines[:end]


def fences(skill: Skill) -> Texts:
    def mend(page: Page) -> list[str]:
        lines = list(page.document.lines)
        for block, closable in form.open_fences(page.document):
            if closable:
                opening = lines[block.first]
                lines.append(opening[: len(opening) - len(opening.lstrip(" "))] + block.end)
        return lines

    return {path: text if text.endswith("\n") else text + "\n" for path, text in _each_page(skill, mend).items()}


def links(skill: Skill) -> Texts:
    """Give a link the spelling of the one file that it can mean."""
    changed: dict[str, list[str]] = {}
    found = targets.broken_links(skill)
    for broken in sorted(found, key=lambda broken: (broken.prose.block.first, broken.link.start), reverse=True):
        page, block, link = broken.page, broken.prose.block, broken.link
        if broken.fixed and page.document.faithful:
            lines = changed.setdefault(page.path, list(page.document.lines))
            text = "\n".join(lines[block.first : block.last + 1])
            new = text[: link.start] + broken.fixed + text[link.end :]
            lines[block.first : block.last + 1] = new.split("\n")
    return _each_page(skill, lambda page: changed.get(page.path, page.document.lines))


def final_newline(skill: Skill) -> Texts:
    changed = {}
    for page in skill.pages():
        lines = _trimmed(list(page.document.lines))
        if page.document.faithful and "\r" not in page.body and not form.ends_well(page.document, page.body):
            changed[page.path] = page.head + "\n".join(lines) + "\n"
    return changed


def _in_skill_md(propose: Callable[[Skill], Optional[str]]) -> Callable[[Skill], Texts]:
    """A rewrite of the frontmatter as one of texts; a result that would not read back is no proposal."""

    def proposal(skill: Skill) -> Texts:
        try:
            text = propose(skill)
        except MegaCodeError:
            return {}
        return {} if text in (None, skill.text) else {SKILL_MD: str(text)}

    return proposal


REWRITES = (
    Rewrite("line-ends", "body", "made every line end in LF", line_ends, True),
    Rewrite("name", "frontmatter", "added the folder's name", _in_skill_md(front.add_name)),
    Rewrite("description-space", "description", "closed gaps in the description", _in_skill_md(front.tidy_description)),
    Rewrite("keys-place", "frontmatter", "moved keys into metadata", _in_skill_md(front.move_into_metadata)),
    Rewrite("metadata-types", "frontmatter", "mended the types in metadata", _in_skill_md(front.mend_types)),
    Rewrite("tools-style", "frontmatter", "listed allowed-tools one to a line", _in_skill_md(front.list_tools_by_line)),
    Rewrite("tags", "frontmatter", "added tags", _in_skill_md(front.add_tags)),
    Rewrite("fences", "body", "closed a code block", fences),
    Rewrite("headings", "body", "put the space into headings", headings, True),
    Rewrite("links", "body", "corrected the spelling of links", links),
    Rewrite("repeats", "body", "took out repeated paragraphs", repeats),
    Rewrite("trailing-space", "body", "took out white space at line ends", trailing_space, True),
    Rewrite("blank-lines", "body", "closed runs of blank lines", blank_lines, True),
    Rewrite("final-newline", "body", "ended texts with one line end", final_newline, True),
)
