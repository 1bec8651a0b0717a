"""Completion of the scripts in a real bash and a real zsh, and what it knows: every flag there is."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from mega_code.model_settings import AGENTS, ENDPOINT, STATIC
from support.room import REPOSITORY, Room
from support.screen import Screen

SCRIPTS = sorted((REPOSITORY / "scripts").glob("*.sh"))
EVERY_STEP, ANY_STEP = ["--help", "--iteration", "--log"], ["--project-dir", "--skill"]
CASE = re.compile(r"^  ((?:-[\w-]+(?: \| )?)+)\)", re.MULTILINE)


def flags(script: Path) -> set[str]:
    """What the script's own loop over its arguments takes."""
    found = {flag for group in CASE.findall(script.read_text("utf-8")) for flag in group.split(" | ")}
    return {flag for flag in found if re.fullmatch(r"--[a-z][a-z-]+", flag)} - {"--api-key", "--model-key"}


def candidates(room: Room, *words: object) -> list[str]:
    """What may stand in the place of the last word."""
    done = room.run([REPOSITORY / "scripts" / "lib" / "complete.sh", len(words) - 1, *words])
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_flag_of_a_script_is_completed_and_no_other(room: Room, script: Path) -> None:
    expected = flags(script) | {"--help"}
    if script.name == "args.sh":  # those of the slash command, which it reads on stdin
        expected |= {"--hitl", "--poll-timeout", "--poll-existing"}
    assert set(candidates(room, script, "--")) == expected


def test_values_commands_and_skills_are_those_that_there_are(room: Room) -> None:
    room.add_skill()
    room.add_skill("global", "other")
    (room.data / "enhancements").mkdir(parents=True)
    job = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
    (room.data / "enhancements" / f"{job}.job.json").touch()
    scripts = REPOSITORY / "scripts"
    for words, expected in [
        (("enhance.sh", "--scope", ""), ["project", "global"]),
        (("enhance.sh", "--scope=g"), ["--scope=global"]),
        (("configure.sh", "--mode", ""), ["remote", "local"]),
        (("hitl.sh", "audit", "--decision", ""), ["continue", "skip"]),
        (("hitl.sh", "accept", "--text", ""), ["draft", "measured"]),
        (("hitl.sh", "check"), ["check-cases", "check-gradings"]),
        (("gateway.sh", ""), ["start", "stop", "status", "url"]),
        (("skills.sh", ""), ["list", "resolve", "cached", "backups"]),
        (("skills.sh", "resolve", ""), ["demo-skill", "other"]),
        (("submit.sh", "--skill-name", ""), ["demo-skill", "other"]),
        (("enhance.sh", ""), ["doctor", "demo-skill", "other"]),
        (("enhance.sh", "--yes", "d"), ["demo-skill"]),
        (("enhance.sh", "--project-dir", "/nowhere", ""), ["other"]),
        (("poll.sh", "--job-id", ""), [job]),
        (("install.sh", "--log", ""), []),
        (("configure.sh", "--model", ""), [STATIC, *AGENTS, f"{ENDPOINT}:"]),
        (("hitl.sh", "run", "--"), [*EVERY_STEP, "--max-wait", "--model", "--plan", "--repeats", *ANY_STEP]),
        (("hitl.sh", "history", "--s"), ["--skill"]),
    ]:
        found = candidates(room, scripts / words[0], *words[1:])
        assert sorted(found) == sorted(expected), words


def test_the_installed_command_is_completed_as_its_scripts_are(room: Room) -> None:
    room.add_skill()
    names = [script.stem for script in SCRIPTS]
    assert candidates(room, "mega-code", "") == [*names, "path", "--help", "--version"]
    assert candidates(room, "/some/bin/mega-code", "in") == ["install"]
    assert candidates(room, "mega-code", "enhance", "--scope", "g") == ["global"]
    assert candidates(room, "mega-code", "gateway", "sto") == ["stop"]
    assert candidates(room, "mega-code", "enhance", "d") == ["doctor", "demo-skill"]
    assert candidates(room, "mega-code", "path", "") == candidates(room, "mega-code", "nonsense", "") == []


def test_another_script_of_that_name_is_none_of_ours_and_a_link_to_ours_is(room: Room) -> None:
    foreign = room.project / "install.sh"
    foreign.write_text("#!/bin/sh\n")
    foreign.chmod(0o755)
    link = room.project / "enhance.sh"
    link.symlink_to(REPOSITORY / "scripts" / "enhance.sh")
    assert candidates(room, foreign, "--") == []
    assert candidates(room, "./enhance.sh", "--dr") == ["--dry-run"]
    assert candidates(room, str(link).replace(" ", "\\ "), "--dr") == ["--dry-run"]


@pytest.mark.parametrize("shell", [["bash", "--norc", "-i"], ["zsh", "-f", "-i"]], ids=["bash", "zsh"])
@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("./enhance.sh --dr", "./enhance.sh --dry-run"),
        ("scripts/enhance.sh --scope pr", "scripts/enhance.sh --scope project"),
        ("scripts/enhance.sh --scope=gl", "scripts/enhance.sh --scope=global"),
        ("scripts/gateway.sh stat", "scripts/gateway.sh status"),
        ("scripts/enhance.sh dem", "scripts/enhance.sh demo-skill"),
        ("mega-code enhance --dr", "mega-code enhance --dry-run"),
    ],
)
def test_a_tab_completes_in_a_real_shell(room: Room, shell: list[str], typed: str, shown: str) -> None:
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not on PATH")
    room.add_skill()
    (room.project / "enhance.sh").symlink_to(REPOSITORY / "scripts" / "enhance.sh")
    (room.project / "scripts").symlink_to(REPOSITORY / "scripts")
    env = {**room.env, "TERM": "xterm", "PS1": "> ", "LC_ALL": "C.UTF-8", "INPUTRC": os.devnull}
    with Screen(shell, env, room.project, columns=200) as screen:
        screen.type("PS1='READY '; source scripts/completion.bash\n")  # as the README says
        screen.until(lambda lines: any(line.startswith("READY") for line in lines))
        assert "no such file" not in screen.text()
        screen.type(f"{typed}\t")
        screen.until(lambda lines: lines[-1].startswith(f"READY {shown}"))
