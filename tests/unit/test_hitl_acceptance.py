"""Accepting, undoing, history and publishing in the local flow; what a kill or a full disk leaves of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mega_code import backups, settings, workspace
from mega_code.client.publish import idempotency_key, publish
from mega_code.errors import MegaCodeError
from mega_code.hitl.lines import lines
from mega_code.skill import check_enhanced, parse_frontmatter
from support.doomed_child import killed_at, without_room
from support.fake_gateway import Answer, FakeGateway, Handler
from support.hitl import BETTER, HARM, NAME, NOW, SKILL, Flow, signs
from support.model_server import MODEL, ModelServer
from support.room import Room

UNMEASURED = {"performance_increase": "not measured", "token_savings": "not measured"}
PREBUILT = "/uploads/prebuilt$"


@pytest.fixture
def flow(room: Room) -> Flow:
    return Flow(room, {})


@pytest.fixture
def measuring(room: Room) -> Iterator[Flow]:
    with ModelServer(signs) as server:
        yield Flow(room, server.env)


def drafted(flow: Flow, text: str = BETTER) -> Flow:
    """An iteration with a draft."""
    flow.start()
    flow.write("draft-skill.md", text)
    return flow


def metadata(place: Path) -> dict[str, Any]:
    frontmatter = parse_frontmatter((place / "SKILL.md").read_text())
    check_enhanced(frontmatter)
    return dict(frontmatter["metadata"])


def code(raised: pytest.ExceptionInfo[MegaCodeError]) -> str:
    return raised.value.code


# Accepting


def test_a_draft_takes_the_place_of_the_skill_whole_and_the_old_one_is_kept(flow: Flow) -> None:
    for name in ("notes.txt", ".gitignore", "scripts/run.sh"):
        (flow.place / name).parent.mkdir(exist_ok=True)
        (flow.place / name).write_text(name)
    done = drafted(flow).accept()
    assert done["installed_path"] == str(flow.place) and done["version"] == "1.3.0"
    assert (done["measured"], done["active"], done["shadowed_by"]) == (False, True, None)
    assert [(flow.place / name).read_text() for name in ("notes.txt", ".gitignore", "scripts/run.sh")] == [
        "notes.txt",
        ".gitignore",
        "scripts/run.sh",
    ]
    kept = Path(done["backup_path"])
    assert (kept / "SKILL.md").read_text() == SKILL and (kept / "scripts" / "run.sh").exists()
    assert "Sign every answer with MAGIC." in (flow.place / "SKILL.md").read_text()


def test_the_stamp_of_a_draft_claims_no_figures_of_another_text(measuring: Flow) -> None:
    measuring.measured()
    measuring.write("draft-skill.md", BETTER)
    measuring.accept()
    stamped = metadata(measuring.place)
    assert stamped["roi"] == [{"model": MODEL, **UNMEASURED}]
    assert stamped["version"] == "1.3.0" and stamped["generated_at"] == "2026-04-22T06:11:55Z"
    assert stamped["author"] == "co-authored by www.megacode.ai" and stamped["tags"] == ["demo"]


def test_what_was_measured_is_stamped_with_its_figures(measuring: Flow) -> None:
    measuring.measured()
    measuring.write("draft-skill.md", BETTER)
    measuring.accept()
    measuring.measured()
    done = measuring.accept(measured=True)
    assert (done["measured"], done["version"]) == (True, "1.4.0")
    (entry,) = metadata(measuring.place)["roi"]
    assert entry["model"] == MODEL and entry["performance_increase"] == "50%"
    assert entry["token_savings"].startswith("-")


def test_a_text_that_was_written_over_since_is_neither_measured_nor_installed(measuring: Flow) -> None:
    measuring.measured()
    copy = measuring.iteration().original / "SKILL.md"
    kept, edited = copy.read_text(), copy.read_text() + HARM
    copy.write_text(edited)
    measuring.write("draft-skill.md", edited)
    steps: list[Callable[[], object]] = [
        measuring.run, measuring.aggregate, measuring.accept, lambda: measuring.accept(measured=True)
    ]  # fmt: skip
    for step in steps:
        with pytest.raises(MegaCodeError) as raised:
            step()
        assert code(raised) in ("out_of_order", "audit_refused")
    assert (measuring.place / "SKILL.md").read_text() == SKILL
    copy.write_text(kept)
    assert measuring.accept(measured=True)["measured"]


def test_figures_of_other_content_are_not_stamped(measuring: Flow) -> None:
    measuring.measured()
    measuring.write("benchmark.json", {**measuring.read("benchmark.json"), "content_hash": "0" * 64})
    assert measuring.accept(measured=True)["measured"] is False
    assert metadata(measuring.place)["roi"] == [{"model": MODEL, **UNMEASURED}]


def test_the_version_is_counted_from_the_skills_own_whatever_the_draft_says(flow: Flow) -> None:
    assert drafted(flow, BETTER.replace("1.2.0", "9.9.9")).accept()["version"] == "1.3.0"


def test_a_first_version_is_the_first_whatever_the_draft_says(room: Room) -> None:
    flow = Flow(room, {}, SKILL.replace('metadata:\n  version: "1.2.0"\n', ""))
    assert drafted(flow, BETTER).accept()["version"] == "1.1.0"


def test_a_link_in_the_place_of_a_skill_is_replaced_and_comes_back(flow: Flow, room: Room) -> None:
    target = flow.place.rename(room.root / "elsewhere")
    flow.place.symlink_to(target)
    drafted(flow).accept()
    assert not flow.place.is_symlink() and "MAGIC" in (flow.place / "SKILL.md").read_text()
    assert (target / "SKILL.md").read_text() == SKILL
    flow.undo()
    assert flow.place.is_symlink() and (flow.place / "SKILL.md").read_text() == SKILL


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BETTER.replace("name: demo-skill", "name: other"), "The name of the skill changed."),
        (BETTER.replace("---\n", "", 1), "does not start with frontmatter"),
        (BETTER.replace("description: Answers", "other: Answers"), "The frontmatter has no description."),
        (BETTER + HARM, "There is a new red flag: "),
        (BETTER + "See [more](references/more.md).\n", "A link leads nowhere: references/more.md."),
        (BETTER + "word " * 200, "The texts grew from"),
        ("\udcff", "is no UTF-8 text"),
    ],
)
def test_a_draft_that_breaks_a_rule_changes_nothing(flow: Flow, text: str, problem: str) -> None:
    flow.start()
    flow.file("draft-skill.md").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(MegaCodeError) as raised:
        flow.accept()
    assert code(raised) == "invalid_draft"
    assert raised.value.message.startswith("draft-skill.md") and problem in raised.value.message
    assert (flow.place / "SKILL.md").read_text() == SKILL
    assert backups.listing(flow.data) == []


def test_a_skill_that_changed_since_the_start_is_left_alone(flow: Flow) -> None:
    drafted(flow)
    (flow.place / "SKILL.md").write_text(SKILL + "Mine.\n")
    with pytest.raises(MegaCodeError, match="not what iteration 1 began with") as raised:
        flow.accept()
    assert code(raised) == "skill_changed"
    assert (flow.place / "SKILL.md").read_text() == SKILL + "Mine.\n"


def test_an_iteration_accepts_once_until_it_is_taken_back(flow: Flow) -> None:
    drafted(flow).accept()
    with pytest.raises(
        MegaCodeError, match=r"^Iteration 1 of demo-skill accepted version 1\.3\.0 already; undo it first\.$"
    ):
        flow.accept()
    flow.undo()
    flow.write("draft-skill.md", BETTER.replace("MAGIC", "WONDER"))
    flow.accept()
    assert "WONDER" in (flow.place / "SKILL.md").read_text()


def test_without_a_draft_there_is_nothing_to_accept(flow: Flow) -> None:
    flow.start()
    with pytest.raises(MegaCodeError, match=r"no usable draft-skill\.md yet") as raised:
        flow.accept()
    assert code(raised) == "out_of_order"


def test_a_global_copy_that_wins_over_the_projects_is_named(flow: Flow, room: Room) -> None:
    other = room.add_skill("global", NAME, SKILL)
    done = drafted(flow).accept()
    assert (done["active"], done["shadowed_by"]) == (False, str(other / "SKILL.md"))


# Undoing


def test_undo_brings_back_what_stood_there_and_keeps_what_was_accepted(flow: Flow) -> None:
    drafted(flow).accept()
    accepted = (flow.place / "SKILL.md").read_text()
    undone = flow.undo()
    assert (flow.place / "SKILL.md").read_text() == SKILL
    assert (Path(undone["backup_path"]) / "SKILL.md").read_text() == accepted
    with pytest.raises(
        MegaCodeError, match=r"^Iteration 1 of demo-skill accepted nothing that could be undone; no other did either\.$"
    ):
        flow.undo()


def test_undo_leaves_alone_what_it_did_not_install(flow: Flow) -> None:
    drafted(flow).accept()
    (flow.place / "SKILL.md").write_text("somebody else's")
    with pytest.raises(MegaCodeError, match=r"not what iteration 1 accepted; .*install\.sh'? --undo") as raised:
        flow.undo()
    assert code(raised) == "skill_changed"
    assert (flow.place / "SKILL.md").read_text() == "somebody else's"


def test_undo_of_an_iteration_that_accepted_nothing_names_the_one_that_did(flow: Flow) -> None:
    drafted(flow).accept()
    flow.start()
    with pytest.raises(MegaCodeError, match="the last that did is --iteration 1"):
        flow.undo()
    flow.undo(1)
    assert (flow.place / "SKILL.md").read_text() == SKILL


# Kills and full disks


def test_a_start_that_is_killed_at_any_step_leaves_no_half_iteration(flow: Flow) -> None:
    step = 1
    while killed_at(step, flow.start):
        for iteration in workspace.iterations(flow.data, NAME):
            assert (iteration.original / "SKILL.md").read_text() == SKILL and iteration.record().content_hash
        step += 1
    assert step > 5
    flow.start()
    names = {path.name.partition("-")[0] for path in (flow.data.skill_enhance / NAME).iterdir()}
    assert names == {"iteration"}


def test_an_accept_that_is_killed_at_any_step_is_finished_by_the_next(flow: Flow) -> None:
    step, finished = 1, 0
    while True:
        shutil.rmtree(flow.data.enhancements, ignore_errors=True)  # so that no older backup can stand in
        drafted(flow)
        killed = killed_at(step, flow.accept)
        assert flow.file("draft-skill.md").read_text() == BETTER
        text = (flow.place / "SKILL.md").read_text()
        assert text == SKILL or "MAGIC" in text
        if not killed:
            break
        finished += text != SKILL
        if (flow.iteration().read("acceptance.json") or {}).get("state") != "accepted":
            flow.accept()
        assert "MAGIC" in (flow.place / "SKILL.md").read_text()
        flow.undo()
        assert (flow.place / "SKILL.md").read_text() == SKILL
        step += 1
    assert step > 10 and finished >= 1


def test_an_undo_that_is_killed_at_any_step_is_finished_by_the_next(flow: Flow) -> None:
    step = 1
    while True:
        drafted(flow).accept()
        killed = killed_at(step, flow.undo)
        if not killed:
            break
        if (flow.iteration().read("acceptance.json") or {}).get("state") != "undone":
            flow.undo()
        assert (flow.place / "SKILL.md").read_text() == SKILL
        step += 1
    assert step > 5


@pytest.mark.parametrize("size", [0, 100])
def test_a_full_disk_loses_no_grading_feedback_or_draft(measuring: Flow, size: int) -> None:
    measuring.measured()
    measuring.write("draft-skill.md", BETTER)
    measuring.write("feedback.json", {"state": "open", "overall": {"text": "Well."}})
    names = ("test-cases.json", "runs.json", "gradings.json", "feedback.json", "draft-skill.md", "benchmark.json")
    before = {name: measuring.file(name).read_bytes() for name in names}
    started = time.monotonic()
    for work in (measuring.audit, measuring.run, measuring.check_gradings, measuring.aggregate, measuring.accept):
        without_room(size, work)
        assert {name: measuring.file(name).read_bytes() for name in names} == before
        assert (measuring.place / "SKILL.md").read_text() == SKILL
    assert list(measuring.iteration().folder.glob("*.tmp")) == []
    assert time.monotonic() - started < 20  # the store waits longer for other processes, and not for room
    measuring.accept()


# History


def test_the_history_tells_what_every_iteration_came_to(measuring: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    measuring.measured()
    measuring.write("draft-skill.md", BETTER)
    measuring.accept()
    measuring.measured()
    first, second = measuring.history()
    assert (first["iteration"], first["policy"], first["decision"]) == (1, "warn_and_continue", "continue")
    assert (first["state"], first["version"]) == ("accepted", "1.3.0")
    assert (second["state"], second["comparisons"][0]["against"]) == (None, "previous")
    assert set(second["arms"]) == {"with_skill", "baseline", "previous"}
    told = capsys.readouterr().err.splitlines()[-2:]
    assert told[0].startswith("iteration 1 of 2026-04-22T06:11:55Z: 6 cases; audit warn_and_continue, person continue")
    assert told[0].endswith("no better than baseline; version 1.3.0 accepted")
    assert told[1].endswith("better than previous")


# Publishing


def stored(handler: Handler) -> Answer:
    key = handler.headers["Idempotency-Key"]
    return Answer(201, {"id": f"id-{key[:8]}", "s3_prefix": "p/", "file_count": 1, "uploaded_bytes": 2})


def test_what_was_accepted_is_published_under_one_key_however_often(flow: Flow, fake: FakeGateway) -> None:
    fake.on("POST", PREBUILT, stored)
    drafted(flow).accept()
    known = settings.load({**fake.env, "MEGA_CODE_DATA_DIR": str(flow.data.root)})
    (flow.place / "SKILL.md").write_text("changed since")
    first = publish(known, flow.iteration(), NOW)["published"]
    again = publish(known, flow.iteration(), NOW)["published"]
    assert first == again
    asked = [seen for seen in fake.seen if seen.path.endswith("prebuilt")]
    keys = {seen.headers["idempotency-key"] for seen in asked}
    assert keys == {idempotency_key(flow.iteration(), first["content_hash"])} and len(asked) == 2
    assert b'name="skill_id"\r\n\r\ndemo-skill' in asked[0].body and b"PK" in asked[0].body
    assert flow.read("published.json")["id"] == first["id"]
    assert flow.history()[0]["published"] == first["id"]


def test_nothing_is_published_that_nobody_accepted(flow: Flow, fake: FakeGateway) -> None:
    known = settings.load({**fake.env, "MEGA_CODE_DATA_DIR": str(flow.data.root)})
    drafted(flow)
    with pytest.raises(MegaCodeError, match="accept a draft first"):
        publish(known, flow.iteration(), NOW)
    flow.accept()
    (flow.file("accepted") / "SKILL.md").write_text(BETTER)
    with pytest.raises(MegaCodeError) as raised:
        publish(known, flow.iteration(), NOW)
    assert code(raised) == "skill_changed"
    assert fake.seen == []


# Lines


def test_an_envelope_becomes_lines_for_a_script() -> None:
    inner = {"policy": "full_access", "may_run": True, "findings": [1, 2], "none": None, "roi": {}, "reason": "a\nb"}
    assert lines({"audit": inner}) == [
        "OUTCOME=audit",
        "POLICY=full_access",
        "MAY_RUN=1",
        "FINDINGS=2",
        "REASON=a b",
    ]
    assert lines({"history": [1, 2, 3]}) == ["OUTCOME=history", "ENTRIES=3"]
    error = {"code": "invalid_cases", "message": "m", "problems": ["a", "b"]}
    assert lines({"error": error}) == [
        "OUTCOME=error",
        "ERROR_CODE=invalid_cases",
        "ERROR_MESSAGE=m",
        "ERROR_PROBLEMS=2",
    ]
