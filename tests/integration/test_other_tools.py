"""The scripts where the tools are not GNU's, where Bash is not in /bin, and where /bin/sh is no Bash."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from support.room import REPOSITORY, Room
from support.tools import shell_and_python, tools

EXAMPLE = REPOSITORY / "examples" / "commit-message"


@pytest.mark.slow  # each is a whole flow
@pytest.mark.parametrize("family", ["busybox", "toybox", "strict"])
def test_the_whole_flow_runs_with_other_tools(family: str, room: Room) -> None:
    folders = (tools(family, room.root / "the tools"), shell_and_python(room.root / "opt" / "bin"))
    room.env["PATH"] = os.pathsep.join(map(str, folders))
    installed = room.project / ".claude" / "skills" / "commit-message"
    (installed / "old").mkdir(parents=True)
    try:
        done = room.script("enhance.sh", EXAMPLE, "--yes")
        running = room.script("gateway.sh", "status")
    finally:
        room.script("gateway.sh", "stop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Installed at {installed}." in done.stdout
    assert said_by_tools(done) == []
    assert running.stdout.startswith("running at http://127.0.0.1:")
    assert not (installed / "old").exists()

    undone = room.script("install.sh", "--undo", "--skill-name", "commit-message")
    assert undone.returncode == 0, undone.stderr
    assert said_by_tools(undone) == []
    assert (installed / "old").is_dir()
    assert room.script("enhance.sh", "--help").stdout.startswith("Usage: enhance.sh ")


def said_by_tools(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Complaints of a tool or of Bash on stderr."""
    complaint = re.compile(r"^strict |usage:|not found|invalid|unrecognized|illegal|\.sh: line", re.IGNORECASE)
    return [line for line in done.stderr.splitlines() if complaint.search(line)]


def test_nothing_of_ours_asks_for_a_shell_by_its_place() -> None:
    sources = [path for name in ("mega_code", "scripts") for path in (REPOSITORY / name).rglob("*.*") if path.is_file()]
    asking = re.compile(rb"/bin/(ba|da|z)?sh\b|shell=True|os\.(system|popen)\(")
    assert [str(path) for path in sources if path.suffix in (".py", ".sh") and asking.search(path.read_bytes())] == []
