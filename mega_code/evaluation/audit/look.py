"""One file through every rule."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from mega_code.evaluation.audit.context import command_around, milder_for, well_known
from mega_code.evaluation.audit.finding import HIGH, LOW, MEDIUM, ORDER, Finding, Rule, excerpt, milder
from mega_code.evaluation.audit.flow import flows
from mega_code.evaluation.audit.hidden import CATEGORY, INVISIBLE, hidden
from mega_code.evaluation.audit.leaks import EXFILTRATION, SECRETS
from mega_code.evaluation.audit.lines import MARKDOWN, Unit, units
from mega_code.evaluation.audit.payloads import DOWNLOADS, PAYLOADS
from mega_code.evaluation.audit.prompts import PROMPTS
from mega_code.evaluation.audit.system import DESTRUCTION, PERSISTENCE, PRIVILEGES

RULES = DOWNLOADS + PAYLOADS + SECRETS + EXFILTRATION + PERSISTENCE + DESTRUCTION + PRIVILEGES + PROMPTS
SAME = 20
_PROGRAM = (b"\x7fELF", b"MZ\x90", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\0asm")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BLOB = re.compile(
    r"(?<![A-Za-z0-9+/=_-])(?:[A-Za-z0-9+/]{4}){6,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?(?![A-Za-z0-9+/_])"
)
# What runs or what an agent reads comes first, so that no heap of data can push it past the caps.
_RUNS = re.compile(
    r"\.(?:md|markdown|mdx|sh|bash|zsh|py|js|mjs|cjs|ts|ps1|bat|cmd|rb|pl|php|json|ya?ml|toml)$|(?:^|/)\.?[^./]+$"
)
_LIST = re.compile(r"[\"'`]\s{0,20},\s{0,20}[fbr]?[\"'`]")
_HALVES = re.compile(r"[\"'`]\s{0,20}\+\s{0,20}[\"'`]")


class Hit(NamedTuple):
    """A finding and the words that matched, in lower case with single spaces."""

    finding: Finding
    words: str


class _File:
    """A text and where its lines are."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines = text.split("\n")
        self.starts = list(accumulate(len(line) + 1 for line in self.lines))

    def line_of(self, offset: int) -> int:
        return bisect_right(self.starts, offset) + 1

    def hit(self, line: int, severity: str, category: str, rule: str, text: str, words: str) -> Hit:
        shown = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        evidence = excerpt(shown, max(0, shown.find(words[:40])))
        return Hit(Finding(category, severity, self.path, line, evidence, rule, text), " ".join(words.lower().split()))


def look(path: str, data: bytes) -> list[Hit]:
    """The red flags of one file, a rule and severity `SAME` times at most. Never raises."""
    if data.startswith(_PROGRAM):
        text = "It is a compiled program, which nobody can read."
        return [Hit(Finding("encoded_payload", MEDIUM, path, 1, excerpt(repr(data[:8])), "program", text), "program")]
    if binary(path, data):
        return []
    text = _decoded(data)
    file = _File(path, text)
    # An invisible character inside a word would hide it from every rule; line feeds are not among those taken out.
    plain = text if text.isascii() else unicodedata.normalize("NFKC", INVISIBLE.sub("", text))
    found = list(units(path, plain))
    hits = [*_hidden(file, text), *_ruled(file, plain, found), *_flowing(file, found), *_blobs(file, plain)]
    return _with_tools(list(_few(hits)))


def runs(path: str) -> bool:
    """Whether a file is, by its name, one that runs or that an agent reads."""
    return bool(_RUNS.search(path.lower()))


def binary(path: str, data: bytes) -> bool:
    """Whether it is data and no text; a NUL in a script or a page hides nothing from who runs or reads it."""
    return b"\0" in data[:8192] and not runs(path) and not data.startswith((*_UTF16, b"#!"))


def _hidden(file: _File, text: str) -> Iterator[Hit]:
    for spot in hidden(text, file.path.lower().endswith(MARKDOWN)):
        words = text[spot.offset : spot.offset + spot.length]
        yield file.hit(file.line_of(spot.offset), spot.severity, CATEGORY, spot.rule, spot.text, words)


