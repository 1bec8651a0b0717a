"""references/gateway.md says what the embedded gateway's code says."""

from __future__ import annotations

import argparse
from pathlib import Path

from mega_code.bundle import MIB
from mega_code.gateway import usage
from mega_code.gateway.config import KIB, Config
from mega_code.gateway.folders import ARCHIVE, HISTORY, REPORT, WORKSPACE, Folders
from mega_code.gateway.intake import Limits
from support.documents import code, rows, section
from support.room import REPOSITORY

PATH = REPOSITORY / "references" / "gateway.md"


def test_the_commands_are_those_of_the_parser() -> None:
    (group,) = (action for action in usage.parser()._actions if isinstance(action, argparse._SubParsersAction))
    expected = [[f"`{choice.dest}`", str(choice.help)] for choice in group._choices_actions]
    assert rows(section(PATH, "Commands")) == expected


def test_the_files_are_those_of_the_folders() -> None:
    folders = Folders(Path())
    known = {str(value) for name, value in vars(folders).items() if name not in ("root", "jobs")}
    known |= {f"jobs/JOB_ID/{name}" for name in (ARCHIVE, HISTORY, REPORT, WORKSPACE)}
    assert {code(row[0])[0] for row in rows(section(PATH, "Files"))} == known | {
        "client.json",
        "environment.json",
        "pid",
        "log",
    }


def test_the_limits_are_those_of_the_code() -> None:
    config, limits = Config(), Limits()
    assert config.body == 25 * MIB + 64 * KIB  # the form around the bundle is allowed for
    assert [row[1] for row in rows(section(PATH, "Limits"))] == [
        f"{config.body // MIB} MiB",
        f"{limits.unpacked // MIB} MiB",
        f"{limits.file // MIB} MiB",
        str(limits.files),
        str(config.connections),
        str(config.max_holds),
        str(config.max_holds_a_user),
        str(config.max_attempts),
    ]
