"""references/settings.md and references/evaluation.md name every variable that the code reads."""

from __future__ import annotations

import re
from pathlib import Path

from mega_code.gateway.config import Config
from mega_code.settings import DEFAULT_HOST_SUFFIXES
from mega_code.variables import NAMES
from support.documents import code, rows, section
from support.room import REPOSITORY

SETTINGS, EVALUATION = (REPOSITORY / "references" / f"{name}.md" for name in ("settings", "evaluation"))
TITLES = ("Server", "Places", "Embedded gateway", "Network", "Processes")
OURS = re.compile(r"\bMEGA_CODE_[A-Z_]*[A-Z]\b")
TEST_SH = {f"MEGA_CODE_TEST_{name}" for name in ("CHROMIUM", "CLAUDE", "ENV", "GGUF", "PACKAGERS")}


def sources() -> list[Path]:
    """What a person runs."""
    return [*(REPOSITORY / "mega_code").rglob("*.py"), *(REPOSITORY / "scripts").rglob("*.sh")]


def documented() -> dict[str, list[str]]:
    """Every variable of settings.md with its row."""
    return {name: row for title in TITLES for row in rows(section(SETTINGS, title)) for name in code(row[0])}


def test_every_variable_of_ours_that_the_code_names_is_in_a_table_and_no_other() -> None:
    named = {name for path in sources() for name in OURS.findall(path.read_text("utf-8"))} - TEST_SH
    models = {name for row in rows(section(EVALUATION, "Settings")) for name in code(row[0])}
    own = {name for name in documented() if OURS.fullmatch(name)}
    assert own & models == set()
    assert own | models == named == NAMES


def test_every_other_variable_in_the_tables_is_read_by_the_code_or_what_it_uses() -> None:
    text = "\n".join(path.read_text("utf-8") for path in sources())
    theirs = {name for name in documented() if not OURS.fullmatch(name) and not name.endswith("_PROXY")}
    assert {name for name in theirs if not re.search(rf"\b{name}\b", text)} == set()
    assert "get_environ_proxies" in text


def test_the_defaults_are_those_of_the_code() -> None:
    shown, config = documented(), Config()
    for name in ("MAX_QUEUED", "WORKERS", "LEASE_S", "URL_TTL_S", "KEEP_DAYS"):
        assert shown[f"MEGA_CODE_GATEWAY_{name}"][1] == f"`{getattr(config, name.lower()):g}`"
    assert shown["MEGA_CODE_ENHANCE_DOWNLOAD_HOST_SUFFIXES"][1] == f"`{','.join(DEFAULT_HOST_SUFFIXES)}`"
