"""The slash command against gateways: every way a run can go, walked by the real client and a literal-minded model."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest

from support.claude_session import Claude
from support.fake_gateway import BASE, FakeGateway, error
from support.room import REPOSITORY, Room, script

OURS = "---\nname: {name}\ndescription: Skill number {name}.\nmetadata:\n  author: www.megacode.ai\n---\n# {name}\n"
FULL_RUN = ["args", "setup", "skills", "submit", "poll", "install"]
RUNNING = {"status": "running", "phase_public": "iterating", "current_iteration": 1, "total_iterations": 3}


def example(room: Room) -> Path:
    """The example skill, in the project; its folder."""
    folder = room.project / ".claude" / "skills" / "commit-message"
    shutil.copytree(REPOSITORY / "examples" / "commit-message", folder)
    return folder


def enhanced(folder: Path) -> bool:
    """Whether the skill in a folder is one that a gateway made."""
    return "megacode.ai" in (folder / "SKILL.md").read_text()


# Against the embedded gateway


def test_a_skill_is_enhanced_and_installed_where_it_came_from(claude: Claude, room: Room, embedded: str) -> None:
    folder = example(room)
    session = claude.enhance("commit-message", {"be installed": ["project"], "another skill": ["Done"]})
    assert session.scripts == FULL_RUN
    assert session.asked[0][1] == ["project (Recommended)", "global", "not now"]
    assert session.asked_for == []
    assert f"Installed at {folder}." in session.said
    assert "ROI: +" in session.said
    assert enhanced(folder)
    assert "megacode.ai" not in (Path(session.printed("BACKUP_PATH")[0]) / "SKILL.md").read_text()


def test_the_correlation_id_of_setup_goes_through_all_steps(claude: Claude, room: Room, embedded: str) -> None:
    example(room)
    session = claude.enhance("commit-message", {"be installed": ["project"], "another skill": ["Done"]})
    named = [command for command in session.commands if "--session-id" in command]
    assert [f"--session-id {session.printed('MEGA_CODE_SESSION_ID')[0]}" in command for command in named] == [True] * 4


def test_content_that_was_submitted_before_is_resumed_or_left_alone(claude: Claude, room: Room, embedded: str) -> None:
    folder = example(room)
    first = claude.enhance("commit-message", {"be installed": ["not now"]})
    job = first.printed("JOB_ID")[-1]
    assert not enhanced(folder)

    cancelled = claude.enhance("commit-message", {"submitted before": ["Cancel"]})
    assert cancelled.scripts == FULL_RUN[:4]
    assert f"as job {job}. Take that job up?" in cancelled.asked[0][0]

    answers = {"submitted before": ["Resume"], "be installed": ["project"], "another skill": ["Done"]}
    resumed = claude.enhance("commit-message", answers)
    assert resumed.scripts == FULL_RUN
    assert enhanced(folder)


def test_an_earlier_job_is_taken_up_by_its_id_alone(claude: Claude, room: Room, embedded: str) -> None:
    folder = example(room)
    job = claude.enhance("commit-message", {"be installed": ["not now"]}).printed("JOB_ID")[-1]
    answers = {"be installed": ["project"], "another skill": ["Done"]}
    session = claude.enhance(f"--poll-existing {job}", answers)
    assert session.scripts == ["args", "setup", "poll", "install"]
    assert session.asked[0][1][0] == "project (Recommended)"
    assert enhanced(folder)


def test_questions_in_plain_text_work_where_the_client_can_ask_none(claude: Claude, room: Room, embedded: str) -> None:
    folder = example(room)
    first = claude.say("/mega-code:skill-enhance commit-message")
    assert "AskUserQuestion" not in first.events[0]["tools"]
    assert "Where shall commit-message be installed?\n1. project (Recommended)" in first.said
    assert not enhanced(folder)
    # What the skill is allowed without asking ends with the turn; from then on it is the person who allows it.
    allowed = 'Bash("{}/skills/skill-enhance/scripts/{}.sh":*)'
    flags = ["--allowedTools", *(allowed.format(REPOSITORY, name) for name in ("install", "report"))]
    second = claude.say("project", *flags, resume=first.id)
    assert second.scripts == ["install"]
    assert "Enhance another skill?" in second.said
    assert enhanced(folder)


# Where it is installed, and which copy counts


@pytest.mark.parametrize(("origin", "target"), [("global", "project"), ("project", "global")])
def test_a_copy_left_in_the_other_scope_is_named_and_moved_away_on_request(
    claude: Claude, room: Room, fake: FakeGateway, origin: str, target: str
) -> None:
    old = room.add_skill(origin)
    answers = {"be installed": [target], "Move": ["Move it"], "another skill": ["Done"]}
    session = claude.enhance("demo-skill", answers)
    assert session.asked[0][1][0] == f"{origin} (Recommended)"
    assert str(old / "SKILL.md") in session.asked[1][0]
    assert str(old / "SKILL.md") in session.said
    assert session.scripts == [*FULL_RUN, "install"]
    assert not old.exists()
    assert f"Removed {old}" in session.said


def test_the_copy_in_the_other_scope_stays_where_the_person_wants_both(
    claude: Claude, room: Room, fake: FakeGateway
) -> None:
    old = room.add_skill("global")
    answers = {"be installed": ["project"], "Move": ["Keep both"], "another skill": ["Done"]}
    session = claude.enhance("demo-skill", answers)
    assert f"Claude Code will load {old / 'SKILL.md'} instead" in session.said
    assert old.exists()


def test_an_install_that_cannot_be_done_is_reported_and_not_tried_again(
    claude: Claude, room: Room, fake: FakeGateway
) -> None:
    old = room.add_skill("global")
    (room.project / ".claude").write_text("no folder")
    session = claude.enhance("demo-skill", {"be installed": ["project"]})
    assert session.scripts == FULL_RUN
    assert "[install_failed]" in session.said
    assert not enhanced(old)


def test_the_next_session_has_the_new_description(claude: Claude, room: Room, fake: FakeGateway) -> None:
    room.add_skill(text="---\nname: demo-skill\ndescription: The old words of it.\n---\n# Old\n")
    new = fake.files["SKILL.md"].decode().replace("Does a thing.", "The new words of it.").encode()
    fake.files["SKILL.md"] = new
    claude.plain("hello")
    assert "The old words of it." in json.dumps(claude.api.requests[-1])

    claude.enhance("demo-skill", {"be installed": ["project"], "another skill": ["Done"]})
    claude.plain("hello")
    assert "The new words of it." in json.dumps(claude.api.requests[-1])
    assert "The old words of it." not in json.dumps(claude.api.requests[-1])
    assert (room.project / ".claude" / "skills" / "demo-skill" / "SKILL.md").read_bytes() == new


# How else a job can end


@pytest.mark.parametrize(
    "result",
    [
        {"artifact_kind": "source", "artifact": None, "reason": "No candidate was better.\nJOB_ID=spoofed"},
        {"status": "rejected", "artifact_kind": "none", "artifact": None, "reason": "It breaks a rule."},
    ],
    ids=lambda result: str(result["artifact_kind"]),
)
def test_a_job_without_an_enhanced_version_is_reported_and_nothing_installed(
    claude: Claude, room: Room, fake: FakeGateway, result: dict[str, Any]
) -> None:
    folder = room.add_skill()
    before = (folder / "SKILL.md").read_bytes()
    fake.statuses = [{"status": result.get("status", "succeeded")}]
    fake.result = result
    session = claude.enhance("demo-skill", {"another skill": ["Done"]})
    assert session.scripts == FULL_RUN[:-1]
    assert f"Status: {result.get('status', 'succeeded')}" in session.said
    assert f"Reason: {result['reason']}" in session.said
    assert (folder / "SKILL.md").read_bytes() == before


def test_when_time_is_up_the_person_may_wait_longer(claude: Claude, room: Room, fake: FakeGateway) -> None:
    room.add_skill()
    fake.statuses = [RUNNING, RUNNING, {"status": "succeeded"}]
    answers = {"Wait another": ["Wait longer"] * 5, "be installed": ["not now"]}
    session = claude.enhance("demo-skill --poll-timeout 0.7", answers)
    assert session.asked[0][0] == f"Job {fake.job_id} is still running. Wait another 0.7 s?"
    assert session.printed("OUTCOME")[-1] == "ready"
    assert fake.count("POST", "/uploads") == 1


def test_when_time_is_up_the_person_may_leave_and_come_back(claude: Claude, room: Room, fake: FakeGateway) -> None:
    room.add_skill()
    fake.statuses = [RUNNING]
    session = claude.enhance("demo-skill --poll-timeout 0.3", {"Wait another": ["Stop waiting"]})
    assert session.printed("TIME_LEFT") == ["none"]
    assert session.said.endswith(f"It goes on. To take it up: /mega-code:skill-enhance --poll-existing {fake.job_id}")


def test_a_job_of_another_machine_is_taken_up_too(claude: Claude, room: Room, fake: FakeGateway) -> None:
    answers = {"be installed": ["global"], "another skill": ["Done"]}
    session = claude.enhance(f"--poll-existing {fake.job_id}", answers)
    assert session.asked[0][1] == ["project", "global", "not now"]
    assert f"Installed at {room.home / '.claude' / 'skills' / 'demo-skill'}." in session.said


# What the server or the folder refuses


def test_content_that_the_server_stores_already_ends_in_a_choice_and_not_in_its_message(
    claude: Claude, room: Room, fake: FakeGateway
) -> None:
    room.add_skill()
    fake.on("POST", "/uploads$", error(409, "prefix_exists", "raw words of the server"))
    session = claude.enhance("demo-skill", {"another skill": ["Done"]})
    assert session.scripts == [*FULL_RUN[:4], "skills"]
    assert "The server has this content already, and nothing of it is cached here." in session.said
    assert "raw words" not in session.said


def test_content_that_the_server_stores_already_is_installed_from_the_cache(
    claude: Claude, room: Room, fake: FakeGateway
) -> None:
    folder = room.add_skill()
    claude.enhance("demo-skill", {"be installed": ["not now"]})
    fake.on("POST", "/uploads$", error(409, "prefix_exists", "raw words of the server"))
    answers = {"content already": ["Install that one"], "be installed": ["project"], "another skill": ["Done"]}
    session = claude.enhance("demo-skill", answers)
    assert session.asked[0][1] == ["Install that one", "Another skill", "Stop"]
    assert enhanced(folder)


def test_another_skill_can_be_picked_where_the_server_stores_the_first(
    claude: Claude, room: Room, fake: FakeGateway
) -> None:
    for name in ("alpha", "beta"):
        room.add_skill(name=name, text=OURS.format(name=name))
    fake.on("POST", "/uploads$", error(409, "prefix_exists", "raw words of the server"), times=1)
    answers = {"another skill": ["Another skill"], "Which skill": ["beta"], "be installed": ["not now"]}
    session = claude.enhance("alpha", answers)
    assert session.asked[1][1] == ["alpha", "beta"]
    assert session.scripts == ["args", "setup", "skills", "submit", "skills", "skills", "skills", "submit", "poll"]
    assert session.printed("SKILL_NAME")[-1] == "beta"


@pytest.mark.parametrize(
    ("status", "code", "shown"),
    [
        (400, "invalid_skill_md", "It has no name. [invalid_skill_md]"),
        (429, "queue_full", "It has no name. [queue_full]"),
    ],
)
def test_an_error_is_relayed_with_its_code_and_not_tried_again(
    claude: Claude, room: Room, fake: FakeGateway, status: int, code: str, shown: str
) -> None:
    room.add_skill()
    fake.on("POST", "/uploads$", error(status, code, "It has no name."))
    session = claude.enhance("demo-skill")
    assert session.scripts == FULL_RUN[:4]
    assert shown in session.said
    assert session.asked == []


def test_a_folder_with_a_secret_never_leaves_the_machine(claude: Claude, room: Room, fake: FakeGateway) -> None:
    (room.add_skill() / ".env").write_text("TOKEN=x\n")
    session = claude.enhance("demo-skill")
    assert "[forbidden_path]" in session.said
    assert fake.uploads == []


def test_an_answer_that_is_cut_off_while_polling_is_reported_with_the_way_back(
    claude: Claude, room: Room, fake: FakeGateway
) -> None:
    room.add_skill()
    fake.on("GET", f"{BASE}/skill-enhance/jobs/[^/]+$", error(400, "worker_lost", "it went away"))
    session = claude.enhance("demo-skill")
    assert "it went away [worker_lost]" in session.said
    assert f"{script('enhance')} --poll-existing {fake.job_id}" in session.said


# Before anything is submitted


def test_a_key_that_the_server_does_not_take_ends_the_run(claude: Claude, room: Room, fake: FakeGateway) -> None:
    room.add_skill()
    claude.env["MEGA_CODE_API_KEY"] = "another"
    session = claude.enhance("demo-skill")
    assert session.scripts == ["args", "setup"]
    assert "[auth_failure]" in session.said


def test_a_mode_that_is_not_remote_points_at_the_local_flow(claude: Claude, room: Room, fake: FakeGateway) -> None:
    claude.env["MEGA_CODE_CLIENT_MODE"] = "local"
    session = claude.enhance("demo-skill")
    assert session.scripts == ["args", "setup"]
    assert "MEGA_CODE_CLIENT_MODE must be 'remote' and is 'local'." in session.said
    assert "--hitl" in session.said


def test_without_any_skill_it_says_so(claude: Claude, fake: FakeGateway) -> None:
    session = claude.enhance()
    assert session.scripts == ["args", "setup", "skills"]
    assert "There is no skill here yet" in session.said


def test_the_only_skill_needs_no_question(claude: Claude, room: Room, fake: FakeGateway) -> None:
    room.add_skill(name="alpha")
    session = claude.enhance("", {"be installed": ["not now"]})
    assert [question for question, _, _ in session.asked] == ["Where shall alpha be installed?"]


@pytest.mark.parametrize("count", [2, 4])
def test_two_to_four_skills_are_a_question(claude: Claude, room: Room, fake: FakeGateway, count: int) -> None:
    names = ["alpha", "beta", "gamma", "delta"][:count]
    for name in names:
        room.add_skill(name=name, text=OURS.format(name=name))
    session = claude.enhance("", {"Which skill": ["beta"], "be installed": ["not now"]})
    assert session.asked[0][1] == sorted(names)
    assert session.printed("SKILL_NAME")[-1] == "beta"


def test_five_skills_are_a_whole_list_and_an_end(claude: Claude, room: Room, fake: FakeGateway) -> None:
    for number in range(12):
        room.add_skill(name=f"skill-{number}", text=OURS.format(name=f"skill-{number}"))
    session = claude.enhance()
    assert session.asked == []
    assert [f"skill-{number} (project) Skill number" in session.said for number in range(12)] == [True] * 12
    assert "Run it again with a name" in session.said
    assert fake.uploads == []


def test_a_name_may_be_cut_short_and_must_fit_one_skill(claude: Claude, room: Room, fake: FakeGateway) -> None:
    for name in ("alpha-one", "alpha-two"):
        room.add_skill(name=name, text=OURS.format(name=name))
    assert claude.enhance("alpha-t", {"be installed": ["not now"]}).printed("SKILL_NAME")[-1] == "alpha-two"
    assert claude.enhance("alpha").said == "'alpha' fits alpha-one, alpha-two; give one name in full."


# The local flow


def test_the_local_flow_and_a_servers_job_exclude_each_other(claude: Claude) -> None:
    session = claude.enhance(f"--hitl --poll-existing {uuid.uuid4()}")
    assert session.scripts == ["args"]
    assert "pick one of them" in session.said
