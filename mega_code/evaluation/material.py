"""What a job with models works on: the skill, its cases and its queries, each in two halves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from mega_code.evaluation import cases, decision, plan, statistics, triggers
from mega_code.evaluation.cases import Case, CaseError
from mega_code.evaluation.folder import Skill
from mega_code.evaluation.intake import Stop, admit
from mega_code.evaluation.models import claude_triggers
from mega_code.evaluation.models.base import Model, size
from mega_code.evaluation.outcome import rejected, unchanged
from mega_code.evaluation.plan import Sizes
from mega_code.evaluation.triggers import Trigger

SEED = 0
FEWEST_CASES = 2 * statistics.FEWEST_CASES


@dataclass
class Material:
    """The halves of the cases are empty until there are any; `own_cases` and `own_triggers` None where none came along."""

    skill: Skill
    name: str
    own_cases: Optional[list[Case]]
    own_triggers: Optional[list[Trigger]]
    notes: list[str]
    triggers: triggers.Split = triggers.NO_TRIGGERS
    cases: cases.Split = cases.NO_CASES

    def halve(self, found: Sequence[Case]) -> None:
        """Split the cases. Raises Stop where too few are held out to settle anything.

        Cases with the same prompt are one task, which a model answers once: they can settle no more than one case can.
        """
        self.cases = cases.split(found, SEED)
        self.halve_queries(self.own_triggers or [*self.triggers.train, *self.triggers.held_out])
        different = len({cases.words(case.prompt) for case in self.cases.held_out})
        few = decision.too_few(different)
        if few:
            alike = "Cases with the same prompt count as one. " if different < len(self.cases.held_out) else ""
            advice = f"Write at least {FEWEST_CASES} cases in {cases.PATH}, or leave it out and have them generated."
            raise Stop(unchanged(f"Inconclusive, and nothing was spent on it: {few} {alike}{advice}", {}, []))

    def halve_queries(self, found: Sequence[Trigger]) -> None:
        """Split the queries, in accord with the cases as far as those are split."""
        self.triggers = triggers.split(found, SEED, self.cases)

    def sizes(self, models: Sequence[Model], output_tokens: int) -> Sizes:
        """What a plan is made from; the most there can be, where cases or queries are still to be generated."""
        train = plan.half(self.cases.train, self.triggers.train)
        held_out = plan.half(self.cases.held_out, self.triggers.held_out)
        if self.own_cases is None:
            train, held_out = plan.unknown_cases(train), plan.unknown_cases(held_out)
        if self.own_triggers is None:
            train, held_out = plan.unknown_queries(train), plan.unknown_queries(held_out)
        overhead, client = max(model.overhead_tokens for model in models), claude_triggers.triggers(models[0])
        return Sizes(
            train,
            held_out,
            self.own_cases is None,
            self.own_triggers is None,
            len(models),
            size(self.skill.text),
            output_tokens,
            overhead,
            client.overhead_tokens if client else overhead,
        )


def gather(skill_dir: Path, skill_id: str) -> Material:
    """The skill in `skill_dir` with the cases and queries that it brings, in halves.

    Raises Stop where it may not be worked on, or could settle nothing; OSError where the folder cannot be read.
    """
    skill = admit(skill_dir, skill_id)
    problems: list[str] = []
    own_cases = own_triggers = None
    try:
        if cases.PATH in skill.files:
            own_cases = cases.read((skill_dir / cases.PATH).read_bytes(), skill.files)
    except CaseError as error:
        problems += error.problems
    try:
        if triggers.PATH in skill.files:
            own_triggers = triggers.read((skill_dir / triggers.PATH).read_bytes())
    except CaseError as error:
        problems += error.problems
    if problems:
        raise Stop(rejected(problems, "The cases of the skill cannot be used before this is mended in them"))
    notes = [f"Case {case.id} names files; a model gets its prompt alone." for case in own_cases or () if case.files]
    name = str(skill.frontmatter.get("name", skill_id)).strip()
    material = Material(skill, name, own_cases, own_triggers, notes)
    material.halve_queries(own_triggers or ())
    if own_cases is not None:
        material.halve(own_cases)
    return material
