"""Markdown documents as tests read them: sections, tables, links, anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from support.room import REPOSITORY

FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")


def documents() -> list[Path]:
    """Every document of the repository that a person reads."""
    return [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "references").rglob("*.md"))]


def name(path: Path) -> str:
    """A path as the repository has it."""
    return path.relative_to(REPOSITORY).as_posix()


def prose(path: Path) -> str:
    """A document without its blocks of code."""
    return FENCED.sub("", path.read_text("utf-8"))


def section(path: Path, title: str) -> str:
    """What stands below a heading, up to the next of its rank."""
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert match, f"{name(path)}: there is no section {title!r}"
    return match[1]


def rows(text: str, number: int = 0) -> list[list[str]]:
    """The rows of a table, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    lines = tables[number].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def code(cell: str) -> list[str]:
    """What a cell has in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def anchors(path: Path) -> set[str]:
    """The anchors that a document's headings make."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """Each link of a document that stays in the repository: the file it leads to, and the anchor there or ''."""
    for match in LINK.finditer(prose(path)):
        target, _, anchor = (match[1] or match[2]).partition("#")
        if not re.match(r"[a-z]+:", target):
            yield ((path.parent / target).resolve() if target else path), anchor
