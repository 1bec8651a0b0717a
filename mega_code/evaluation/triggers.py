"""Triggering: whether a skill's description makes an agent load it when it should, and only then."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple, Union

from mega_code.evaluation.cases import NO_CASES, CaseError, parsed, words
from mega_code.evaluation.cases import Split as CaseSplit
from mega_code.evaluation.models.base import Completer, Request, paired

PATH = "evals/triggers.json"
QUERIES = 200
QUERY_CHARACTERS = 4 * 1024
ANSWER_TOKENS = 256
NONE = "none"
SYSTEM = """\
You are an agent with a set of skills. A skill is a text that is loaded only when it is needed; all that you know of one \
before that is its name and its description. Decide which skill, if any, you would load for the person's request.
Load one only if its description fits the request. Answer with the name of that skill alone, or with: none"""

# What stands beside a skill in an agent that is really used; written to be near many subjects and to own none of them.
OTHERS: Mapping[str, str] = {
    "api-client-generator": "Generates typed API clients from an OpenAPI document. Use when a service has a schema.",
    "brand-voice": "Rewrites text in the company's tone of voice. Use for anything that customers will read.",
    "changelog-writer": "Writes release notes from merged changes. Use when a version is about to be published.",
    "code-review": "Reviews a change for defects, risks and style. Use when asked to review code or a pull request.",
    "csv-analysis": "Loads, cleans and summarises tabular files. Use for CSV or TSV data and questions about it.",
    "database-migration": "Plans and writes schema migrations. Use when tables or columns are to change.",
    "debugging": "Finds the cause of an error step by step. Use when something fails and nobody knows why.",
    "diagram-drawing": "Draws architecture and sequence diagrams as text. Use when a picture of a system is wanted.",
    "docker-packaging": "Writes and shrinks container images. Use when an application is to run in a container.",
    "email-drafting": "Drafts and answers business e-mail. Use when somebody wants a message to a person written.",
    "form-filling": "Fills in PDF forms from given values. Use when a form is to be completed.",
    "git-history": "Explains, splits and rewrites commits. Use for questions about the history of a repository.",
    "meeting-notes": "Turns a transcript into decisions and tasks. Use after a meeting.",
    "presentation-slides": "Makes and edits slide decks. Use when a talk or a deck is asked for.",
    "spreadsheet-models": "Builds spreadsheets with formulas. Use for budgets, forecasts and workbooks.",
    "test-writing": "Writes unit and integration tests. Use when code lacks tests or a defect needs one.",
    "translation": "Translates text and keeps its markup. Use when a text is wanted in another language.",
    "web-scraping": "Collects data from web pages. Use when information has to be fetched from sites.",
}


class Trigger(NamedTuple):
    """A person's request, and whether the skill should be loaded for it."""

    query: str
    should_trigger: bool


class Split(NamedTuple):
    """`train` may be seen by what proposes a description; `held_out` is never shown to it."""

    train: tuple[Trigger, ...]
    held_out: tuple[Trigger, ...]


NO_TRIGGERS = Split((), ())


def read(data: Union[str, bytes]) -> list[Trigger]:
    """The trigger cases in the text of a `triggers.json`. Raises CaseError with every problem there is."""
    entries = parsed(data, PATH)
    if not isinstance(entries, list) or not 0 < len(entries) <= QUERIES:
        raise CaseError([f"{PATH} must be a list of 1 to {QUERIES} queries."])
    found, problems = salvage(entries)
    if problems:
        raise CaseError(problems)
    return found


