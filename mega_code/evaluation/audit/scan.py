"""The audit itself: every text file of a folder through every rule, within fixed sizes."""

from __future__ import annotations

import base64
import binascii
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mega_code.evaluation.audit.commands import COMMANDS
from mega_code.evaluation.audit.context import command_around, milder_for, well_known
from mega_code.evaluation.audit.finding import HIGH, LOW, MEDIUM, ORDER, Finding, Rule, excerpt, milder
from mega_code.evaluation.audit.flow import flows
from mega_code.evaluation.audit.hidden import INVISIBLE, hidden
from mega_code.evaluation.audit.lines import MARKDOWN, Unit, units
from mega_code.evaluation.audit.prompts import PROMPTS
from mega_code.skill import SKILL_MD

FILE_BYTES = 1024 * 1024
TOTAL_BYTES = 8 * 1024 * 1024
FILES = 5000
FINDINGS = 1000
BLOBS = 200
RULES = COMMANDS + PROMPTS
_PROGRAM = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\0asm")
_BLOB = re.compile(
    r"(?<![A-Za-z0-9+/=_-])(?:[A-Za-z0-9+/]{4}){6,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?(?![A-Za-z0-9+/_])"
)
_BLOB_CHARACTERS = 8192
_PARTS = re.compile(r"[\"'`]\s{0,20},\s{0,20}[fbr]?[\"'`]|[\"'`]\s{0,20}\+\s{0,20}[\"'`]")
_LIST = re.compile(r"[\"'`]\s{0,20},\s{0,20}[fbr]?[\"'`]")
_HALVES = re.compile(r"[\"'`]\s{0,20}\+\s{0,20}[\"'`]")
# Files that run or that an agent reads come first, so that no heap of data can push them past the cap.
_FIRST = re.compile(
    r"\.(?:md|markdown|sh|bash|zsh|py|js|mjs|cjs|ts|ps1|bat|cmd|rb|pl|php|json|ya?ml|toml)$|(?:^|/)[^./]+$"
)


class Hit(NamedTuple):
    """A finding and the words that matched."""

    finding: Finding
    words: str


def audit(files: Mapping[str, bytes]) -> list[Finding]:
    """The red flags of files by their path, the worst first. Never raises."""
    hits: list[Hit] = []
    budget = TOTAL_BYTES
    for path in sorted(files, key=lambda path: (path != SKILL_MD, not _FIRST.search(path.lower()), path)):
        if len(hits) >= FINDINGS:
            break
        data = files[path][: FILE_BYTES + 1]
        hits += _file(path, data[: min(FILE_BYTES, max(budget, 0))])
        if len(data) > min(FILE_BYTES, max(budget, 0)) and not _binary(data):
            hits.append(Hit(_unread(path), ""))
        budget -= len(data)
    return _sorted(hits)


def audit_folder(root: Path) -> list[Finding]:
    """The red flags of the files below `root`; links are not followed, and only the beginning of a file is read.

    Raises OSError where the folder cannot be read.
    """
    files: dict[str, bytes] = {}
    with os.scandir(root):
        pass
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if len(files) < FILES and path.is_file() and not path.is_symlink():
                with open(path, "rb") as stream:
                    files[path.relative_to(root).as_posix()] = stream.read(FILE_BYTES + 1)
    return audit(files)


def red_flags(text: str) -> Counter[tuple[str, str]]:
    """The red flags of a SKILL.md as (rule, the words that matched), without the low ones; a high one counts twice.

    `red_flags(new) - red_flags(old)` is what is new or worse.
    """
    flags: Counter[tuple[str, str]] = Counter()
    for hit in _file(SKILL_MD, text.encode("utf-8", "surrogatepass")):
        flags[hit.finding.rule, hit.words] += ORDER[hit.finding.severity]
    return +flags


def _file(path: str, data: bytes) -> list[Hit]:
    if data.startswith(_PROGRAM):
        text = "It is a compiled program, which nobody can read."
        return [Hit(Finding("encoded_payload", MEDIUM, path, 1, excerpt(repr(data[:8])), "program", text), "program")]
    if _binary(data):
        return []
    text = _decoded(data)
    lines = text.split("\n")
    hits = [
        _hit(path, lines, text.count("\n", 0, spot.offset) + 1, spot.severity, "prompt_override", spot.rule, spot.text,
             text[spot.offset : spot.offset + spot.length])
        for spot in hidden(text, path.lower().endswith(MARKDOWN))
    ]  # fmt: skip
    plain = text if text.isascii() else unicodedata.normalize("NFKC", INVISIBLE.sub("", text))
    found = list(units(path, plain))
    lowered = plain.lower()
    rules = [rule for rule in RULES if any(need in lowered for need in rule.needs)]
    for unit in found:
        for spelling in _spellings(unit):
            hits += _unit(path, lines, spelling, rules)
    for flow in flows(found):
        severity = milder(flow.severity, milder_for(flow.unit.text, flow.start, flow.end, "code", flow.unit.warned))
        line, words = flow.unit.line_of(flow.start), flow.unit.text[flow.start : flow.end]
        hits.append(_hit(path, lines, line, severity, flow.category, flow.rule, flow.text, words))
    hits += _blobs(path, lines, plain)
    return _with_tools(_once(hits))


