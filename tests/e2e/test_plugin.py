"""The bundle as a plugin: valid, installable from a clone, cheap, and the same when it is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.claude_session import Claude
from support.fake_gateway import FakeGateway
from support.hitl import cases
from support.room import REPOSITORY, Room

ALWAYS_ON_TOKENS = 100


@pytest.fixture
def clone(room: Room) -> Path:
    """A copy of what a clone of the working tree would hold."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    target = room.root / "a clone"
    for name in filter(None, listed.stdout.split("\0")):
        source = REPOSITORY / name
        if source.is_symlink() or source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)
    return target


def test_the_client_finds_the_plugin_valid_without_a_warning(claude: Claude) -> None:
    done = claude.command("plugin", "validate", REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation passed" in done.stdout
    assert not re.search(r"⚠|\bwarnings?\b", done.stdout + done.stderr)


def test_it_installs_from_a_clone_costs_little_and_runs_the_whole_flow(
    claude: Claude, clone: Path, room: Room, fake: FakeGateway
) -> None:
    added = claude.command("plugin", "marketplace", "add", clone)
    assert added.returncode == 0, added.stdout + added.stderr
    installed = claude.command("plugin", "install", "mega-code@mega-code")
    assert installed.returncode == 0, installed.stdout + installed.stderr

    # Without a server to count for it, the client estimates by itself.
    url = claude.env.pop("ANTHROPIC_BASE_URL")
    details = claude.command("plugin", "details", "mega-code").stdout
    claude.env["ANTHROPIC_BASE_URL"] = url
    cost = re.search(r"Always-on: +~?([\d.]+)(k?) tok", details)
    assert cost, details
    assert float(cost[1]) * (1000 if cost[2] else 1) < ALWAYS_ON_TOKENS

    cached = next((room.home / ".claude" / "plugins" / "cache").glob("*/mega-code/*/skills/skill-enhance"))
    assert (cached / "scripts").readlink() == Path("../../scripts")
    assert (cached / "references" / "architecture.md").is_file()

    claude.plugin_dir = None
    folder = room.add_skill()
    session = claude.enhance("demo-skill", {"be installed": ["project"], "another skill": ["Done"]})
    assert f"Installed at {folder}." in session.said
    assert session.asked_for == []
    assert str(REPOSITORY) not in "".join(session.commands)

    claude.env.pop("MEGA_CODE_DATA_DIR")
    claude.api.author = lambda path, sources: json.dumps(cases())
    local = claude.enhance("--hitl", {"Use them": ["Use them"], "Run it": ["Stop"], "Go on": ["Stop"]})
    assert local.asked_for == []
    assert local.printed("CASES")[-1] == "6"
    assert local.printed("POLICY") == ["full_access"]
