"""Every `@test` of tests/bats as a test of its own here; each file runs once, in a real Bash."""

from __future__ import annotations

import fcntl
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
            in_time = pytest.mark.timeout(SECONDS + 60)  # whoever comes first runs the file
            marks = [in_time, pytest.mark.xdist_group(path.name), *([pytest.mark.slow] if slow else [])]
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
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test session, the same for every worker."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def tap_of(path: Path, shared: Path, request: pytest.FixtureRequest) -> str:
    """The TAP stream of a file; whoever comes first runs it, and other workers wait."""
    tap = shared / f"{path.name}.tap"
    with open(shared / f"{path.name}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tap.exists():
            part = tap.with_suffix(".part")
            run_file(path, part, request)
            part.rename(tap)
    return tap.read_text("utf-8", "replace")


def run_file(path: Path, tap: Path, request: pytest.FixtureRequest) -> None:
    """Run one file in pytest-shell's Bash, with this Python first on PATH."""
    bats = os.environ.get("BATS") or shutil.which("bats")
    if not bats:
        pytest.skip("bats is not on PATH, and BATS does not name it; scripts/test.sh installs it")
    # The fixture waits half a second when it starts, so it is asked for only once a file.
    shell = request.getfixturevalue("bash")
    quick = ["--filter-tags", "!slow"] if "not slow" in request.config.getoption("markexpr") else []
    search = shlex.quote(f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")
    command = f"PATH={search} {shlex.join([bats, '--tap', *quick, str(path)])} >{shlex.quote(str(tap))} 2>&1 </dev/null"
    shell.connection.send(command, timeout=SECONDS)


@pytest.mark.parametrize(("path", "name"), cases())
def test_bats(path: Path, name: str, shared: Path, request: pytest.FixtureRequest) -> None:
    tap = tap_of(path, shared, request)
    verdict = read_tap(tap).get(name)
    if verdict is None:
        pytest.fail(f"bats said nothing about {name!r}:\n{tap}", pytrace=False)
    if verdict.skipped is not None:
        pytest.skip(verdict.skipped)
    if not verdict.passed:
        pytest.fail(verdict.diagnostics, pytrace=False)
