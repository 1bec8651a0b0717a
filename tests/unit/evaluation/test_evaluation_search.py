"""The search and its budget: what is resumed, what ends it, and that no job passes its plan."""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any, Optional

import pytest

from mega_code.evaluation import Outcome, generate, plan
from mega_code.evaluation.budget import Budget, Limits, Spent
from mega_code.evaluation.material import gather
from mega_code.evaluation.models import choose
from mega_code.evaluation.models.base import Completion
from mega_code.evaluation.plan import TooSmall
from support.evaluation import BETTER, SKILL, Steps, evals, knowing, run, triggers, write_skill
from support.model_server import Answer, ModelServer, Reply

pytest.importorskip("gepa")


class Killed(BaseException):
    """As the gateway's own."""


class Stops(Steps):
    """Dies at iteration `at`."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def iteration(self, current: int, total: int) -> None:
        super().iteration(current, total)
        if current == self.at:
            raise Killed


def enhance(server: ModelServer, root: Path, steps: Optional[Steps] = None, **given: Any) -> Outcome:
    skill = root / "a skill"
    if not skill.exists():
        write_skill(skill, cases=evals(12), queries=given.pop("queries", triggers(4)))
    return run(root / "a job", skill, {**server.env, "MEGA_CODE_CONCURRENCY": "4", **given}, steps)


@pytest.mark.parametrize("left", [b"no pickle", None], ids=["garbage", "cut"])
def test_a_search_whose_state_cannot_be_read_starts_anew_and_ends_the_same(tmp_path: Path, left: Any) -> None:
    with ModelServer(knowing()) as server:
        with pytest.raises(Killed):
            enhance(server, tmp_path, Stops(3))
        (state,) = (tmp_path / "a job" / "job-1").glob("search-*/gepa_state.bin")
        state.write_bytes(state.read_bytes()[:-20] if left is None else left)
        again = enhance(server, tmp_path)
        assert server.count() == again.usage_snapshot["calls"]
    with ModelServer(knowing()) as server:
        whole = enhance(server, tmp_path / "undisturbed")
    assert again.artifact_kind == "enhanced"
    assert (again.lineage, again.files, again.usage_snapshot["calls"]) == (
        whole.lineage,
        whole.files,
        whole.usage_snapshot["calls"],
    )


def test_another_limit_than_in_the_attempt_before_is_another_search(tmp_path: Path) -> None:
    with ModelServer(knowing()) as server:
        with pytest.raises(Killed):
            enhance(server, tmp_path, Stops(3))
        outcome = enhance(server, tmp_path, MEGA_CODE_MAX_OUTPUT_TOKENS="1999")
    assert outcome.artifact_kind == "enhanced"
    assert len(list((tmp_path / "a job" / "job-1").glob("search-*"))) == 2


def test_a_proposal_that_was_cut_is_no_candidate_and_proposals_that_give_none_end_the_search(tmp_path: Path) -> None:
    def answer(role: str, system: str, prompt: str) -> Answer:
        cut = Reply(f"~~~~\n{BETTER}", finish="length")
        return cut if role == "propose" else str(knowing()(role, system, prompt))

    with ModelServer(answer) as server:
        outcome = enhance(server, tmp_path)
        assert server.count("propose") == 4
    assert [entry["why"] for entry in outcome.lineage[1:]] == [
        "dropped: not usable, the answer was cut before its end"
    ] * 4
    assert outcome.artifact_kind == "source"


def test_a_budget_that_ends_in_the_search_leaves_what_the_decision_needs(tmp_path: Path) -> None:
    numbers = itertools.count()

    def answer(role: str, system: str, prompt: str) -> Answer:
        text = str(knowing(f"{BETTER}{next(numbers)}\n")(role, system, prompt))
        return Reply(text, usage={"prompt_tokens": 400, "completion_tokens": 100})

    with ModelServer(answer) as server:
        outcome = enhance(server, tmp_path, MEGA_CODE_MAX_TOKENS="50000", MEGA_CODE_MAX_OUTPUT_TOKENS="200")
    used = outcome.usage_snapshot
    assert used["input_tokens"] + used["output_tokens"] <= 50_000
    assert (outcome.status, outcome.artifact_kind) == ("succeeded", "enhanced"), outcome.reason
    assert len(outcome.lineage) < 10


def test_what_was_measured_is_told_where_the_model_fails_in_the_search(tmp_path: Path) -> None:
    def answer(role: str, system: str, prompt: str) -> Answer:
        if role == "propose":
            return Reply(status=401)
        return str(knowing()(role, system, prompt))

    with ModelServer(answer) as server:
        outcome = enhance(server, tmp_path)
    assert outcome.status == "enhancement_blocked"
    assert str(outcome.reason).startswith("The model could not be used any longer: ")
    assert outcome.evaluation["arms"]["original"]["pass_rate"] == 0 and len(outcome.lineage) == 1


def test_a_budget_has_room_only_for_what_calls_like_those_before_would_take() -> None:
    budget = Budget(Limits(calls=10, tokens=1000), Spent(4, 400, 0.0))
    assert budget.has_room(4) and not budget.has_room(5) and not Budget(Limits(calls=5), Spent(4)).has_room(2)
    assert not Budget(Limits(cost_usd=1.0), Spent(4, 400, 0.9)).has_room(1)


def worst() -> Any:
    """A model for which every judge's answer is malformed, no two answers are alike, and each proposal is shorter."""
    numbers = itertools.count(1)
    lengths = (int(360 * 0.7**number) for number in itertools.count(1))

    def answer(role: str, system: str, prompt: str) -> Answer:
        if role == "generate" and "should_trigger" in prompt:
            return json.dumps(triggers(20))
        if role == "generate":
            made = [{"prompt": f"Question {next(numbers)}", "expectations": ["Good"]} for _ in range(8)]
            return json.dumps({"evals": made})
        if role == "propose":
            return f"~~~~\n# Demo\n\n{'x' * next(lengths)}\n~~~~"
        if "The skills:" in prompt:
            return "none"
        usage = {"prompt_tokens": len((system + prompt).encode()), "completion_tokens": 1}
        return Reply(f"word {next(numbers)}", usage=usage)

    return answer