def salvage(entries: Sequence[Any]) -> tuple[list[Trigger], list[str]]:
    """The usable ones among `entries`, and a sentence for each of the others.

    The same query with another answer is none: nobody could know which one is meant.
    """
    found, problems = [], []
    first: dict[str, tuple[int, bool]] = {}
    for index, entry in enumerate(entries):
        query = entry.get("query") if isinstance(entry, dict) else None
        wanted = entry.get("should_trigger") if isinstance(entry, dict) else None
        if not (isinstance(query, str) and query.strip() and len(query) <= QUERY_CHARACTERS and paired(query)):
            problems.append(f"triggers[{index}].query must be a text of 1 to {QUERY_CHARACTERS} characters.")
        elif not isinstance(wanted, bool):
            problems.append(f"triggers[{index}].should_trigger must be true or false.")
        elif first.setdefault(words(query), (index, wanted))[1] is not wanted:
            other = first[words(query)][0]
            problems.append(
                f"triggers[{index}].should_trigger is the opposite of triggers[{other}], of the same query."
            )
        else:
            found.append(Trigger(query, wanted))
    return found, problems


def split(triggers: Sequence[Trigger], seed: int, cases: CaseSplit = NO_CASES) -> Split:
    """Two halves by a seeded shuffle, each with its share of both kinds; a query that stands twice counts once.

    A query that is the prompt of a case goes where that is, or what is held out in one file would be shown in the other.
    """
    halves: tuple[list[Trigger], list[Trigger]] = ([], [])
    first: dict[str, Trigger] = {}
    for trigger in triggers:
        first.setdefault(words(trigger.query), trigger)
    fixed = [{words(case.prompt) for case in half} for half in cases]
    for kind in (True, False):
        group = [trigger for key, trigger in first.items() if trigger.should_trigger is kind]
        random.Random(seed).shuffle(group)
        bound = [[trigger for trigger in group if words(trigger.query) in prompts] for prompts in fixed]
        free = [trigger for trigger in group if trigger not in bound[0] + bound[1]]
        cut = min(len(free), max(0, len(group) // 2 - len(bound[0])))
        halves[0].extend(bound[0] + free[:cut])
        halves[1].extend(bound[1] + free[cut:])
    return Split(tuple(halves[0]), tuple(halves[1]))


def request(name: str, description: str, trigger: Trigger, seed: int) -> Request:
    """The question which skill an agent would load; the skill stands at a random place among `OTHERS`."""
    skills = [(name, description), *((other, text) for other, text in OTHERS.items() if other != name)]
    random.Random(f"{seed}:{trigger.query}").shuffle(skills)
    listed = "\n".join(f"- {skill}: {' '.join(text.split())}" for skill, text in skills)
    prompt = f"The skills:\n{listed}\n\nThe request:\n{trigger.query}\n"
    return Request("judge", SYSTEM, prompt, 0, ANSWER_TOKENS)


def loaded(name: str, answer: str) -> bool:
    """Whether an answer names the skill: alone, in quotes or in a sentence that names neither another nor `none`."""
    said = re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", answer.lower())
    return said == [name] or (name in said and not {*said} & ({*OTHERS, NONE} - {name}))


class Loader(NamedTuple):
    """What says which skill is loaded: whom to ask, and how (`request` is one way)."""

    model: Completer
    request: Callable[[str, str, Trigger, int], Request]


def measure(name: str, description: str, triggers: Sequence[Trigger], loader: Loader, seed: int) -> list[bool]:
    """For each query whether it loads the skill."""
    answers = loader.model.complete_all([loader.request(name, description, trigger, seed) for trigger in triggers])
    return [loaded(name, answer.text) for answer in answers]


def figures(triggers: Sequence[Trigger], found: Sequence[bool]) -> dict[str, Any]:
    """`precision` and `recall` (null where nothing was loaded, or nothing should be), and the count of each mistake."""
    hits = sum(trigger.should_trigger and was for trigger, was in zip(triggers, found))
    loads, wanted = sum(found), sum(trigger.should_trigger for trigger in triggers)
    return {
        "precision": round(hits / loads, 6) if loads else None,
        "recall": round(hits / wanted, 6) if wanted else None,
        "over": loads - hits,
        "under": wanted - hits,
    }
