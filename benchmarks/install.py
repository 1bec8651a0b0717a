"""Installing 2,000 staged files, against `cp -r` of them and a flush of each file and folder; and the exchange itself.

An install verifies each file twice, flushes it, and swaps the whole folder in. The exchange is timed by itself, on
folders of 10 and of 2,000 files.

Usage: python benchmarks/install.py
Exit: 0 every bar is kept, 1 one is missed.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import PREFIX, compared, interleaved, report, timed

FILES, FEW = 2000, 10
ROUNDS = 7
EXCHANGES = 200
BAR = 1.5


def staged(folder: Path, count: int) -> Path:
    """A skill of so many files."""
    for number in range(count):
        path = folder / ("SKILL.md" if number == 0 else f"part-{number % 20}/note-{number}.md")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\nname: demo\ndescription: d\n---\n" + f"Note {number}.\n" * 150)
    return folder


class Places:
    """Rounds of both, each in a place of its own, removed after it was timed."""

    def __init__(self, root: Path, source: Path) -> None:
        from mega_code.client.remote_enhance.manifest import File

        self.root, self.source, self.numbers = root, source, itertools.count()
        self.files = []
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            data, relpath = path.read_bytes(), path.relative_to(source).as_posix()
            self.files.append(File(relpath, "", hashlib.sha256(data).hexdigest(), len(data), None))

    def ours(self) -> float:
        """Seconds of an install."""
        from mega_code.client.remote_enhance.install import install
        from mega_code.paths import DataDir

        place = self.root / f"project {next(self.numbers)}"
        data = DataDir(place / "data")
        taken = timed(lambda: install(self.source, self.files, "demo", "project", place, data))
        self._clear(place)
        return taken

    def copied(self) -> float:
        """Seconds of `cp -r` and the flushes."""
        place = self.root / f"copy {next(self.numbers)}"
        taken = timed(lambda: self._copy(place))
        self._clear(place)
        return taken

    def _copy(self, place: Path) -> None:
        subprocess.run(["cp", "-r", str(self.source), str(place)], check=True)
        for base, _, names in os.walk(place, topdown=False):
            for path in (*(os.path.join(base, name) for name in names), base):
                descriptor = os.open(path, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)

    @staticmethod
    def _clear(place: Path) -> None:
        shutil.rmtree(place)
        os.sync()  # what a round leaves to write is no part of the next


def exchanged(one: Path, other: Path) -> float:
    """Seconds of one exchange; where there is none, of the two renames that stand for it."""
    from mega_code.exchange import exchange

    aside = one.with_name("aside")

    def swap() -> None:
        for _ in range(EXCHANGES):
            if not exchange(one, other):
                os.rename(other, aside)
                os.rename(one, other)
                os.rename(aside, one)

    return timed(swap) / EXCHANGES


def main() -> int:
    """Print the rows; gives the exit status."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        root = Path(folder)
        many, few = staged(root / "many", FILES), staged(root / "few", FEW)
        os.sync()
        places = Places(root, many)
        ours, copied = interleaved(ROUNDS, places.ours, places.copied)
        large = [shutil.copytree(many, root / f"large-{n}") for n in range(2)]
        small = [shutil.copytree(few, root / f"small-{n}") for n in range(2)]
        swaps, short = interleaved(ROUNDS, lambda: exchanged(*large), lambda: exchanged(*small))
    return report(
        [
            compared(f"install {FILES:,} files", ours, "`cp -r` and the flushes", copied, BAR),
            compared(f"the exchange of a folder of {FILES:,} files", swaps, f"of {FEW} files", short, BAR),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
