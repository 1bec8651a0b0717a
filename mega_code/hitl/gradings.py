"""What the host agent says of the outputs: believed only where its evidence stands in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from mega_code.console import say
from mega_code.envelope import Envelope
from mega_code.evaluation import arms, grading
from mega_code.evaluation.cases import Case
from mega_code.evaluation.grading import Verdict
from mega_code.evaluation.models.base import Completion
from mega_code.files import write_json
from mega_code.hitl import testcases
from mega_code.hitl.problems import refusal
from mega_code.hitl.runs import RUN
from mega_code.workspace import GRADINGS, RUNS, TO_GRADE, Iteration

GRADE = f"grade what {TO_GRADE} holds, then run check-gradings"


class Made(NamedTuple):
    """One run as it is kept; `name` tells it without its arm."""

    name: str
    case: Case
    arm: str
    repeat: int
    completion: Completion

    @property
    def to_grade(self) -> bool:
        """Whether somebody has to judge it."""
        return self.case.needs_judge and arms.answered(self.completion)


Verdicts = dict[str, list[Verdict]]


def made(iteration: Iteration) -> tuple[list[Made], dict[str, Any]]:
    """The runs and the head of their file.

    Raises MegaCodeError `out_of_order` where there are none, or where the cases are others by now.
    """
    value, cases = iteration.needed(RUNS, RUN), testcases.load(iteration)
    if value.get("cases") != testcases.digest(cases):
        raise iteration.out_of_order(RUNS, f"the test cases changed since; {RUN} again")
    by_id = {case.id: case for case in cases}
    model = str(value["model"])
    found = [
        Made(
            run["run"],
            by_id[run["case"]],
            run["arm"],
            run["repeat"],
            Completion(run["text"], model, run["input_tokens"], run["output_tokens"], 0.0, run["outcome"]),
        )
        for run in value["runs"]
    ]
    return found, value


def check(iteration: Iteration) -> Envelope:
    """Check the gradings, and note in them which case, arm and repeat each is of. Raises as `load` does."""
    runs, _ = made(iteration)
    verdicts, entries = load(iteration, runs)
    if entries is not None:
        write_json(iteration.folder / GRADINGS, {"gradings": entries})
    passed = sum(verdict.passed for found in verdicts.values() for verdict in found)
    total = sum(len(found) for found in verdicts.values())
    say(f"{len(verdicts)} gradings with {total} verdicts, {passed} of them passed; the evidence stands in the outputs")
    head = {"skill_name": iteration.skill_name, "iteration": iteration.number}
    return {"gradings": {**head, "graded": len(verdicts), "verdicts": total, "passed": passed}}


def load(iteration: Iteration, runs: list[Made]) -> tuple[Verdicts, Optional[list[Any]]]:
    """The verdicts by the run's name, and the entries with all that names a run; None where nothing is to be graded.

    Raises MegaCodeError: `out_of_order` where there are no gradings, `invalid_gradings`.
    """
    waiting = {run.name: run for run in runs if run.to_grade}
    if not waiting:
        return {}, None
    try:
        text = (iteration.folder / GRADINGS).read_text("utf-8")
    except FileNotFoundError:
        raise iteration.out_of_order(GRADINGS, GRADE) from None
    except (OSError, ValueError) as error:
        raise refusal("invalid_gradings", [f"{GRADINGS} cannot be read: {error}."]) from None
    reader = _Reader(waiting)
    reader.read(text)
    if reader.problems:
        raise refusal("invalid_gradings", reader.problems)
    return reader.verdicts, reader.entries


class _Reader:
    """Reads gradings and finds all that is wrong with them."""

    def __init__(self, waiting: Mapping[str, Made]) -> None:
        self.waiting = waiting
        self.by_place = {(run.case.id, run.arm, str(run.repeat)): run for run in waiting.values()}
        self.problems: list[str] = []
        self.verdicts: Verdicts = {}
        self.entries: list[Any] = []

    def read(self, text: str) -> None:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            self.problems.append(f"{GRADINGS} is no JSON: {' '.join(str(error).split())[:200]}.")
            return
        given = value.get("gradings") if isinstance(value, dict) else None
        if not isinstance(given, list):
            self.problems.append(f'{GRADINGS} must be an object with a list under "gradings".')
            return
        for index, entry in enumerate(given):
            self._entry(f"gradings[{index}]", entry)
        missing = [name for name in self.waiting if name not in self.verdicts]
        if missing and not self.problems:
            self.problems.append(
                f"gradings lacks {len(missing)} of {len(self.waiting)} runs: {', '.join(missing[:20])}."
            )

    def _entry(self, where: str, entry: Any) -> None:
        if not isinstance(entry, dict):
            self.problems.append(f"{where} must be an object.")
            return
        run = self._run(where, entry)
        if run is None:
            return
        if run.name in self.verdicts:
            self.problems.append(f"{where}.run is {run.name!r}, which is graded before.")
            return
        expectations, given = grading.judged(run.case), entry.get("expectations")
        if not isinstance(given, list) or len(given) != len(expectations):
            self.problems.append(
                f"{where}.expectations must be a list of {len(expectations)}, one for each expectation of run {run.name}."
            )
            return
        self.verdicts[run.name] = [
            self._verdict(f"{where}.expectations[{index}]", one, expectation.text, run)
            for index, (one, expectation) in enumerate(zip(given, expectations))
        ]
        self.entries.append(
            {"run": run.name, "case": run.case.id, "arm": run.arm, "repeat": run.repeat, "expectations": given}
        )

    def _run(self, where: str, entry: Mapping[str, Any]) -> Optional[Made]:
        """The run that an entry is of, by its name or by case, arm and repeat."""
        if "run" in entry:
            run, shown = self.waiting.get(str(entry["run"])), f"run is {entry['run']!r}"
        else:
            place = (str(entry.get("case")), str(entry.get("arm")), str(entry.get("repeat", 0)))
            run, shown = self.by_place.get(place), f"case, arm and repeat are {', '.join(place)}"
        if run is None:
            self.problems.append(f"{where}.{shown[:120]}; it must name a run of {TO_GRADE}.")
        return run

    def _verdict(self, where: str, entry: Any, expectation: str, run: Made) -> Verdict:
        entry = entry if isinstance(entry, dict) else {}
        passed, evidence = entry.get("passed"), entry.get("evidence", "")
        if entry.get("text", expectation) != expectation:
            self.problems.append(f"{where}.text must be the expectation itself: {expectation[:120]!r}.")
        if not isinstance(passed, bool):
            self.problems.append(f"{where}.passed must be true or false.")
        if not isinstance(evidence, str):
            self.problems.append(f"{where}.evidence must be a text.")
            evidence = ""
        if passed is True and not evidence.strip():
            self.problems.append(f"{where}.evidence must quote what shows that it is met, since it passed.")
        elif evidence.strip() and evidence not in run.completion.text:
            self.problems.append(
                f"{where}.evidence does not stand, word for word, in the output of run {run.name}: {evidence[:80]!r}."
            )
        return Verdict(expectation, passed is True, evidence[: grading.EVIDENCE_CHARACTERS], "judge")
