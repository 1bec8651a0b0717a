"""What a search came to: the candidate to set against the original, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from mega_code.errors import MegaCodeError
from mega_code.evaluation import decision, invariants, proposals
from mega_code.evaluation.folder import Skill
from mega_code.evaluation.optimize import Found
from mega_code.evaluation.outcome import JSON
from mega_code.skill import SKILL_MD


def choose_best(kept: Sequence[Found], skill: Skill) -> tuple[Optional[Found], list[str]]:
    """The candidate to compare with the original, and which invariants the better ones broke where none is left.

    `kept` begins with the original. Better is a higher pass rate on train, since that is what held-out decides on; or
    the same, with a saving that counts, more queries answered rightly, or fewer tokens.
    """
    original, *candidates = kept

    def worth(one: Found) -> tuple[float, bool, float, float]:
        saves = one.tokens <= (1 - decision.LEAST_SAVING) * original.tokens
        return round(one.pass_rate, 9), saves, round(one.score, 9), -one.tokens

    better = [one for one in candidates if worth(one) > worth(original)]
    broken: list[str] = []
    for one in sorted(better, key=worth, reverse=True):
        try:
            found = invariants.broken(skill, skill.changed({SKILL_MD: proposals.assemble(skill.text, one.candidate)}))
        except MegaCodeError as error:
            found = [error.message]
        if not found:
            return one, []
        broken = broken or found
    return None, broken


def only_broken(lineage: Sequence[JSON]) -> list[str]:
    """The rules that the first proposal broke, where proposals were dropped for that alone and none was ever measured."""
    broken = [entry["invariants"] for entry in lineage if entry.get("invariants")]
    return list(broken[0]) if broken and not _measured(lineage) else []


def nothing_better(lineage: Sequence[JSON]) -> str:
    """Why the skill stays where the search has nothing to set against it."""
    proposed, measured = len(lineage) - 1, _measured(lineage)
    if not measured:
        none = (
            f"none of {proposed} proposals could be measured, see the lineage" if proposed else "nothing was proposed"
        )
        return f"Inconclusive: {none}."
    none = f"none of {measured} candidates did" if measured > 1 else "the one candidate did not do"
    return f"No better: {none} better than the skill as uploaded on the train cases."


def _measured(lineage: Sequence[JSON]) -> int:
    """How many candidates beside the original were run."""
    return sum(entry["train_score"] is not None for entry in lineage[1:])
