"""references/telemetry.md says what the code says; what a collector gets is compared with it in the integration tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from mega_code import telemetry
from mega_code.job import PHASES
from support.room import REPOSITORY
from support.telemetry_tables import ATTRIBUTES, CALL, REQUEST, SPANS, TEXT, code, rows

SOURCES = [path for path in sorted((REPOSITORY / "mega_code").rglob("*.py")) if path.stem != "telemetry_sdk"]
MAKERS = {"telemetry.span", "telemetry.begun", "telemetry.command", "answer"}
# What the SDK's side adds by itself.
ADDED = {"mega_code.session_id"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in our code, by what is called."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), node


def named_spans() -> set[str]:
    """The names that spans are given, the parts that vary in braces."""
    names = set()
    for name, call in calls():
        first = call.args[0] if call.args and name in MAKERS else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            names.add(first.value)
        elif isinstance(first, ast.JoinedStr):
            names.add(re.sub(r"\w+\.name", "model", ast.unparse(first)).strip("f'\""))
    return names


def named_attributes() -> set[str]:
    """The attributes that spans are given."""
    semantic = r'"((?:http|gen_ai)\.[a-z_.]+)"'
    names = {found for path in SOURCES for found in re.findall(semantic, path.read_text("utf-8"))}
    for name, call in calls():
        if name in (*MAKERS, "span.set", "telemetry.current().set"):
            names |= {f"mega_code.{keyword.arg}" for keyword in call.keywords}
    return names | {telemetry.ERROR} | ADDED


def test_the_table_of_spans_has_every_span_and_no_other() -> None:
    assert named_spans() | set(PHASES) == set(SPANS)


def test_the_table_of_attributes_has_every_attribute_and_no_other() -> None:
    assert named_attributes() == set(ATTRIBUTES)
    assert {name for of in ATTRIBUTES.values() for name in of or ()} <= set(SPANS)


def test_what_a_span_is_part_of_is_a_span() -> None:
    assert {REQUEST, CALL} <= set(SPANS)
    requests = {parent for span in SPANS.values() for parent in span.parents if " /" in parent}
    assert {parent for span in SPANS.values() for parent in span.parents} - requests <= set(SPANS)


def test_the_variables_and_times_are_the_codes_own() -> None:
    told = {name for row in rows("Switching it on") for name in code(row[0])}
    assert told >= {*telemetry.ENDPOINTS, *telemetry.PROTOCOLS, "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"}
    assert f"for {telemetry.FLUSH_S:g} s at most" in TEXT and f"for {telemetry.INTERRUPTED_FLUSH_S:g} s after" in TEXT
    assert telemetry.CLIENT in TEXT and telemetry.GATEWAY in TEXT and telemetry.PROTOCOL in TEXT
