"""Cases: what an arm is asked, and what is expected of its answer."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Optional, Union

from mega_code.evaluation.models.base import paired, size

PATH = "evals/evals.json"
BYTES = 4 * 1024 * 1024
CASES = 500
EXPECTATIONS = 50
PROMPT_CHARACTERS = 64 * 1024
EXPECTATION_CHARACTERS = 4 * 1024
DESCRIBED_CHARACTERS = 16 * 1024
KINDS = ("contains", "not_contains", "regex", "json")
EXPECTED_OUTPUT = "The output agrees with this description of a good one: {}"


class Expectation(NamedTuple):
    """One thing that an output must meet. `kind` is one of `KINDS`, decided by code, or `judge`: a sentence.

    `argument` is the text, the regular expression or the JSON pointer; `equals` the value at that pointer.
    """

    kind: str
    argument: str
    equals: Any = None

    @property
    def text(self) -> str:
        """The expectation in words."""
        if self.kind == "judge":
            return self.argument
        if self.kind == "json":
            return f"json {self.argument or '(the whole)'} equals {json.dumps(self.equals)}"
        return f"{self.kind.replace('_', ' ')} {self.argument!r}"


class Case(NamedTuple):
    """One task, given to every arm word for word. `files` are named by its author; a model gets the prompt alone."""

    id: str
    prompt: str
    expectations: tuple[Expectation, ...]
    files: tuple[str, ...] = ()

    @property
    def needs_judge(self) -> bool:
        """Whether code alone cannot grade it."""
        return any(expectation.kind == "judge" for expectation in self.expectations)

    @property
    def expected_bytes(self) -> int:
        """How large its expectations are together, in UTF-8."""
        return sum(size(expectation.text) for expectation in self.expectations)


class CaseError(Exception):
    """Cases that cannot be used; `problems` has a sentence for each, which names the index and the key."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = list(problems)


class Split(NamedTuple):
    """`train` may be seen by what proposes texts; `held_out` decides and is never shown to it."""

    train: tuple[Case, ...]
    held_out: tuple[Case, ...]


NO_CASES = Split((), ())


def read(data: Union[str, bytes], files: Optional[Collection[str]] = None, path: str = PATH) -> list[Case]:
    """The cases in the text of an `evals.json`, in either of its two shapes.

    `files` are the paths below the skill folder; where given, a case's own `files` must be among them. `path` is what
    the file is called. Raises CaseError with every problem there is.
    """
    entries, name, prompt = _entries(parsed(data, path), path)
    problems: list[str] = []
    found: dict[int, Case] = {}
    for index, (entry, number) in enumerate(zip(entries, _numbers(entries))):
        case, wrong = _case(entry, f"{name}[{index}]", number, prompt)
        problems += wrong
        if case:
            problems += _missing(case, f"{name}[{index}]", files)
            found[index] = case
    problems += _twice(found, name)
    if problems:
        raise CaseError(problems)
    return list(found.values())


def salvage(entries: Sequence[Any], first_id: int) -> tuple[list[Case], list[str]]:
    """The usable cases among what a model wrote, numbered from `first_id`, and why the others are not.

    Either shape will do, entry by entry.
    """
    found: list[Case] = []
    problems: list[str] = []
    for index, entry in enumerate(entries):
        key = "task" if isinstance(entry, dict) and "prompt" not in entry and "task" in entry else "prompt"
        case, wrong = _case(entry, f"evals[{index}]", "", key)
        problems += wrong
        if case:
            found.append(case._replace(id=str(first_id + len(found))))
    return found, problems