@pytest.mark.parametrize(
    ("cases", "queries", "models", "calls"),
    [
        (12, 4, "openai:one", 900),
        (13, 7, "openai:one,openai:two", 900),
        (None, None, "openai:one", 900),
        (12, 4, "openai:one", 80),
    ],
)
def test_no_job_makes_more_calls_or_takes_more_tokens_than_its_plan(
    tmp_path: Path, cases: Optional[int], queries: Optional[int], models: str, calls: int
) -> None:
    with ModelServer(worst()) as server:
        skill = write_skill(
            tmp_path / "a skill",
            SKILL.replace("Answer politely.", "Answer politely. " + "Long. " * 60),
            None if cases is None else evals(cases, ["Good", {"contains": "word"}]),
            None if queries is None else triggers(queries),
        )
        env = {**server.env, "MEGA_CODE_MODEL": models, "MEGA_CODE_MAX_CALLS": str(calls)}
        limits = Limits.from_env(env)
        planned = plan.plan(gather(skill, "demo").sizes(choose(models, env), limits.output_tokens), calls)
        outcome = run(tmp_path / "a job", skill, {**env, "MEGA_CODE_CONCURRENCY": "8"})
        assert server.count() <= planned.calls <= calls
    used = outcome.usage_snapshot
    assert used["input_tokens"] + used["output_tokens"] <= planned.tokens
    assert outcome.evaluation.get("plan", planned.as_json()) == planned.as_json()


def test_a_plan_never_passes_its_limit_and_says_what_the_least_is(tmp_path: Path) -> None:
    skill = write_skill(tmp_path / "a skill", cases=evals(16, ["Good"]), queries=triggers(6))
    models = choose("openai:one", {"MEGA_CODE_MODEL_URL": "http://127.0.0.1:1"})
    size = gather(skill, "demo").sizes(models, 2048)
    found = {}
    for calls in range(1, 700):
        with contextlib.suppress(TooSmall):
            found[calls] = plan.plan(size, calls)
    assert list(found) == list(range(min(found), 700))
    assert all(one.calls <= calls for calls, one in found.items())
    assert [one.repeats for one in found.values()] == sorted(one.repeats for one in found.values())
    with pytest.raises(TooSmall, match=f"at least {min(found)} calls"):
        plan.plan(size, 1)


class Writes:
    """A model that writes what it is told, call by call."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.prompts: list[str] = []

    def complete_all(self, requests: Any) -> list[Completion]:
        self.prompts.append(requests[0].prompt)
        text = self.answers.pop(0)
        return [Completion(text if isinstance(text, str) else json.dumps(text), "m", 1, 1, 0.0)]


def made(*prompts: str) -> list[dict[str, Any]]:
    return [{"prompt": prompt, "expectations": ["Good"]} for prompt in prompts]


def test_generated_cases_are_of_use_different_and_numbered_and_the_rest_is_named() -> None:
    model = Writes(
        {"evals": [*made("One", " one ", "x" * 5000), {"prompt": "", "expectations": ["Good"]}]},
        "Sorry.",
        {"tests": made("Two")},
        made(*(f"More {n}" for n in range(30))),
    )
    found = generate.generate_cases(SKILL, model)
    assert [case.id for case in found.items] == [str(n) for n in range(1, 25)]
    assert [case.prompt for case in found.items][:3] == ["One", "Two", "More 0"]
    assert found.notes == [
        "evals[3].prompt must be a text of 1 to 65536 characters.",
        "A task was written twice, and counts once.",
        "A task or its expectations are over 4096 bytes.",
        "Call 2 for cases gave no list of them.",
    ]
    assert "- One\n" in model.prompts[1] and SKILL in model.prompts[0]


def test_queries_are_generated_in_two_calls_at_most() -> None:
    found = generate.generate_triggers(SKILL, Writes("Sorry.", {"queries": [*triggers(30), {"query": 1}]}))
    assert len(found.items) == 20 and found.notes == [
        "Call 1 for triggers gave no list of them.",
        "triggers[30].query must be a text of 1 to 4096 characters.",
    ]
