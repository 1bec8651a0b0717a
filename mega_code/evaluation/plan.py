"""How a job spends its calls: decided, and told, before the first one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from mega_code.evaluation import generate, grading, proposals, triggers
from mega_code.evaluation.arms import JUDGE_ATTEMPTS
from mega_code.evaluation.cases import Case
from mega_code.evaluation.models.base import size
from mega_code.evaluation.sampling import CASES_A_BATCH, QUERIES_A_BATCH
from mega_code.evaluation.stamp import STAMP_BYTES
from mega_code.evaluation.triggers import Trigger

REPEATS = 3
ITERATIONS = 10
FEWEST_ITERATIONS = (3, 2, 1)  # for 3, 2 and 1 repeats
GENERATED_EXPECTATIONS = 50
BYTES_OF_A_TOKEN = 4  # about, in what people write
FRAME = 256  # bytes of marks, headings and numbers around a text
ANSWER = 2048  # tokens of an answer to a query


class Half(NamedTuple):
    """One half of the material. `judged` counts the cases that need a judge; the sizes are sums in UTF-8 bytes.

    `asked_bytes` is what judges get of the task and its expectations, `judge_tokens` what they may answer.
    """

    cases: int = 0
    judged: int = 0
    prompt_bytes: int = 0
    asked_bytes: int = 0
    judge_tokens: int = 0
    queries: int = 0
    query_bytes: int = 0


class Sizes(NamedTuple):
    """What a job works on. `overhead` and `loader_overhead` are tokens that a model, and what loads skills, add to a call.

    `generated_...` say that cases (or queries) are written by the model, so that these figures are the most there will
    be.
    """

    train: Half
    held_out: Half
    generated_cases: bool
    generated_queries: bool
    models: int
    skill_bytes: int
    output_tokens: int
    overhead: int = 0
    loader_overhead: int = 0


class Most(NamedTuple):
    """A number of calls, and no fewer tokens than they can use."""

    calls: int
    tokens: int

    def __add__(self, other: tuple[Any, ...]) -> Most:
        return Most(self.calls + other[0], self.tokens + other[1])

    def times(self, number: int) -> Most:
        """So often."""
        return Most(number * self.calls, number * self.tokens)


class Plan(NamedTuple):
    """`calls` and `tokens` are the most that the job can use; failed calls that are sent again come on top of it.

    `iterations` are the most there can be, where all but one give a candidate that is dropped early. `room` is how many
    calls must be left before one begins: for the whole of it, and for the comparison at the end.
    """

    repeats: int
    iterations: int
    calls: int
    tokens: int
    room: int

    def as_json(self) -> dict[str, Any]:
        """The plan as the result carries it."""
        return {key: getattr(self, key) for key in ("repeats", "iterations", "calls", "tokens")}


class TooSmall(Exception):
    """No plan fits the budget; the message says how many calls, or tokens, would do."""


def half(found: Sequence[Case], queries: Sequence[Trigger]) -> Half:
    """The size of one half."""
    judged = [case for case in found if case.needs_judge]
    prompts = sum(size(case.prompt) for case in found)
    asked = sum(size(case.prompt) + case.expected_bytes for case in judged)
    answers = sum(map(grading.judge_tokens, judged))
    return Half(len(found), len(judged), prompts, asked, answers, len(queries), sum(size(one.query) for one in queries))


def unknown_cases(of: Half) -> Half:
    """`of` with the most that half of the cases to be generated can be."""
    cases, most = generate.CASES // 2, generate.CASE_BYTES
    tokens = grading.JUDGE_TOKENS + GENERATED_EXPECTATIONS * grading.JUDGE_TOKENS_EACH
    return of._replace(
        cases=cases, judged=cases, prompt_bytes=cases * most, asked_bytes=2 * cases * most, judge_tokens=cases * tokens
    )


def unknown_queries(of: Half) -> Half:
    """`of` with the most that half of the queries to be generated can be."""
    queries = generate.TRIGGERS // 2 + 1
    return of._replace(queries=queries, query_bytes=queries * generate.QUERY_BYTES)


def plan(sizes: Sizes, max_calls: int, max_tokens: Optional[int] = None) -> Plan:
    """The plan with the most repeats that leaves room for a search: for one iteration that is measured on all of train,
    at least. Raises TooSmall.

    It takes every judge to answer well. Calls take a small part of the tokens that they can, so a limit on those only
    rules a plan out that passes it with its questions alone.
    """
    for repeats, fewest in zip(range(REPEATS, 0, -1), FEWEST_ITERATIONS):
        least = _fixed(sizes, repeats, 1) + _iteration(sizes, 1)
        iterations = min(ITERATIONS, 1 + (max_calls - least.calls) // _dropped(sizes))
        if iterations >= fewest and (max_tokens is None or _asked(sizes, repeats) <= max_tokens):
            worst = _fixed(sizes, repeats, JUDGE_ATTEMPTS) + _iteration(sizes, JUDGE_ATTEMPTS).times(iterations)
            tokens = worst.tokens if max_tokens is None else min(max_tokens, worst.tokens)
            room = _last(sizes, repeats, 1) + _iteration(sizes, 1)
            return Plan(repeats, iterations, min(max_calls, worst.calls), tokens, room.calls)
    least = _fixed(sizes, 1, 1) + _iteration(sizes, 1)
    if least.calls > max_calls:
        raise TooSmall(f"this job needs at least {least.calls} calls, and MEGA_CODE_MAX_CALLS is {max_calls}")
    raise TooSmall(
        f"the questions of the shortest job with these cases are about {_asked(sizes, 1):,} tokens, and"
        f" MEGA_CODE_MAX_TOKENS is {max_tokens:,}"
    )


def _asked(sizes: Sizes, repeats: int) -> int:
    """About how many tokens the tasks of the two standing arms and of one candidate are, without any answer."""
    runs = sizes.train.cases + repeats * sizes.held_out.cases
    prompts = sizes.train.prompt_bytes + repeats * sizes.held_out.prompt_bytes
    return (3 * prompts + 2 * runs * sizes.skill_bytes) // BYTES_OF_A_TOKEN + 3 * runs * sizes.overhead


def _fixed(sizes: Sizes, repeats: int, judges: int) -> Most:
    """Everything but the iterations: generation, the two standing arms, and the comparison at the end."""
    generated = generate.CASE_CALLS * sizes.generated_cases + generate.TRIGGER_CALLS * sizes.generated_queries
    arms = Most(0, 0)
    for text in (0, sizes.skill_bytes):
        arms += _arm(sizes, sizes.train, text, 1, judges) + _arm(sizes, sizes.held_out, text, repeats, judges)
    queries = _queries(sizes, sizes.train) + _queries(sizes, sizes.held_out)
    return _generating(sizes).times(generated) + arms + queries + _last(sizes, repeats, judges)


def _last(sizes: Sizes, repeats: int, judges: int) -> Most:
    """The comparison on held-out: the candidate, and every arm of every further model."""
    text = proposals.most_bytes(sizes.skill_bytes) + STAMP_BYTES
    arm = _arm(sizes, sizes.held_out, text, repeats, judges)
    return _queries(sizes, sizes.held_out) + arm.times(1 + 3 * (sizes.models - 1))


def _iteration(sizes: Sizes, judges: int) -> Most:
    """One that gives a candidate which is run on all of train."""
    text = proposals.most_bytes(sizes.skill_bytes)
    return _proposing(sizes) + _arm(sizes, sizes.train, text, 1, judges) + _queries(sizes, sizes.train)


def _dropped(sizes: Sizes) -> int:
    """The calls of an iteration whose candidate is dropped after its batch, where every judge answers well."""
    batch = min(CASES_A_BATCH, sizes.train.cases)
    return 1 + max(batch + min(batch, sizes.train.judged), min(QUERIES_A_BATCH, sizes.train.queries))


# The most that calls of a kind can use. No token stands for less than a byte.


def _arm(sizes: Sizes, half: Half, text_bytes: int, repeats: int, judges: int) -> Most:
    """A skill text run on one half, and graded with `judges` attempts each."""
    task = text_bytes + sizes.output_tokens + sizes.overhead
    output = grading.BYTES_A_TOKEN * sizes.output_tokens
    judge = len(grading.JUDGE_SYSTEM) + FRAME + output + sizes.overhead
    tasks = Most(half.cases, half.prompt_bytes + half.cases * task)
    judged = Most(half.judged, half.asked_bytes + half.judge_tokens + half.judged * judge)
    return tasks.times(repeats) + judged.times(repeats * judges)


def _queries(sizes: Sizes, half: Half) -> Most:
    others = len(triggers.SYSTEM) + sum(len(name) + len(text) + FRAME for name, text in triggers.OTHERS.items())
    one = others + 4 * proposals.DESCRIPTION_CHARACTERS + FRAME + ANSWER + sizes.loader_overhead
    return Most(half.queries, half.query_bytes + half.queries * one)


def _proposing(sizes: Sizes) -> Most:
    """A new body, which takes more than a new description."""
    text = proposals.most_bytes(sizes.skill_bytes)
    seen = CASES_A_BATCH * 3 * (proposals.PART_BYTES + FRAME) + proposals.TRIED * (proposals.CHANGE_BYTES + FRAME)
    words = len(proposals.SYSTEM) + len(proposals.DESCRIPTION_ORDER) + 4 * FRAME
    return Most(1, words + text + seen + proposals.body_tokens(text) + sizes.overhead)


def _generating(sizes: Sizes) -> Most:
    known = generate.CASES * (generate.KNOWN_BYTES + FRAME)
    words = len(generate.SYSTEM) + len(generate.CASES_PROMPT) + FRAME
    return Most(
        1, words + known + min(generate.SKILL_BYTES, sizes.skill_bytes) + generate.OUTPUT_TOKENS + sizes.overhead
    )