def _unit(path: str, lines: list[str], unit: Unit, rules: list[Rule]) -> Iterator[Hit]:
    lowered = unit.text.lower()
    for rule in rules:
        if unit.place in rule.places and any(need in lowered for need in rule.needs):
            for match in rule.pattern.finditer(unit.text):
                group = "at" if "at" in rule.pattern.groupindex else 0
                severity = milder(rule.severity, _cap(rule, unit, *match.span(group)))
                line = unit.line_of(match.start(group))
                yield _hit(path, lines, line, severity, rule.category, rule.id, rule.text, match.group())


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
    if unit.place == "code" and _PARTS.search(unit.text):
        joined = _LIST.sub(lambda match: " " * len(match.group()), _HALVES.sub("", unit.text))
        yield unit._replace(text=joined)


def _hit(path: str, lines: list[str], line: int, severity: str, category: str, rule: str, text: str, words: str) -> Hit:
    shown = lines[line - 1] if 0 < line <= len(lines) else ""
    evidence = excerpt(shown, max(0, shown.find(words[:40])))
    return Hit(Finding(category, severity, path, line, evidence, rule, text), " ".join(words.lower().split()))


def _blobs(path: str, lines: list[str], text: str) -> Iterator[Hit]:
    """Base64 in which a command hides: each blob is decoded once and read as a script."""
    for number, match in enumerate(_BLOB.finditer(text)):
        if number >= BLOBS:
            return
        inner = _unpacked(match.group()[:_BLOB_CHARACTERS])
        if not inner:
            continue
        rules = [rule for rule in RULES if rule.severity != LOW]
        if any(
            ORDER[hit.finding.severity] for unit in units("x.sh", inner) for hit in _unit("x.sh", [inner], unit, rules)
        ):
            line = text.count("\n", 0, match.start()) + 1
            say = "It holds a command in base64, so nobody can read what it does."
            yield _hit(path, lines, line, HIGH, "encoded_payload", "hidden-command", say, match.group())


def _unpacked(blob: str) -> str:
    """The text in a base64 blob, or nothing where it is no text."""
    try:
        data = base64.b64decode(blob[: len(blob) // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        return ""
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in data)
    return data.decode("ascii", "ignore") if data and printable >= 0.97 * len(data) else ""


def _decoded(data: bytes) -> str:
    """A file as text; what is no UTF-8 is replaced, never skipped, since the rest of it may still run."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "replace").lstrip("\ufeff")


def _binary(data: bytes) -> bool:
    return b"\0" in data[:8192] and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"#!"))


def _unread(path: str) -> Finding:
    text = "It is larger than what the audit reads; the rest was not looked at."
    return Finding("unread", MEDIUM if _FIRST.search(path.lower()) else LOW, path, 1, "", "unread", text)


def _once(hits: list[Hit]) -> list[Hit]:
    """One hit a rule and line, the worst."""
    best: dict[tuple[str, int], Hit] = {}
    for hit in hits:
        key = (hit.finding.rule, hit.finding.line)
        if key not in best or ORDER[hit.finding.severity] > ORDER[best[key].finding.severity]:
            best[key] = hit
    return list(best.values())


def _with_tools(hits: list[Hit]) -> list[Hit]:
    """A right to run any command is worth more where there is something that would use it."""
    if not any(ORDER[hit.finding.severity] for hit in hits):
        return hits
    return [
        hit._replace(finding=hit.finding._replace(severity=MEDIUM)) if hit.finding.rule == "broad-tools" else hit
        for hit in hits
    ]


def _sorted(hits: list[Hit]) -> list[Finding]:
    found = [hit.finding for hit in hits]
    found.sort(key=lambda finding: (-ORDER[finding.severity], finding.file != SKILL_MD, finding.file, finding.line))
    return found[:FINDINGS]
