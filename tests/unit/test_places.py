"""The swap: whole or not at all, with and without an exchange, and after a death at any step."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mega_code import backups, places
from mega_code.exchange import exchange
from mega_code.paths import DataDir

REPOSITORY = Path(__file__).resolve().parents[2]


def of_a_lower_layer(one: Path, other: Path) -> bool:
    """What an overlay file system answers for a folder that came with an image."""
    raise OSError(errno.EXDEV, "Invalid cross-device link")


SWAPS: dict[str, places.Exchange] = {
    "exchange": exchange,
    "two renames": lambda one, other: False,
    "copy aside": of_a_lower_layer,
}


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path / "data dir")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "a project" / ".claude" / "skills" / "demo"


@pytest.fixture(params=SWAPS)
def swap(request: pytest.FixtureRequest) -> places.Exchange:
    return SWAPS[request.param]


def filled(content: str) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        folder.mkdir()
        (folder / "SKILL.md").write_text(content)
        (folder / "b").mkdir()
        (folder / "b" / "c").write_text(content)

    return fill


def content(folder: Path) -> set[str]:
    assert sorted(path.name for path in folder.rglob("*")) == ["SKILL.md", "b", "c"]
    return {(folder / "SKILL.md").read_text(), (folder / "b/c").read_text()}


def siblings(place: Path) -> list[str]:
    return sorted(path.name for path in place.parent.iterdir() if path != place)


def test_a_free_place_is_taken_without_a_backup(place: Path, data: DataDir, swap: places.Exchange) -> None:
    assert places.put(place, filled("new"), "install", data, swap) == (place, None)
    assert content(place) == {"new"} and siblings(place) == [] and backups.listing(data) == []
    (noted,) = backups.standing(data, [place])
    assert (noted["origin"], noted["backup_path"], noted["reason"]) == (str(place), None, "install")


def test_what_stood_there_becomes_a_backup_with_a_note(place: Path, data: DataDir, swap: places.Exchange) -> None:
    places.put(place, filled("old"), "install", data, swap)
    backup = places.put(place, filled("new"), "install", data, swap).backup_path
    assert backup and content(place) == {"new"} and content(backup) == {"old"} and siblings(place) == []
    (note,) = backups.listing(data)
    assert (note["backup_path"], note["origin"], note["reason"]) == (str(backup), str(place), "install")


@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_a_file_or_a_link_in_the_way_is_replaced_as_it_is(
    place: Path, data: DataDir, swap: places.Exchange, kind: str
) -> None:
    place.parent.mkdir(parents=True)
    place.write_text("file") if kind == "file" else place.symlink_to(place.parent if kind == "link" else "/nowhere")
    backup = places.put(place, filled("new"), "install", data, swap).backup_path
    assert backup and content(place) == {"new"} and os.path.islink(backup) == (kind != "file")


def test_a_pipe_in_a_skill_goes_into_the_backup_and_comes_back(
    place: Path, data: DataDir, swap: places.Exchange
) -> None:
    places.put(place, filled("old"), "install", data, swap)
    os.mkfifo(place / "pipe", 0o600)
    done = places.put(place, filled("new"), "install", data, swap)
    places.restore(backups.find(str(done.backup_path), data), data)
    assert (place / "pipe").is_fifo()
    (place / "pipe").unlink()
    assert content(place) == {"old"} and siblings(place) == []


def test_a_failure_while_filling_leaves_everything_as_it_was(place: Path, data: DataDir, swap: places.Exchange) -> None:
    places.put(place, filled("old"), "install", data, swap)

    def fail(folder: Path) -> None:
        filled("half")(folder)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        places.put(place, fail, "install", data, swap)
    assert content(place) == {"old"} and siblings(place) == [] and backups.listing(data) == []


def test_without_a_backup_the_old_content_goes_back(place: Path, data: DataDir, swap: places.Exchange) -> None:
    place.parent.mkdir(parents=True)
    filled("old")(place)
    data.root.mkdir()
    data.enhancements.write_text("in the way")
    with pytest.raises(OSError, match="exists"):
        places.put(place, filled("new"), "install", data, swap)
    assert content(place) == {"old"} and siblings(place) == []


# Where a child process dies, by the number of the file system call it was about to make.
DYING = """
import os, signal, sys
from pathlib import Path
from mega_code import places
from mega_code.exchange import exchange
from mega_code.paths import DataDir

left = int(sys.argv[4])

def event(name, arguments):
    global left
    if name in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "ctypes.dlopen") or (
        name == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    ):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

def fill(folder):
    folder.mkdir()
    (folder / "SKILL.md").write_text("new")
    (folder / "b").mkdir()
    (folder / "b" / "c").write_text("new")

sys.addaudithook(event)
def lower(one, other):
    raise OSError(18, "Invalid cross-device link")

swap = {"exchange": exchange, "two renames": lambda one, other: False, "copy aside": lower}[sys.argv[3]]
places.put(Path(sys.argv[1]), fill, "install", DataDir(Path(sys.argv[2])), swap)
"""


@pytest.mark.parametrize("variant", SWAPS)
def test_killed_at_any_step_the_next_run_finds_old_or_new_whole_and_loses_nothing(
    place: Path, data: DataDir, variant: str
) -> None:
    step, finished = 0, False
    while not finished:
        places.put(place, filled("old"), "install", data)
        for path in data.root.rglob("*-backup"):
            backups.discard(path)
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        arguments = [sys.executable, "-c", DYING, str(place), str(data.root), variant, str(step)]
        finished = subprocess.run(arguments, env=environment, capture_output=True).returncode == 0
        places.recover(place.parent, data)
        assert content(place) in ({"old"}, {"new"}), step
        kept = [content(Path(note["backup_path"])) for note in backups.listing(data)]
        assert content(place) == {"old"} or kept == [{"old"}], step
        assert siblings(place) == [], step
        step += 1
    assert step > 12 and content(place) == {"new"}


def test_leftovers_of_a_living_run_are_left_alone(place: Path, data: DataDir) -> None:
    place.parent.mkdir(parents=True)
    leftover = place.parent / ".demo.mega-new-abc"
    leftover.mkdir()
    with places.locked(place.parent):
        places.recover(place.parent, data)
        assert leftover.exists()
    places.recover(place.parent, data)
    assert not leftover.exists()


def test_eight_at_once_leave_one_whole_and_seven_in_backups(place: Path, data: DataDir) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mega_code import places\n"
        "from mega_code.paths import DataDir\n"
        "def fill(folder):\n"
        "    folder.mkdir(); (folder/'SKILL.md').write_text(sys.argv[3])\n"
        "    (folder/'b').mkdir(); (folder/'b'/'c').write_text(sys.argv[3])\n"
        "places.put(Path(sys.argv[1]), fill, 'install', DataDir(Path(sys.argv[2])))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(place), str(data.root), str(n)], env=environment, stderr=subprocess.DEVNULL
        )
        for n in range(8)
    ]
    assert [process.wait(60) for process in running] == [0] * 8
    found = [content(place), *(content(Path(note["backup_path"])) for note in backups.listing(data))]
    assert sorted("".join(sorted(entry)) for entry in found) == [str(n) for n in range(8)]
    assert siblings(place) == []
