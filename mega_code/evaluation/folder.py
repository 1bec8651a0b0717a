"""A skill folder in memory: the texts that a rewrite may touch, and the names of everything else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Optional

from mega_code.errors import MegaCodeError
from mega_code.evaluation.blocks import Document
from mega_code.evaluation.frontmatter import Source, load
from mega_code.evaluation.frontmatter import read as read_source
from mega_code.evaluation.markdown import parse
from mega_code.skill import SKILL_MD, split

TEXT_BYTES = 512 * 1024
TEXT_LINES = 20_000
REFERENCES = "references/"
REFERENCES_BYTES = 2 * 1024 * 1024
BOM = "\ufeff"


class Finding(NamedTuple):
    """What is wrong, and where: a path below the skill folder and a line from 1, or 0 for the whole file."""

    file: str
    line: int
    text: str


class Page(NamedTuple):
    """A Markdown file: its frontmatter with the `---` lines (empty if it has none), and its body.

    `first_line` is the number that the body's first line has in the file.
    """

    path: str
    head: str
    body: str
    document: Document
    first_line: int

    def line(self, index: int) -> int:
        """The line in the file, from 1, of a line index of the body."""
        return self.first_line + index


@dataclass(frozen=True)
class Skill:
    """`texts` are SKILL.md and the Markdown files below references/; `files` is every path there is.

    `unreadable` are files below references/ that are no UTF-8 text or too large to be looked at. `parsed` is what
    `scripts.inspect` found; no rewrite touches those files, so it is looked up once. `resolved` is the memory of
    `targets`: where a link of a folder leads.
    """

    skill_id: str
    files: frozenset[str]
    texts: Mapping[str, str]
    unreadable: tuple[Finding, ...] = ()
    parsed: Mapping[str, Optional[list[Finding]]] = field(default_factory=dict)
    resolved: dict[tuple[str, str], Optional[str]] = field(default_factory=dict, compare=False, repr=False)
    _pages: dict[str, Page] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder that holds a file, however deep, and `.` for the skill's own."""
        return frozenset(str(folder) for path in self.files for folder in PurePosixPath(path).parents)

    @cached_property
    def folded(self) -> dict[str, list[str]]:
        """The files and folders by their path without case."""
        found: dict[str, list[str]] = {}
        for path in self.files | self.folders:
            found.setdefault(path.casefold(), []).append(path)
        return found

    @cached_property
    def frontmatter(self) -> dict[str, Any]:
        """The frontmatter's values. Raises MegaCodeError `invalid_frontmatter`."""
        return load(self.text)

    @cached_property
    def source(self) -> Source:
        """The frontmatter's lines. Raises MegaCodeError `invalid_frontmatter`."""
        return read_source(self.text)

    @property
    def text(self) -> str:
        """SKILL.md."""
        return self.texts[SKILL_MD]

    def changed(self, texts: Mapping[str, str]) -> Skill:
        """The same skill with some texts replaced."""
        kept = {path: page for path, page in self._pages.items() if path not in texts}
        return replace(self, texts={**self.texts, **texts}, _pages=kept)

    def page(self, path: str) -> Page:
        """One text, parsed; the result is kept."""
        if path not in self._pages:
            self._pages[path] = read_page(path, self.texts[path])
        return self._pages[path]

    def pages(self) -> Iterator[Page]:
        """Every text, SKILL.md first."""
        for path in sorted(self.texts, key=lambda path: (path != SKILL_MD, path)):
            yield self.page(path)


def read_page(path: str, text: str) -> Page:
    """A Markdown text in its parts. Never raises."""
    try:
        body = split(text).body
    except MegaCodeError:
        body = text
    head = text[: len(text) - len(body)]
    return Page(path, head, body, parse(body.lstrip(BOM)), head.count("\n") + 1)


def read(root: Path, skill_id: str) -> Skill:
    """The skill in the folder `root`; links are not followed.

    Raises MegaCodeError: `missing_skill_md` where there is none, `invalid_skill_md` where it is no UTF-8 text or over
    `TEXT_BYTES` or `TEXT_LINES`. Raises OSError where the folder cannot be read.
    """
    files = frozenset(_paths(root))
    if SKILL_MD not in files:
        raise MegaCodeError("missing_skill_md", "There is no SKILL.md at the root of the skill.")
    text, problem = _text(root, SKILL_MD)
    if text is None:
        raise MegaCodeError("invalid_skill_md", f"SKILL.md {problem}.")
    texts, unreadable, budget = {SKILL_MD: text}, [], REFERENCES_BYTES
    for path in sorted(files):
        if path.startswith(REFERENCES) and path.endswith((".md", ".markdown")):
            text, problem = _text(root, path)
            budget -= len(text or "")
            if text is not None and budget < 0:
                problem = f"was not looked at: the references are over {REFERENCES_BYTES // 1024} KiB together"
            if problem or text is None:
                unreadable.append(Finding(path, 0, problem))
            else:
                texts[path] = text
    return Skill(skill_id, files, texts, tuple(unreadable))


def _paths(root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                yield os.path.relpath(path, root).replace(os.sep, "/")


def _text(root: Path, path: str) -> tuple[Optional[str], str]:
    """A file's text, or None and why it is no text that anybody could work on."""
    with open(root / path, "rb") as stream:
        data = stream.read(TEXT_BYTES + 1)
    if len(data) > TEXT_BYTES:
        return None, f"is over {TEXT_BYTES // 1024} KiB, more than an agent can load"
    if data.count(b"\n") > TEXT_LINES:
        return None, f"has over {TEXT_LINES} lines, more than an agent can load"
    if b"\0" in data:
        return None, "holds a NUL byte, so it is no text"
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return None, f"is no UTF-8 text (line {line})"
