"""An enhancement with models: measure, search on train, compare on held-out, decide.

Its phases are those of a job. Models, clock and store are handed in; the same completions give the same outcome.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing, suppress
from datetime import datetime, timezone
from pathlib import Path

from mega_code.errors import MegaCodeError
from mega_code.evaluation import (
    account,
    arms,
    cases,
    generate,
    invariants,
    plan,
    proposals,
    triggers,
)
from mega_code.evaluation.arms import BASELINE, CANDIDATE, ORIGINAL, Measured, Models
from mega_code.evaluation.budget import Budget, BudgetSpent, Limits
from mega_code.evaluation.calls import Calls, NotKnown, Remembered
from mega_code.evaluation.choice import choose_best, nothing_better, only_broken
from mega_code.evaluation.executor import EXECUTOR, executor
from mega_code.evaluation.intake import Stop
from mega_code.evaluation.life import Life
from mega_code.evaluation.material import FEWEST_CASES, SEED, Material, gather
from mega_code.evaluation.models import choose, claude_triggers
from mega_code.evaluation.models.agents import Agent
from mega_code.evaluation.models.base import Model, ModelError, Request
from mega_code.evaluation.models.program import find
from mega_code.evaluation.optimize import Found, Search, check_installed, search
from mega_code.evaluation.outcome import JSON, Outcome, Progress, blocked, unchanged, violated
from mega_code.evaluation.plan import Plan, TooSmall
from mega_code.evaluation.proposals import Candidate
from mega_code.evaluation.room import Room
from mega_code.evaluation.stamp import stamp
from mega_code.evaluation.store import Store
from mega_code.evaluation.triggers import Loader
from mega_code.model_settings import MODEL
from mega_code.skill import SKILL_MD, check_enhanced

AGAIN = "Once that is mended, run it again; what was answered before is not paid for twice."
IN_PART = "Only a part of the cases was measured; the figures are of those."
# The stamp of the text that is measured, before its figures are known: as long as they will be, and the same in every life
# of a job, so that a resumed one asks what was asked before.
MEASURED_AT = datetime(2000, 1, 1, tzinfo=timezone.utc)
FIGURES = {"performance_increase": "00%", "token_savings": "-00%"}
WORSE_DESCRIPTION = "The new description was answered worse on the held-out queries; the original's stays."


def enhance(skill_dir: Path, skill_id: str, progress: Progress, now: datetime, room: Room) -> Outcome:
    """Look for a version of the skill in `skill_dir` that is measurably better, and say what came of it.

    Raises what `progress` raises, OSError, and MegaCodeError `invalid_arguments` for settings that cannot be used.
    """
    limits, models = check(room.env)
    progress.phase("intake")
    with closing(Store(room.store)) as store:
        life = Life(store, room.job_id)
        try:
            material = gather(skill_dir, skill_id)
            outcome = _Trial(material, limits, models, store, life, progress, room).run(now)
        except Stop as stop:
            outcome = stop.outcome
        except (BudgetSpent, ModelError) as error:
            outcome = blocked(_too_early(error))
        finally:
            life.note()
        return outcome._replace(usage_snapshot=store.usage(room.job_id)._asdict())


def check(env: Mapping[str, str]) -> tuple[Limits, list[Model]]:
    """The limits and models that the settings name. Raises MegaCodeError, before anything is spent."""
    check_installed()
    return Limits.from_env(env), choose(env.get(MODEL, ""), env)


def check_here(env: Mapping[str, str]) -> tuple[Limits, list[Model]]:
    """As `check`; where calls run on this machine, an agent's program must be on its PATH, too."""
    limits, models = check(env)
    for model in () if env.get(EXECUTOR) else models:
        try:
            if isinstance(model, Agent):
                find(model.program)
        except ModelError as error:
            raise MegaCodeError("invalid_arguments", f"{MODEL} names {model.name}: {error}") from None
    return limits, models


class Broken(Exception):
    """A text that may not be published; `rules` has a sentence for each rule that it breaks."""

    def __init__(self, rules: Sequence[str]) -> None:
        super().__init__(" ".join(rules))
        self.rules = list(rules)


