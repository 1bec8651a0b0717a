"""How a job spends its calls: decided, and told, before the first one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mega_code.evaluation import generate, grading, triggers
from mega_code.evaluation.arms import JUDGE_ATTEMPTS
from mega_code.evaluation.cases import Case
from mega_code.evaluation.optimize import CASES_A_BATCH, QUERIES_A_BATCH

REPEATS = 3
ITERATIONS = 10
FEWEST_ITERATIONS = (3, 2, 1)  # for 3, 2 and 1 repeats
GROWTH = 2  # how large a candidate may be beside the original


class Sizes(NamedTuple):
    """What a job works on. `judged` and `held_judged` count the cases that need a judge; sizes in UTF-8 bytes.

    `generated` says that cases (or queries) are written by the model, so that these figures are the most there will be.
    """

    train: int
    held_out: int
    train_judged: int
    held_judged: int
    train_queries: int
    held_queries: int
    generated_cases: bool
    generated_queries: bool
    models: int
    skill_bytes: int
    prompt_bytes: int
    output_tokens: int


class Plan(NamedTuple):
    """`calls` and `tokens` are the most that the job can use; failed calls that are sent again come on top of it."""

    repeats: int
    iterations: int
    calls: int
    tokens: int
    reserve_calls: int

    def as_json(self) -> dict[str, Any]:
        """The plan as the result carries it."""
        return {key: getattr(self, key) for key in ("repeats", "iterations", "calls", "tokens")}


class TooSmall(Exception):
    """No plan fits the budget; the message says how many calls would do."""


def sizes(
    train: Sequence[Case], held_out: Sequence[Case], queries: tuple[int, int], own_queries: bool, **others: int
) -> Sizes:
    """The sizes of a job with cases of its own; `queries` are its train and held-out trigger queries."""
    prompts = [len(case.prompt.encode("utf-8", "replace")) for case in (*train, *held_out)]
    train_judged, held_judged = (sum(case.needs_judge for case in half) for half in (train, held_out))
    return Sizes(
        len(train), len(held_out), train_judged, held_judged, *queries, False, not own_queries,
        prompt_bytes=max(prompts, default=0), **others,
    )  # fmt: skip


def unknown(queries: tuple[int, int], own_queries: bool, **others: int) -> Sizes:
    """The sizes of a job whose cases are still to be generated."""
    half = generate.CASES // 2
    return Sizes(half, half, half, half, *queries, True, not own_queries, prompt_bytes=4096, **others)


def plan(size: Sizes, max_calls: int) -> Plan:
    """The plan with the most repeats that leaves room for a search. Raises TooSmall."""
    for repeats, fewest in zip(range(REPEATS, 0, -1), FEWEST_ITERATIONS):
        fixed = _fixed(size, repeats, 1)
        iterations = min(ITERATIONS, (max_calls - fixed) // _iteration(size, 1, accepted=False))
        if iterations >= fewest:
            worst = _fixed(size, repeats, JUDGE_ATTEMPTS) + iterations * _iteration(size, JUDGE_ATTEMPTS, True)
            calls = min(max_calls, worst)
            return Plan(repeats, iterations, calls, calls * _tokens_a_call(size), _last(size, repeats, 1))
    needed = _fixed(size, 1, 1) + _iteration(size, 1, accepted=False)
    raise TooSmall(f"this job needs at least {needed} calls, and MEGA_CODE_MAX_CALLS is {max_calls}")


def iteration_calls(size: Sizes) -> int:
    """The most calls that one iteration takes where every judge answers well."""
    return _iteration(size, 1, accepted=True)


def _fixed(size: Sizes, repeats: int, judges: int) -> int:
    """Everything but the iterations: generation, the two standing arms, and the comparison at the end."""
    generated = generate.CASE_CALLS * size.generated_cases + generate.TRIGGER_CALLS * size.generated_queries
    train = size.train + judges * size.train_judged
    queries = size.train_queries + size.held_queries
    return generated + 2 * (train + _held(size, repeats, judges)) + queries + _last(size, repeats, judges)


def _last(size: Sizes, repeats: int, judges: int) -> int:
    """The comparison on held-out: the candidate, and every arm of every further model."""
    return size.held_queries + (1 + 3 * (size.models - 1)) * _held(size, repeats, judges)


def _held(size: Sizes, repeats: int, judges: int) -> int:
    return repeats * (size.held_out + judges * size.held_judged)


def _iteration(size: Sizes, judges: int, accepted: bool) -> int:
    if accepted:
        return 1 + size.train + judges * size.train_judged + size.train_queries
    batch = min(CASES_A_BATCH, size.train)
    cases = batch + judges * min(batch, size.train_judged)
    return 1 + max(cases, min(QUERIES_A_BATCH, size.train_queries))


def _tokens_a_call(size: Sizes) -> int:
    """A bound for any one call: no token stands for less than a byte."""
    skill, output = GROWTH * size.skill_bytes, 4 * size.output_tokens
    task = skill + size.prompt_bytes + size.output_tokens
    judge = len(grading.JUDGE_SYSTEM) + size.prompt_bytes + output + grading.JUDGE_OUTPUT_TOKENS
    propose = skill + CASES_A_BATCH * (size.prompt_bytes + 4 * 1024) + 16 * 1024
    return max(task, judge, propose, sum(map(len, triggers.OTHERS.values())))
