"""Installing 2,000 files over an old skill of as many, against `cp -r` of them and the same flushes; and the exchange.

An install verifies each file twice, flushes it, swaps the whole folder in, and moves the old one into a backup. The
exchange is timed within that: from the moment when the new folder stands ready beside the old one until the old one
leaves for its backup. Python tells of both renames, so nothing is in the way of the code that is measured.

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
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import PREFIX, compared, interleaved, report, takes_no_arguments, timed

FILES, FEW = 2000, 10
ROUNDS = 7
BAR = 1.5
NAME = "demo"
READY = f".{NAME}.mega-ready-"


def staged(folder: Path, count: int) -> Path:
    """A skill of so many files."""
    for number in range(count):
        path = folder / ("SKILL.md" if number == 0 else f"part-{number % 20}/note-{number}.md")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"---\nname: {NAME}\ndescription: d\n---\n" + f"Note {number}.\n" * 150)
    return folder


class Exchange:
    """When the last one began and ended, by the clock; 0 where it has not."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0
        sys.addaudithook(self._hear)

    def _hear(self, event: str, details: tuple[Any, ...]) -> None:
        if event != "os.rename":
            return
        target = os.fsdecode(details[1])
        if os.path.basename(target).startswith(READY):
            self.began, self.ended = time.perf_counter(), 0.0
        elif target.endswith(f"-backup/{NAME}"):
            self.ended = time.perf_counter()


class Places:
    """Rounds with the skill at `source`, each in a place of its own, removed after it was timed."""

    def __init__(self, root: Path, source: Path, exchange: Exchange) -> None:
        from mega_code.client.remote_enhance.manifest import File

        self.root, self.source, self.exchange, self.numbers = root, source, exchange, itertools.count()
        self.exchanged: list[float] = []
        self.files = []
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            data, relpath = path.read_bytes(), path.relative_to(source).as_posix()
            self.files.append(File(relpath, "", hashlib.sha256(data).hexdigest(), len(data), None))

    def ours(self) -> float:
        """Seconds of an install over an old skill of the same size; adds to `exchanged`."""
        from mega_code.client.remote_enhance.install import install
        from mega_code.paths import DataDir, skills_root

        project = self.root / f"project {self.source.name} {next(self.numbers)}"
        old = skills_root("project", project) / NAME
        shutil.copytree(self.source, old)
        (old / "old.md").touch()
        os.sync()
        started = time.perf_counter()
        done = install(self.source, self.files, NAME, "project", project, DataDir(project / "data"))
        taken = time.perf_counter() - started
        assert done.backup_path and (done.backup_path / "old.md").exists() and not (old / "old.md").exists()
        assert self.exchange.began > started and self.exchange.ended, "no exchange was seen"
        self.exchanged.append(self.exchange.ended - self.exchange.began)
        self._clear(project)
        return taken

    def copied(self) -> float:
        """Seconds of `cp -r` and the flushes."""
        place = self.root / f"copy {next(self.numbers)}"
        taken = timed(lambda: self._copy(place))
        self._clear(place)
        return taken

    def _copy(self, place: Path) -> None:
        from mega_code.backups import flush_tree

        subprocess.run(["cp", "-r", str(self.source), str(place)], check=True)
        flush_tree(place)

    @staticmethod
    def _clear(place: Path) -> None:
        shutil.rmtree(place)
        os.sync()  # what a round leaves to write is no part of the next


def main() -> int:
    """Print the rows; gives the exit status."""
    takes_no_arguments(__doc__)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        root, exchange = Path(folder), Exchange()
        many, few = (Places(root, staged(root / str(count), count), exchange) for count in (FILES, FEW))
        os.sync()
        ours, copied, _ = interleaved(ROUNDS, many.ours, many.copied, few.ours)
    what = f"install {FILES:,} files over as many"
    return report(
        [
            compared(what, ours, "`cp -r` and the same flushes", copied, BAR),
            compared(f"{what}: the exchange", many.exchanged[1:], f"of {FEW} files", few.exchanged[1:], BAR),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
