"""Arms: the sides of a comparison, run over cases and graded."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple, Protocol

from mega_code.evaluation import grading
from mega_code.evaluation.cases import Case
from mega_code.evaluation.decision import Score
from mega_code.evaluation.grading import Malformed, Verdict
from mega_code.evaluation.models.base import Completion, Request

BASELINE, ORIGINAL, CANDIDATE = "baseline", "original", "candidate"
JUDGE_ATTEMPTS = 2


class Completer(Protocol):
    """Gives the completions of requests, in their order; `calls.Calls` is one."""

    def complete_all(self, requests: Sequence[Request]) -> list[Completion]: ...


class Models(NamedTuple):
    """Who answers the tasks, and who judges; both may be one."""

    task: Completer
    judge: Completer
    output_tokens: int


class Run(NamedTuple):
    """One output of one arm for one case, with its verdicts. `problems` says where its grading itself failed."""

    case: Case
    repeat: int
    completion: Completion
    verdicts: tuple[Verdict, ...]
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> float:
        """The part of the expectations that it meets, 0 to 1."""
        return fmean(verdict.passed for verdict in self.verdicts)

    @property
    def tokens(self) -> int:
        """Input and output; the skill's own text is part of the input."""
        return self.completion.input_tokens + self.completion.output_tokens


class Measured(NamedTuple):
    """An arm's runs of one case, one for each repeat."""

    case: Case
    runs: tuple[Run, ...]

    @property
    def score(self) -> Score:
        """Expectations and repeats averaged; the case is the unit of every statistic."""
        return Score(fmean(run.passed for run in self.runs), fmean(run.tokens for run in self.runs))

    def as_json(self) -> dict[str, Any]:
        """The case as the result carries it."""
        passed, tokens = self.score
        return {
            "score": round(passed, 6),
            "tokens": round(tokens, 1),
            "verdicts": [{**verdict.as_json(), "repeat": run.repeat} for run in self.runs for verdict in run.verdicts],
            "problems": [problem for run in self.runs for problem in run.problems],
        }


def measure(
    texts: Mapping[str, str], cases: Sequence[Case], repeats: int, models: Models, seed: int
) -> dict[str, list[Measured]]:
    """Run every arm over `cases` and grade what comes: for each arm its cases, in order.

    `texts` gives an arm's skill text, empty for none; it is the system message, and the prompt is the case's own.
    Judges see the outputs of all arms in a shuffled order and never which arm one is from.
    """
    tasks = [(arm, case, repeat) for arm in texts for case in cases for repeat in range(repeats)]
    requests = [Request("task", texts[arm], case.prompt, repeat, models.output_tokens) for arm, case, repeat in tasks]
    answers = models.task.complete_all(requests)
    outputs = [(case, repeat, answer) for (_, case, repeat), answer in zip(tasks, answers)]
    order = list(range(len(outputs)))
    random.Random(seed).shuffle(order)
    graded = dict(zip(order, _grade([outputs[index] for index in order], models.judge)))
    found: dict[str, dict[str, list[Run]]] = {arm: {} for arm in texts}
    for index, (arm, case, _) in enumerate(tasks):
        found[arm].setdefault(case.id, []).append(graded[index])
    return {arm: [Measured(case, tuple(runs[case.id])) for case in cases] for arm, runs in found.items()}


Output = tuple[Case, int, Completion]


def _grade(outputs: Sequence[Output], judge: Completer) -> list[Run]:
    """The runs of `outputs`; what a judge does not grade in `JUDGE_ATTEMPTS` fails, and says so."""
    judgements: dict[int, list[Verdict]] = {}
    problems: dict[int, str] = {}
    waiting = [i for i, (case, _, answer) in enumerate(outputs) if case.needs_judge and answered(answer)]
    for attempt in range(JUDGE_ATTEMPTS):
        asked = [grading.judge_request(outputs[i][0], outputs[i][2].text, attempt) for i in waiting]
        for i, answer in zip(waiting, judge.complete_all(asked)):
            try:
                judgements[i] = grading.read_judgement(answer.text, outputs[i][0], outputs[i][2].text)
            except Malformed as error:
                problems[i] = str(error)
        waiting = [i for i in waiting if i not in judgements]
    for i in waiting:
        problems[i] = f"Not graded: {problems[i]}, {JUDGE_ATTEMPTS} times in a row."
        judgements[i] = grading.ungraded(outputs[i][0], problems[i])
    return [
        graded(output, judgements.get(i, []), [problems[i]] if i in waiting else []) for i, output in enumerate(outputs)
    ]


def answered(completion: Completion) -> bool:
    """Whether there is an output that can be graded."""
    return completion.outcome not in ("refused", "empty")


def graded(output: Output, judgement: Sequence[Verdict], problems: Iterable[str] = ()) -> Run:
    """The run of an output, of whose expectations `judgement` has the verdicts that code cannot give."""
    case, repeat, completion = output
    if not answered(completion):
        return Run(case, repeat, completion, tuple(grading.unanswered(case, completion)))
    decided = [grading.by_code(e, completion.text) for e in case.expectations if e.kind != "judge"]
    return Run(case, repeat, completion, tuple(grading.in_order(case, decided, judgement)), tuple(problems))


def scores(measured: Iterable[Measured]) -> list[Score]:
    """One score a case."""
    return [one.score for one in measured]
