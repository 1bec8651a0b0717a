"""What builds and installs packages: uv and pipx, which lie in a folder of their own, since our scripts use any uv on PATH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.room import REPOSITORY, Room

MINUTES = 300.0
FOLDER = os.environ.get("MEGA_CODE_TEST_PACKAGERS")  # read here, since no test sees a variable of ours


def packagers() -> Path:
    """The folder with uv, uvx and pipx that `$MEGA_CODE_TEST_PACKAGERS` names; skips the test where there is none."""
    if not FOLDER:
        pytest.skip("no uv and pipx: set MEGA_CODE_TEST_PACKAGERS to a folder with them, as scripts/test.sh --all does")
    return Path(FOLDER)


def copy_repository(room: Room, target: Path) -> Path:
    """What a clone of the working tree would hold, as a folder to build in."""
    listed = room.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=REPOSITORY)
    assert listed.returncode == 0, listed.stderr
    for name in filter(None, listed.stdout.split("\0")):
        source = REPOSITORY / name
        if source.is_symlink() or source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)
    return target


def build(room: Room) -> tuple[Path, Path]:
    """The sdist of the working tree, and the wheel that is built from it."""
    clone, made = copy_repository(room, room.root / "to build"), room.root / "dist"
    done = room.run([packagers() / "uv", "build", "--quiet", "--out-dir", made, clone], timeout=MINUTES)
    assert done.returncode == 0, done.stderr
    (sdist,), (wheel,) = made.glob("*.tar.gz"), made.glob("*.whl")
    return sdist, wheel
