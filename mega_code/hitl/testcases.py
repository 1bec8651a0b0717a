"""The test cases of an iteration, as the host agent or the person wrote them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Union

from mega_code.console import say, warn
from mega_code.envelope import Envelope
from mega_code.evaluation import cases, decision
from mega_code.evaluation.cases import Case, CaseError, Expectation
from mega_code.files import write_json
from mega_code.hitl.problems import refusal
from mega_code.workspace import CASES, Iteration

WRITE = "write it, then run check-cases"


def load(iteration: Iteration) -> list[Case]:
    """The cases. Raises MegaCodeError: `out_of_order` where there are none, `invalid_cases`."""
    try:
        data = (iteration.folder / CASES).read_bytes()
    except OSError:
        raise iteration.out_of_order(CASES, WRITE) from None
    try:
        found = cases.read(data, path=CASES)
    except CaseError as error:
        raise refusal("invalid_cases", error.problems) from None
    name = json.loads(data).get("skill_name", iteration.skill_name)
    if name != iteration.skill_name:
        raise refusal(
            "invalid_cases", [f"skill_name is {str(name)[:80]!r}, and the skill is {iteration.skill_name!r}."]
        )
    return found


def _in_one_shape(iteration: Iteration, found: Sequence[Case]) -> None:
    """Write the cases anew where some have no id, or where they stand in the shape with tasks: the page reads ids."""
    value = json.loads((iteration.folder / CASES).read_bytes())
    if all("id" in entry for entry in value.get("evals", [{}])):
        return
    evals = [
        {"id": case.id, "prompt": case.prompt, "expectations": [_written(e) for e in case.expectations]}
        for case in found
    ]
    write_json(iteration.folder / CASES, {"skill_name": iteration.skill_name, "evals": evals})


def _written(expectation: Expectation) -> Union[str, dict[str, Any]]:
    """An expectation as it stands in a file."""
    if expectation.kind == "judge":
        return expectation.argument
    equals = {"equals": expectation.equals} if expectation.kind == "json" else {}
    return {expectation.kind: expectation.argument, **equals}


def count(iteration: Iteration) -> int:
    """How many usable cases there are already."""
    try:
        return len(cases.read((iteration.folder / CASES).read_bytes(), path=CASES))
    except (OSError, CaseError):
        return 0


def digest(found: Sequence[Case]) -> str:
    """Identifies what is asked and expected."""
    return hashlib.sha256(json.dumps([case[:3] for case in found]).encode()).hexdigest()


def check(iteration: Iteration) -> Envelope:
    """Say what the cases are good for. Raises as `load` does."""
    found = load(iteration)
    expectations = [expectation for case in found for expectation in case.expectations]
    judged = sum(expectation.kind == "judge" for expectation in expectations)
    say(f"{len(found)} cases with {len(expectations)} expectations, of which code decides {len(expectations) - judged}")
    few = decision.too_few(len(found), "case")
    if few:
        warn(few)
    _in_one_shape(iteration, found)
    for case in found:
        if case.files:
            warn(f"Case {case.id} names files; a model gets its prompt alone.")
    return {
        "cases": {
            "skill_name": iteration.skill_name,
            "iteration": iteration.number,
            "cases": len(found),
            "expectations": len(expectations),
            "judged": judged,
            "enough": few is None,
        }
    }
