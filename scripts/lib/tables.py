"""Write the tables of the documents that stand in the code already: `python -m scripts.lib.tables`, from the repository.

A table's place is a line `<!-- NAME: python -m scripts.lib.tables -->`, then the table, then `<!-- end -->`. Standard
library and our own error table only. The benchmarks' is what they wrote last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from mega_code.errors import CODES

REPOSITORY = Path(__file__).resolve().parents[2]
PLACE = re.compile(r"(<!-- ([a-z-]+): python -m scripts\.lib\.tables -->\n)(.*?)(<!-- end -->\n)", re.DOTALL)
# What a newcomer meets first, in the order of a first day.
FIRST = (
    "invalid_arguments",
    "skill_not_found",
    "mode_not_remote",
    "auth_failure",
    "network_failure",
    "secret_detected",
    "forbidden_path",
    "budget_spent",
    "model_failure",
)


class Header(NamedTuple):
    """What the header of a script says, each on one line; `prints` is empty where it does not say."""

    usage: str
    does: str
    prints: str
    ends: str


def header(source: str) -> Header:
    """The header of one of our scripts, which is its --help: usage, what it does and prints, flags, exit statuses."""
    comment = re.match(r"#!.*\n((?:#.*\n)+)", source)
    assert comment, "a script without a header"
    text = re.sub(r"^# ?", "", comment[1], flags=re.MULTILINE)
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    said = [sentence for paragraph in paragraphs[1:] for sentence in re.split(r"(?<=[.…]) (?=[A-Z])", paragraph)]
    printed = [sentence[len("Prints ") :] for sentence in said if sentence.startswith("Prints ")]
    ends = [paragraph[len("Exit: ") :] for paragraph in paragraphs if paragraph.startswith("Exit: ")]
    assert len(ends) == 1, paragraphs[0]
    return Header(paragraphs[0], said[0].rstrip("."), "".join(printed).rstrip("."), ends[0].rstrip("."))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    text = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
    return text.replace("| --- ", "|---").replace("|--- |", "|---|").replace("---| |", "---|")


def error_codes() -> str:
    rows = ([f"`{name}`", str(code.exit_status), code.meaning, code.remedy] for name, code in CODES.items())
    return table(["code", "exit", "meaning", "what to do"], rows)


def first_errors() -> str:
    return table(["code", "meaning", "what to do"], ([f"`{name}`", *CODES[name][1:3]] for name in FIRST))


def scripts() -> str:
    rows = []
    for path in sorted((REPOSITORY / "scripts").glob("*.sh")):
        said = header(path.read_text("utf-8"))
        printed = re.sub(r"\b[A-Z][A-Z_]*=", lambda match: f"`{match[0]}`", said.prints)
        rows.append([f"`{path.name}`", said.does, printed, said.ends])
    return table(["script", "does", "prints", "exit"], rows)


def benchmarks() -> str:
    return (REPOSITORY / "benchmarks" / "RESULTS.md").read_text("utf-8")


TABLES: dict[str, Callable[[], str]] = {
    "error-codes": error_codes,
    "first-errors": first_errors,
    "scripts": scripts,
    "benchmarks": benchmarks,
}


def renewed(text: str) -> str:
    """A document with its tables as the code has them now. Raises KeyError for a table that nothing makes."""
    return PLACE.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}{match[4]}", text)


def documents(root: Optional[Path] = None) -> list[Path]:
    """Every document that may hold a table."""
    top = root or REPOSITORY
    return [*sorted(top.glob("*.md")), *sorted((top / "references").rglob("*.md"))]


def main() -> None:
    for path in documents():
        old = path.read_text("utf-8")
        new = renewed(old)
        if new != old:
            path.write_text(new, "utf-8")
            print(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
