"""The tables of references/telemetry.md, and what spans look like that keep to them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Optional

from support.collector import Seen
from support.room import REPOSITORY

TEXT = (REPOSITORY / "references" / "telemetry.md").read_text("utf-8")
REQUEST, CALL = "{method} {route}", "chat {model}"


class Span(NamedTuple):
    """A row of the table of spans; `parents` is empty where there is none or one of many."""

    services: Sequence[str]
    kind: str
    parents: Sequence[str]


def rows(title: str) -> list[list[str]]:
    """The rows of a section's only table, without its head."""
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert match, title
    lines = [line for line in match[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


SPANS = {
    code(name)[0]: Span(services.split(", "), kind, code(parents) if "…" not in parents else ())
    for name, services, kind, parents, _ in rows("Spans")
}
ATTRIBUTES: dict[str, Optional[list[str]]] = {code(name)[0]: code(of) or None for name, of, _ in rows("Attributes")}
"""By name: the spans that may have it, None for all."""


def pattern(name: str) -> str:
    """A span's name as the table has it."""
    if name.startswith("chat "):
        return CALL
    return REQUEST if " /" in name else name


def check(spans: Sequence[Seen]) -> None:
    """Every span and each of its attributes is in the tables."""
    for span in spans:
        row = SPANS[pattern(span.name)]
        assert span.service.replace("mega-code-", "") in row.services and span.kind == row.kind, span
        for attribute in span.attributes:
            of = ATTRIBUTES[attribute]
            assert of is None or pattern(span.name) in of, (span.name, attribute)
