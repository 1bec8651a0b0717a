"""Arms: the sides of a comparison, run over cases and graded."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple, Optional

from mega_code.evaluation import grading
from mega_code.evaluation.cases import Case, words
from mega_code.evaluation.decision import Score, averaged
from mega_code.evaluation.grading import Malformed, Verdict
from mega_code.evaluation.models.base import Completer, Completion, Request
from mega_code.evaluation.triggers import Loader

BASELINE, ORIGINAL, CANDIDATE = "baseline", "original", "candidate"
JUDGE_ATTEMPTS = 2
CUT = "The answer was cut: it reached MEGA_CODE_MAX_OUTPUT_TOKENS."


class Models(NamedTuple):
    """Who answers the tasks, who judges, and what says which skill is loaded; all may be one model.

    `check` is called while there is long work without them; what it raises ends that.
    """

    task: Completer
    judge: Completer
    loader: Loader
    output_tokens: int
    check: Callable[[], object] = lambda: None


class Run(NamedTuple):
    """One output of one arm for one case, with its verdicts. `problems` says where its grading failed, or it was cut.

    `ungraded`: the judge gave no verdicts, so nobody can know how good it is. An answer without a text is no such one:
    nothing was done, and that fails.
    """

    case: Case
    repeat: int
    completion: Completion
    verdicts: tuple[Verdict, ...]
    problems: tuple[str, ...] = ()
    ungraded: bool = False

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
        """Expectations and graded repeats averaged; the case is the unit of every statistic."""
        graded = [run.passed for run in self.runs if not run.ungraded]
        tokens = fmean(run.tokens for run in self.runs)
        return Score(fmean(graded or [0.0]), tokens, len(graded) / len(self.runs))

    @property
    def passed(self) -> float:
        """The part of the expectations that all its runs meet; what is not graded is a fail."""
        return fmean(run.passed for run in self.runs)

    def as_json(self) -> dict[str, Any]:
        """The case as the result carries it."""
        return {
            "score": round(self.passed, 6),
            "tokens": round(self.score.tokens, 1),
            "verdicts": [{**verdict.as_json(), "repeat": run.repeat} for run in self.runs for verdict in run.verdicts],
            "problems": [problem for run in self.runs for problem in run.problems],
        }


def measure(
    texts: Mapping[str, str], work: Sequence[tuple[Case, int]], models: Models, seed: int
) -> dict[str, list[Measured]]:
    """Run every arm over the cases in `work`, each so often as stands beside it, and grade what comes: for each arm its
    cases, in order.

    `texts` gives an arm's skill text, empty for none; it is the system message, and the prompt is the case's own.
    Judges see the outputs of all arms in a shuffled order and never which arm one is from.
    """
    cases = [case for case, _ in work]
    tasks = [(arm, case, repeat) for arm in texts for case, repeats in work for repeat in range(repeats)]
    requests = [Request("task", texts[arm], case.prompt, repeat, models.output_tokens) for arm, case, repeat in tasks]
    answers = models.task.complete_all(requests)
    outputs = [(case, repeat, answer) for (_, case, repeat), answer in zip(tasks, answers)]
    order = list(range(len(outputs)))
    random.Random(seed).shuffle(order)
    graded = dict(zip(order, _grade([outputs[index] for index in order], models)))
    found: dict[str, dict[str, list[Run]]] = {arm: {} for arm in texts}
    for index, (arm, case, _) in enumerate(tasks):
        found[arm].setdefault(case.id, []).append(graded[index])
    return {arm: [Measured(case, tuple(runs[case.id])) for case in cases] for arm, runs in found.items()}


Output = tuple[Case, int, Completion]


def _grade(outputs: Sequence[Output], models: Models) -> list[Run]:
    """The runs of `outputs`; what a judge does not grade in `JUDGE_ATTEMPTS` fails, and says so."""
    judgements: dict[int, list[Verdict]] = {}
    problems: dict[int, str] = {}
    waiting = [i for i, (case, _, answer) in enumerate(outputs) if case.needs_judge and answered(answer)]
    for attempt in range(JUDGE_ATTEMPTS):
        asked = [
            grading.judge_request(outputs[i][0], outputs[i][2].text, attempt, models.output_tokens) for i in waiting
        ]
        for i, answer in zip(waiting, models.judge.complete_all(asked)):
            try:
                judgements[i] = grading.read_judgement(answer.text, outputs[i][0], outputs[i][2].text)
            except Malformed as error:
                problems[i] = str(error)
        waiting = [i for i in waiting if i not in judgements]
    for i in waiting:
        problems[i] = f"Not graded: {problems[i]}, {JUDGE_ATTEMPTS} times in a row."
        judgements[i] = grading.ungraded(outputs[i][0], problems[i])
    return [
        graded(output, judgements.get(i, []), problems[i] if i in waiting else None, models.check)
        for i, output in enumerate(outputs)
    ]


def answered(completion: Completion) -> bool:
    """Whether there is an output that can be graded."""
    return completion.outcome not in ("refused", "empty") and bool(completion.text.strip())


def graded(
    output: Output,
    judgement: Sequence[Verdict],
    problem: Optional[str] = None,
    check: Callable[[], object] = lambda: None,
) -> Run:
    """The run of an output, of whose expectations `judgement` has the verdicts that code cannot give.

    `problem` says why there are none. What `check` raises ends it; it is called between verdicts.
    """
    case, repeat, completion = output
    if not answered(completion):
        return Run(case, repeat, completion, tuple(grading.unanswered(case, completion)))
    decided = []
    for expectation in case.expectations:
        if expectation.kind == "regex":
            check()  # the search with somebody's pattern may take its time
        if expectation.kind != "judge":
            decided.append(grading.by_code(expectation, completion.text))
    cut = [CUT] if completion.outcome == "cut" else []
    verdicts, problems = grading.in_order(case, decided, judgement), [problem] if problem else []
    return Run(case, repeat, completion, tuple(verdicts), (*problems, *cut), bool(problem))


def tasks(measured: Iterable[Measured]) -> list[list[Measured]]:
    """The cases by their task: those with the same words as prompt are answered once, and are one unit together."""
    found: dict[str, list[Measured]] = {}
    for one in measured:
        found.setdefault(words(one.case.prompt), []).append(one)
    return list(found.values())


def scores(measured: Iterable[Measured]) -> list[Score]:
    """One score a task, in the order of their first cases."""
    return [averaged([one.score for one in task]) for task in tasks(measured)]


def without_verdict(measured: Mapping[str, Sequence[Measured]]) -> dict[str, str]:
    """What kinds of answers there are that fail without a verdict on what they say, and how many of each arm."""
    kinds: dict[str, Callable[[Run], bool]] = {
        "that the judge did not grade": lambda run: run.ungraded,
        "without a text, which fail": lambda run: not answered(run.completion),
    }
    found = {}
    for what, concerns in kinds.items():
        runs = {arm: [run for one in group for run in one.runs] for arm, group in measured.items()}
        counted = {arm: sum(map(concerns, group)) for arm, group in runs.items()}
        named = [f"{count} of {len(runs[arm])} of the {arm}" for arm, count in counted.items() if count]
        if named:
            found[what] = ", ".join(named)
    return found
