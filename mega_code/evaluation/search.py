"""The search of the static model: one rewrite at a time, kept only if it improves and nothing that passed fails."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import NamedTuple, Optional

from mega_code.evaluation.checks import Report, evaluate
from mega_code.evaluation.folder import Skill
from mega_code.evaluation.outcome import JSON, Progress
from mega_code.evaluation.rewrites import REWRITES, Rewrite, Texts, guard

MAX_ROUNDS = 10
DIFF_LINES = 400
DIFF_INPUT_LINES = 2000


class Best(NamedTuple):
    """The best skill so far; `candidate` is its number in the lineage, and `kept` the rewrites that led to it."""

    skill: Skill
    report: Report
    candidate: int
    kept: tuple[Rewrite, ...]


def search(skill: Skill, report: Report, progress: Progress) -> tuple[Best, list[JSON]]:
    """The best skill that the rewrites lead to, and the lineage of every candidate; the original is number 0."""
    best = Best(skill, report, 0, ())
    scored = {"train_score": round(report.pass_rate(), 6), "kept": True, "why": "the skill as uploaded"}
    lineage: list[JSON] = [{**_entry(0, None, None, ""), **scored}]
    done, total = 0, len(REWRITES)
    dropped: dict[str, int] = {}  # the candidate that a rewrite could not improve on
    for number in range(MAX_ROUNDS):
        before = best
        for rewrite in REWRITES:
            again = dropped.get(rewrite.id) == best.candidate
            proposal = {} if again else rewrite.propose(best.skill)
            if number == 0 or proposal:
                done, total = done + 1, max(total, done + 1)
                progress.iteration(done, total)
            if proposal:
                best, entry = _weigh(best, rewrite, proposal, len(lineage))
                lineage.append(entry)
                if not entry["kept"]:
                    dropped[rewrite.id] = best.candidate
        if best is before:
            break
    return best, lineage


def _weigh(best: Best, rewrite: Rewrite, proposal: Texts, number: int) -> tuple[Best, JSON]:
    """The better of the best so far and the proposal, and the proposal's entry in the lineage."""
    skill = best.skill.changed(proposal)
    diff = "".join(_diff(path, best.skill.texts[path], proposal[path]) for path in sorted(proposal))
    entry = _entry(number, best.candidate, rewrite, diff)
    refused = guard(rewrite, best.skill, skill)
    if refused:
        return best, {**entry, "why": refused}
    report = evaluate(skill)
    entry["train_score"] = round(report.pass_rate(), 6)
    worse = _regress(best.report, report)
    if worse:
        return best, {**entry, "why": worse}
    gained = best.report.findings() - report.findings()
    entry.update(kept=True, why=f"{rewrite.text}: {gained} finding{'s' if gained != 1 else ''} fewer")
    return Best(skill, report, number, (*best.kept, rewrite)), entry


def _regress(before: Report, after: Report) -> str:
    """Why `after` is no improvement on `before`, or an empty string."""
    for id, verdict in before.verdicts.items():
        if after.verdicts[id].passed is False and verdict.passed is not False:
            return f"the expectation {id} would fail"
    better = (after.pass_rate(), -after.findings()) > (before.pass_rate(), -before.findings())
    return "" if better else "nothing would pass that failed"


def _entry(number: int, parent: Optional[int], rewrite: Optional[Rewrite], diff: str) -> JSON:
    """A candidate before it is scored; `train_score` stays null for one that `guard` refuses."""
    part = {"component": rewrite and rewrite.component, "rewrite": rewrite and rewrite.id}
    return {"candidate": number, "parent": parent, **part, "diff": diff, "train_score": None, "kept": False, "why": ""}


def _diff(path: str, before: str, after: str) -> str:
    """A unified diff, cut short after `DIFF_LINES`; one too large to compute is only counted."""
    old, new = _lines(before), _lines(after)
    same = next((i for i, (a, b) in enumerate(zip(old, new)) if a != b), min(len(old), len(new)))
    if max(len(old), len(new)) - same > DIFF_INPUT_LINES:
        return f"--- a/{path}\n+++ b/{path}\n@@ {len(old)} lines become {len(new)}, from line {same + 1} on @@\n"
    lines = list(_unified(path, old, new))
    left = [f"... {len(lines) - DIFF_LINES} more lines of the diff\n"] if len(lines) > DIFF_LINES else []
    return "".join([*lines[:DIFF_LINES], *left])


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return [*lines[:-1], lines[-1] + "\n\\ No newline at end of file"] if lines[-1] else lines[:-1]


def _unified(path: str, old: list[str], new: list[str]) -> Iterator[str]:
    for line in difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm=""):
        yield line + "\n"
