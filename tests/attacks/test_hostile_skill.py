"""A skill folder that means harm: refused with a code, or packed without a byte from outside of it."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mega_code import bundle
from mega_code.errors import MegaCodeError
from support.batch import Batch
from support.client import Client
from support.fake_gateway import FakeGateway
from support.tally import tally

SKILL_MD = "---\nname: demo-skill\ndescription: d\n---\n# Demo\n"
MARK = b"what stands outside of the skill"
SWAPS_S = float(os.environ.get("MEGA_CODE_TEST_RACE_SECONDS", "3"))  # a race


@pytest.fixture
def skill(tmp_path: Path) -> Path:
    root = tmp_path / "a room" / "demo-skill"
    root.mkdir(parents=True)
    (root / "SKILL.md").write_text(SKILL_MD)
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that is none of the skill's, with a file in it."""
    folder = tmp_path / "out side"
    (folder / "sub").mkdir(parents=True)
    for path in (folder / "file", folder / "sub" / "file"):
        path.write_bytes(MARK)
    return folder


def packed(root: Path) -> bytes:
    out = io.BytesIO()
    bundle.pack(root, out)
    return out.getvalue()


def refusal(root: Path) -> str:
    with pytest.raises(MegaCodeError) as caught:
        packed(root)
    return caught.value.code


def contents(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


# A place for something bad, made in the folder; and the code it is refused with.
BAD: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "a link to a file outside": (lambda at, out: at.symlink_to(out / "file"), "symlink_rejected"),
    "a link to a folder outside": (lambda at, out: at.symlink_to(out), "symlink_rejected"),
    "a link to nothing": (lambda at, out: at.symlink_to("nowhere"), "symlink_rejected"),
    "a link to itself": (lambda at, out: at.symlink_to(at.name), "symlink_rejected"),
    "a link to its own folder": (lambda at, out: at.symlink_to("."), "symlink_rejected"),
    "a relative link": (lambda at, out: at.symlink_to("../../../../etc/passwd"), "symlink_rejected"),
    "a link to a device": (lambda at, out: at.symlink_to("/dev/zero"), "symlink_rejected"),
    "a pipe": (lambda at, out: os.mkfifo(at), "invalid_path"),
}


