"""What an enhancement would cost, said before anything is spent."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mega_code.errors import MegaCodeError
from mega_code.evaluation.preview import preview
from support.evaluation import evals, triggers, write_skill
from support.room import Room

pytest.importorskip("gepa")
MODEL = {"MEGA_CODE_MODEL": "openai:small", "MEGA_CODE_MODEL_URL": "http://127.0.0.1:1/v1"}


def test_a_static_job_costs_nothing(tmp_path: Path) -> None:
    assert preview(write_skill(tmp_path / "demo"), {}) == [
        "Model: static, which is no language model: 0 calls, 0 tokens."
    ]


def test_the_most_that_a_job_can_cost_is_said_with_its_limits(tmp_path: Path) -> None:
    skill = write_skill(tmp_path / "demo", cases=evals(32), queries=triggers(8))
    assert preview(skill, {**MODEL, "MEGA_CODE_MAX_TOKENS": "2000000"}) == [
        "Model: small.",
        "It works on 32 cases of its own, 16 of them held out, 3 repeats each, with up to 10 iterations.",
        "At most 398 calls and 2,000,000 tokens, if no call fails and is sent again; with those, never more than 400"
        " calls or 2,000,000 tokens.",
    ]


def test_a_job_that_could_settle_nothing_is_said_before_it_begins(tmp_path: Path) -> None:
    said = preview(write_skill(tmp_path / "demo", cases=evals(4)), MODEL)
    assert said[1].startswith(
        "The job would end succeeded without a call: Inconclusive, and nothing was spent on it: With 2 held-out cases"
    )


def test_a_budget_that_cannot_do_is_said_with_what_would(tmp_path: Path) -> None:
    said = preview(write_skill(tmp_path / "demo", cases=evals(12)), {**MODEL, "MEGA_CODE_MAX_CALLS": "10"})
    assert said[1] == (
        "The job would end enhancement_blocked without a call: this job needs at least 83 calls, and"
        " MEGA_CODE_MAX_CALLS is 10."
    )


def test_one_repeat_is_no_plural(tmp_path: Path) -> None:
    said = preview(write_skill(tmp_path / "demo", cases=evals(12)), {**MODEL, "MEGA_CODE_MAX_CALLS": "83"})
    assert said[1].startswith("It works on 12 cases of its own, 6 of them held out, 1 repeat each, with up to ")


def test_settings_that_cannot_work_are_said(tmp_path: Path) -> None:
    with pytest.raises(MegaCodeError, match="MEGA_CODE_CONCURRENCY"):
        preview(write_skill(tmp_path / "demo"), {**MODEL, "MEGA_CODE_CONCURRENCY": "none"})


def test_the_script_previews_a_skill_by_name_or_folder_and_submits_nothing(room: Room) -> None:
    room.env.update(MODEL)
    skill = room.add_skill()
    for named in ("demo-skill", skill):
        done = room.script("enhance.sh", named, "--dry-run")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[:2] == [
            "Model: small.",
            "It works on cases to be generated, 3 repeats each, with up to 7 iterations.",
        ]
    assert not (room.data / "gateway").exists()
    done = room.script("enhance.sh", "nobody", "--dry-run")
    assert (done.returncode, done.stdout) == (4, "") and done.stderr.startswith("There is no skill 'nobody'")


@pytest.mark.parametrize("model", [{}, MODEL], ids=["static", "model"])
def test_what_a_submission_would_be_refused_for_is_said_instead_of_a_cost(room: Room, model: dict[str, str]) -> None:
    room.env.update(model)
    skill = room.add_skill()
    (skill / "scripts").mkdir()
    (skill / "scripts" / "submit.sh").write_text(f"AKIA{'ABCDEFGHIJKLMNOP'}\n")

    def refused(*words: object) -> tuple[int, str, str]:
        done = room.script("enhance.sh", *words, "--dry-run")
        return done.returncode, done.stdout, done.stderr.replace(f"{room.project}/", "")

    project = str(room.project)
    assert refused("./nope") == (4, "", "preview: There is no skill folder './nope'. [missing_skill_dir]\n")
    assert refused(project) == (
        4,
        "",
        f"preview: There is no SKILL.md at the root of {project!r}. [missing_skill_md]\n",
    )
    assert refused(skill / "SKILL.md") == (
        4,
        "",
        "preview: '.claude/skills/demo-skill/SKILL.md' is a file; name the skill's folder:"
        " '.claude/skills/demo-skill'. [missing_skill_dir]\n",
    )
    for named in ("demo-skill", skill):
        status, said, why = refused(named)
        assert (status, said) == (4, "") and "'scripts/submit.sh', line 1" in why and "[secret_detected]" in why
    (skill / ".env").touch()
    status, said, why = refused(skill)
    assert (status, said) == (4, "") and why.startswith("preview: '.env' ") and why.endswith("[forbidden_path]\n")
    shutil.rmtree(skill)
    named = skill.with_name("Demo")
    shutil.copytree(write_skill(room.root / "elsewhere" / "demo"), named)
    assert refused(named)[2].endswith("[invalid_skill_name]\n")


@pytest.mark.parametrize("package", ["yaml", "requests"])
def test_a_missing_package_is_one_sentence_and_for_our_launcher_a_silent_97(room: Room, package: str) -> None:
    stubs = room.root / "stubs"
    stubs.mkdir()
    (stubs / f"{package}.py").write_text(f"raise ModuleNotFoundError('No module', name={package!r})\n")
    room.env["PYTHONPATH"] = str(stubs)
    done = room.python("mega_code.evaluation", "--skill-dir", room.add_skill())
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == f"preview: {package} is missing; pip install 'mega-code[optimize]' brings it\n"
    room.env["MEGA_CODE_LAUNCHER"] = "1"
    done = room.python("mega_code.evaluation", "--skill-dir", room.project)
    assert (done.returncode, done.stdout, done.stderr) == (97, "", "")


def test_an_agent_whose_program_is_not_there_is_said_where_calls_run_here(room: Room) -> None:
    room.env.update(MEGA_CODE_MODEL="claude:haiku", PATH="/usr/bin:/bin")
    said = "MEGA_CODE_MODEL names claude:haiku: claude is not on PATH where the call runs."
    done = room.python("mega_code.evaluation", "--skill-dir", room.add_skill())
    assert (done.returncode, done.stdout, done.stderr) == (4, "", f"preview: {said} [invalid_arguments]\n")
    done = room.python("mega_code.gateway", "start")
    assert (done.returncode, done.stdout, done.stderr) == (4, "", f"gateway: {said}\n")
    room.env["MEGA_CODE_EXECUTOR"] = "dask://127.0.0.1:1"
    done = room.python("mega_code.evaluation", "--skill-dir", room.project / ".claude/skills/demo-skill")
    assert (done.returncode, done.stderr) == (0, "")
