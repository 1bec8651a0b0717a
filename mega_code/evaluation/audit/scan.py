"""The audit of a whole folder, within fixed sizes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Callable

from mega_code.evaluation.audit.finding import LOW, MEDIUM, ORDER, Finding
from mega_code.evaluation.audit.look import binary, look, runs
from mega_code.skill import SKILL_MD

FILE_BYTES = 512 * 1024
TOTAL_BYTES = 2 * 1024 * 1024
FINDINGS = 1000
HEAD = 8192
Read = Callable[[str, int], bytes]


def audit(files: Mapping[str, bytes]) -> list[Finding]:
    """The red flags of files by their path, the worst first, `FINDINGS` at most. Never raises."""
    return _audit(files, lambda path, size: files[path][:size])


def audit_folder(root: Path) -> list[Finding]:
    """The red flags of the files below `root`; links are not followed, and only the beginning of a file is read.

    Raises OSError where the folder or a file cannot be read.
    """
    with os.scandir(root):
        paths = [
            path.relative_to(root).as_posix()
            for folder, _, names in os.walk(root)
            for path in (Path(folder, name) for name in names)
            if path.is_file() and not path.is_symlink()
        ]

    def read(path: str, size: int) -> bytes:
        with open(root / path, "rb") as stream:
            return stream.read(size)

    return _audit(paths, read)


def red_flags(text: str) -> Counter[tuple[str, str]]:
    """The red flags of a SKILL.md as (rule, the words that matched), without the low ones; a high one counts 2.

    `red_flags(new) - red_flags(old)` is what is new or worse.
    """
    flags: Counter[tuple[str, str]] = Counter()
    for hit in look(SKILL_MD, text.encode("utf-8", "replace")[:FILE_BYTES]):
        key = (hit.finding.rule, hit.words)
        flags[key] = max(flags[key], ORDER[hit.finding.severity])
    return +flags


def _audit(paths: Iterable[str], read: Read) -> list[Finding]:
    found: list[Finding] = []
    budget = TOTAL_BYTES
    for path in sorted(paths, key=lambda path: (path != SKILL_MD, not runs(path), path)):
        cap = min(FILE_BYTES, budget)
        data = read(path, cap + HEAD)
        whole = binary(path, data) or len(data) <= cap
        found += _once([hit.finding for hit in look(path, data if whole else data[:cap])])
        if not whole:
            found.append(_unread(path))
        budget -= 0 if binary(path, data) else min(len(data), cap)
    found.sort(key=lambda finding: (-ORDER[finding.severity], finding.file != SKILL_MD, finding.file, finding.line))
    return found[:FINDINGS]


def _unread(path: str) -> Finding:
    text = "The audit does not read that much; the rest was not looked at."
    return Finding("unread", MEDIUM if runs(path) else LOW, path, 1, "", "unread", text)


def _once(found: list[Finding]) -> list[Finding]:
    """One finding a rule and line, the worst."""
    best: dict[tuple[str, int], Finding] = {}
    for finding in found:
        key = (finding.rule, finding.line)
        if key not in best or ORDER[finding.severity] > ORDER[best[key].severity]:
            best[key] = finding
    return list(best.values())