def _ruled(file: _File, text: str, found: Iterable[Unit]) -> Iterator[Hit]:
    lowered = text.lower()
    rules = [rule for rule in RULES if any(need in lowered for need in rule.needs)]
    for unit in found:
        for spelling in _spellings(unit):
            for rule, severity, start, words in _matches(spelling, rules):
                yield file.hit(unit.line_of(start), severity, rule.category, rule.id, rule.text, words)


def _matches(unit: Unit, rules: Iterable[Rule]) -> Iterator[tuple[Rule, str, int, str]]:
    lowered = unit.text.lower()
    for rule in rules:
        if unit.place in rule.places and any(need in lowered for need in rule.needs):
            for match in rule.pattern.finditer(unit.text):
                start, end = match.span("at" if "at" in rule.pattern.groupindex else 0)
                yield rule, milder(rule.severity, _cap(rule, unit, start, end)), start, match.group()


def _cap(rule: Rule, unit: Unit, start: int, end: int) -> str:
    """What a match of a rule is capped at by what stands around it."""
    place = "prose" if rule.spoken and unit.place == "comment" else unit.place
    cap = milder_for(unit.text, start, end, place, unit.warned)
    if rule.installer and well_known(command_around(unit.text, start, end, unit.place)):
        cap = milder(cap, MEDIUM)
    return cap


def _spellings(unit: Unit) -> Iterator[Unit]:
    """A unit as it stands, and with the arguments of a list, or the halves of a text, written as one command."""
    yield unit
    if unit.place == "code" and (_LIST.search(unit.text) or _HALVES.search(unit.text)):
        joined = _LIST.sub(lambda match: " " * len(match.group()), _HALVES.sub("", unit.text))
        yield unit._replace(text=joined)


def _flowing(file: _File, found: Iterable[Unit]) -> Iterator[Hit]:
    for flow in flows(found) if runs(file.path) else ():
        severity = milder(flow.severity, milder_for(flow.unit.text, flow.start, flow.end, "code", flow.unit.warned))
        line, words = flow.unit.line_of(flow.start), flow.unit.text[flow.start : flow.end]
        yield file.hit(line, severity, flow.category, flow.rule, flow.text, words)


def _blobs(file: _File, text: str) -> Iterator[Hit]:
    """Base64 in which a command hides: each blob is decoded once and read as a script."""
    serious = [rule for rule in RULES if rule.severity != LOW]
    for match in _BLOB.finditer(text):
        inner = _unpacked(match.group())
        found = (severity for unit in units("sh", inner) for _, severity, _, _ in _matches(unit, serious))
        if inner and any(ORDER[severity] for severity in found):
            line = text.count("\n", 0, match.start()) + 1
            say = "It holds a command in base64, so nobody can read what it does."
            yield file.hit(line, HIGH, "encoded_payload", "hidden-command", say, match.group())


def _unpacked(blob: str) -> str:
    """The text in a base64 blob, or nothing where it is no text."""
    try:
        data = base64.b64decode(blob[: len(blob) // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        return ""
    printable = len(data) - len(data.translate(None, bytes(range(32, 127)) + b"\t\r\n"))
    return data.decode("ascii", "ignore") if data and printable >= 0.97 * len(data) else ""


def _decoded(data: bytes) -> str:
    """A file as text; what is no UTF-8 is replaced, never skipped, since the rest of it may still run."""
    text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8", "replace").lstrip("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _few(hits: Iterable[Hit]) -> Iterator[Hit]:
    """What a file says once a line, and so often that a person gets the picture; mild ones crowd out no worse one."""
    seen: set[tuple[str, str, int, str]] = set()
    counts: Counter[tuple[str, str]] = Counter()
    for hit in hits:
        kind = (hit.finding.rule, hit.finding.severity)
        key = (*kind, hit.finding.line, hit.words)
        if key not in seen and counts[kind] < SAME:
            seen.add(key)
            counts[kind] += 1
            yield hit


def _with_tools(hits: list[Hit]) -> list[Hit]:
    """A right to run any command is worth more where there is something that would use it."""
    if not any(ORDER[hit.finding.severity] for hit in hits):
        return hits
    return [
        hit._replace(finding=hit.finding._replace(severity=MEDIUM)) if hit.finding.rule == "broad-tools" else hit
        for hit in hits
    ]
