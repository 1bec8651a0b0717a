"""What the attacks share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.batch import Batch
from support.client import Client


@pytest.fixture
def batch(client: Client) -> Iterator[Batch]:
    """The command, many times in one process, pointed at the misbehaving gateway."""
    with Batch(client) as running:
        yield running
