"""Every `@test` of tests/bats as a test of its own here; each file runs once, in a real Bash."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import NamedTuple, Optional

import pytest
from _pytest.mark import ParameterSet

if sys.version_info >= (3, 13):
    sys.modules.setdefault("pipes", shlex)  # gone there; pytest-shell uses its `quote`

FOLDER = Path(__file__).parent / "bats"
TEST = re.compile(r'^(# bats test_tags=.*\bslow\b.*\n)?@test "(.*)" \{$', re.MULTILINE)
RESULT = re.compile(r"(not )?ok \d+ (.*?)(?: # skip ?(.*))?")
SECONDS = 900.0


class Verdict(NamedTuple):
    """What bats said of one test; `skipped` is the reason, if it was."""

    passed: bool
    skipped: Optional[str]
    diagnostics: str


def cases() -> list[ParameterSet]:
    """A parameter for each test; those of one file are one group, so that one worker runs the file."""
    found = []
    for path in sorted(FOLDER.glob("*.bats")):
        for slow, name in TEST.findall(path.read_text("utf-8")):
            marks = [pytest.mark.xdist_group(path.name), *([pytest.mark.slow] if slow else [])]
            found.append(pytest.param(path, name, id=f"{path.name}: {name}", marks=marks))
    return found


def read_tap(text: str) -> dict[str, Verdict]:
    """The verdicts of a TAP stream, by the tests' names."""
    verdicts: dict[str, Verdict] = {}
    name = ""
    for line in text.splitlines():
        match = RESULT.fullmatch(line)
        if match:
            name = match[2]
            verdicts[name] = Verdict(not match[1], match[3], "")
        elif line.startswith("#") and name:
            verdicts[name] = verdicts[name]._replace(diagnostics=f"{verdicts[name].diagnostics}{line}\n")
    return verdicts


@pytest.fixture(scope="session")
def verdicts() -> dict[Path, dict[str, Verdict]]:
    """What each file that has run came to."""
    return {}


def run_file(path: Path, tap: Path, request: pytest.FixtureRequest) -> dict[str, Verdict]:
    """Run one file in pytest-shell's Bash."""
    bats = os.environ.get("BATS") or shutil.which("bats")
    if not bats:
        pytest.skip("bats is not on PATH, and BATS does not name it; scripts/test.sh installs it")
    # The fixture waits half a second when it starts, so it is asked for only once a file.
    shell = request.getfixturevalue("bash")
    quick = ["--filter-tags", "!slow"] if "not slow" in request.config.getoption("markexpr") else []
    command = shlex.join([bats, "--tap", *quick, str(path)])
    shell.connection.send(f"{command} >{shlex.quote(str(tap))} 2>&1 </dev/null", timeout=SECONDS)
    return read_tap(tap.read_text("utf-8", "replace"))


@pytest.mark.parametrize(("path", "name"), cases())
def test_bats(
    path: Path,
    name: str,
    verdicts: dict[Path, dict[str, Verdict]],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if path not in verdicts:
        tap = tmp_path / "tap"
        verdicts[path] = run_file(path, tap, request)
        if not verdicts[path]:
            pytest.fail(f"bats ran no test of {path.name}:\n{tap.read_text('utf-8', 'replace')}", pytrace=False)
    verdict = verdicts[path].get(name)
    if verdict is None:
        pytest.fail(f"bats said nothing about {name!r}", pytrace=False)
    if verdict.skipped is not None:
        pytest.skip(verdict.skipped)
    if not verdict.passed:
        pytest.fail(verdict.diagnostics, pytrace=False)
