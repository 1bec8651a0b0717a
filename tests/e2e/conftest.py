"""The real client, a scripted model, and a gateway: the embedded one, or one that misbehaves to order."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator

import pytest

from support.claude_api import ClaudeApi
from support.claude_session import Claude, claude_binary
from support.fake_gateway import FakeGateway
from support.room import Room


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if os.path.dirname(__file__) in str(item.path):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def binary() -> str:
    return claude_binary()


@pytest.fixture
def api() -> Iterator[ClaudeApi]:
    with ClaudeApi() as server:
        yield server


@pytest.fixture
def claude(binary: str, room: Room, api: ClaudeApi) -> Iterator[Claude]:
    """The client in the test's room; the transcripts that its runs left in /tmp go away with it."""
    yield Claude(binary, room, api)
    found = re.findall(r"^LOG=(/tmp/mega-code-enhance-[0-9-]+)\.log$", api.printed(), re.MULTILINE)
    for left in {path for stem in found for path in glob.glob(f"{stem}.*")}:
        os.unlink(left)


@pytest.fixture
def fake(claude: Claude) -> Iterator[FakeGateway]:
    """A gateway that misbehaves to order; the client in the room is pointed at it."""
    with FakeGateway() as gateway:
        claude.env.update(gateway.env)
        yield gateway


@pytest.fixture
def embedded(room: Room) -> Iterator[str]:
    """The embedded gateway of the room, running; its URL."""
    started = room.script("gateway.sh", "start")
    assert started.returncode == 0, started.stderr
    yield started.stdout.strip()
    room.script("gateway.sh", "stop")
