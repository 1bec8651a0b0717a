"""All iterations of a skill: what each measured, what was decided, and what came of it."""

from __future__ import annotations

from typing import Any

from mega_code import workspace
from mega_code.console import say
from mega_code.envelope import Envelope
from mega_code.hitl import testcases
from mega_code.paths import DataDir
from mega_code.workspace import ACCEPTANCE, AUDIT, BENCHMARK, FEEDBACK, PUBLISHED, Iteration

JSON = dict[str, Any]


def history(data: DataDir, skill_name: str) -> Envelope:
    """The iterations, oldest first; also told in words. Raises MegaCodeError as `workspace.iterations` does."""
    entries = [_entry(iteration) for iteration in workspace.iterations(data, skill_name)]
    for entry in entries:
        say(_words(entry))
    if not entries:
        say(f"{skill_name} has no iteration yet")
    return {"history": entries}


def _entry(iteration: Iteration) -> JSON:
    record = iteration.record()
    audit, benchmark = iteration.read(AUDIT) or {}, iteration.read(BENCHMARK) or {}
    accepted, feedback = iteration.read(ACCEPTANCE) or {}, iteration.read(FEEDBACK) or {}
    return {
        "iteration": iteration.number,
        "created_at": record.created_at,
        "content_hash": record.content_hash,
        "iteration_dir": str(iteration.folder),
        "cases": testcases.count(iteration),
        "policy": audit.get("policy"),
        "decision": (audit.get("decision") or {}).get("answer"),
        "model": benchmark.get("model"),
        "arms": benchmark.get("arms"),
        "comparisons": benchmark.get("comparisons") or [],
        "roi": benchmark.get("roi") or [],
        "feedback": feedback.get("state"),
        "state": accepted.get("state"),
        "version": accepted.get("version"),
        "backup_path": accepted.get("backup_path"),
        "published": (iteration.read(PUBLISHED) or {}).get("id"),
    }


def _words(entry: JSON) -> str:
    parts = [f"iteration {entry['iteration']} of {entry['created_at']}: {entry['cases']} cases"]
    if entry["policy"]:
        parts.append(f"audit {entry['policy']}" + (f", person {entry['decision']}" if entry["decision"] else ""))
    for arm, found in (entry["arms"] or {}).items():
        parts.append(f"{arm} {found['pass_rate']:.0%} with {found['tokens']:.0f} tokens")
    parts += [f"{compared['kind']} than {compared['against']}" for compared in entry["comparisons"][:1]]
    if entry["feedback"]:
        parts.append(f"feedback {entry['feedback']}")
    if entry["state"]:
        parts.append(f"version {entry['version']} {entry['state']}")
    if entry["published"]:
        parts.append(f"published as {entry['published']}")
    return "; ".join(parts)
