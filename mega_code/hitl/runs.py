"""The A/B runs of an iteration: every case in every arm, by one model without tools."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import NamedTuple, Optional

from mega_code import workspace
from mega_code.console import say
from mega_code.envelope import Envelope
from mega_code.errors import MegaCodeError
from mega_code.evaluation import arms, folder, grading
from mega_code.evaluation.budget import Budget, BudgetSpent, Limits, most_tokens
from mega_code.evaluation.calls import Calls
from mega_code.evaluation.cases import Case
from mega_code.evaluation.executor import executor
from mega_code.evaluation.life import Life
from mega_code.evaluation.models.base import Completion, Model, ModelError, Request
from mega_code.evaluation.outcome import JSON
from mega_code.evaluation.store import Store
from mega_code.files import write_json
from mega_code.hitl import host, testcases, trust
from mega_code.hitl.asking import Slice
from mega_code.hitl.progress import Line
from mega_code.paths import DataDir
from mega_code.workspace import Iteration

WITH_SKILL, BASELINE, PREVIOUS = "with_skill", arms.BASELINE, "previous"
SEED = 0
RUN = "hitl.sh run makes it"


class Task(NamedTuple):
    """One run to be made."""

    case: Case
    arm: str
    repeat: int
    request: Request


class Wanted(NamedTuple):
    """What is asked for: `model` as `MEGA_CODE_MODEL`, None for the usual one; `max_wait_s` 0 for no limit."""

    model: Optional[str]
    repeats: int
    max_wait_s: float
    plan_only: bool


def run(iteration: Iteration, data: DataDir, wanted: Wanted, env: Mapping[str, str]) -> Envelope:
    """Make the runs, or say what they would take.

    Raises MegaCodeError: those of `trust.permit`, `testcases.load` and `host.model`, `budget_spent` before or while it
    is spent, `model_failure`.
    """
    trust.permit(iteration)
    cases = testcases.load(iteration)
    limits, model = Limits.from_env(env), host.model(wanted.model, env)
    texts = arm_texts(iteration, data)
    tasks = [
        Task(case, arm, repeat, Request("task", text, case.prompt, repeat, limits.output_tokens))
        for arm, text in texts.items()
        for case in cases
        for repeat in range(wanted.repeats)
    ]
    with ExitStack() as stack, _troubles():
        store = stack.enter_context(closing(Store(iteration.store)))
        pool = executor(env)
        stack.callback(pool.shutdown, wait=False)
        stack.callback(model.close)
        job, slice_ = iteration.folder.name, Slice(wanted.max_wait_s)
        budget = Budget(limits, store.spent(job))
        calls = Calls(model, store, job, budget, pool, limits.concurrency, slice_.check, patience_s=limits.patience_s)
        planned = _plan(iteration, calls, tasks, wanted.repeats)
        if wanted.plan_only:
            return {"plan": planned}
        return _make(iteration, calls, tasks, cases, slice_, planned)


@contextmanager
def _troubles() -> Iterator[None]:
    """What can go wrong while it is asked, as an error with a code; what was answered is remembered all the same."""
    try:
        yield
    except BudgetSpent as error:
        raise MegaCodeError("budget_spent", f"{error} What was answered is kept.") from None
    except ModelError as error:
        raise MegaCodeError("model_failure", f"{error} What was answered is kept.") from None
    except sqlite3.Error as error:
        raise MegaCodeError("invalid_path", f"The answers cannot be kept: {error}.") from None


def arm_texts(iteration: Iteration, data: DataDir) -> dict[str, str]:
    """The text of each arm. Raises MegaCodeError where a skill cannot be read."""
    texts = {WITH_SKILL: _text(iteration), BASELINE: ""}
    if iteration.number > 1:
        texts[PREVIOUS] = _text(workspace.find(data, iteration.skill_name, iteration.number - 1))
    return texts


def _text(iteration: Iteration) -> str:
    try:
        return folder.read(iteration.untouched(), iteration.skill_name).text
    except OSError as error:
        raise MegaCodeError("missing_iteration", f"{str(iteration.original)!r} cannot be read: {error}.") from None


def _plan(iteration: Iteration, calls: Calls, tasks: Sequence[Task], repeats: int) -> JSON:
    """What the runs take at most, told before anything is spent. Raises MegaCodeError `budget_spent`."""
    keys = {calls.key(task.request): task.request for task in tasks}
    missing = [request for key, request in keys.items() if not calls.store.knows(calls.job, key)]
    tokens = sum(sum(most_tokens(request, calls.model.overhead_tokens)) for request in missing)
    say(
        f"{len(tasks)} runs of {calls.model.name}: {len(keys) - len(missing)} are known,"
        f" {len(missing)} calls at most are to be made, with {tokens} tokens at most"
    )
    limit = calls.budget.limits.calls
    left = limit - calls.store.spent(calls.job).calls
    if len(missing) > left:
        raise MegaCodeError(
            "budget_spent",
            f"It takes {len(missing)} calls, and MEGA_CODE_MAX_CALLS ({limit}) leaves {left}. Nothing was spent.",
        )
    return {
        "skill_name": iteration.skill_name,
        "iteration": iteration.number,
        "model": calls.model.name,
        "repeats": repeats,
        "runs": len(tasks),
        "calls_at_most": len(missing),
        "tokens_at_most": tokens,
    }


def _make(
    iteration: Iteration, calls: Calls, tasks: Sequence[Task], cases: Sequence[Case], slice_: Slice, planned: JSON
) -> Envelope:
    missing = [task.request for task in tasks if not calls.store.knows(calls.job, calls.key(task.request))]
    line = Line("runs", len(tasks), slice_.clock)
    life = Life(calls.store, calls.job)

    def tell(landed: int) -> None:
        line.tell(len(tasks) - len(missing) + landed)
        life.tick()

    try:
        done = slice_.ask(calls, missing, tell)
    finally:
        life.note()
    head = {key: planned[key] for key in ("skill_name", "iteration", "model", "repeats", "runs")}
    if not done:
        known = sum(calls.store.knows(calls.job, calls.key(task.request)) for task in tasks)
        say(f"{known} of {len(tasks)} runs are made; run it again to go on")
        return {"timeout": {"job_id": None, "elapsed_s": slice_.elapsed_s(), **head, "done": known}}
    answers = calls.complete_all([task.request for task in tasks])
    to_grade = keep(iteration, calls.model, planned["repeats"], tasks, answers, cases)
    used = calls.store.usage(calls.job)
    say(f"{len(tasks)} runs are made, with {used.calls} calls in all; {to_grade} outputs are to be graded")
    return {"runs": {**head, "to_grade": to_grade, **used._asdict()}}


def _name(iteration: Iteration, task: Task, answer: Completion) -> str:
    """What tells an output without its arm; another one for another output, so that no grading is taken for its own."""
    told = [SEED, iteration.skill_name, task.case.id, task.arm, task.repeat, answer.text]
    return f"r{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:10]}"


def keep(
    iteration: Iteration,
    model: Model,
    repeats: int,
    tasks: Sequence[Task],
    answers: Sequence[Completion],
    cases: Sequence[Case],
) -> int:
    """Write the runs, and what is to be graded of them without a word on arms; gives how many outputs that is."""
    names = [_name(iteration, task, answer) for task, answer in zip(tasks, answers)]
    order = sorted(range(len(tasks)), key=names.__getitem__)
    runs = [
        {
            "run": names[index],
            "case": task.case.id,
            "arm": task.arm,
            "repeat": task.repeat,
            "text": answer.text,
            "outcome": answer.outcome,
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
        }
        for index, (task, answer) in enumerate(zip(tasks, answers))
    ]
    waiting = [
        {
            "run": names[index],
            "task": tasks[index].case.prompt,
            "output": answers[index].text,
            "expectations": [expectation.text for expectation in grading.judged(tasks[index].case)],
        }
        for index in order
        if tasks[index].case.needs_judge and arms.answered(answers[index])
    ]
    write_json(iteration.folder / workspace.TO_GRADE, {"skill_name": iteration.skill_name, "outputs": waiting})
    texts = {task.arm: task.request.system for task in tasks}
    body = {
        "model": model.name,
        "repeats": repeats,
        "arms": list(texts),
        "unchanged": texts.get(PREVIOUS) == texts[WITH_SKILL],
        "cases": testcases.digest(cases),
    }
    write_json(iteration.folder / workspace.RUNS, {**body, "runs": runs})
    return len(waiting)
