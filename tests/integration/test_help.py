"""The help of every command: one shape, examples that are understood, and nothing needed to read it."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from support.room import REPOSITORY, Room

SCRIPTS = sorted(path.name for path in (REPOSITORY / "scripts").glob("*.sh"))
CLIENT = ("check_auth", "configure", "doctor", "publish", "remote_enhance", "report", "setup", "skill_enhance_helper")
MODULES = [
    *(f"mega_code.client.{name}" for name in CLIENT),
    "mega_code.evaluation",
    "mega_code.gateway",
    "mega_code.hitl",
]
TITLES = ("Usage", "Commands", "Arguments", "Options", "Exit", "Environment", "Examples", "See also")
NEEDED = {"Usage", "Options", "Exit", "Examples", "See also"}


def check_shape(text: str) -> list[str]:
    """Assert the shape; gives the examples, each on one line."""
    lines = text.rstrip("\n").split("\n")
    assert max(map(len, lines)) <= 100, [line for line in lines if len(line) > 100]
    assert lines[0].startswith("Usage: ") and "" in lines[:15]
    titles = [match[1] for match in (re.match(r"([A-Z][a-z ]+):", line) for line in lines) if match]
    assert [title for title in TITLES if title in titles] == [title for title in titles if title in TITLES]
    assert set(titles) >= NEEDED and len(set(titles)) == len(titles)
    assert "Exit: 0 " in text and "-h, --help" in text
    shown = text.split("\nExamples:\n")[1].split("\n\n")[0].replace("\\\n", " ")
    return [line.strip() for line in shown.split("\n")]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_explains_itself_without_any_python_and_its_examples_are_understood(room: Room, script: str) -> None:
    done = room.run(
        ["/bin/bash", REPOSITORY / "scripts" / script, "--help"], env={"PATH": "/usr/bin:/bin", "HOME": "/x"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    examples = check_shape(done.stdout)
    bundle = room.root / "bundle"
    bundle.mkdir()
    for name in ("scripts", "examples"):
        (bundle / name).symlink_to(REPOSITORY / name)
    (bundle / "key.txt").write_text("a-key-that-is-none\n")
    tools = room.root / "tools"
    tools.mkdir()
    (tools / "python3").write_text("#!/bin/sh\nexit 0\n")
    (tools / "python3").chmod(0o755)
    stamp = f"00000000-{int.from_bytes(os.urandom(2), 'big'):06d}"  # of the transcripts that this makes
    (tools / "date").write_text(f"#!/bin/sh\necho {stamp}\n")
    (tools / "date").chmod(0o755)
    room.env["PATH"] = f"{tools}:/usr/bin:/bin"
    for example in examples:
        assert example.startswith(f"scripts/{script} "), example
        if script == "test.sh":
            continue
        said = room.run(["bash", "-c", example], cwd=bundle).stderr
        refused = [line for line in said.split("\n") if line.startswith(f"{script[:-3]}: ")]
        assert not [line for line in refused if "see --help" in line or "name the" in line], (example, said)
    for transcript in Path("/tmp").glob(f"mega-code-enhance-{stamp}*"):
        transcript.unlink()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_explains_itself_without_packages_and_its_examples_are_understood(room: Room, module: str) -> None:
    code = (
        "import runpy, sys; module = sys.argv[1]; sys.argv[1:] = ['--help']\n"
        "sys.modules.update({name: None for name in ('requests', 'urllib3', 'yaml', 'bottle', 'waitress', 'gepa')})\n"
        "runpy.run_module(module, run_name='__main__', alter_sys=True)\n"
    )
    env = {**room.env, "COLUMNS": "40", "PYTHONPATH": str(REPOSITORY)}
    done = room.run([sys.executable, "-c", code, module], env=env)
    assert (done.returncode, done.stderr) == (0, "")
    for example in check_shape(done.stdout):
        words = shlex.split(example)
        assert words[:3] == ["python", "-m", module]
        asked = room.run(
            [sys.executable, "-c", code.replace("['--help']", "sys.argv[2:] + ['--help']"), module, *words[3:]], env=env
        )
        assert (asked.returncode, asked.stderr) == (0, ""), example
        known = set(re.findall(r"--[a-z][a-z-]+", asked.stdout))
        assert {word for word in words[3:] if word.startswith("--")} <= known


def test_the_installed_command_explains_itself_and_its_examples_name_commands_of_its(room: Room) -> None:
    done = room.run([sys.executable, "-m", "mega_code", "--help"], env={**room.env, "PYTHONPATH": str(REPOSITORY)})
    assert (done.returncode, done.stderr) == (0, "")
    for example in check_shape(done.stdout):
        program, command, *_ = shlex.split(example)
        assert (program, f"{command}.sh" in SCRIPTS) == ("mega-code", True)


def test_every_command_there_is_has_its_help_checked() -> None:
    root = REPOSITORY / "mega_code"
    mains = [path for path in root.rglob("*.py") if '__name__ == "__main__"' in path.read_text("utf-8")]
    names = {".".join(path.relative_to(REPOSITORY).with_suffix("").parts).replace(".__main__", "") for path in mains}
    # Started by another of ours alone, they have no flags that a person gives.
    inner = {"mega_code.client.arguments", "mega_code.hitl.lines", "mega_code.hitl.review_server"}
    assert names - inner == {"mega_code", *MODULES}
