"""A hostile clean room for every test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from mega_code.gateway.server import Gateway
from support.client import Client
from support.fake_gateway import FakeGateway
from support.gateway import Client as GatewayClient
from support.gateway import Evaluator, client_of, running
from support.room import Room, is_foreign

# How long an example takes says nothing on a machine that does other things as well. MEGA_CODE_TEST_EXAMPLES asks for
# more of them than a run of all tests has time for.
examples = int(os.environ.get("MEGA_CODE_TEST_EXAMPLES", "100"))
hypothesis.settings.register_profile("tests", deadline=None, max_examples=examples)
hypothesis.settings.load_profile("tests")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting, proxy or folder of the person who runs the tests."""
    for name in [name for name in os.environ if is_foreign(name)]:
        monkeypatch.delenv(name)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> Room:
    """A clean room; the test's own process is in it too."""
    made = Room(tmp_path / "a room")
    for name in ("HOME", "MEGA_CODE_DATA_DIR", "PATH", "TMPDIR"):
        monkeypatch.setenv(name, made.env[name])
    monkeypatch.chdir(made.project)
    return made


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    """A gateway that misbehaves to order."""
    with FakeGateway() as gateway:
        yield gateway


@pytest.fixture
def client(fake: FakeGateway, room: Room) -> Client:
    """The command, pointed at the misbehaving gateway."""
    return Client(room, fake.env)


@pytest.fixture
def powerless() -> list[str]:
    """A wrapper that lets a command run without root's power to write anywhere."""
    if os.geteuid() != 0:
        return []
    wrapper = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    if not shutil.which("setpriv") or subprocess.run([*wrapper, "true"], check=False).returncode:
        pytest.skip("root cannot give its power away here")
    return wrapper


@pytest.fixture
def held() -> Evaluator:
    """Evaluations that wait for the test."""
    return Evaluator(held=True)


@pytest.fixture
def gateway(tmp_path: Path, held: Evaluator) -> Iterator[Gateway]:
    """A gateway in this process, whose evaluations wait for the test."""
    with running(tmp_path / "data dir", held) as started:
        yield started
        held.step(1000)


@pytest.fixture
def alice(gateway: Gateway) -> GatewayClient:
    """A user of that gateway."""
    return client_of(gateway, "alice")
