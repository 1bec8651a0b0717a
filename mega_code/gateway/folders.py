"""The gateway's folders: what lies where, and writing files there that survive a power cut."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

from mega_code.files import flush_folder

ARCHIVE = "archive.zip"
HISTORY = "history.json"
REPORT = "report.html"
WORKSPACE = "workspace"


class Folders:
    """Everything below `<DATA_DIR>/gateway`, readable by its owner alone.

    `jobs/<job_id>/` holds `archive.zip` (as uploaded) until the job has ended, then `history.json`, `report.html` and a
    folder `artifact-<lease>` with what was published, as long as they are kept; `work-<lease>` is where an attempt's
    evaluation reads the skill, and `workspace` outlives an attempt.
    `incoming/` is not yet accepted.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "gateway.sqlite3"
        self.jobs = root / "jobs"
        self.prebuilt = root / "prebuilt"
        self.incoming = root / "incoming"
        self.completions = root / "completions.sqlite3"

    def make(self) -> None:
        """Make the folders and close them to others."""
        for folder in (self.root, self.jobs, self.prebuilt, self.incoming):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            os.chmod(folder, 0o700)

    def job(self, job_id: str) -> Path:
        """The folder of one job, by an id of our own making."""
        return self.jobs / job_id

    def archive(self, job_id: str) -> Path:
        """The zip as uploaded."""
        return self.job(job_id) / ARCHIVE

    def work(self, job_id: str, lease: str) -> Path:
        """Where one attempt's evaluation reads the skill."""
        return self.job(job_id) / f"work-{lease}"

    def workspace(self, job_id: str) -> Path:
        """What an evaluation keeps for a next attempt at the same job; gone once the job has ended."""
        return self.job(job_id) / WORKSPACE

    def artifact(self, job_id: str, lease: str) -> Path:
        """Where one attempt publishes."""
        return self.job(job_id) / f"artifact-{lease}"

    def sweep(self, jobs: Collection[tuple[str, str, bool]], prebuilt: Collection[str]) -> None:
        """Remove what no row knows, for a start with nobody else at work.

        `jobs` are the known ids, each with the name of its artifact folder or an empty string, and whether it has ended.
        """
        for half_written in self.root.glob(".*.tmp"):
            remove(half_written)
        kept = {
            job_id: {HISTORY, REPORT, artifact} | (set() if ended else {ARCHIVE, WORKSPACE})
            for job_id, artifact, ended in jobs
        }
        for folder in self.jobs.iterdir():
            if folder.name not in kept:
                remove(folder)
                continue
            for child in folder.iterdir():
                if child.name not in kept[folder.name]:
                    remove(child)
        for folder in (*self.prebuilt.iterdir(), *self.incoming.iterdir()):
            if folder.name not in prebuilt:
                remove(folder)


def remove(path: Path) -> None:
    """Remove a file or a folder as far as it can be; what stays is swept at the next start."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


class FolderSink:
    """Writes an archive's files below `root`. Its relpaths were checked; a file that is there already is an error."""

    def __init__(self, root: Path, *, durable: bool) -> None:
        self.root = root
        self.durable = durable
        self._folders = {root}
        os.makedirs(root, mode=0o700)

    @contextlib.contextmanager
    def __call__(self, relpath: str, mode: int) -> Iterator[IO[bytes]]:
        """Open `relpath` for writing; of `mode` the owner's bits count."""
        path = self.root / relpath
        for folder in reversed([p for p in path.parents if self.root in p.parents and p not in self._folders]):
            os.mkdir(folder, 0o700)
            self._folders.add(folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, mode & 0o700), "wb") as stream:
            yield stream
            if self.durable:
                stream.flush()
                os.fsync(stream.fileno())

    def flush(self) -> None:
        """Make the names last, too."""
        for folder in (*self._folders, self.root.parent):
            flush_folder(folder)