def split(cases: Sequence[Case], seed: int) -> Split:
    """A seeded shuffle in two halves; of an odd number the held-out half has one more.

    Cases with the same words as prompt stay together, or the held-out half would be seen through its twin.
    """
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(words(case.prompt), []).append(case)
    shuffled = list(groups.values())
    random.Random(seed).shuffle(shuffled)
    train: list[Case] = []
    held_out: list[Case] = []
    for group in shuffled:
        (train if len(train) + len(group) <= len(cases) // 2 else held_out).extend(group)
    return Split(tuple(train), tuple(held_out))


def words(prompt: str) -> str:
    """A prompt without what makes no other task of it: letter case and spacing."""
    return " ".join(prompt.split()).casefold()


def parsed(data: Union[str, bytes], path: str) -> Any:
    """The JSON in the file at `path`. Raises CaseError, also for a key that stands twice: one value would be dropped."""
    if len(data) > BYTES:
        raise CaseError([f"{path} is over {BYTES // 1024 // 1024} MiB."])
    twice: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice.extend(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        return found

    try:
        value = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise CaseError([f"{path} is no JSON: {' '.join(str(error).split())[:200]}."]) from None
    if twice:
        named = ", ".join(repr(key[:100]) for key in [*dict.fromkeys(twice)][:10])
        raise CaseError([f"{path} has a key more than once in one object: {named}."])
    return value


def _entries(value: Any, path: str) -> tuple[list[Any], str, str]:
    """The entries, the key they stand under, and the key of a prompt in that shape."""
    if isinstance(value, dict) and value.get("evals") is not None and value.get("cases") is not None:
        raise CaseError([f'{path} has cases under "evals" and under "cases"; all of them must stand under one.'])
    for name, prompt in (("evals", "prompt"), ("cases", "task")):
        entries = value.get(name) if isinstance(value, dict) else None
        if isinstance(entries, list) and 0 < len(entries) <= CASES:
            return entries, name, prompt
        if entries is not None:
            raise CaseError([f"{path}: {name} must be a list of 1 to {CASES} cases."])
    raise CaseError([f'{path} must be an object with a list under "evals" (or "cases").'])


def _numbers(entries: Sequence[Any]) -> list[str]:
    """What each case is called that has no id: its place from 1, or past the last one where a case's id is that."""
    named = [str(entry["id"]) if isinstance(entry, dict) and "id" in entry else None for entry in entries]
    places = [str(index + 1) for index in range(len(entries))]
    free = (str(number) for number in itertools.count(len(entries) + 1) if str(number) not in named)
    return [next(free) if name is None and place in named else place for name, place in zip(named, places)]


def _case(entry: Any, where: str, number: str, prompt_key: str) -> tuple[Optional[Case], list[str]]:
    if not isinstance(entry, dict):
        return None, [f"{where} must be an object."]
    problems = []
    prompt = entry.get(prompt_key)
    if not (isinstance(prompt, str) and prompt.strip() and len(prompt) <= PROMPT_CHARACTERS and paired(prompt)):
        problems.append(f"{where}.{prompt_key} must be a text of 1 to {PROMPT_CHARACTERS} characters.")
    identity = entry.get("id", number)
    if isinstance(identity, bool) or not isinstance(identity, (str, int)) or not _is_short(str(identity), number):
        problems.append(f"{where}.id must be a number or a short text.")
    files = entry.get("files") or []
    if not (isinstance(files, list) and all(isinstance(file, str) for file in files)):
        problems.append(f"{where}.files must be a list of paths.")
    expectations, wrong = _expectations(entry, where)
    problems += wrong
    if problems:
        return None, problems
    return Case(str(identity), str(prompt), tuple(expectations), tuple(files)), []


def _expectations(entry: Mapping[str, Any], where: str) -> tuple[list[Expectation], list[str]]:
    given, described = entry.get("expectations"), entry.get("expected_output")
    if not given and isinstance(described, str) and described.strip():
        if len(described) > DESCRIBED_CHARACTERS or not paired(described):
            return [], [f"{where}.expected_output must be a text of at most {DESCRIBED_CHARACTERS} characters."]
        return [Expectation("judge", EXPECTED_OUTPUT.format(described.strip()))], []
    if not (isinstance(given, list) and 0 < len(given) <= EXPECTATIONS):
        return [], [f"{where}.expectations must be a list of 1 to {EXPECTATIONS} sentences or checks."]
    found, problems = [], []
    for index, value in enumerate(given):
        expectation, problem = _expectation(value)
        if expectation:
            found.append(expectation)
        else:
            problems.append(f"{where}.expectations[{index}] {problem}.")
    return found, problems


def _expectation(value: Any) -> tuple[Optional[Expectation], str]:
    if isinstance(value, str):
        kind, argument = "judge", value
    elif isinstance(value, dict):
        named = [kind for kind in KINDS if kind in value]
        if len(named) != 1:
            return None, f"must have exactly one of the keys {', '.join(KINDS)}"
        kind, argument = named[0], value[named[0]]
    else:
        return None, "must be a sentence or an object with a check"
    fits = isinstance(argument, str) and len(argument) <= EXPECTATION_CHARACTERS and paired(argument)
    if not fits or not (argument or kind == "json"):
        return None, f"must give {kind} a text of at most {EXPECTATION_CHARACTERS} characters"
    if kind == "judge" and not argument.strip():
        return None, "must not be blank"
    if kind == "json" and ("equals" not in value or (argument and argument[0] != "/")):
        return None, "must have a JSON pointer (empty, or from a slash on) under json, and a value under equals"
    if kind == "regex" and not _compiles(argument):
        return None, "must be a regular expression that Python can compile"
    return Expectation(kind, argument, value["equals"] if kind == "json" else None), ""


def _is_short(identity: str, number: str) -> bool:
    return identity == number or (0 < len(identity) <= 100 and identity.isprintable())


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def _missing(case: Case, where: str, files: Optional[Collection[str]]) -> list[str]:
    if files is None:
        return []
    gone = [file for file in case.files if not {file, f"evals/{file}"} & set(files)]
    return [f"{where}.files names {file[:120]!r}, which is not in the skill." for file in gone]


def _twice(cases: Mapping[int, Case], name: str) -> list[str]:
    first: dict[str, int] = {}
    problems = []
    for index, case in cases.items():
        if first.setdefault(case.id, index) != index:
            problems.append(f"{name}[{index}].id is {case.id!r}, as in {name}[{first[case.id]}].")
    return problems
