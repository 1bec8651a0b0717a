"""The package: what it holds, and that each way to install it ends in a command that does the whole flow."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from support.packagers import MINUTES, build, copy_repository, packagers
from support.room import REPOSITORY, Room

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5 * MINUTES), pytest.mark.xdist_group("packaging")]

NEEDED = {"requests", "pyyaml", "certifi", "charset-normalizer", "idna", "urllib3"}
BUNDLED = (".claude-plugin", "examples", "mega_code", "references", "scripts", "skills")
FOR_TESTS = {"scripts/test.sh", "scripts/lib/testing.py"}


class Built(NamedTuple):
    """An sdist of the working tree, and the wheel that was built from it."""

    sdist: Path
    wheel: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(*build(Room(tmp_path_factory.mktemp("built") / "a room")))


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = Room(tmp_path_factory.mktemp("cloned") / "a room")
    return copy_repository(room, room.root / "a clone")


def content(path: Path) -> tuple[bytes, bool]:
    """The bytes of a file, and whether it may be run."""
    return path.read_bytes(), bool(path.stat().st_mode & stat.S_IXUSR)


def files_below(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """Every file below a folder, through links; what Python compiled left out."""
    paths = (Path(root) / name for root, _, names in os.walk(folder, followlinks=True) for name in names)
    return {path.relative_to(folder).as_posix(): content(path) for path in paths if path.suffix != ".pyc"}


def test_the_wheel_holds_the_bundle_byte_for_byte_with_copies_for_links(built: Built, clone: Path) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        held = {
            info.filename.partition("/")[2]: (archive.read(info), bool(info.external_attr >> 16 & stat.S_IXUSR))
            for info in archive.infolist()
            if info.filename.startswith("mega-code/")
        }
        assert archive.read("mega-code.pth") == b"mega-code\n"
        others = {name.partition("/")[0] for name in archive.namelist()} - {"mega-code", "mega-code.pth"}
    assert [name.endswith(".dist-info") for name in others] == [True]
    wanted = {name: found for name, found in files_below(clone).items() if name.partition("/")[0] in BUNDLED}
    of_tests = {name for name in wanted if any(name.endswith(left_out) for left_out in FOR_TESTS)}
    assert {name for name in held if "/" in name} == wanted.keys() - of_tests
    assert {name: found for name, found in held.items() if "/" in name and found != wanted[name]} == {}


def test_the_sdist_holds_a_clone_with_its_links(built: Built, clone: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        root = archive.getnames()[0].partition("/")[0]
        links = {member.name: member.linkname for member in archive if member.issym()}
        held = {
            member.name.partition("/")[2]: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
            if member.isfile()
        }
    wanted = {name: found for name, (found, _) in files_below(clone).items() if not (clone / name).parent.is_symlink()}
    skills = [path.name for path in (REPOSITORY / "skills").iterdir()]
    assert links == {
        f"{root}/skills/{skill}/{name}": f"../../{name}" for skill in skills for name in ("references", "scripts")
    }
    own = {
        name: found for name, found in wanted.items() if not any(f"{root}/{name}".startswith(f"{at}/") for at in links)
    }
    assert {name: held.get(name) for name in own if held.get(name) != own[name]} == {}


@pytest.fixture
def empty(room: Room) -> Room:
    """A room where no Python on PATH has a package of ours; uv finds this one's own base."""
    room.env["PATH"] = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    room.env["UV_PYTHON"] = str(Path(sys.executable).resolve())
    return room


class Installed:
    """A mega-code command in a room of its own; `command` is how it is called."""

    def __init__(self, room: Room, command: Sequence[object]) -> None:
        self.room = room
        self.command = command

    def run(self, *args: object) -> subprocess.CompletedProcess[str]:
        return self.room.run([*self.command, *args], timeout=MINUTES)

    def out(self, *args: object) -> str:
        done = self.run(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


def by_pip(room: Room, *what: object) -> Path:
    """Install into a virtual environment of this Python, new if there is none yet; where its commands are."""
    made = room.root / "an environment"
    done = room.run([sys.executable, "-m", "venv", made])
    assert done.returncode == 0, done.stderr
    done = room.run([made / "bin" / "pip", "install", "--quiet", *what], timeout=MINUTES)
    assert done.returncode == 0, done.stderr
    return made / "bin"


def install(way: str, room: Room, built: Built, clone: Path) -> Installed:
    """The package with the embedded gateway, installed in one of the ways that there are."""
    if way == "pip, sdist":
        return Installed(room, [by_pip(room, f"{built.sdist}[gateway]") / "mega-code"])
    if way == "uv, editable":
        done = room.run(
            [packagers() / "uv", "tool", "install", "--quiet", "--editable", f"{clone}[gateway]"], timeout=MINUTES
        )
        assert done.returncode == 0, done.stderr
        return Installed(room, [Path(room.env["HOME"]) / ".local" / "bin" / "mega-code"])
    if way == "pipx":
        return Installed(
            room, [packagers() / "pipx", "run", "--quiet", "--spec", f"{built.wheel}[gateway]", "mega-code"]
        )
    return Installed(room, [packagers() / "uvx", "--quiet", "--from", f"{built.wheel}[gateway]", "mega-code"])


def enhance_the_example(command: Installed) -> None:
    """The whole flow with the embedded gateway; nothing is fetched for it, and nothing changed in the bundle."""
    room, bundle = command.room, Path(command.out("path"))
    before = files_below(bundle)
    try:
        done = command.run("enhance", bundle / "examples" / "commit-message", "--yes")
    finally:
        command.run("gateway", "stop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Installed at {room.project}/.claude/skills/commit-message." in done.stdout
    assert "model=static-checks" in done.stdout
    assert "Preparing" not in done.stderr
    assert not (room.data / "runtime").exists()
    assert files_below(bundle) == before


@pytest.mark.parametrize("way", ["pip, sdist", "uv, editable", "pipx", "uvx"])
def test_from_an_empty_environment_the_whole_flow_runs(way: str, empty: Room, built: Built, clone: Path) -> None:
    enhance_the_example(install(way, empty, built, clone))


def test_the_wheel_brings_what_two_packages_need_runs_with_its_extra_and_goes_without_a_trace(
    empty: Room, built: Built
) -> None:
    folder = by_pip(empty, built.wheel)
    command = Installed(empty, [folder / "mega-code"])
    listed = json.loads(empty.run([folder / "pip", "list", "--format", "json"]).stdout)
    assert {package["name"].lower() for package in listed} - {"pip", "setuptools"} == {"mega-code", *NEEDED}
    version = listed[[package["name"] for package in listed].index("mega-code")]["version"]
    assert command.out("--version") == f"mega-code {version}"
    assert json.loads(command.out("skills", "list", "--all")) == []

    by_pip(empty, f"{built.wheel}[gateway]")
    enhance_the_example(command)

    removed = empty.run([folder / "pip", "uninstall", "--quiet", "--yes", "mega-code"])
    assert removed.returncode == 0, removed.stderr
    assert [str(path) for path in folder.parent.rglob("*") if "mega" in path.name] == []
