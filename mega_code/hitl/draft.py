"""The draft of a new SKILL.md: held to the rules of every enhanced skill, and stamped with what was measured."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from mega_code.errors import MegaCodeError
from mega_code.evaluation import folder, frontmatter, invariants, spec
from mega_code.evaluation.folder import TEXT_BYTES, Skill
from mega_code.evaluation.outcome import JSON
from mega_code.evaluation.stamp import stamp
from mega_code.hitl.benchmark import roi_of
from mega_code.hitl.problems import refusal
from mega_code.skill import SKILL_MD, check_enhanced
from mega_code.workspace import BENCHMARK, DRAFT, Iteration

WRITE = "write the whole new SKILL.md there, then run accept"
NO_VERSION = "1.0.0"  # the first one that is stamped follows it
NOT_MEASURED = "not measured"


class Final(NamedTuple):
    """A SKILL.md that may be installed. `measured` says that its figures are of this very text."""

    text: str
    version: str
    measured: bool
    roi: list[JSON]


def finish(iteration: Iteration, now: datetime, as_measured: bool) -> Final:
    """The stamped draft, or with `as_measured` the stamped SKILL.md that the iteration began with.

    Raises MegaCodeError: `out_of_order` where there is no draft, `invalid_draft`, and as `Iteration.untouched`.
    """
    before = folder.read(iteration.untouched(), iteration.skill_name)
    text = before.text if as_measured else _read(iteration)
    after = before.changed({SKILL_MD: text})
    problems = spec.violations(after) or invariants.broken(before, after)
    if problems:
        raise refusal("invalid_draft", [f"{DRAFT}: {problem}" for problem in problems])
    figures = roi_of(iteration, iteration.record().content_hash) if text == before.text else None
    roi = figures or [_unmeasured(iteration)]
    try:
        final = after.changed({SKILL_MD: stamp(_with_version_of(before, after), roi, now)})
        check_enhanced(final.frontmatter)
    except MegaCodeError as error:
        raise refusal("invalid_draft", [f"{DRAFT}: {error.message}"]) from None
    return Final(final.text, str(final.frontmatter["metadata"]["version"]), bool(figures), roi)


def _read(iteration: Iteration) -> str:
    path = iteration.folder / DRAFT
    try:
        with open(path, "rb") as stream:
            data = stream.read(TEXT_BYTES + 1)
    except OSError:
        raise iteration.out_of_order(DRAFT, WRITE) from None
    if len(data) > TEXT_BYTES:
        raise refusal("invalid_draft", [f"{DRAFT} is over {TEXT_BYTES // 1024} KiB."])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refusal("invalid_draft", [f"{DRAFT} is no UTF-8 text: {error}."]) from None


def _with_version_of(before: Skill, after: Skill) -> Skill:
    """`after` with the version of `before`: the next one is counted from there, whatever the draft says."""
    version, given = (skill.source.raw("metadata", "version") for skill in (before, after))
    if given == version:
        return after
    return after.changed({SKILL_MD: frontmatter.set_metadata(after.text, {"version": str(version or NO_VERSION)})})


def _unmeasured(iteration: Iteration) -> JSON:
    """A stamp that claims nothing: the next iteration measures what this one accepts."""
    model = (iteration.read(BENCHMARK) or {}).get("model")
    return {"model": str(model or "none"), "performance_increase": NOT_MEASURED, "token_savings": NOT_MEASURED}
