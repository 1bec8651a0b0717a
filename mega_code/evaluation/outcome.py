"""What an enhancement hands back, and how it tells of its progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional, Protocol

JSON = dict[str, Any]


class Progress(Protocol):
    """Told where a job stands. Each may raise, when the job is cancelled or no longer ours: nothing catches it."""

    def phase(self, name: str) -> None:
        """The job enters `intake`, `evaluation_setup`, `iterating` or `publishing`."""

    def iteration(self, current: int, total: int) -> None:
        """Proposal `current` of `total` is under way, from 1; `total` may grow."""

    def worked(self) -> None:
        """This attempt has got further than any before it, and a next one will not have to do that again."""


class Outcome(NamedTuple):
    """The result of one enhancement. Everything but `files` can be written as JSON.

    `status` is a terminal one of `mega_code.job`; `artifact_kind` is `enhanced`, `source` or `none`.
    `files` are the new bytes of the files that changed or were added, by path; all others are published as they are.
    `reason` is a sentence for a person. `evidence` is `{"findings": [{"file","line","text"}]}` or None. `roi`,
    `evaluation`, `usage_snapshot` and `lineage` have the shapes of EVALUATION.md; the entry of the candidate that was
    set against the original at the end carries `"chosen": true`.
    """

    status: str
    artifact_kind: str
    files: dict[str, bytes]
    roi: list[JSON]
    reason: str
    invariants: list[str]
    evidence: Optional[JSON]
    evaluation: JSON
    usage_snapshot: JSON
    lineage: list[JSON]


def percent(value: float) -> str:
    """A figure in whole per cents, without a plus sign: "6%", "-1%", "0%"."""
    return f"{round(value) or 0}%"


def roi_entry(model: str, points: float, saving: float, cases: int) -> JSON:
    """One entry of `roi` for an evaluation that compares with the original and draws no sample.

    `points` are percentage points of pass rate, `saving` per cents of tokens. Where nothing is drawn there is no
    interval and no p-value.
    """
    figures = {"performance_increase": percent(points), "token_savings": percent(saving)}
    against = {"vs_original": {**figures, "ci95": None, "p_value": None}}
    return {"model": model, **figures, **against, "cases": cases, "repeats": 1, "compared_with": "original"}


def usage(wall_s: float) -> JSON:
    """A `usage_snapshot` in which no model was called; `wall_s` in seconds."""
    none = {"calls": 0, "cached_calls": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}
    return {**none, "wall_s": round(wall_s, 3)}


def rejected(broken: Sequence[str], why: str = "No rewrite may mend this") -> Outcome:
    """A skill that breaks the specification, or its own cases their form, in a way that no rewrite may mend."""
    reason = f"{why}: {' '.join(broken)}"
    return Outcome("rejected", "none", {}, [], reason, list(broken), None, {}, {}, [])


def quarantined(findings: Sequence[JSON]) -> Outcome:
    """A skill of an author who is not known, with high-severity findings of the audit; nothing of it was run."""
    places = ", ".join(dict.fromkeys(f"{finding['file']}:{finding['line']}" for finding in findings))
    reason = (
        f"The audit found {len(findings)} red flag{'s' if len(findings) != 1 else ''} of high severity in a skill whose"
        f" author is not known ({places[:300]}). Nothing of it was run. Read the findings, and take out what should not"
        " be there."
    )
    return Outcome("quarantined", "none", {}, [], reason, [], {"findings": list(findings)}, {}, {}, [])


def blocked(reason: str, evaluation: Optional[JSON] = None, lineage: Sequence[JSON] = ()) -> Outcome:
    """The budget or the model does not let the job come to an end; what was measured until then is told all the same."""
    return Outcome("enhancement_blocked", "none", {}, [], reason, [], None, evaluation or {}, {}, list(lineage))


def unchanged(reason: str, evaluation: JSON, lineage: list[JSON], roi: Sequence[JSON] = ()) -> Outcome:
    """Nothing was found that is measurably better; the skill stays as it is. `roi` is of what was not published.

    `reason` begins with `No better`, `Worse` or `Inconclusive`.
    """
    return Outcome("succeeded", "source", {}, list(roi), reason, [], None, evaluation, {}, lineage)


def violated(broken: Sequence[str], evaluation: JSON, lineage: list[JSON]) -> Outcome:
    """The chosen candidate broke a rule that every enhanced skill keeps."""
    reason = "The chosen candidate broke a rule that every enhanced skill keeps: " + " ".join(broken)
    return Outcome("invariant_violation", "none", {}, [], reason, list(broken), None, evaluation, {}, lineage)
