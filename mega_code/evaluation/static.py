"""The `static` model: checks and mechanical rewrites, no language model and no network."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Optional

from mega_code.errors import MegaCodeError
from mega_code.evaluation import checks, folder, invariants, scripts, text_checks
from mega_code.evaluation.blocks import verbatim
from mega_code.evaluation.checks import Report, evaluate
from mega_code.evaluation.folder import Skill
from mega_code.evaluation.intake import Stop, admit
from mega_code.evaluation.outcome import JSON, Outcome, Progress, roi_entry, usage, violated
from mega_code.evaluation.search import Best, search
from mega_code.evaluation.stamp import stamp
from mega_code.skill import SKILL_MD, check_enhanced

MODEL = "static-checks"
SHOWN_REASONS = 5
ESTIMATOR = f"UTF-8 bytes of the description and the body, divided by {text_checks.BYTES_A_TOKEN}"
METHOD = "Fixed checks of the specification and of good practice; no language model read the skill."


def enhance(skill_dir: Path, skill_id: str, progress: Progress, now: datetime) -> Outcome:
    """Check the skill in `skill_dir`, mend what can be mended without a change of meaning, and say what came of it.

    `skill_dir` is only read; its name does not matter. The same skill gives the same outcome, but for `wall_s` and
    the `generated_at` that is `now`. Raises what `progress` raises, and OSError where the folder cannot be read.
    """
    started = time.monotonic()
    progress.phase("intake")
    try:
        skill = admit(skill_dir, skill_id)
    except Stop as stop:
        return stop.outcome._replace(usage_snapshot=usage(time.monotonic() - started))
    progress.phase("evaluation_setup")
    skill = replace(skill, parsed=scripts.inspect(skill_dir, skill.files))
    original = evaluate(skill)
    progress.phase("iterating")
    best, lineage = search(skill, original, progress)
    if best.kept:
        lineage[best.candidate]["chosen"] = True
    progress.phase("publishing")
    job = _Job(skill, original, best, lineage)
    outcome = _published(job, now) if best.kept else _unchanged(job)
    return outcome._replace(usage_snapshot=usage(time.monotonic() - started))


class _Job(NamedTuple):
    skill: Skill
    original: Report
    best: Best
    lineage: list[JSON]


def _unchanged(job: _Job) -> Outcome:
    evaluation = _evaluation({"original": job.original})
    todo = _todo(job.original)
    why = f"nothing can be mended by machine{todo}" if todo else "every static check passes; nothing to mend"
    reason = f"No better: {why}."
    return Outcome("succeeded", "source", {}, [], reason, [], _evidence(job.original), evaluation, {}, job.lineage)


def _published(job: _Job, now: datetime) -> Outcome:
    points = 100 * (job.best.report.pass_rate() - job.original.pass_rate())
    saving = 100 * (1 - job.best.report.tokens / job.original.tokens)
    roi = [roi_entry(MODEL, points, saving, len(job.best.report.cases()))]
    final, report, broken = job.best.skill, job.best.report, []
    try:
        final = final.changed({SKILL_MD: stamp(final, roi, now, fresh="metadata" not in job.skill.frontmatter)})
        check_enhanced(final.frontmatter)
        report = evaluate(final)
        broken = broken_rules(job.skill, final) + _lost(job.best.report, report)
    except MegaCodeError as error:
        broken = [error.message]
    evaluation = _evaluation({"original": job.original, "candidate": report})
    if broken:
        return violated(broken, evaluation, job.lineage)
    files = {path: text.encode() for path, text in final.texts.items() if text != job.skill.texts[path]}
    done = ", ".join(dict.fromkeys(rewrite.text for rewrite in job.best.kept))
    reason = f"Mended by machine: {done}{_todo(report)}."
    return Outcome("succeeded", "enhanced", files, roi, reason, [], _evidence(report), evaluation, {}, job.lineage)


def broken_rules(before: Skill, after: Skill) -> list[str]:
    """A sentence for each rule of a mechanically mended skill that `after` breaks."""
    rules = (
        (_code(before) == _code(after), "A code block changed."),
        (all(path == SKILL_MD or path.startswith(folder.REFERENCES) for path in after.texts), "Another file changed."),
    )
    return invariants.broken(before, after) + [sentence for kept, sentence in rules if not kept]


def _code(skill: Skill) -> list[tuple[tuple[str, ...], ...]]:
    return [verbatim(page.document) for page in skill.pages()]


def _lost(before: Report, after: Report) -> list[str]:
    lost = [v for v in after.failed() if before.verdicts[v.expectation.id].passed is not False]
    return [f"With the stamp this no longer holds: {verdict.expectation.text}." for verdict in lost]


def _evidence(report: Report) -> Optional[JSON]:
    verdicts = [verdict.as_json() for verdict in report.failed()]
    findings = [finding for verdict in verdicts for finding in verdict["evidence"]]
    return {"findings": findings} if findings else None


def _todo(report: Report) -> str:
    """What a person would have to mend, as the end of a reason; empty if nothing."""
    failed, parts = report.failed(), []
    for verdict in failed[:SHOWN_REASONS]:
        finding = verdict.findings[0]
        more = len(verdict.findings) - 1
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        parts.append(f"{place} {finding.text}" + (f" (and {more} more like it)" if more else ""))
    if len(failed) > SHOWN_REASONS:
        parts.append(f"{len(failed) - SHOWN_REASONS} more checks that the evaluation lists")
    return f"; left for a person: {'; '.join(parts)}" if parts else ""


def _evaluation(arms: dict[str, Report]) -> JSON:
    """Per case and arm the score and the verdicts, with what they were measured by."""
    found = {arm: report.cases() for arm, report in arms.items()}
    cases = [
        {
            "case": case,
            "arms": {
                arm: {"score": round(checks.score(by[case]), 6), "verdicts": [v.as_json() for v in by[case]]}
                for arm, by in found.items()
                if case in by
            },
        }
        for case in dict.fromkeys(case for by in found.values() for case in by)
    ]
    summary = {arm: {"pass_rate": round(r.pass_rate(), 6), "tokens": math.ceil(r.tokens)} for arm, r in arms.items()}
    head = {"model": MODEL, "method": METHOD, "token_estimator": ESTIMATOR, "compared_with": "original"}
    return {**head, "arms": summary, "cases": cases}
