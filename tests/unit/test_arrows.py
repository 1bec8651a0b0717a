"""Which part of the code may import which: the domain's words import nothing above them, and the parts not each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.room import REPOSITORY

PACKAGE = REPOSITORY / "mega_code"
PARTS = ("client", "evaluation", "gateway", "hitl")
MAY_USE: dict[str, set[str]] = {
    "client": set(),
    "evaluation": set(),
    "gateway": {"evaluation"},
    "hitl": {"evaluation"},
    "": set(),
}


def part(module: str) -> str:
    """The part that a module belongs to; empty for a word of the domain."""
    names = module.split(".")
    return names[1] if len(names) > 1 and names[0] == "mega_code" and names[1] in PARTS else ""


def imported(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("own", MAY_USE, ids=lambda own: own or "the domain")
def test_imports_go_one_way(own: str) -> None:
    files = [path for path in PACKAGE.rglob("*.py") if part(".".join(path.relative_to(PACKAGE.parent).parts)) == own]
    assert files or own == "hitl"
    wrong = {
        (str(path.relative_to(PACKAGE)), name)
        for path in files
        for name in imported(path)
        if part(name) not in ("", own, *MAY_USE[own])
    }
    assert wrong == set()
