"""A hostile clean room for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.room import Room, is_foreign


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
