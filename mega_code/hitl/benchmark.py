"""What the runs and their gradings come to: figures, intervals, and a decision that says how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Optional

from mega_code.console import say
from mega_code.envelope import Envelope
from mega_code.evaluation import arms, decision, statistics
from mega_code.evaluation.account import TOKENS
from mega_code.evaluation.arms import Measured
from mega_code.evaluation.cases import Case
from mega_code.evaluation.decision import Decision
from mega_code.evaluation.outcome import JSON
from mega_code.files import write_atomic, write_json
from mega_code.hitl import gradings
from mega_code.hitl.gradings import Made, Verdicts
from mega_code.hitl.runs import BASELINE, PREVIOUS, SEED, WITH_SKILL
from mega_code.workspace import BENCHMARK, BENCHMARK_MD, Iteration

METHOD = (
    "Every case was answered by each arm with no tools: without the skill, with the skill as this iteration began, and"
    " with the skill as the iteration before began. Code graded what code can decide; the host agent graded the rest"
    " from outputs that did not name their arm, and its evidence stands in them."
)
SEEN = "The cases are seen by whoever drafts: a gain on them may be smaller on tasks that nobody has seen."
UNCHANGED = "The SKILL.md is that of the iteration before, so the two cannot differ."
Arms = dict[str, list[Measured]]


def aggregate(iteration: Iteration) -> Envelope:
    """Write both benchmark files. Raises MegaCodeError as `Iteration.untouched`, `gradings.made` and `gradings.load`."""
    iteration.untouched()
    runs, head = gradings.made(iteration)
    verdicts, _ = gradings.load(iteration, runs)
    measured = _measured(runs, verdicts)
    cases = [one.case for one in measured[WITH_SKILL]]
    compared = [
        _comparison(against, decision.decide(arms.scores(measured[against]), arms.scores(measured[WITH_SKILL]), "case"))
        for against in ((BASELINE, PREVIOUS) if head.get("unchanged") else (PREVIOUS, BASELINE))
        if against in measured
    ]
    body = _body(iteration, head, measured, cases, compared)
    write_json(iteration.folder / BENCHMARK, body)
    text = _markdown(body)
    write_atomic(iteration.folder / BENCHMARK_MD, text.encode("utf-8", "replace"))
    for line in text.splitlines():
        say(line)
    return {"benchmark": {"skill_name": iteration.skill_name, "iteration": iteration.number, **_headline(body)}}


def _measured(runs: Sequence[Made], verdicts: Verdicts) -> Arms:
    graded: dict[str, dict[str, list[arms.Run]]] = {}
    for made in runs:
        run = arms.graded((made.case, made.repeat, made.completion), verdicts.get(made.name, []))
        graded.setdefault(made.arm, {}).setdefault(made.case.id, []).append(run)
    return {arm: [Measured(group[0].case, tuple(group)) for group in by.values()] for arm, by in graded.items()}


def _comparison(against: str, decided: Decision) -> JSON:
    """A decision as JSON; a limit that so few cases cannot set is null."""
    bound = decided.noninferior_bound
    limits = [limit for limit in decided.ci95 if math.isfinite(limit)]
    return {
        "candidate": WITH_SKILL,
        "against": against,
        **decided._asdict(),
        "ci95": limits or None,
        "noninferior_bound": bound if math.isfinite(bound) else None,
    }


def _body(iteration: Iteration, head: JSON, measured: Arms, cases: Sequence[Case], compared: list[JSON]) -> JSON:
    model, repeats = str(head["model"]), int(head["repeats"])
    scored = {arm: arms.scores(found) for arm, found in measured.items()}
    figures = decision.figures(
        scored[BASELINE], scored.get(PREVIOUS, scored[BASELINE]), scored[WITH_SKILL], model, repeats
    )
    if not any(arms.answered(run.completion) for group in measured.values() for one in group for run in one.runs):
        figures = None  # that no arm did anything says nothing of any
    against = figures.pop("vs_original") if figures else None
    unchanged = UNCHANGED if head.get("unchanged") else None
    silent = [f"Answers {what}: {where}." for what, where in arms.without_verdict(measured).items()]
    return {
        "skill_name": iteration.skill_name,
        "iteration": iteration.number,
        "content_hash": iteration.record().content_hash,
        "model": model,
        "models": [model],
        "method": f"{METHOD} {TOKENS}",
        "compared_with": BASELINE,
        "seed": SEED,
        "repeats": repeats,
        "arms": {arm: _arm(found) for arm, found in scored.items()},
        "cases": [_case(case, index, measured) for index, case in enumerate(cases)],
        "triggers": None,
        "by_model": {},
        "notes": [note for note in (SEEN, unchanged, decision.too_few(len(scored[BASELINE]), "case"), *silent) if note],
        "decision": compared[0],
        "comparisons": compared,
        "roi": [{**figures, **({"vs_previous": against} if PREVIOUS in scored else {})}] if figures else [],
    }


def _arm(scores: Sequence[decision.Score]) -> JSON:
    passed = [score.least for score in scores]
    low, high = statistics.pass_rate_interval(passed)
    return {
        "pass_rate": round(fmean(passed), 6),
        "tokens": round(fmean(score.tokens for score in scores), 1),
        "ci95": [round(low, 6), round(high, 6)],
    }


def _case(case: Case, index: int, measured: Arms) -> JSON:
    found = {arm: group[index].as_json() for arm, group in measured.items()}
    return {"case": case.id, "split": "seen", "prompt": case.prompt, "arms": found}


def _headline(body: JSON) -> JSON:
    decided, entry = body["decision"], (body["roi"] or [{}])[0]
    keys = ("kind", "against", "p_value", "cases", "cases_needed", "reason")
    figures = {key: entry.get(key) for key in ("performance_increase", "token_savings")}
    return {"model": body["model"], "is_better": decided["publish"], **{key: decided[key] for key in keys}, **figures}


def _markdown(body: JSON) -> str:
    """The figures for a person."""
    lines = [
        f"# {body['skill_name']}, iteration {body['iteration']}",
        "",
        f"{body['model']}, {len(body['cases'])} cases, {body['repeats']} run{'s' if body['repeats'] != 1 else ''} each.",
        "",
        "| arm | pass rate | 95 % interval | tokens a run |",
        "|---|---|---|---|",
    ]
    for arm, found in body["arms"].items():
        low, high = found["ci95"]
        lines.append(f"| {arm} | {found['pass_rate']:.0%} | {low:.0%} to {high:.0%} | {found['tokens']:.0f} |")
    for compared in body["comparisons"]:
        lines += ["", f"Against {compared['against']}: {compared['reason']}"]
    lines += ["", *(f"- {note}" for note in body["notes"])]
    return "\n".join(lines) + "\n"


def roi_of(iteration: Iteration, content_hash: str) -> Optional[list[JSON]]:
    """The figures that were measured of exactly this content; None where it was not measured."""
    body = iteration.read(BENCHMARK)
    roi = body.get("roi") if body and body.get("content_hash") == content_hash else None
    keys = {"model", "performance_increase", "token_savings"}
    known = isinstance(roi, list) and all(isinstance(entry, dict) and keys <= set(entry) for entry in roi)
    return roi or None if known else None
