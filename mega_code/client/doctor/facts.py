"""One fact a line: a mark, what it is about, what was found, and the command that mends it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Union

from mega_code import terminal
from mega_code.console import concealed
from mega_code.plain import plain

OK, WARNING, MISSING = "ok", "warning", "missing"
SIGNS = {OK: ("✓", terminal.GREEN), WARNING: ("!", terminal.YELLOW), MISSING: ("✗", terminal.RED)}
MARK, TOPIC = max(map(len, SIGNS)), 13
NARROWEST, FALLBACK = 60, (80, 24)
HARD = "\N{NO-BREAK SPACE}"
QUOTED = re.compile(r"'[^']*'")


class Fact(NamedTuple):
    """What was found about `topic`. `exit_status` is that of the contract where an enhancement cannot do without."""

    mark: str
    topic: str
    found: str
    mend: str = ""
    exit_status: int = 0


def ok(topic: str, found: str) -> Fact:
    """All is well."""
    return Fact(OK, topic, found)


def warning(topic: str, found: str, mend: str = "") -> Fact:
    """Something to know; an enhancement works all the same."""
    return Fact(WARNING, topic, found, mend)


def missing(topic: str, found: str, mend: str, exit_status: int) -> Fact:
    """Something that an enhancement needs."""
    return Fact(MISSING, topic, found, mend, exit_status)


def exit_status(facts: Sequence[Fact]) -> int:
    """That of the first thing that is missing; 0 where nothing is."""
    return next((fact.exit_status for fact in facts if fact.mark == MISSING), 0)


def screen(facts: Sequence[Fact], env: Mapping[str, str]) -> list[str]:
    """The lines to print, as wide as the terminal; signs and colours on one, words elsewhere.

    A command stays on one line, and so does a path.
    """
    lines = []
    width = max(NARROWEST, shutil.get_terminal_size(FALLBACK).columns)
    for fact in facts:
        head = f"{_mark(fact.mark, env)}  {fact.topic:{TOPIC}}"
        indent = " " * (MARK + 2 + TOPIC)
        found = QUOTED.sub(lambda match: unbroken(match[0]), _shown(fact.found))
        wrapped = textwrap.wrap(found, width - len(indent), break_long_words=False, break_on_hyphens=False)
        wrapped = [line.replace(HARD, " ") for line in wrapped]
        lines += [f"{head}{wrapped[0]}", *(f"{indent}{more}" for more in wrapped[1:])]
        if fact.mend:
            lines.append(f"{indent}run: {_shown(fact.mend)}")
    lacking = [fact.topic for fact in facts if fact.mark == MISSING]
    return [
        *lines,
        "",
        f"Missing: {', '.join(lacking)}." if lacking else "Everything that an enhancement needs is there.",
    ]


def _shown(text: str) -> str:
    return str(concealed(plain(text)))


def _mark(mark: str, env: Mapping[str, str]) -> str:
    sign, colour = SIGNS[mark]
    try:
        sign.encode(sys.stdout.encoding)
        coloured = terminal.paint(sign, colour, sys.stdout.fileno(), env)
    except (UnicodeEncodeError, OSError, ValueError):
        coloured = sign
    return f"{mark:{MARK}}" if coloured == sign else f"{coloured}{' ' * (MARK - 1)}"


def unbroken(path: Union[str, os.PathLike[str]]) -> str:
    """A path in what was found, which is shown on one line."""
    return str(path).replace(" ", HARD)


def quoted(path: Union[str, os.PathLike[str]]) -> str:
    """A path as a shell reads it."""
    return shlex.quote(str(path))
