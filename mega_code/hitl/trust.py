"""The security audit, as a gate: what it found, what the person said, and whether anything of the skill may run."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Optional

from mega_code.console import say
from mega_code.envelope import Envelope
from mega_code.errors import MegaCodeError
from mega_code.evaluation import audit as audits
from mega_code.evaluation.audit.author import FULL_ACCESS, SKIP
from mega_code.files import write_json
from mega_code.skill import SKILL_MD, parse_frontmatter
from mega_code.workspace import AUDIT, Iteration

DECISIONS = ("continue", "skip")
TOLD = 20
RUN_AUDIT = "run audit"


class Gate(NamedTuple):
    """What the audit says of an iteration's skill now."""

    policy: str
    findings: list[audits.Finding]
    known_author: bool


def examine(iteration: Iteration) -> Gate:
    """Audit every file of the skill. Raises OSError."""
    findings = audits.audit_folder(iteration.original)
    try:
        frontmatter = parse_frontmatter((iteration.original / SKILL_MD).read_text("utf-8", "replace"))
    except MegaCodeError:
        frontmatter = {}  # of an author who is not known
    return Gate(audits.policy(findings, frontmatter), findings, audits.known_author(frontmatter))


def audit(iteration: Iteration, decision: Optional[str], now: datetime) -> Envelope:
    """Audit, tell, and keep what the person decided. Raises MegaCodeError `audit_refused` for a decision that nobody
    can take."""
    record, gate = iteration.record(), examine(iteration)
    if decision == "continue" and gate.policy == SKIP:
        raise MegaCodeError(
            "audit_refused",
            f"With findings of high severity and an unknown author nothing of {record.skill_name} is run.",
        )
    decided = {"answer": decision, "at": f"{now:%Y-%m-%dT%H:%M:%SZ}"} if decision else _decided(iteration, gate)
    findings = [finding._asdict() for finding in gate.findings]
    body = {"policy": gate.policy, "known_author": gate.known_author, "findings": findings, "decision": decided}
    write_json(iteration.folder / AUDIT, {**body, "content_hash": record.content_hash})
    _tell(gate)
    counted = {
        level: sum(finding.severity == level for finding in gate.findings) for level in ("high", "medium", "low")
    }
    answer = decided["answer"] if decided else None
    return {
        "audit": {
            "skill_name": record.skill_name,
            "iteration": iteration.number,
            "policy": gate.policy,
            "known_author": gate.known_author,
            "decision": answer,
            "may_run": _runs(gate.policy, answer),
            **counted,
        }
    }


def permit(iteration: Iteration) -> None:
    """Let a run go on, or raise MegaCodeError: `out_of_order` before the audit and the person's answer, `audit_refused`.

    The policy is worked out anew: the file holds the person's answer, and nobody's word on what was found.
    """
    iteration.needed(AUDIT, RUN_AUDIT)
    gate = examine(iteration)
    decided = _decided(iteration, gate)
    answer = decided["answer"] if decided else None
    if gate.policy == SKIP:
        raise MegaCodeError("audit_refused", "The audit's policy is skip_ab: nothing of the skill is run.")
    if answer == "skip":
        raise MegaCodeError("audit_refused", "The person decided that nothing of the skill is run.")
    if not _runs(gate.policy, answer):
        raise iteration.out_of_order(AUDIT, "ask the person, then run audit --decision continue or skip")


def _runs(policy: str, answer: Optional[str]) -> bool:
    """Whether the skill may be run; an author who is not known is always asked about."""
    return policy != SKIP and answer != "skip" and (policy == FULL_ACCESS or answer == "continue")


def _decided(iteration: Iteration, gate: Gate) -> Optional[dict[str, str]]:
    """The person's answer, as long as it was given to these findings."""
    kept = iteration.read(AUDIT) or {}
    decision = kept.get("decision")
    same = kept.get("policy") == gate.policy and kept.get("findings") == [f._asdict() for f in gate.findings]
    known = same and isinstance(decision, dict) and decision.get("answer") in DECISIONS
    return decision if known else None


def _tell(gate: Gate) -> None:
    say(f"author {'known' if gate.known_author else 'not known'}; {len(gate.findings)} findings; policy {gate.policy}")
    for finding in gate.findings[:TOLD]:
        say(
            f"- {finding.severity} {finding.category}, {finding.file}:{finding.line}: {finding.text} {finding.evidence}"
        )
    if len(gate.findings) > TOLD:
        say(f"- {len(gate.findings) - TOLD} more stand in {AUDIT}")