class _Trial:
    """One attempt at one job."""

    def __init__(
        self,
        material: Material,
        limits: Limits,
        models: Sequence[Model],
        store: Store,
        life: Life,
        progress: Progress,
        room: Room,
    ) -> None:
        self.material = material
        self.limits = limits
        self.models = models
        self.store = store
        self.life = life
        self.progress = progress
        self.room = room
        self.phase = "intake"
        self.budget = Budget(limits, store.spent(room.job_id))

    def run(self, now: datetime) -> Outcome:
        """Every phase after intake."""
        self._enter("evaluation_setup")
        size = self.material.sizes(self.models, self.limits.output_tokens)
        try:
            planned = plan.plan(size, self.limits.calls, self.limits.tokens)
        except TooSmall as error:
            return blocked(f"Nothing was spent: {error}.")
        with ExitStack() as stack:
            pool = executor(self.room.env)
            stack.callback(pool.shutdown, wait=False)
            callers = [self._calls(model, pool) for model in self.models]
            for model in self.models:
                stack.callback(model.close)
            return self._compare(callers, planned, now)

    def _calls(self, model: Model, pool: Executor) -> Calls:
        limits = self.limits
        return Calls(
            model,
            self.store,
            self.room.job_id,
            self.budget,
            pool,
            limits.concurrency,
            self._check,
            patience_s=limits.patience_s,
            begun=self.progress.worked,
        )

    def _compare(self, callers: Sequence[Calls], planned: Plan, now: datetime) -> Outcome:
        material, first = self.material, callers[0]
        self._generate(first)
        loader = self._loader(first)
        models = [Models(caller, first, loader, self.limits.output_tokens, self._check) for caller in callers]
        book = account.Book(
            [model.name for model in self.models], SEED, planned, material.cases, material.triggers, material.notes
        )
        try:
            standing = self._standing(models[0], planned.repeats)
        except (BudgetSpent, ModelError) as error:
            book.add(0, self._standing_so_far(models[0], first, planned.repeats))
            book.notes.append(IN_PART)
            return blocked(_too_early(error), book.evaluation() if book.measured[0] else {})
        runs = [run for measured in standing.values() for one in measured for run in one.runs]
        if not any(arms.answered(run.completion) for run in runs):
            refused = all(run.completion.outcome == "refused" for run in runs)
            did = "refused every task" if refused else "answered no task with a text"
            return blocked(f"{self.models[0].name} {did}. {AGAIN}")
        book.add(0, standing)
        few = book.too_few()
        if few:
            return unchanged(f"Inconclusive, and nothing was searched for: {few}", book.evaluation(), [])
        lineage: list[JSON] = []
        try:
            book.trigger(ORIGINAL, self._triggers(loader, proposals.original(material.skill.text).description))
            return self._improve(models, book, self._search(models[0], first, planned, lineage), now)
        except BudgetSpent as error:
            return blocked(f"The budget was spent before there was a decision: {error}", book.evaluation(), lineage)
        except ModelError as error:
            return blocked(f"The model could not be used any longer: {error}", book.evaluation(), lineage)

    def _improve(self, models: Sequence[Models], book: account.Book, work: Search, now: datetime) -> Outcome:
        """Search, and compare what was found."""
        self._enter("iterating")
        kept = search(work)
        book.notes += work.early
        self._enter("publishing")
        best, broken = choose_best(kept, self.material.skill)
        if best:
            work.lineage[best.number]["chosen"] = True
            try:
                return self._decide(best, models, book, work.lineage, now)
            except Broken as error:
                return violated(error.rules, book.evaluation(), work.lineage)
        broken = broken or only_broken(work.lineage)
        if broken:
            return violated(broken, book.evaluation(), work.lineage)
        reason = " ".join([nothing_better(work.lineage), book.standing(), *work.early])
        return unchanged(reason, book.evaluation(), work.lineage)

    def _decide(
        self,
        best: Found,
        models: Sequence[Models],
        book: account.Book,
        lineage: list[JSON],
        now: datetime,
    ) -> Outcome:
        """Run the chosen candidate on held-out, once, as it would be published, and decide. Raises Broken."""
        material = self.material
        chosen = self._loads_as_well(best.candidate, models[0].loader, book)
        text = proposals.assemble(material.skill.text, chosen)
        if text == material.skill.text:
            return unchanged(f"Worse: {WORSE_DESCRIPTION}", book.evaluation(), lineage)
        installed = self._stamped(text, [{"model": model.name, **FIGURES} for model in self.models], MEASURED_AT)
        held = [(case, book.plan.repeats) for case in material.cases.held_out]
        for number, model in enumerate(models):
            standing = {BASELINE: "", ORIGINAL: material.skill.text} if number else {}
            book.add(number, arms.measure({**standing, CANDIDATE: installed}, held, model, SEED))
        decided, roi = book.decide()
        if not decided.publish:
            return unchanged(decided.reason, book.evaluation(), lineage, roi)
        files = {SKILL_MD: self._stamped(text, roi, now).encode()}
        return Outcome("succeeded", "enhanced", files, roi, decided.reason, [], None, book.evaluation(), {}, lineage)

    def _loads_as_well(self, candidate: Candidate, loader: Loader, book: account.Book) -> Candidate:
        """The candidate, with the original's description where its own does worse on the held-out queries."""
        before, queries = proposals.original(self.material.skill.text), self.material.triggers.held_out
        loaded = self._triggers(loader, candidate.description)
        right = {
            arm: sum(query.should_trigger == one for query, one in zip(queries, found))
            for arm, found in ((ORIGINAL, book.triggered[ORIGINAL]), (CANDIDATE, loaded))
        }
        if right[CANDIDATE] >= right[ORIGINAL]:
            book.trigger(CANDIDATE, loaded)
            return candidate
        book.notes.append(WORSE_DESCRIPTION)
        book.trigger(CANDIDATE, book.triggered[ORIGINAL])
        return candidate._replace(description=before.description)

    def _stamped(self, text: str, roi: list[JSON], now: datetime) -> str:
        """The SKILL.md as it is published. Raises Broken where it breaks what every enhanced skill keeps.

        That may be so although the chosen candidate broke nothing: where the original's description was put back.
        """
        before = self.material.skill
        try:
            candidate = before.changed({SKILL_MD: text})
            broken = invariants.broken(before, candidate)
            if broken:
                raise Broken(broken)
            final = candidate.changed({SKILL_MD: stamp(candidate, roi, now)})
            check_enhanced(final.frontmatter)
        except MegaCodeError as error:
            raise Broken([error.message]) from None
        return final.text

    def _standing(self, models: Models, repeats: int) -> dict[str, list[Measured]]:
        """The two arms that never change: each case once a repeat in the whole job."""
        return arms.measure(self._texts(), self._work(repeats), models, SEED)

    def _standing_so_far(self, models: Models, first: Calls, repeats: int) -> dict[str, list[Measured]]:
        """What is known of them where they could not be measured to the end: cases whose every answer has come."""
        known = models._replace(task=Remembered(first), judge=Remembered(first))
        found: dict[str, list[Measured]] = {}
        for arm, text in self._texts().items():
            for one in self._work(repeats):
                with suppress(NotKnown):
                    found.setdefault(arm, []).extend(arms.measure({arm: text}, [one], known, SEED)[arm])
        held_out = self.material.cases.held_out
        return {arm: measured for arm, measured in found.items() if any(one.case in held_out for one in measured)}

    def _texts(self) -> dict[str, str]:
        return {BASELINE: "", ORIGINAL: self.material.skill.text}

    def _work(self, repeats: int) -> list[tuple[cases.Case, int]]:
        split = self.material.cases
        return [*((case, 1) for case in split.train), *((case, repeats) for case in split.held_out)]

    def _triggers(self, loader: Loader, description: str) -> list[bool]:
        name, held = self.material.name, self.material.triggers.held_out
        return triggers.measure(name, description, held, loader, SEED)

    def _loader(self, first: Calls) -> Loader:
        """The real client where the first model is one; else the model is told of the skills and asked."""
        client = claude_triggers.triggers(self.models[0])
        if client is None:
            return Loader(first, triggers.request)
        return Loader(self._calls(client, first.executor), _to_the_client)

    def _search(self, models: Models, first: Calls, planned: Plan, lineage: list[JSON]) -> Search:
        material = self.material
        return Search(
            name=material.name,
            text=material.skill.text,
            cases=material.cases.train,
            triggers=material.triggers.train,
            models=models,
            proposer=first,
            seed=SEED,
            iterations=planned.iterations,
            run_dir=self.room.workspace / f"search-{self._mark()}",
            lacking=lambda: self.budget.lacks(planned.room),
            iteration=self.progress.iteration,
            lineage=lineage,
            early=[],
        )

    def _mark(self) -> str:
        """Tells a search apart from one of an earlier attempt with other models, limits or texts."""
        material = self.material
        about = (
            [model.key() for model in self.models],
            self.limits.output_tokens,
            material.skill.text,
            material.cases.train,
            material.triggers.train,
        )
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]

    def _generate(self, model: Calls) -> None:
        """Cases and queries for a skill that brings none. Raises Stop where no model writes enough of them."""
        material = self.material
        if material.own_triggers is None:
            made = generate.generate_triggers(material.skill.text, model)
            material.notes += made.notes
            material.halve_queries(made.items)
            if not made.items:
                material.notes.append("Triggering was not measured: the model wrote no usable queries.")
        if material.own_cases is None:
            made = generate.generate_cases(material.skill.text, model)
            material.notes += made.notes
            if len(made.items) < FEWEST_CASES:
                raise Stop(
                    blocked(
                        f"The model wrote {len(made.items)} usable cases in {generate.CASE_CALLS} calls, and fewer than"
                        f" {FEWEST_CASES} settle nothing. Write them in {cases.PATH}, or use another model."
                    )
                )
            material.halve(made.items)

    def _enter(self, phase: str) -> None:
        self.phase = phase
        self.progress.phase(phase)

    def _check(self) -> None:
        """Raises where the job is cancelled or no longer ours."""
        self.life.tick()
        self.progress.phase(self.phase)


def _too_early(error: Exception) -> str:
    """Why there is nothing to compare."""
    short = isinstance(error, BudgetSpent)
    what = "The budget was spent before there was anything to compare" if short else "The model could not be used"
    said = str(error).rstrip()
    return f"{what}: {said}{'' if said.endswith(('.', '!', '?')) else '.'} {AGAIN}"


def _to_the_client(name: str, description: str, trigger: triggers.Trigger, seed: int) -> Request:
    """A query as the client gets it, among the other skills."""
    others = [(other, text) for other, text in triggers.OTHERS.items() if other != name]
    return claude_triggers.trigger_request(trigger.query, [(name, description), *others])
