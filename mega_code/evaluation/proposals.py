"""Candidates: the two parts of a skill that may be rewritten, and how a model is asked for a better one.

A proposer sees the skill and what went wrong on train cases. Nothing of a held-out case is ever given to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from mega_code.errors import MegaCodeError
from mega_code.evaluation import frontmatter
from mega_code.evaluation.answers import proposal_in
from mega_code.evaluation.arms import Measured
from mega_code.evaluation.models.base import Request
from mega_code.evaluation.triggers import Trigger
from mega_code.skill import parse_frontmatter, split

DESCRIPTION, BODY = "description", "body"
COMPONENTS = (DESCRIPTION, BODY)
OUTPUT_CHARACTERS = 2000
TRIED = 8
SYSTEM = """\
You improve a skill: a text of instructions that a language model is given for certain tasks. You get the skill and how \
outputs written with it were graded. Find what in the skill led to the failures, or what it leaves out, and mend that; \
make the instructions general, never fitted to one task, and never put a task or its answer into them. Every word of \
the skill is paid for each time it is used, so leave out what does not help. Keep its purpose, its name, its headings \
where they serve, and every link to a file."""
BODY_ORDER = """\
Write the whole new text of the skill below its frontmatter, in one block fenced with four tildes (~~~~), and nothing \
after it."""
SHORTEN = """\
Every output met every expectation. Write the skill shorter so that it costs less and still does the same."""
DESCRIPTION_ORDER = """\
Write a new description: what the skill does and when to use it, in the words that people use, so that it is loaded for \
the requests it is meant for and for no others; at most {limit} characters. Put it in one block fenced with four \
tildes (~~~~), and nothing after it."""
DESCRIPTION_CHARACTERS = 1024


class Candidate(NamedTuple):
    """The rewritable parts of a skill. `body` may be a whole SKILL.md, where a proposer wrote one."""

    description: str
    body: str

    @property
    def key(self) -> str:
        """Equal for equal texts."""
        return hashlib.sha256(f"{self.description}\0{self.body}".encode("utf-8", "replace")).hexdigest()


class Failure(NamedTuple):
    """A trigger query of the train half that was answered wrongly."""

    trigger: Trigger
    loaded: bool


class Unusable(Exception):
    """A proposal that gives no candidate; its text says why."""


def original(text: str) -> Candidate:
    """The parts of a SKILL.md as it was uploaded. Raises MegaCodeError `invalid_frontmatter`."""
    return Candidate(str(parse_frontmatter(text).get("description") or "").strip(), split(text).body)


def assemble(text: str, candidate: Candidate) -> str:
    """The SKILL.md that `text` becomes with the parts of `candidate`; byte for byte `text` where they are its own.

    Raises MegaCodeError `invalid_frontmatter` where the description cannot be written so that it reads back.
    """
    before = original(text)
    if candidate.body != before.body:
        whole = candidate.body.startswith("---")
        text = candidate.body if whole else text[: len(text) - len(before.body)] + candidate.body
        before = original(text)
    if candidate.description == before.description:
        return text
    source = frontmatter.read(text)
    entry = source.entry(DESCRIPTION)
    first, end = (entry.first, entry.end) if entry else (0, 0)
    line = f"{' ' * source.indent}{DESCRIPTION}: {frontmatter.scalar(candidate.description)}"
    wanted = {**frontmatter.load(text), DESCRIPTION: candidate.description}
    return frontmatter.checked(frontmatter.edit(text, first, end, [line]), wanted)


def body_request(text: str, measured: Sequence[Measured], tried: Sequence[str], attempt: int) -> Request:
    """The question for a new body, with the failures on the train cases in `measured` and their evidence."""
    failures = "\n\n".join(filter(None, map(_failure, measured)))
    tokens = sum(one.score.tokens for one in measured) / max(1, len(measured))
    asked = f"What failed:\n\n{failures}" if failures else SHORTEN
    told = f"A use of it takes {tokens:.0f} tokens on average, its own text included."
    prompt = "\n\n".join(filter(None, (_skill(text), asked, told, _tried(tried), BODY_ORDER)))
    return Request("propose", SYSTEM, prompt, attempt, _room(text))


def description_request(
    name: str, description: str, failures: Sequence[Failure], tried: Sequence[str], attempt: int
) -> Request:
    """The question for a new description, with the train queries that were answered wrongly."""
    listed = "\n".join(
        f"- {'loaded, and should not be' if failure.loaded else 'not loaded, and should be'}: {failure.trigger.query}"
        for failure in failures
    )
    asked = f"Requests answered wrongly with it:\n{listed}"
    order = DESCRIPTION_ORDER.format(limit=DESCRIPTION_CHARACTERS)
    prompt = "\n\n".join(
        filter(None, (f"The skill's name: {name}", f"Its description:\n{description}", asked, _tried(tried), order))
    )
    return Request("propose", SYSTEM, prompt, attempt, 1024)


def read_body(answer: str, parent: Candidate) -> Candidate:
    """The candidate that an answer to `body_request` gives. Raises Unusable."""
    text = proposal_in(answer)
    if not text.strip():
        raise Unusable("the answer was empty")
    if not text.startswith("---"):
        blank = "" if parent.body.startswith("---") else parent.body[: -len(parent.body.lstrip("\n")) or None]
        return parent._replace(body=blank + text.lstrip("\n"))
    try:
        return Candidate(original(text).description, text)
    except MegaCodeError as error:
        raise Unusable(error.message) from None


def read_description(answer: str, parent: Candidate) -> Candidate:
    """The candidate that an answer to `description_request` gives. Raises Unusable."""
    text = proposal_in(answer)
    try:
        described = original(text).description if text.startswith("---") else text
    except MegaCodeError as error:
        raise Unusable(error.message) from None
    words = " ".join(described.split()).removeprefix(f"{DESCRIPTION}:").strip().strip('"')
    if not words:
        raise Unusable("the answer was empty")
    return parent._replace(description=words)


def _skill(text: str) -> str:
    return f"The skill:\n=====\n{text}\n====="


def _tried(tried: Sequence[str]) -> str:
    """What was tried before and did not help, so that it is not proposed again."""
    listed = "\n\n".join(tried[-TRIED:])
    return f"These changes were tried and were no better:\n{listed}" if tried else ""


def _failure(measured: Measured) -> str:
    """A failed run of a train case, with the verdicts and their evidence; empty where every run passed."""
    run = next((run for run in measured.runs if run.passed < 1), None)
    if run is None:
        return ""
    output = run.completion.text
    shown = output if len(output) <= OUTPUT_CHARACTERS else f"{output[:OUTPUT_CHARACTERS]}\n[cut]"
    verdicts = "\n".join(
        f"- {'met' if verdict.passed else 'NOT MET'}: {verdict.expectation}"
        + (f" (evidence: {verdict.evidence})" if verdict.evidence else "")
        for verdict in run.verdicts
    )
    return f"Task:\n{run.case.prompt}\n\nOutput:\n{shown}\n\nGraded:\n{verdicts}"


def _room(text: str) -> int:
    """Output tokens enough for a text of twice the size, at three bytes a token."""
    return min(16384, max(2048, 2 * len(text.encode("utf-8", "replace")) // 3))
