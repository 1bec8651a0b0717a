"""SECURITY.md names only tests that exist."""

from __future__ import annotations

import re

from support.room import REPOSITORY


def test_every_test_that_the_security_page_names_exists() -> None:
    named = re.findall(r"`(tests/[^`\s]+)`", (REPOSITORY / "SECURITY.md").read_text("utf-8"))
    assert len(named) > 20
    assert [path for path in named if not (REPOSITORY / path).exists()] == []
