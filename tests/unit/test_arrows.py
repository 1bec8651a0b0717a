"""The house: arrows between its parts go one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.house import MAY_USE
from support.room import REPOSITORY

MODULES = sorted((REPOSITORY / "mega_code").rglob("*.py"))


def part_of(name: str) -> str:
    """The part that a module called `mega_code.…` belongs to; empty for the domain's words."""
    second = name.split(".")[1] if "." in name else ""
    return second if second in MAY_USE else ""


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("mega_code."))
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            if node.module == "mega_code":
                yield from (f"mega_code.{alias.name}" for alias in node.names)
            elif (node.module or "").startswith("mega_code."):
                yield str(node.module)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_module_uses_only_what_its_part_may(path: Path) -> None:
    own = part_of(".".join(path.relative_to(REPOSITORY).with_suffix("").parts))
    used = {part_of(name) for name in imported(path)} - {"", own}
    assert used <= MAY_USE.get(own, set())


def test_every_package_is_a_part_of_the_house() -> None:
    packages = {path.parent.name for path in (REPOSITORY / "mega_code").glob("*/__init__.py")}
    assert packages == set(MAY_USE)