@pytest.mark.parametrize("depth", [0, 3])
@pytest.mark.parametrize("name", BAD)
def test_what_is_no_file_and_no_folder_is_refused(skill: Path, outside: Path, name: str, depth: int) -> None:
    folder = skill.joinpath(*["d"] * depth)
    folder.mkdir(parents=True, exist_ok=True)
    make, code = BAD[name]
    make(folder / "bad", outside)
    assert refusal(skill) == code
    tally("hostile skill folders", 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_refused(skill: Path) -> None:
    os.mknod(skill / "zero", 0o666 | 0o020000, os.makedev(1, 5))
    assert refusal(skill) == "invalid_path"


@pytest.mark.parametrize(
    "name",
    [
        b"a\nb",
        b"a\rb",
        b"\x1b[2J",
        b"\x7f",
        b"\xff\xfe",
        b"\xc3",
        b"a\\b",
        b"C:x",
        b"..\\x",
        b"\xc2\x85",
        b"\xed\xa0\x80",
        b"\t",
    ],
)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_name_with_line_breaks_or_invalid_bytes_is_refused_and_steers_no_terminal(
    client: Client, fake: FakeGateway, batch: Batch, name: bytes, kind: str
) -> None:
    folder = client.skill()
    path = os.path.join(os.fsencode(folder), name)
    if kind == "folder":
        os.mkdir(path)
        path = os.path.join(path, b"x")
    with open(path, "wb"):
        pass
    ended = batch.run("--skill-name", "demo-skill", "--no-wait")
    assert ended.code == "invalid_path" and fake.seen == []
    assert ended.stderr.count("\n") == 1 and ended.stderr[:-1].isprintable()
    tally("hostile skill folders", 1)


def test_a_file_that_may_not_be_read_is_named(client: Client, fake: FakeGateway) -> None:
    folder = client.skill()
    (folder / "closed.md").write_text("x")
    (folder / "closed.md").chmod(0)
    code = (
        "import os, sys\n"
        "from mega_code import bundle\n"
        "from mega_code.errors import MegaCodeError\n"
        "descriptor = os.open(sys.argv[1], os.O_RDONLY)\n"
        "os.chdir(sys.argv[1])\n"
        "if os.geteuid() == 0:\n"
        "    os.setgroups([])\n"
        "    os.setegid(65534)\n"
        "    os.seteuid(65534)\n"
        "try:\n"
        "    bundle.scan(os.curdir)\n"
        "except MegaCodeError as error:\n"
        "    print(error.code, error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], env=client.env, capture_output=True, text=True)
    assert done.stdout == "invalid_path 'closed.md' cannot be read: Permission denied.\n", done


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="this kernel does not count what a process reads")
def test_ten_thousand_files_are_read_once_and_take_little_memory(skill: Path) -> None:
    for number in range(10_000):
        path = skill / f"d{number % 100}" / f"f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))
    code = (
        "import io, json, re, sys\n"
        "from pathlib import Path\n"
        "from mega_code import bundle\n"
        "def number(of, name): return int(re.search(name + r':\\s*(\\d+)', open(f'/proc/self/{of}').read())[1])\n"
        "bytes_, calls = number('io', 'rchar'), number('io', 'syscr')\n"
        "made = bundle.pack(Path(sys.argv[1]), io.BytesIO())\n"
        "read = [number('io', 'rchar') - bytes_, number('io', 'syscr') - calls]\n"
        "print(json.dumps([len(made.entries), *read, number('status', 'VmHWM')]))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(bundle.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code, str(skill)], env=env, capture_output=True, text=True, check=True)
    files, read, calls, peak_kib = json.loads(done.stdout)
    size = sum(path.stat().st_size for path in skill.rglob("*") if path.is_file())
    assert files == 10_001 and size <= read < 2 * size and calls < 2.5 * files and peak_kib < 300 * 1024
    tally("hostile skill folders", 1)


def test_two_hundred_levels_are_packed_and_three_hundred_refused(skill: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    for levels, code in ((200, ""), (300, "invalid_path")):
        deep = skill.joinpath(*["d"] * levels)
        deep.mkdir(parents=True, exist_ok=True)
        (deep / "f").write_text("x")
        if code:
            assert refusal(skill) == code
        else:
            assert set(contents(packed(skill))) == {"SKILL.md", "d/" * levels + "f"}
    assert len(os.listdir("/dev/fd")) == before
    tally("hostile skill folders", 2)


def test_more_levels_than_descriptors_are_refused_with_a_code(skill: Path) -> None:
    skill.joinpath(*["d"] * 150).mkdir(parents=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        assert refusal(skill) == "invalid_path"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# The race. A process of its own swaps a file or a folder for a link to one outside, by one rename each, as fast as it
# can, while the skill is packed again and again.

SWAPPER = """
import os, sys
place, honest, link = sys.argv[1:]
spare = place + ".spare"
os.rename(honest, place)
print("ready", flush=True)
while True:
    os.rename(place, spare)
    os.rename(link, place)
    os.rename(place, link)
    os.rename(spare, place)
"""


@pytest.fixture
def swapping(skill: Path, outside: Path, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Starts a process that swaps `skill/sub/place`, a file or a folder, for a link outside."""
    running: list[subprocess.Popen[bytes]] = []

    def start(kind: str) -> None:
        aside = tmp_path / f"aside {kind}"
        aside.mkdir()
        honest, link = aside / "honest", aside / "link"
        (skill / "sub").mkdir()
        if kind == "folder":
            honest.mkdir()
            (honest / "file").write_bytes(b"mine")
            (honest / "sub").mkdir()
            (honest / "sub" / "file").write_bytes(b"mine")
            link.symlink_to(outside)
        else:
            honest.write_bytes(b"mine")
            link.symlink_to(outside / "file")
        # The spare lies in a folder that is not looked into, so that the skill shows one thing at a time.
        place = skill / "sub" / "place"
        code = SWAPPER.replace('place + ".spare"', repr(str(aside / "spare")))
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(place), str(honest), str(link)], stdout=subprocess.PIPE
        )
        running.append(process)
        assert process.stdout and process.stdout.readline() == b"ready\n"

    yield start
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def race(skill: Path, seconds: float) -> dict[str, int]:
    """Pack for so long; how often it ended how. Asserts that nothing from outside was ever packed."""
    ended: dict[str, int] = {}
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(ended) < 3:
        assert time.monotonic() < until + 30, ended
        try:
            files = contents(packed(skill))
            outcome = "with it" if any("place" in name for name in files) else "without it"
            assert set(files.values()) <= {SKILL_MD.encode(), b"mine"}, files
        except MegaCodeError as error:
            outcome = error.code
        ended[outcome] = ended.get(outcome, 0) + 1
    assert set(ended) <= {"with it", "without it", "symlink_rejected", "invalid_path"}
    return ended


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_swap_for_a_link_at_any_instant_brings_nothing_from_outside(
    skill: Path, swapping: Callable[[str], None], kind: str
) -> None:
    swapping(kind)
    ended = race(skill, SWAPS_S)
    assert ended.get("symlink_rejected", 0) and ended.get("with it", 0), ended
    tally("bundles packed while a file is swapped for a link", sum(ended.values()))


def test_a_link_put_in_place_after_the_look_and_before_the_open_is_refused(
    skill: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instant that the race above hopes for, hit every time: between what was seen and what is opened."""
    for kind in ("file", "sub"):
        place = skill / kind
        place.mkdir() if kind == "sub" else place.write_bytes(b"mine")
        swapped: list[str] = []

        def swap(event: str, arguments: tuple[object, ...], place: Path = place, swapped: list[str] = swapped) -> None:
            if event == "open" and arguments[0] == place.name and not swapped:
                swapped.append(event)
                place.rmdir() if place.is_dir() else place.unlink()
                place.symlink_to(outside / place.name)

        _hooks.append(swap)
        assert refusal(skill) == "invalid_path" and swapped == ["open"]
        _hooks.remove(swap)
        place.unlink()


_hooks: list[Callable[[str, tuple[object, ...]], None]] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    for hook in list(_hooks):
        hook(event, arguments)


sys.addaudithook(_hook)  # there is no way to take one back; this one does nothing where no test asks
