"""The bundle as a plugin: valid, installable, cheap, and the same when it is installed, from a clone or from the wheel."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from support.claude_session import Claude
from support.fake_gateway import FakeGateway
from support.hitl import cases
from support.packagers import build, copy_repository
from support.room import REPOSITORY, Room

ALWAYS_ON_TOKENS = 100


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the working tree."""
    room = Room(tmp_path_factory.mktemp("cloned") / "a room")
    return copy_repository(room, room.root / "a clone")


@pytest.fixture(scope="session")
def from_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel installs."""
    room = Room(tmp_path_factory.mktemp("unpacked") / "a room")
    site = room.root / "site packages"
    wheel = build(room)[1]
    done = room.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel])
    assert done.returncode == 0, done.stderr
    return site / "mega-code"


@pytest.fixture(params=["clone", "from_wheel"])
def bundle(request: pytest.FixtureRequest) -> Path:
    """The bundle as a person has it."""
    return Path(request.getfixturevalue(request.param))


def install(claude: Claude, bundle: Path) -> None:
    """As a plugin, into the client's own folder; from then on sessions use that."""
    for command in (("marketplace", "add", bundle), ("install", "mega-code@mega-code")):
        done = claude.command("plugin", *command)
        assert done.returncode == 0, done.stdout + done.stderr
    claude.plugin_dir = None


def test_the_client_finds_the_plugin_valid_without_a_warning(claude: Claude, bundle: Path) -> None:
    done = claude.command("plugin", "validate", bundle)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation passed" in done.stdout
    assert not re.search(r"⚠|\bwarnings?\b", done.stdout + done.stderr)


def test_it_installs_from_a_clone_costs_little_and_runs_the_whole_flow(
    claude: Claude, clone: Path, room: Room, fake: FakeGateway
) -> None:
    install(claude, clone)

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


def test_it_installs_from_the_wheel_and_runs_where_no_link_is(claude: Claude, from_wheel: Path, room: Room) -> None:
    install(claude, from_wheel)
    cached = next((room.home / ".claude" / "plugins" / "cache").glob("*/mega-code/*/skills/skill-enhance"))
    assert not (cached / "scripts").is_symlink()
    assert (cached / "references" / "architecture.md").is_file()

    room.add_skill()
    claude.env.pop("MEGA_CODE_DATA_DIR")
    claude.api.author = lambda path, sources: json.dumps(cases())
    local = claude.enhance("--hitl", {"Use them": ["Use them"], "Run it": ["Stop"], "Go on": ["Stop"]})
    assert local.asked_for == []
    assert local.printed("CASES")[-1] == "6"
    assert local.printed("POLICY") == ["warn_and_continue"]
