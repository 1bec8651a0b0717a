"""A skill folder made from a table of files, and one enhancement of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Union

import pytest

from mega_code.evaluation import Outcome
from mega_code.evaluation.static import enhance

NOW = datetime(2026, 4, 22, 6, 11, 55, tzinfo=timezone.utc)
Files = Mapping[str, Union[str, bytes]]


class Recorder:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def phase(self, name: str) -> None:
        self.told.append(name)

    def iteration(self, current: int, total: int) -> None:
        self.told.append((current, total))

    def worked(self) -> None:
        self.told.append("worked")


def write(root: Path, files: Files) -> Path:
    """`files` below `root`, byte for byte."""
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Outcome]:
    """`run(files)` enhances a skill called `sample`, in a folder of another name with a space in it."""

    def run(files: Files, progress: Any = None, now: datetime = NOW) -> Outcome:
        root = write(tmp_path_factory.mktemp("a folder"), files)
        return enhance(root, "sample", progress or Recorder(), now)

    return run
