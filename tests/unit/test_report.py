"""What a person is told, to the letter where the contract gives the letters."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mega_code.client import report, unfinished
from mega_code.client.headline import OUTCOMES, headline
from mega_code.client.wording import Place, command, roi_lines
from mega_code.errors import CODES

JOB = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
REMOVE = ["install.sh", "--cleanup-original", "/p/.claude/skills/demo"]
ROI = [{"model": "gemini-3-flash-preview", "performance_increase": "67%", "token_savings": "0%"}]


def installed(**values: Any) -> dict[str, Any]:
    return {
        "status": "succeeded",
        "artifact_kind": "enhanced",
        "result": {"roi": ROI},
        "installed": True,
        "installed_path": "/p/.claude/skills/demo",
        "backup_path": None,
        "active": True,
        "shadowed_by": None,
        **values,
    }


def terminal(**result: Any) -> dict[str, Any]:
    return {"status": "rejected", "artifact_kind": "none", "result": result, "installed": False, "job_id": JOB}


def test_an_install_is_one_line_and_one_more_a_model() -> None:
    more = [*ROI, {"model": "m2", "performance_increase": "-4%", "token_savings": "-12%"}]
    assert report.text(installed(result={"roi": more})).splitlines() == [
        "Installed at /p/.claude/skills/demo.",
        "ROI: +67% performance, 0% token savings, model=gemini-3-flash-preview",
        "ROI: -4% performance, -12% token savings, model=m2",
        f"To remove it again (it is backed up): {command(*REMOVE, '--project-dir', '/p')}",
    ]


def test_a_first_install_is_taken_back_by_the_command_that_is_shown_before_any_warning() -> None:
    home = os.path.expanduser("~")
    lines = report.text(installed(installed_path=f"{home}/.claude/skills/demo")).splitlines()
    remove = ["install.sh", "--cleanup-original", f"{home}/.claude/skills/demo"]
    assert lines[2:] == [f"To remove it again (it is backed up): {command(*remove)}"]
    lines = report.text(installed(active=False, shadowed_by="/h/.claude/skills/demo/SKILL.md")).splitlines()
    assert [each.partition(" ")[0] for each in lines] == ["Installed", "ROI:", "To", "Warning:", "To"]


@pytest.mark.parametrize(
    "envelope",
    [
        installed(),
        {**terminal(reason="It was so."), "artifact_kind": "none"},
        {
            "needs_install_location": True,
            "job_id": JOB,
            "skill_name": "demo",
            "result": {"roi": ROI},
            "staging_dir": "/s",
        },
    ],
    ids=["installed", "terminal", "ready"],
)
def test_the_page_of_a_job_is_named_last_and_changes_no_other_line(envelope: dict[str, Any]) -> None:
    without = report.text(envelope, log="/tmp/l")
    assert report.text({**envelope, "report_path": "/d/a b\n.html"}, log="/tmp/l") == f"{without}\nReport: /d/a b .html"


@pytest.mark.parametrize(
    ("roi", "line"),
    [
        ([], "ROI: no ROI data"),
        (None, "ROI: no ROI data"),
        ("x", "ROI: no ROI data"),
        (
            [{"performance_increase": "+3%", "token_savings": "5%", "model": "m"}],
            "ROI: +3% performance, 5% token savings, model=m",
        ),
        (
            [{"performance_increase": "0%", "token_savings": "0%", "model": "m"}],
            "ROI: +0% performance, 0% token savings, model=m",
        ),
        (
            [{"performance_increase": 6, "token_savings": -1.5, "model": "m"}],
            "ROI: +6% performance, -1.5% token savings, model=m",
        ),
        (
            [{"performance_increase": " .5% ", "token_savings": " 0% ", "model": "m"}],
            "ROI: +.5% performance, 0% token savings, model=m",
        ),
        ([{"model": "m"}], "ROI: n/a performance, n/a token savings, model=m"),
    ],
)
def test_both_figures_always_stand_in_a_roi_line(roi: Any, line: str) -> None:
    assert roi_lines(roi) == [line]


def test_a_backup_and_a_shadowing_copy_are_named_with_the_commands_that_help() -> None:
    lines = report.text(
        installed(backup_path="/d/x backup/demo", active=False, shadowed_by="/h/.claude/skills/demo/SKILL.md")
    )
    assert "Replaced copy kept in /d/x backup/demo" in lines
    assert command("install.sh", "--undo", "/d/x backup/demo") in lines
    assert "Claude Code will load /h/.claude/skills/demo/SKILL.md instead" in lines
    assert lines.endswith("--cleanup-original /h/.claude/skills/demo/SKILL.md --project-dir /h")


@pytest.mark.parametrize("active", [True, False])
def test_a_link_that_is_in_the_way_goes_by_itself(active: bool) -> None:
    copy, link = "/h/.claude/skills/demo/SKILL.md", "/h/.claude/skills/demo"
    shadowed = None if active else copy
    others = {"shadowed_by": shadowed, "other_copy": copy, "other_link": link}
    text = report.text(installed(active=active, backup_path="/b", **others))
    assert text.splitlines()[-1].endswith(", which is a link (what it leads to stays): rm /h/.claude/skills/demo")
    assert "--cleanup-original" not in text


def test_a_terminal_job_is_told_whole_and_in_order() -> None:
    envelope = terminal(
        invariants=["name kept", "size"],
        evidence={"findings": [1, 2], "worst": "high"},
        evaluation={"model": "m", "cases": [1]},
        reason="It said:\n  no.",
        roi=[],
        artifact_kind="none",
        nothing=None,
        new_key={"a": 1},
        status="rejected",
    )
    assert report.text(envelope, "/tmp/x.log").splitlines() == [
        "Status: rejected",
        "- name kept",
        "- size",
        "Evidence: findings: 2 entries; worst: high",
        "Evaluation: model: m; cases: 1 entry",
        "Reason: It said:",
        "  no.",
        "roi: none",
        "artifact_kind: none",
        'new_key: {"a": 1}',
        f"Job: {JOB}",
        "Log: /tmp/x.log",
    ]


def test_the_figures_of_what_was_not_published_do_not_read_as_if_it_were() -> None:
    envelope = {**terminal(reason="No better.", roi=ROI, artifact_kind="source"), "status": "succeeded"}
    assert report.text(envelope).splitlines() == [
        "Status: succeeded",
        "Reason: No better.",
        "roi: measured, and not published: +67% performance, 0% token savings, model=gemini-3-flash-preview",
        "artifact_kind: source",
        f"Job: {JOB}",
    ]


def test_a_terminal_job_with_odd_types_is_still_told() -> None:
    text = report.text(terminal(invariants="one", evidence=[1, 2, 3, 4], evaluation="words", reason=7))
    assert text.splitlines()[1:5] == ["- one", "Evidence: 4 entries", "Evaluation: words", "Reason: 7"]
    assert "kept" not in text


def test_a_reason_is_verbatim_whatever_it_is_written_with() -> None:
    lines = report.text(terminal(reason="a\tb \N{MAN}\u200d\N{WOMAN}")).splitlines()
    assert lines[1] == "Reason: a\tb \N{MAN}\u200d\N{WOMAN}"
    marked = report.text(terminal(reason="a\r\n\u200fb\u200e")).splitlines()
    assert marked[1:3] == ["Reason: a", "\u200fb\u200e"]
    assert report.text(terminal(reason={"code": "x"})).splitlines()[1] == 'Reason: {"code": "x"}'


def test_the_install_command_names_the_project_that_the_skill_came_from() -> None:
    envelope = {
        **installed(installed=False),
        "needs_install_location": True,
        "job_id": JOB,
        "skill_name": "demo",
        "staging_dir": "/s",
        "original_path": "/my project/.claude/skills/demo/SKILL.md",
        "original_scope": "project",
    }
    assert report.text(envelope).endswith("--skill-name demo --scope project --project-dir '/my project'")


def test_no_terminal_obeys_what_a_server_wrote() -> None:
    text = report.text(terminal(reason="\x1b[2J\x1b]0;x\x07evil\u202e", **{"a\x1bb": "\x9b1m\nc"}))
    assert not any((ord(char) < 32 and char != "\n") or char in "\x7f\x9b\u202e" for char in text)


@pytest.mark.parametrize(
    ("envelope", "sentence"),
    [
        (
            {"conflict": {"existing_job_id": JOB, "content_hash": "0"}},
            f"This content was submitted before, as job {JOB}.",
        ),
        ({"error": {"code": "http_418", "message": "No.", "job_id": JOB}}, "No. [http_418]"),
    ],
)
def test_what_can_be_resumed_says_so_in_one_sentence_and_one_command(envelope: dict[str, Any], sentence: str) -> None:
    first, second = report.text(envelope).splitlines()
    assert first == sentence
    assert second == f"To resume: {command('enhance.sh', '--poll-existing', JOB)}"


@pytest.mark.parametrize(
    ("envelope", "sentence"),
    [
        ({"timeout": {"job_id": JOB, "elapsed_s": 12.0}}, f"Job {JOB} had not ended after 12.0 s; it goes on."),
        ({"interrupted": {"job_id": JOB, "elapsed_s": 1}}, f"Interrupted; job {JOB} goes on."),
    ],
)
def test_a_job_that_goes_on_can_be_resumed_or_cancelled(envelope: dict[str, Any], sentence: str) -> None:
    assert report.text(envelope).splitlines() == [
        sentence,
        f"To resume: {command('enhance.sh', '--poll-existing', JOB)}",
        f"To cancel: {command('enhance.sh', '--cancel', JOB)}",
    ]


def test_the_command_that_goes_on_bears_the_flags_that_were_given() -> None:
    place = Place("project", "/a b", True, "60")
    resume = ["enhance.sh", "--poll-existing", JOB, "--scope", "project", "--project-dir", "/a b"]
    text = report.text({"timeout": {"job_id": JOB, "elapsed_s": 60.0}}, place=place)
    assert text.splitlines()[1:] == [
        f"To resume: {command(*resume, '--poll-timeout', '60', '--yes')}",
        f"To cancel: {command('enhance.sh', '--cancel', JOB)}",
    ]
    again = ["enhance.sh", "demo", "--project-dir", "/p"]
    text = report.text({"error": {"code": "queue_full", "message": "Full.", "again": again}}, place=Place(yes=True))
    assert text.splitlines()[-1] == f"To start again: {command(*again, '--yes')}"
    again = ["install.sh", "--undo", "/b"]
    text = report.text({"error": {"code": "install_failed", "message": "No.", "again": again}}, place=place)
    assert text.splitlines()[-1] == f"To start again: {command(*again)}"


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_error_names_its_code_and_what_to_do(code: str) -> None:
    again = ["enhance.sh", "demo", "--project-dir", "/a b"]
    lines = report.text({"error": {"code": code, "message": "It broke.", "again": again}}).splitlines()
    expected = [f"It broke. [{code}]", f"To start again: {command(*again)}"]
    if code == "auth_failure":
        expected.insert(1, f"To set a key: {command('configure.sh', '--api-key-stdin')}")
    elif code in unfinished.ADVISED or CODES[code].upstream:
        expected.insert(1, CODES[code].remedy)
    elif code in ("cleanup_path_missing", "cleanup_unsafe_path"):  # the same again would end in the same way
        expected.pop()
    elif code in unfinished.MENDED_FIRST:
        expected[1] = CODES[code].remedy
    assert lines == expected


@pytest.mark.parametrize("code", ["invalid_job_id", "not_found", "http_404", "queue_full", "invalid_arguments", "odd"])
def test_where_nobody_said_what_starts_it_again_nothing_is_submitted(code: str) -> None:
    (first, second) = report.text({"error": {"code": code, "message": "It broke."}}).splitlines()
    known = code if code in CODES else "invalid_job_id"
    assert (first, second) == (f"It broke. [{code}]", CODES[known].remedy)


@pytest.mark.parametrize("code", sorted(CODES))
def test_what_to_do_about_a_code_is_said_in_the_words_of_the_scripts(code: str) -> None:
    module_words = ("--poll-existing", "--install-", "--list-cached", "--restore-backup", "JOB_ID")
    assert not any(word in CODES[code].remedy for word in module_words)


@pytest.mark.parametrize(
    ("again", "allows"),
    [
        (["enhance.sh", "demo"], True),
        (["hitl.sh", "start", "--skill", "demo"], True),
        (["hitl.sh", "accept", "--skill", "demo"], False),
        (["hitl.sh", "publish", "--skill", "demo"], False),
    ],
)
def test_a_file_that_looks_like_a_secret_is_allowed_by_a_whole_command_where_there_is_one(
    again: list[str], allows: bool
) -> None:
    about = {"code": "secret_detected", "message": "It broke.", "relpath": "a b.txt", "again": again}
    first, second, third = report.text({"error": about}).splitlines()
    assert first == "It broke. [secret_detected]"
    start = f"To start again: {command(*again)}"
    if allows:
        assert (second, third) == (start, f"To allow that file: {command(*again, '--allow-secret', 'a b.txt')}")
    else:
        assert (second, third) == (CODES["secret_detected"].remedy, start)


INSTALL = ["install.sh", "--job-id", JOB, "--skill-name", "demo", "--scope", "project"]


@pytest.mark.parametrize(
    ("code", "way_on"),
    [
        ("install_failed", f"To start again: {command(*INSTALL)}"),
        ("sha256_mismatch", f"To resume: {command('enhance.sh', '--poll-existing', JOB)}"),
    ],
)
def test_an_install_that_failed_is_done_again_or_fetched_again(code: str, way_on: str) -> None:
    envelope = {"error": {"code": code, "message": "It broke.", "job_id": JOB, "again": INSTALL}}
    assert report.text(envelope).splitlines() == [f"It broke. [{code}]", way_on]


def test_an_undo_that_has_nothing_to_put_back_says_how_to_remove_what_stands_there() -> None:
    place = "/p/.claude/skills/demo"
    about = {"installed_path": place, "backup_path": "/d/x-backup/demo", "again": ["install.sh", "--undo"]}
    remove = command("install.sh", "--cleanup-original", place, "--project-dir", "/p")
    assert report.text({"error": {"code": "invalid_path", "message": "It broke.", **about}}).splitlines() == [
        "It broke. [invalid_path]",
        f"To remove it (it is backed up): {remove}",
        f"To undo the install before it: {command('install.sh', '--undo', '/d/x-backup/demo')}",
    ]


@pytest.mark.parametrize(
    ("again", "sentence"),
    [
        (
            ["enhance.sh", "demo"],
            "Interrupted before the server named a job; starting again is safe, since a job that it has is found again.",
        ),
        (["install.sh", "--undo", "/b"], "Interrupted."),
    ],
)
def test_an_interruption_claims_nothing_that_is_not_known(again: list[str], sentence: str) -> None:
    text = report.text({"interrupted": {"job_id": None, "elapsed_s": 0.1, "again": again}})
    assert text.splitlines() == [sentence, f"To start again: {command(*again)}"]


@pytest.mark.parametrize(
    ("envelope", "first"),
    [
        ({"submitted": {"job_id": JOB, "content_hash": "0", "skill_name": "demo"}}, f"Submitted demo as job {JOB}."),
        ({"cancelled": {"job_id": JOB}}, f"Job {JOB} is cancelled: it ends with its next step."),
        ({"cached": []}, "Nothing is cached for this skill."),
        ({"cached": [{"job_id": JOB, "completed_at": "T", "roi": ROI}]}, f"{JOB}  T"),
        ({"backups": []}, "There are no backups."),
        (
            {
                "backups": [
                    {"backup_path": "/b", "skill_name": "d", "origin": "/o", "created_at": "T", "reason": "install"}
                ]
            },
            "T  install  /o",
        ),
        ({"removed": "/x", "backup_path": "/b"}, "Removed /x; a copy is in /b"),
        ({"restored": "/x"}, "Restored /x."),
        ({"authenticated": True, "server_url": "https://x"}, "https://x accepts the key."),
        (
            {**installed(installed=False), "needs_install_location": True, "job_id": JOB, "staging_dir": "/s"},
            "Succeeded: an enhanced version is ready to install.",
        ),
    ],
)
def test_every_other_shape_has_words_too(envelope: dict[str, Any], first: str) -> None:
    assert report.text(envelope).splitlines()[0] == first


def test_headline_values_are_key_value_lines_a_script_can_split() -> None:
    lines = headline(installed(installed_path="/a b\nEVIL=1", active=False, job_id=JOB))
    assert lines == [
        "OUTCOME=installed",
        f"JOB_ID={JOB}",
        "STATUS=succeeded",
        "ARTIFACT_KIND=enhanced",
        "INSTALLED_PATH=/a b EVIL=1",
        "ACTIVE=0",
    ]
    assert headline({"error": {"code": "queue_full", "message": "Full.", "job_id": JOB}}) == [
        "OUTCOME=error",
        f"JOB_ID={JOB}",
        "ERROR_CODE=queue_full",
        "ERROR_MESSAGE=Full.",
    ]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "{", '{"error": "x"}', '{"conflict": 1}', '{"timeout": {}}', "[" * 100_000]
)
def test_a_file_without_an_envelope_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = tmp_path / "e.json"
    path.write_text(content)
    assert report.main([str(path)]) == 4
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "invalid_arguments" in captured.err


def test_the_command_prints_the_report_and_succeeds_whatever_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.json"
    path.write_text(json.dumps({"restored": "/x"}))
    assert report.main([str(path)]) == 0 and capsys.readouterr().out == "Restored /x.\n"
    assert report.main([str(path), "--headline"]) == 0
    assert capsys.readouterr().out == "OUTCOME=restored\nRESTORED=/x\n"


def test_whatever_a_script_is_told_of_has_words_for_a_person() -> None:
    assert tuple(report.SHAPES) == OUTCOMES
