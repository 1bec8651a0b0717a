"""The account of an evaluation with models: what was measured, in the shape that the result carries, and the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Optional

from mega_code.evaluation import cases, decision, statistics, triggers
from mega_code.evaluation.arms import BASELINE, CANDIDATE, ORIGINAL, Measured, scores, tasks, without_verdict
from mega_code.evaluation.decision import Decision
from mega_code.evaluation.outcome import JSON
from mega_code.evaluation.plan import Plan

METHOD = (
    "Every case was answered by each arm with no tools: without the skill, with the skill as uploaded, with the"
    " candidate. Code or a blind judge graded the answers. Only the held-out half, which no proposer saw, decides."
)
TOKENS = "Tokens are input and output of one answer; the skill's own text is part of the input."


class Book:
    """What was measured so far. The first model is the one that searched and judged; each has its own figures."""

    def __init__(
        self,
        models: Sequence[str],
        seed: int,
        plan: Plan,
        split: cases.Split,
        queries: triggers.Split,
        notes: list[str],
    ) -> None:
        self.models = list(models)
        self.seed = seed
        self.plan = plan
        self.split = split
        self.queries = queries
        self.notes = notes
        self.measured: list[dict[str, dict[str, Measured]]] = [{} for _ in models]
        self.triggered: dict[str, list[bool]] = {}

    def add(self, model: int, measured: Mapping[str, Sequence[Measured]]) -> None:
        """Take in the arms of one model, by its number; a case is replaced by its newer measurement."""
        for arm, results in measured.items():
            self.measured[model].setdefault(arm, {}).update({one.case.id: one for one in results})

    def trigger(self, arm: str, loaded: Sequence[bool]) -> None:
        """Take in which held-out queries load the skill with an arm's description."""
        self.triggered[arm] = list(loaded)

    def decide(self) -> tuple[Decision, list[JSON]]:
        """The decision over all models, its reason with all that was seen, and the ROI of each."""
        held = [{arm: scores(self._held(n, arm)) for arm in self.measured[n]} for n in range(len(self.models))]
        decided = decision.decide_for_models({m: (a[ORIGINAL], a[CANDIDATE]) for m, a in zip(self.models, held)})
        roi = [
            decision.figures(a[BASELINE], a[ORIGINAL], a[CANDIDATE], model, self.plan.repeats)
            for model, a in zip(self.models, held)
        ]
        told = " ".join([decided.reason, *self._ungraded(), *self._triggering(decided.publish)])
        return decided._replace(reason=told), [entry for entry in roi if entry]

    def standing(self) -> str:
        """What the original was measured at beside no skill, in sentences."""
        without, given = (_rates(self._held(0, arm)) for arm in (BASELINE, ORIGINAL))
        passes = (
            f"It passes {fmean(given):.0%} of the expectations of {len(given)} held-out cases,"
            f" and {fmean(without):.0%} pass without a skill."
        )
        return " ".join([passes, *self._ungraded(), *self._triggering()])

    def too_few(self) -> Optional[str]:
        """Why the original's held-out answers can settle nothing, whatever a candidate does; None where they can."""
        graded = sum(score.graded > 0 for score in scores(self._held(0, ORIGINAL)))
        few = decision.too_few(graded, "graded held-out case")
        return " ".join([few, *self._ungraded()]) if few else None

    def _ungraded(self) -> list[str]:
        """Sentences for each model on the held-out answers that fail without a verdict on what they say."""
        found = []
        for number, model in enumerate(self.models):
            on = f" on {model}" if len(self.models) > 1 else ""
            held = {arm: self._held(number, arm) for arm in self.measured[number]}
            found += [f"Held-out answers {what}{on}: {where}." for what, where in without_verdict(held).items()]
        return found

    def _triggering(self, published: bool = False) -> list[str]:
        """A sentence on what was seen of it, where anything was."""
        held, arms = self.queries.held_out, self.triggered
        right = {
            arm: sum(query.should_trigger is one for query, one in zip(held, found)) for arm, found in arms.items()
        }
        if not held or ORIGINAL not in right:
            return []
        said = (
            f"{right[ORIGINAL]} of {len(held)} held-out queries are answered rightly with the description as uploaded"
        )
        if CANDIDATE in right:
            said += f", {right[CANDIDATE]} with the candidate's"
        alone = right.get(CANDIDATE, 0) > right[ORIGINAL] and not published
        return [f"Triggering: {said}{'; that alone publishes nothing' if alone else ''}."]

    def evaluation(self) -> JSON:
        """Everything measured, per case and arm, with the verdicts and their evidence."""
        by_model = {
            model: {"arms": self._arms(number), "cases": self._cases(number)}
            for number, model in enumerate(self.models)
        }
        head = {"model": self.models[0], "models": self.models, "method": f"{METHOD} {TOKENS}"}
        return {
            **head,
            "compared_with": BASELINE,
            "seed": self.seed,
            "repeats": self.plan.repeats,
            "arms": by_model[self.models[0]]["arms"],
            "cases": by_model[self.models[0]]["cases"],
            "triggers": self._triggers(),
            "by_model": by_model if len(self.models) > 1 else {},
            "notes": [*self.notes, *self._ungraded()],
            "plan": self.plan.as_json(),
        }

    def _cases(self, model: int) -> list[JSON]:
        """Every case that a model was measured on, held-out ones first."""
        halves = [("held_out", self.split.held_out), ("train", self.split.train)]
        return [self._case(model, case, half) for half, group in halves for case in group]

    def _held(self, model: int, arm: str) -> list[Measured]:
        found = self.measured[model].get(arm, {})
        return [found[case.id] for case in self.split.held_out if case.id in found]

    def _arms(self, model: int) -> JSON:
        """Per arm the figures on held-out; the interval is of the pass rate."""
        found = {}
        for arm in self.measured[model]:
            held = self._held(model, arm)
            rates = _rates(held)
            low, high = statistics.pass_rate_interval(rates)
            found[arm] = {
                "pass_rate": round(fmean(rates), 6),
                "tokens": round(fmean(score.tokens for score in scores(held)), 1),
                "ci95": [round(low, 6), round(high, 6)],
            }
        return found

    def _case(self, model: int, case: cases.Case, half: str) -> JSON:
        arms = {arm: found[case.id].as_json() for arm, found in self.measured[model].items() if case.id in found}
        return {"case": case.id, "split": half, "prompt": case.prompt, "arms": arms}

    def _triggers(self) -> Optional[JSON]:
        held = self.queries.held_out
        if not held:
            return None
        listed: list[dict[str, Any]] = [
            {**query._asdict(), "arms": {arm: {"triggered": found[index]} for arm, found in self.triggered.items()}}
            for index, query in enumerate(held)
        ]
        return {
            "queries": len(held) + len(self.queries.train),
            "held_out": len(held),
            "arms": {arm: triggers.figures(held, found) for arm, found in self.triggered.items()},
            "cases": listed,
        }


def _rates(measured: Sequence[Measured]) -> list[float]:
    """The pass rate of each task; what is not graded is a fail."""
    return [fmean(one.passed for one in task) for task in tasks(measured)]
