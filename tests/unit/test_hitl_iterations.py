"""Iterations of the local flow: beginning them, cases, audit, runs, gradings and figures."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mega_code.errors import MegaCodeError
from mega_code.evaluation import cases as evaluation_cases
from support.hitl import HARM, NAME, SENTENCE, SKILL, Flow, cases, graded, signs
from support.model_server import MODEL, ModelServer, Reply
from support.room import Room


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(signs) as running:
        yield running


@pytest.fixture
def flow(room: Room, server: ModelServer) -> Flow:
    return Flow(room, server.env)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# Beginning


def test_an_iteration_begins_with_a_private_copy_of_the_whole_skill(flow: Flow) -> None:
    (flow.place / "scripts").mkdir()
    (flow.place / "scripts" / "run.sh").write_text("#!/bin/sh\n")
    (flow.place / "scripts" / "run.sh").chmod(0o755)
    before = tree(flow.place)
    started = flow.start()
    folder = flow.iteration().folder
    assert started["iteration_dir"] == str(folder) == str(flow.data.skill_enhance / NAME / "iteration-1")
    assert started["cases"] == 0 and started["previous"] is None
    assert tree(folder / "original") == before == tree(flow.place)
    assert os.access(folder / "original" / "scripts" / "run.sh", os.X_OK)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    record = json.loads((folder / "iteration.json").read_text())
    assert record["skill_path"] == str(flow.place / "SKILL.md") and record["scope"] == "project"
    assert flow.start()["iteration"] == 2


@pytest.mark.parametrize(
    ("name", "code"), [("link", "symlink_rejected"), (".env", "forbidden_path"), ("notes.md", "secret_detected")]
)
def test_what_may_not_be_packed_begins_nothing(flow: Flow, name: str, code: str) -> None:
    if name == "link":
        (flow.place / name).symlink_to("/etc/passwd")
    else:
        (flow.place / name).write_text("-----BEGIN RSA " + "PRIVATE KEY-----\n")
    with pytest.raises(MegaCodeError) as raised:
        flow.start()
    assert raised.value.code == code
    assert list((flow.data.skill_enhance / NAME).iterdir()) == []


def test_what_a_killed_start_left_is_swept_and_counts_for_nothing(flow: Flow) -> None:
    left = flow.data.skill_enhance / NAME / ".iteration-1.new-00ff"
    (left / "original").mkdir(parents=True)
    assert flow.start()["iteration"] == 1
    assert not left.exists()


def test_the_cases_go_on_to_the_next_iteration_and_else_come_from_the_skill(flow: Flow) -> None:
    (flow.place / "evals").mkdir()
    (flow.place / evaluation_cases.PATH).write_text(json.dumps(cases(7)))
    assert flow.start()["cases"] == 7
    flow.write("test-cases.json", cases(9))
    assert flow.start()["cases"] == 9
    flow.write("test-cases.json", "{")
    assert flow.start()["cases"] == 7


# Cases


def test_cases_are_counted_and_too_few_are_said_before_anything_is_spent(
    flow: Flow, capsys: pytest.CaptureFixture[str]
) -> None:
    flow.start()
    flow.write("test-cases.json", cases(4))
    head = {"skill_name": NAME, "iteration": 1}
    assert flow.check_cases() == {**head, "cases": 4, "expectations": 8, "judged": 4, "enough": False}
    assert "With 4 cases nothing can be settled" in capsys.readouterr().err
    flow.write("test-cases.json", cases(6))
    assert flow.check_cases()["enough"] is True


def test_every_problem_of_the_cases_is_told_with_its_index_and_key(
    flow: Flow, capsys: pytest.CaptureFixture[str]
) -> None:
    flow.start()
    wrong = cases(3)
    wrong["evals"][0]["prompt"] = ""
    wrong["evals"][2]["expectations"] = [{"regex": "("}]
    flow.write("test-cases.json", wrong)
    with pytest.raises(MegaCodeError) as raised:
        flow.check_cases()
    problems = [
        "evals[0].prompt must be a text of 1 to 65536 characters.",
        "evals[2].expectations[0] must be a regular expression that Python can compile.",
    ]
    assert (raised.value.code, raised.value.details["problems"]) == ("invalid_cases", problems)
    assert raised.value.message == f"{problems[0]} And 1 more."
    assert all(f"- {problem}" in capsys.readouterr().err for problem in problems[:1])


def test_cases_of_another_skill_and_none_at_all_are_errors(flow: Flow) -> None:
    flow.start()
    with pytest.raises(MegaCodeError, match=r"no usable test-cases.json yet") as raised:
        flow.check_cases()
    assert raised.value.code == "out_of_order"
    flow.write("test-cases.json", {**cases(), "skill_name": "other"})
    with pytest.raises(MegaCodeError, match="skill_name is 'other'"):
        flow.check_cases()


def test_cases_in_the_other_shape_get_ids_and_mean_the_same(flow: Flow) -> None:
    flow.start()
    expectations = [SENTENCE, {"json": "/a", "equals": [1]}, {"regex": "x"}]
    flow.write("test-cases.json", {"cases": [{"task": "One?", "expectations": expectations}]})
    flow.check_cases()
    evals = [{"id": "1", "prompt": "One?", "expectations": expectations}]
    assert flow.read("test-cases.json") == {"skill_name": NAME, "evals": evals}


# Audit


def test_an_unknown_author_is_always_asked_about_and_the_answer_is_kept(flow: Flow) -> None:
    flow.start()
    flow.write("test-cases.json", cases())
    asked = flow.audit()
    assert (asked["policy"], asked["may_run"], asked["decision"]) == ("warn_and_continue", False, None)
    with pytest.raises(MegaCodeError, match="ask the person") as raised:
        flow.run()
    assert raised.value.code == "out_of_order"
    assert flow.audit("continue")["may_run"] is True
    assert flow.audit()["decision"] == "continue"
    assert flow.run()["runs"]["runs"] == 12


def test_no_run_without_an_audit_and_none_where_the_person_said_no(flow: Flow, server: ModelServer) -> None:
    flow.start()
    flow.write("test-cases.json", cases())
    with pytest.raises(MegaCodeError, match="run audit"):
        flow.run()
    assert flow.audit("skip")["may_run"] is False
    with pytest.raises(MegaCodeError, match="The person decided") as raised:
        flow.run()
    assert raised.value.code == "audit_refused"
    assert server.requests == []


def test_high_findings_of_an_unknown_author_are_run_by_nobodys_word(room: Room, server: ModelServer) -> None:
    flow = Flow(room, server.env, SKILL + HARM)
    flow.start()
    flow.write("test-cases.json", cases())
    found = flow.audit()
    assert (found["policy"], found["high"], found["may_run"]) == ("skip_ab", 1, False)
    with pytest.raises(MegaCodeError) as raised:
        flow.audit("continue")
    assert raised.value.code == "audit_refused"
    forged = {"policy": "full_access", "findings": [], "decision": {"answer": "continue"}}
    flow.write("audit.json", forged)
    with pytest.raises(MegaCodeError, match="skip_ab"):
        flow.run()
    assert server.requests == []


def test_an_answer_to_other_findings_counts_for_nothing(flow: Flow) -> None:
    flow.ready_to_run()
    kept = flow.read("audit.json")
    flow.write("audit.json", {**kept, "findings": [{"severity": "low"}]})
    assert flow.audit()["decision"] is None


def test_a_known_author_without_findings_needs_no_question(room: Room, server: ModelServer) -> None:
    flow = Flow(room, server.env, SKILL.replace("metadata:\n", "metadata:\n  author: www.megacode.ai\n"))
    flow.start()
    flow.write("test-cases.json", cases())
    assert flow.audit()["policy"] == "full_access"
    assert "runs" in flow.run()


# Runs


def test_the_plan_says_the_most_that_is_spent_and_spends_nothing(flow: Flow, server: ModelServer) -> None:
    flow.ready_to_run()
    planned = flow.run(plan=True, repeats=2)["plan"]
    assert (planned["runs"], planned["calls_at_most"], planned["model"]) == (24, 24, MODEL)
    assert planned["tokens_at_most"] > 24 * 2048
    assert server.requests == []
    flow.run(repeats=2)
    assert server.count("task") == 24
    assert flow.run(plan=True, repeats=2)["plan"]["calls_at_most"] == 0


def test_a_run_that_the_budget_does_not_hold_spends_nothing(flow: Flow, server: ModelServer) -> None:
    flow.ready_to_run()
    flow.env = {**flow.env, "MEGA_CODE_MAX_CALLS": "11"}
    with pytest.raises(MegaCodeError, match=r"It takes 12 calls, and MEGA_CODE_MAX_CALLS \(11\) leaves 11") as raised:
        flow.run()
    assert raised.value.code == "budget_spent"
    assert server.requests == []


def test_the_arms_differ_in_their_system_message_alone(flow: Flow, server: ModelServer) -> None:
    flow.ready_to_run(2)
    done = flow.run()["runs"]
    assert (done["runs"], done["to_grade"], done["calls"]) == (4, 4, 4)
    asked = {(request.system, request.prompt) for request in server.requests}
    assert asked == {(text, f"Question {n}?") for text in (None, SKILL) for n in (1, 2)}
    kept = flow.read("runs.json")
    assert (kept["model"], kept["repeats"], kept["arms"]) == (MODEL, 1, ["with_skill", "baseline"])
    assert {(run["case"], run["arm"], run["repeat"]) for run in kept["runs"]} == {
        (case, arm, 0) for case in "12" for arm in ("with_skill", "baseline")
    }


def test_what_is_to_be_graded_says_nothing_of_arms(flow: Flow) -> None:
    flow.ready_to_run()
    flow.run()
    outputs = flow.read("to-grade.json")["outputs"]
    assert {tuple(output) for output in outputs} == {("run", "task", "output", "expectations")}
    assert [output["run"] for output in outputs] == sorted(output["run"] for output in outputs)
    arms = {run["run"]: run["arm"] for run in flow.read("runs.json")["runs"]}
    order = [arms[output["run"]] for output in outputs]
    assert order != sorted(order) and order != sorted(order, reverse=True)


def test_a_run_that_fails_in_the_middle_goes_on_where_it_was(flow: Flow, server: ModelServer) -> None:
    flow.ready_to_run()
    flow.env = {**flow.env, "MEGA_CODE_CONCURRENCY": "1"}
    answer = server.answer
    server.answer = lambda role, system, prompt: answer(role, system, prompt) if server.count() < 6 else broken()

    def broken() -> Reply:
        return Reply(status=400)

    with pytest.raises(MegaCodeError, match="What was answered is kept") as raised:
        flow.run()
    assert raised.value.code == "model_failure"
    known = server.count() - 1
    server.answer = answer
    assert flow.run(plan=True)["plan"]["calls_at_most"] == 12 - known
    flow.run()
    assert server.count() == 13


def test_a_slice_that_is_over_tells_how_far_it_is(flow: Flow, server: ModelServer) -> None:
    flow.ready_to_run()
    server.answer = lambda role, system, prompt: Reply(hang=True)
    assert flow.run(max_wait_s=0.5)["timeout"]["done"] == 0
    server.answer = signs
    done = flow.run(max_wait_s=0.0001)
    assert done["timeout"]["done"] == 0 and done["timeout"]["runs"] == 12
    assert not flow.file("runs.json").exists()
    made = flow.run(max_wait_s=60)["runs"]
    assert made["runs"] == 12 and 0.5 <= made["wall_s"] < 60  # the slice before was worked on, too


def test_gradings_before_any_run_name_the_step_that_comes_first(flow: Flow) -> None:
    flow.ready_to_run()
    with pytest.raises(MegaCodeError) as raised:
        flow.check_gradings()
    assert raised.value.message == f"Iteration 1 of {NAME} has no usable runs.json yet: hitl.sh run makes it."


def test_the_second_iteration_runs_the_version_before_and_pays_for_no_arm_twice(
    flow: Flow, server: ModelServer
) -> None:
    flow.measured()
    (flow.place / "SKILL.md").write_text(SKILL.replace("politely", "with MAGIC"))
    assert flow.start()["previous"] == 1
    flow.audit("continue")
    assert flow.run(plan=True)["plan"]["calls_at_most"] == 6
    flow.run()
    assert flow.read("runs.json")["arms"] == ["with_skill", "baseline", "previous"]
    assert server.count() == 18


# Gradings


def wrong(flow: Flow, **change: Any) -> list[str]:
    """The problems of gradings whose first verdict is changed."""
    value = graded(flow.read("to-grade.json"))
    value["gradings"][0]["expectations"][0].update(change)
    flow.write("gradings.json", value)
    with pytest.raises(MegaCodeError) as raised:
        flow.check_gradings()
    assert raised.value.code == "invalid_gradings"
    problems = raised.value.details["problems"]
    assert isinstance(problems, list)
    return problems


def test_gradings_are_believed_where_their_evidence_stands_in_the_output(flow: Flow) -> None:
    flow.ready_to_run(2)
    flow.run()
    where, run = "gradings[0].expectations[0]", flow.read("to-grade.json")["outputs"][0]["run"]
    assert wrong(flow, evidence="YES to all") == [
        f"{where}.evidence does not stand, word for word, in the output of run {run}: 'YES to all'."
    ]
    assert wrong(flow, passed=True, evidence=" ") == [
        f"{where}.evidence must quote what shows that it is met, since it passed."
    ]
    assert wrong(flow, passed="yes") == [f"{where}.passed must be true or false."]
    assert wrong(flow, evidence=7) == [f"{where}.evidence must be a text."]
    assert wrong(flow, text="Another.") == [f"{where}.text must be the expectation itself: {SENTENCE!r}."]
    assert not flow.file("benchmark.json").exists()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("[", "gradings.json is no JSON"),
        ({"grades": []}, 'gradings.json must be an object with a list under "gradings".'),
        ({"gradings": [7]}, "gradings[0] must be an object."),
        ({"gradings": []}, "gradings lacks 4 of 4 runs: r"),
        ({"gradings": [{"run": "r999"}]}, "gradings[0].run is 'r999'; it must name a run of to-grade.json."),
        ({"gradings": [{"case": 1}]}, "gradings[0].case, arm and repeat are 1, None, 0; it must name a run"),
        (
            {"gradings": [{"run": 0}]},
            "gradings[0].expectations must be a list of 1, one for each expectation of run",
        ),
    ],
)
def test_gradings_of_another_shape_are_refused_by_index_and_key(flow: Flow, value: Any, problem: str) -> None:
    flow.ready_to_run(2)
    flow.run()
    first = flow.read("to-grade.json")["outputs"][0]["run"]
    flow.write("gradings.json", json.dumps(value).replace('"run": 0', f'"run": "{first}"') if value != "[" else "[")
    with pytest.raises(MegaCodeError) as raised:
        flow.check_gradings()
    assert raised.value.message.startswith(problem)


def test_gradings_of_other_outputs_are_not_taken_for_those_of_new_ones(flow: Flow, server: ModelServer) -> None:
    flow.measured(2)
    server.answer = lambda role, system, prompt: "Another answer."
    flow.env = {**flow.env, "MEGA_CODE_MAX_OUTPUT_TOKENS": "7"}
    flow.run()
    with pytest.raises(MegaCodeError, match=r"it must name a run of to-grade\.json"):
        flow.check_gradings()


def test_gradings_that_hold_get_the_place_of_their_run_and_may_name_it_so(flow: Flow) -> None:
    flow.ready_to_run(2)
    flow.run()
    flow.write("gradings.json", graded(flow.read("to-grade.json")))
    head = {"skill_name": NAME, "iteration": 1}
    assert flow.check_gradings() == {**head, "graded": 4, "verdicts": 4, "passed": 0}
    kept = flow.read("gradings.json")
    places = {run["run"]: (run["case"], run["arm"], run["repeat"]) for run in flow.read("runs.json")["runs"]}
    assert {e["run"]: (e["case"], e["arm"], e["repeat"]) for e in kept["gradings"]} == places
    for entry in kept["gradings"]:
        del entry["run"]
    flow.write("gradings.json", kept)
    assert flow.check_gradings()["graded"] == 4


def test_cases_that_changed_after_the_run_make_it_no_run_of_theirs(flow: Flow) -> None:
    flow.measured()
    flow.write("test-cases.json", cases(7))
    with pytest.raises(MegaCodeError, match="the test cases changed since") as raised:
        flow.aggregate()
    assert raised.value.code == "out_of_order"


# Figures


def test_the_figures_are_those_of_the_statistics_with_their_honesty(flow: Flow) -> None:
    figures = flow.measured(6)
    assert set(figures["arms"]) == {"with_skill", "baseline"}
    assert figures["arms"]["baseline"]["pass_rate"] == 0.5
    assert (figures["decision"]["kind"], figures["decision"]["publish"]) == ("no better", False)
    (case, *_) = figures["cases"]
    assert case["arms"]["with_skill"]["verdicts"][0]["by"] == "judge"
    assert case["arms"]["with_skill"]["verdicts"][1] == {
        "expectation": "contains 'Yes'",
        "passed": True,
        "evidence": "Yes to Question 1?",
        "by": "code",
        "repeat": 0,
    }
    (flow.place / "SKILL.md").write_text(SKILL.replace("politely", "with MAGIC"))
    again = flow.measured(6)
    assert set(again["arms"]) == {"with_skill", "baseline", "previous"}
    assert [compared["against"] for compared in again["comparisons"]] == ["previous", "baseline"]
    decided = again["decision"]
    assert (decided["kind"], decided["publish"], decided["lift"]) == ("better", True, 0.5)
    assert decided["p_value"] == 0.5**6
    assert "held-out" not in json.dumps(again)
    assert any("seen by whoever drafts" in note for note in again["notes"])
    (roi,) = again["roi"]
    assert roi["performance_increase"] == "50%" and roi["vs_previous"]["performance_increase"] == "50%"
    text = flow.file("benchmark.md").read_text()
    assert "| with_skill | 100% |" in text and "Against previous: Better: on 6 cases" in text


def test_an_unchanged_skill_is_compared_with_none_first(flow: Flow) -> None:
    flow.measured()
    again = flow.measured()
    assert [compared["against"] for compared in again["comparisons"]] == ["baseline", "previous"]
    assert any("the two cannot differ" in note for note in again["notes"])


def test_too_few_cases_settle_nothing_and_the_figures_say_so(flow: Flow) -> None:
    figures = flow.measured(3)
    assert figures["decision"]["kind"] == "inconclusive"
    assert figures["decision"]["ci95"] is None
    assert any(note.startswith("With 3 cases nothing can be settled") for note in figures["notes"])


def test_outputs_that_code_decides_need_no_gradings(flow: Flow) -> None:
    flow.start()
    flow.write("test-cases.json", cases(6, [{"contains": "MAGIC"}]))
    flow.audit("continue")
    assert flow.run()["runs"]["to_grade"] == 0
    assert flow.check_gradings()["graded"] == 0
    assert flow.aggregate()["arms"]["with_skill"]["pass_rate"] == 0


def test_arms_that_all_give_no_text_bring_no_figures(flow: Flow, server: ModelServer) -> None:
    server.answer = lambda *_: ""
    flow.start()
    flow.write("test-cases.json", cases(6))
    flow.audit("continue")
    assert flow.run()["runs"]["to_grade"] == 0
    figures = flow.aggregate()
    assert (figures["roi"], figures["arms"]["with_skill"]["pass_rate"]) == ([], 0)
    assert str(figures["decision"]["reason"]).startswith("No better: on 6 cases the pass rate does not change ")
    silent = "Answers without a text, which fail: 6 of 6 of the with_skill, 6 of 6 of the baseline."
    assert figures["notes"][-1] == silent and f"- {silent}" in flow.file("benchmark.md").read_text()
    assert flow.accept(measured=True)["roi"][0]["performance_increase"] == "not measured"
