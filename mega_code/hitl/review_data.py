"""What a review shows, read from the files of an iteration's workspace."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from mega_code.errors import MegaCodeError
from mega_code.files import read_json

JSON = dict[str, Any]
FEEDBACK = "feedback.json"
LETTERS = "ABCDEFGH"
ORDER = ("baseline", "previous", "with_skill")
NAMES = {"baseline": "No skill", "previous": "Previous skill", "with_skill": "Current skill"}
SHORT = {"baseline": "none", "previous": "previous", "with_skill": "current"}


class Verdict(NamedTuple):
    """Whether an output met an expectation, and the words of it that decided."""

    expectation: str
    passed: bool
    evidence: str


class Output(NamedTuple):
    """What one run gave. `outcome` is `answer`, or why there is none or not all of it."""

    text: str
    outcome: str
    input_tokens: int
    output_tokens: int
    verdicts: tuple[Verdict, ...]


class Case(NamedTuple):
    """One task, and its outputs by arm and repeat."""

    id: str
    prompt: str
    outputs: Mapping[tuple[str, int], Output]


class Previous(NamedTuple):
    """The iteration before: its benchmark, what was said of its cases, and its SKILL.md."""

    iteration: int
    benchmark: Optional[JSON]
    feedback: Mapping[str, str]
    skill_text: str


class Review(NamedTuple):
    """Everything that a page shows, but for the feedback itself."""

    skill_name: str
    iteration: int
    model: str
    arms: tuple[str, ...]
    repeats: tuple[int, ...]
    cases: tuple[Case, ...]
    benchmark: Optional[JSON]
    skill_text: str
    previous: Optional[Previous]
    seed: str

    def letters(self, case: str, blind: bool) -> dict[str, str]:
        """The arm behind each letter; shuffled for each case where they are shown blind, always in the same way."""
        arms = list(self.arms)
        if blind:
            random.Random(hashlib.sha256(f"{self.seed}\0{case}".encode("utf-8", "replace")).digest()).shuffle(arms)
        return dict(zip(LETTERS, arms))


def load(folder: Path) -> Review:
    """The review of an iteration. Raises MegaCodeError `invalid_path` where a file is missing or is not what it should be."""
    runs, about = _object(folder / "runs.json"), _object(folder / "iteration.json")
    try:
        number = int(about["iteration"])
        return Review(
            skill_name=str(about["skill_name"]),
            iteration=number,
            model=str(runs.get("model") or ""),
            arms=tuple(sorted(map(str, runs["arms"]), key=_rank)),
            repeats=tuple(sorted({run["repeat"] for run in runs["runs"]})),
            cases=_cases(folder, runs["runs"]),
            benchmark=_benchmark(folder),
            skill_text=_skill_text(folder),
            previous=_previous(folder.parent / f"iteration-{number - 1}", number - 1),
            seed=f"{about.get('content_hash')} {about.get('created_at')} {number}",
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(folder, f"its files do not have the shape of a review ({error!r})") from None


def _object(path: Path) -> JSON:
    value = read_json(path)
    if not isinstance(value, dict):
        raise _wrong(path, "it is not there or is no JSON object; a review comes after the runs")
    return value


def _wrong(path: Path, why: str) -> MegaCodeError:
    return MegaCodeError("invalid_path", f"{str(path)!r} cannot be reviewed: {why}.")


def _rank(arm: str) -> tuple[int, str]:
    return ORDER.index(arm) if arm in ORDER else len(ORDER), arm


def _cases(folder: Path, runs: Sequence[JSON]) -> tuple[Case, ...]:
    """The cases in the order of test-cases.json; a run of a case that is not listed has its own at the end."""
    listed = {str(case["id"]): str(case["prompt"]) for case in _object(folder / "test-cases.json")["evals"]}
    verdicts = _verdicts(folder)
    found: dict[str, dict[tuple[str, int], Output]] = {case: {} for case in listed}
    for run in runs:
        key = (str(run["case"]), str(run["arm"]), int(run["repeat"]))
        tokens = int(run.get("input_tokens") or 0), int(run.get("output_tokens") or 0)
        output = Output(
            str(run.get("text") or ""), str(run.get("outcome") or "answer"), *tokens, tuple(verdicts.get(key, ()))
        )
        found.setdefault(key[0], {})[key[1:]] = output
    return tuple(Case(case, listed.get(case, ""), outputs) for case, outputs in found.items())


Verdicts = dict[tuple[str, str, int], list[Verdict]]


def _verdicts(folder: Path) -> Verdicts:
    """From the benchmark, which has those of the judge and those that code decided."""
    benchmark, found = _benchmark(folder) or {}, Verdicts()
    for case in benchmark.get("cases") or []:
        for arm, measured in case["arms"].items():
            for one in measured.get("verdicts") or []:
                key = (str(case["case"]), str(arm), int(one.get("repeat", 0)))
                found.setdefault(key, []).append(_verdict(one))
    return found


def _verdict(value: JSON) -> Verdict:
    return Verdict(str(value["expectation"]), value["passed"] is True, str(value.get("evidence") or ""))


def _benchmark(folder: Path) -> Optional[JSON]:
    value = read_json(folder / "benchmark.json")
    return value if isinstance(value, dict) else None


def _skill_text(folder: Path) -> str:
    try:
        return (folder / "original" / "SKILL.md").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def _previous(folder: Path, number: int) -> Optional[Previous]:
    if not folder.is_dir():
        return None
    feedback = read_json(folder / FEEDBACK)
    cases = feedback.get("cases", {}) if isinstance(feedback, dict) else {}
    said = {str(case): str(entry.get("text") or "") for case, entry in cases.items()}
    return Previous(number, _benchmark(folder), said, _skill_text(folder))
