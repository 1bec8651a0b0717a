"""`mega-code`: the one command of who installed the package."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from mega_code import __main__ as command
from support.room import REPOSITORY, Room

SCRIPTS = sorted(path.stem for path in (REPOSITORY / "scripts").glob("*.sh"))


def test_the_help_names_every_script_with_what_it_says_of_itself(room: Room) -> None:
    done = room.python("mega_code", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    commands = done.stdout.split("\nCommands:\n")[1].split("\n\n")[0]
    listed = dict(row.split(maxsplit=1) for row in re.split(r"\n(?=  \S)", commands))
    assert sorted(listed) == sorted([*SCRIPTS, "path"])
    for name, purpose in listed.items():
        assert purpose[0].isupper()
        assert purpose.endswith(".")
        assert "#" not in purpose, name


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["../scripts/args"], [""]])
def test_what_is_no_command_is_bad_input_and_names_the_help(arguments: list[str], room: Room) -> None:
    done = room.python("mega_code", *arguments)
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr.startswith("mega-code: ")
    assert done.stderr.endswith("see mega-code --help.\n")


def test_a_command_is_its_script_with_arguments_input_and_status_run_by_this_python(room: Room) -> None:
    done = room.python("mega_code", "args", input="my-skill --hitl")
    assert done.returncode == 0
    assert "SKILL_NAME=my-skill" in done.stdout.splitlines()
    assert room.python("mega_code", "args", input="a b").returncode == 4
    (room.root / "uv").mkdir()
    (room.root / "uv" / "uv").write_text("#!/bin/sh\nexit 99\n")
    (room.root / "uv" / "uv").chmod(0o755)
    room.env["PATH"] = f"{room.root / 'uv'}:{room.env['PATH']}"
    assert room.python("mega_code", "args", "--help").stdout.startswith("Usage: ")
    done = room.python("mega_code", "args", input="my-skill")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_doctor_finds_this_python_where_none_is_on_path(room: Room) -> None:
    tools = room.root / "tools without python"
    tools.mkdir()
    for name in ("awk", "bash", "cat", "dirname", "env", "find", "readlink", "sed"):
        (tools / name).symlink_to(str(shutil.which(name)))
    command = [sys.executable, "-m", "mega_code", "enhance", "doctor"]
    done = room.run(command, cwd=REPOSITORY, env={**room.env, "PATH": str(tools)})
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in done.stdout
    assert "Missing: Python." not in done.stdout


def test_without_bash_it_says_so(room: Room) -> None:
    done = room.run(
        [sys.executable, "-m", "mega_code", "setup"], cwd=REPOSITORY, env={**room.env, "PATH": str(room.root)}
    )
    assert done.returncode == 5
    assert done.stderr == "mega-code: there is no Bash on PATH; install Bash 3.2 or later.\n"


def test_it_prints_its_folder_and_the_version_of_the_plugin(room: Room) -> None:
    assert Path(room.python("mega_code", "path").stdout.strip()) == REPOSITORY
    assert f'"version": "{command.version()}"' in (REPOSITORY / ".claude-plugin" / "plugin.json").read_text("utf-8")
    assert room.python("mega_code", "--version").stdout == f"mega-code {command.version()}\n"
