"""A gateway that misbehaves to order, and the command pointed at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.client import Client
from support.fake_gateway import FakeGateway


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    with FakeGateway() as gateway:
        yield gateway


@pytest.fixture
def client(fake: FakeGateway, tmp_path: Path) -> Client:
    home, project, data = (tmp_path / f"a {name}" for name in ("home", "project", "data dir"))
    for folder in (home, project, data):
        folder.mkdir()
    return Client(home, project, data, fake.env)
