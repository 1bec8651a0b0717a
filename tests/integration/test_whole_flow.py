"""Real skills through the real scripts, the real client and the embedded gateway."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.room import REPOSITORY, Room

CORPUS = REPOSITORY.parent / "shared" / "corpus"
SKILLS = [
    REPOSITORY / "examples" / "commit-message",
    *(path.parent for path in sorted(CORPUS.glob("*/SKILL.md"))),
]


@pytest.fixture
def gateway(room: Room) -> Iterator[str]:
    """The embedded gateway of the room, started and stopped by its script."""
    started = room.script("gateway.sh", "start")
    assert started.returncode == 0, started.stderr
    yield started.stdout.strip()
    stopped = room.script("gateway.sh", "stop")
    assert stopped.returncode == 0, stopped.stderr


def values(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The KEY=value lines of a script."""
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real skills is not beside this repository")
def test_the_corpus_is_there_whole() -> None:
    assert len(SKILLS) == 7


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize("skill", SKILLS, ids=lambda path: path.name)
def test_a_real_skill_comes_back_enhanced_and_valid_or_as_it_was(room: Room, skill: Path) -> None:
    done = room.script("enhance.sh", skill, "--yes", "--scope", "project")
    assert done.returncode == 0, done.stderr
    place = room.project / ".claude" / "skills" / skill.name
    (result_file,) = (room.data / "enhancements").glob("*.result.json")
    result = json.loads(result_file.read_text())
    assert result["status"] == "succeeded" and result["artifact_kind"] in ("enhanced", "source")
    if result["artifact_kind"] == "enhanced":
        lines = done.stdout.splitlines()
        assert lines[0] == f"Installed at {place}." and lines[1].startswith("ROI: +")
        assert lines[1].endswith("model=static-checks")
        changed = {path for path, content in tree(place).items() if (skill / path).read_bytes() != content}
        assert changed and all(path == "SKILL.md" or path.startswith("references/") for path in changed)
        check_with_reference_validator(place)
    else:
        assert not place.exists() and "Status: succeeded" in done.stdout and result["reason"] in done.stdout
    again = values(room.script("submit.sh", "--skill-dir", skill))
    assert (again["OUTCOME"], again["EXISTING_JOB_ID"]) == ("conflict", result["job_id"])


def check_with_reference_validator(skill: Path) -> None:
    """`agentskills validate` of skills-ref, which needs Python 3.11."""
    validator = Path(sys.executable).with_name("agentskills")
    if validator.exists():
        done = subprocess.run([validator, "validate", skill], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("gateway")
def test_an_enhanced_skill_has_nothing_left_to_mend(room: Room) -> None:
    first = room.script("enhance.sh", SKILLS[0], "--yes")
    second = room.script("enhance.sh", SKILLS[0].name, "--yes")
    assert first.returncode == second.returncode == 0
    assert second.stdout.startswith("Status: succeeded\n") and "artifact_kind: source" in second.stdout


def by_hand(room: Room, document: str) -> list[str]:
    """The commands of a document's section, in a folder that has what a fresh clone has."""
    for name in ("scripts", "examples"):
        (room.project / name).symlink_to(REPOSITORY / name)
    text = (REPOSITORY / "references" / document).read_text("utf-8").partition("## By hand")[2]
    return text.partition("```bash\n")[2].partition("```")[0].splitlines()


def test_the_steps_that_are_written_down_work_in_a_fresh_clone_as_they_stand(room: Room) -> None:
    known: dict[str, str] = {}
    try:
        for command in by_hand(room, "scripts.md"):
            for word, key in ((" ID", "JOB_ID"), (" RESULT_JSON", "RESULT_JSON")):
                command = command.replace(word, f" {known.get(key)}")
            done = room.run(["bash", "-c", command])
            assert done.returncode == 0, (command, done.stderr)
            known.update(re.findall(r"^([A-Z_]+)=(.*)$", done.stdout, re.MULTILINE))
    finally:
        room.script("gateway.sh", "stop")
    assert known["OUTCOME"] == "installed"


def test_the_local_flow_that_is_written_down_works_in_a_fresh_clone_up_to_its_first_call(room: Room) -> None:
    room.env.update(MEGA_CODE_MODEL="openai:small", MEGA_CODE_MODEL_URL="http://127.0.0.1:9/v1")
    commands = by_hand(room, "hitl/workspace.md")
    plan = next(place for place, command in enumerate(commands) if "--plan" in command)
    for command in commands[: plan + 1]:
        done = room.run(["bash", "-c", command])
        assert done.returncode == 0, (command, done.stderr)
    assert values(done)["OUTCOME"] == "plan"


@pytest.mark.usefixtures("gateway")
def test_the_steps_by_hand_give_what_the_whole_flow_gives(room: Room) -> None:
    shutil.copytree(SKILLS[0], room.home / ".claude" / "skills" / "commit-message")
    assert len(room.script("setup.sh").stdout.splitlines()) == 4
    submitted = values(room.script("submit.sh", "--skill-name", "commit-message"))
    polled = values(room.script("poll.sh", "--job-id", submitted["JOB_ID"], "--log", submitted["LOG"]))
    assert (polled["OUTCOME"], polled["ORIGINAL_SCOPE"], polled["LOG"]) == ("ready", "global", submitted["LOG"])
    job, name = polled["JOB_ID"], polled["SKILL_NAME"]
    install = ("install.sh", "--job-id", job, "--skill-name", name, "--scope")
    installed = values(room.script(*install, "project", "--log", polled["LOG"]))
    assert (installed["OUTCOME"], installed["ACTIVE"]) == ("installed", "0")
    report = room.script("report.sh", installed["RESULT_JSON"], "--log", installed["LOG"]).stdout
    assert report.startswith(f"Installed at {room.project}/.claude/skills/commit-message.\nROI: +")
    assert f"Claude Code will load {installed['SHADOWED_BY']} instead" in report
    replaced = values(room.script(*install, "global"))
    undone = values(room.script("install.sh", "--undo", replaced["BACKUP_PATH"]))
    assert undone["OUTCOME"] == "restored"
    assert tree(room.home / ".claude" / "skills" / "commit-message") == tree(SKILLS[0])
