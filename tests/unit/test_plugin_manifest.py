"""The plugin's manifests: one version everywhere, one name, links that stay inside the bundle."""

from __future__ import annotations

import configparser
import json
import os
import struct
from typing import Any

import pytest

from support.room import REPOSITORY


def manifest(name: str) -> dict[str, Any]:
    """One of the files that Claude Code reads first."""
    return dict(json.loads((REPOSITORY / ".claude-plugin" / name).read_text("utf-8")))


def metadata() -> dict[str, str]:
    """What setup.cfg says of the project."""
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    return dict(config["metadata"])


def test_the_versions_agree() -> None:
    (listed,) = manifest("marketplace.json")["plugins"]
    assert manifest("plugin.json")["version"] == listed["version"] == metadata()["version"]


def test_the_names_descriptions_and_licences_agree() -> None:
    plugin, (listed,) = manifest("plugin.json"), manifest("marketplace.json")["plugins"]
    for key in ("name", "description", "license"):
        assert plugin[key] == listed[key] == metadata()[key], key


def test_the_marketplace_offers_the_bundle_itself() -> None:
    assert manifest("marketplace.json")["plugins"][0]["source"] == "./"


@pytest.mark.parametrize("name", ["scripts", "references"])
def test_a_skill_reaches_the_one_copy_of_what_it_needs_through_a_relative_link(name: str) -> None:
    for skill in sorted((REPOSITORY / "skills").iterdir()):
        assert os.readlink(skill / name) == f"../../{name}"
        assert (skill / name).resolve() == REPOSITORY / name


def test_the_icon_is_a_square_of_the_size_that_is_asked_for() -> None:
    data = (REPOSITORY / ".claude-plugin" / "icon.png").read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert width == height
    assert 512 <= width <= 2048
