"""What several attacks need."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.batch import Batch
from support.client import Client
from support.room import Room


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on another file system than the tests' own."""
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shm.stat().st_dev == tmp_path_factory.getbasetemp().stat().st_dev:
        pytest.skip("there is no second file system to write to")
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        yield Path(folder)


@pytest.fixture
def quick_room(tmp_path: Path) -> Iterator[Room]:
    """A room in memory where the machine has such a place: what is flushed a thousand times is not worth a disk."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else tmp_path) as folder:
        yield Room(Path(folder) / "a room")


@pytest.fixture
def batch(client: Client) -> Iterator[Batch]:
    """The command, many times in one process, pointed at the misbehaving gateway."""
    with Batch(client) as running:
        yield running
