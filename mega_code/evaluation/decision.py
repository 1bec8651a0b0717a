"""Whether a candidate is published in place of the original, and what the result says of it.

Publish where, on held-out cases, the pass rate is higher (one-sided p <= 0.025), or where it is not more than five
points lower (one-sided 95 % bound) and the total of tokens is at least 20 % lower (p <= 0.025). The second p-value is
of the paired differences in tokens, unscaled, so that test and total ask the same question. One run that went astray
cannot make a saving by itself: its difference is above zero under half of the sign flips only, so the other cases must
show a saving too (at p <= 0.05). It can still make that saving look larger than it is.

An answer of which the judge gave no verdicts says nothing. What is estimated comes from the cases with a graded answer
in both arms, and it takes six of them. Nothing is published, and nothing called worse, but what holds whatever such
answers had come to: to publish, those of the original count as passed and those of the candidate as failed, in every
case. So no failed grading helps a candidate, whichever arm it is in.

What the bound cannot see: where no case came out differently it is zero, although a loss in one of twenty cases stays
unseen by sixteen in four jobs of ten. The reason then says that no case differed, and not that no loss is possible.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple, Optional

from mega_code.evaluation.outcome import JSON, percent
from mega_code.evaluation.statistics import ALPHA, FEWEST_CASES, LEVEL, SignFlips, cases_needed

MARGIN = 0.05  # of pass rate; a bound this far below zero still counts as not worse
LEAST_SAVING = 0.2
FLOAT_ERROR = 1e-9
HELD_OUT = "held-out case"
OPEN = "answers that were not graded could turn that"


class Score(NamedTuple):
    """One case in one arm: the mean over expectations and graded repeats, 0 to 1 and 0 where none is graded; the mean
    tokens in and out a run; and which share of its runs is graded."""

    passed: float
    tokens: float
    graded: float = 1.0

    @property
    def least(self) -> float:
        """The pass rate, were every answer that is not graded a fail."""
        return self.passed * self.graded

    @property
    def most(self) -> float:
        """The pass rate, were every answer that is not graded a pass."""
        return self.least + (1 - self.graded)


Arms = tuple[Sequence[Score], Sequence[Score]]  # the original and the candidate, paired by position


class Decision(NamedTuple):
    """Candidate against original. Lift, limits and bound are shares of pass rate, 0.2 being 20 points.

    `kind` is `better`, `cheaper`, `no better`, `worse` or `inconclusive`; the first two publish. `token_saving` is a
    share of the original's total, negative where the candidate takes more. `p_value` is one-sided for a higher pass
    rate, `token_p_value` for fewer tokens. With too few cases the limits are infinite. `cases_needed` is how many
    held-out cases would settle what is inconclusive, were it as observed; else None, as where no number would.
    `cases` are those that count; `reason` is for a person.
    """

    publish: bool
    kind: str
    lift: float
    ci95: tuple[float, float]
    p_value: float
    token_saving: float
    token_p_value: float
    noninferior_bound: float
    cases: int
    cases_needed: Optional[int]
    reason: str


def too_few(cases: int, noun: str = HELD_OUT) -> Optional[str]:
    """Why this many cases can settle nothing, for a person before anything is spent; None where they can."""
    if cases >= FEWEST_CASES:
        return None
    return (
        f"With {_counted(cases, noun)} nothing can be settled: even if every one came out in favour, chance alone would do the same "
        f"with probability {0.5**cases:.4g}, and {ALPHA} is the limit. It takes {FEWEST_CASES} at least."
    )


def decide(original: Sequence[Score], candidate: Sequence[Score], noun: str = HELD_OUT) -> Decision:
    """The rule, on the same cases in the same order; `noun` is what one is called. Raises ValueError where they are not
    paired."""
    if len(original) != len(candidate):
        raise ValueError(f"{len(original)} cases of the original and {len(candidate)} of the candidate")
    seen = [(old, new) for old, new in zip(original, candidate) if old.graded and new.graded]
    lifts = [new.passed - old.passed for old, new in seen]
    flips = SignFlips(lifts)
    lift, p_value = round(fmean(lifts or [0.0]), 12) + 0.0, flips.p_value()
    bound, (saving, token_p_value) = flips.lower_bound(LEVEL), _saved(seen)
    cheap = _is_cheap(saving, token_p_value)
    settled = _settled(lifts, p_value, bound, cheap)
    needed = None if settled else _needed(lifts, bound, _spared(seen), saving, token_p_value)
    kind = settled or ("inconclusive" if needed or len(lifts) < FEWEST_CASES else "no better")
    open_ = not _holds(kind, list(zip(original, candidate)))
    kind = "inconclusive" if open_ else kind
    publish = kind in ("better", "cheaper")
    facts = (publish, kind, lift, flips.interval(LEVEL), p_value, saving, token_p_value, bound, len(lifts), needed)
    decision = Decision(*facts, reason="")
    return decision._replace(reason=_reason(decision, cheap, open_, len(original) - len(seen), noun))


Pairs = Sequence[tuple[Score, Score]]  # of the original and of the candidate, one a case


def _saved(pairs: Pairs) -> tuple[float, float]:
    """The share of tokens saved in total, and its p-value."""
    return token_saving([old for old, _ in pairs], [new for _, new in pairs]), SignFlips(_spared(pairs)).p_value()


def _spared(pairs: Pairs) -> list[float]:
    """The tokens that each case takes less."""
    return [old.tokens - new.tokens for old, new in pairs]


def _is_large(saving: float) -> bool:
    return saving >= LEAST_SAVING - FLOAT_ERROR


def _is_cheap(saving: float, p_value: float) -> bool:
    return _is_large(saving) and p_value <= ALPHA


def _holds(kind: str, pairs: Pairs) -> bool:
    """Whether what decides is so whatever the answers that are not graded would have come to."""
    if all(score.graded == 1 for pair in pairs for score in pair):
        return True
    worst = SignFlips(_worst(pairs))
    if kind == "better":
        return worst.p_value() <= ALPHA
    if kind == "cheaper":
        return _loses_little(worst.lower_bound(LEVEL)) and _is_cheap(*_saved(pairs))
    if kind == "worse":
        return SignFlips([-lift for lift in _best(pairs)]).p_value() <= ALPHA
    return True


def _worst(pairs: Pairs) -> list[float]:
    """The lifts, were what is not graded against the candidate."""
    return [new.least - old.most for old, new in pairs]


def _best(pairs: Pairs) -> list[float]:
    """The lifts, were what is not graded for the candidate."""
    return [new.most - old.least for old, new in pairs]


def decide_for_models(arms: Mapping[str, Arms]) -> Decision:
    """The rule on the average over several models, by name; a model that the candidate is worse on forbids it.

    Worse means that the one-sided 95 % bound of the lift on that model alone is below zero. So does a model on which
    it could be, had the answers that are not graded come to the worst.
    """
    decision = decide(pool([original for original, _ in arms.values()]), pool([new for _, new in arms.values()]))
    if len(arms) == 1 or not decision.publish:
        return decision
    paired = {model: list(zip(*pair)) for model, pair in arms.items()}
    forbid = [model for model, pairs in paired.items() if _is_lower(_worst(pairs))]
    worse = {model: _best(paired[model]) for model in forbid if _is_lower(_best(paired[model]))}
    if not forbid:
        return decision
    named = " and ".join(f"{model} (by {-fmean(lifts) * 100:.1f} points)" for model, lifts in worse.items())
    kind, says = "worse", f"Worse on {named}"
    if not worse:
        kind, says = "inconclusive", f"Inconclusive: {OPEN} to worse on {' and '.join(forbid)}"
    reason = f"{says}, which a gain on other models does not make good. Over all models: {decision.reason}"
    return decision._replace(publish=False, kind=kind, reason=reason)


def _is_lower(lifts: Sequence[float]) -> bool:
    return SignFlips(lifts).upper_bound(LEVEL) < -FLOAT_ERROR


def pool(models: Sequence[Sequence[Score]]) -> list[Score]:
    """One arm's scores on several models, averaged case by case.

    The case stays the unit: runs of one case on several models are no new cases. Tokens are averaged as they are, so
    that totals stay what is paid in all. Raises ValueError where the models did not run the same number of cases.
    """
    if len({len(scores) for scores in models}) > 1:
        raise ValueError("the models did not run the same cases")
    return [averaged(case) for case in zip(*models)]


def averaged(scores: Sequence[Score]) -> Score:
    """What is measured more than once as one score."""
    graded = fmean(score.graded for score in scores)
    passed = fmean(score.least for score in scores) / graded if graded else 0.0
    return Score(passed, fmean(score.tokens for score in scores), graded)


def token_saving(before: Sequence[Score], after: Sequence[Score]) -> float:
    """The share of `before`'s total of tokens that `after` does without; 0 where no token was counted before."""
    total = math.fsum(score.tokens for score in before)
    return 1 - math.fsum(score.tokens for score in after) / total if total > 0 else 0.0


def figures(
    baseline: Sequence[Score], original: Sequence[Score], candidate: Sequence[Score], model: str, repeats: int
) -> Optional[JSON]:
    """The `roi` entry of one model: against no skill at all, and with interval and p-value against the original.

    Only cases with a graded answer in both these arms count, and None is given where there is none; of them those with
    one without a skill, if there are any, make the headline. `ci95` is in percentage points, and None where there are
    too few cases for limits. The p-value has six digits that count.
    """
    seen = [case for case in zip(baseline, original, candidate) if case[1].graded and case[2].graded]
    if not seen:
        return None
    _, original, candidate = zip(*seen)
    plain, enhanced = zip(*((case[0], case[2]) for case in [c for c in seen if c[0].graded] or seen))
    decision = decide(original, candidate)
    limits = [round(limit * 100, 1) + 0.0 for limit in decision.ci95 if math.isfinite(limit)]
    p_value = float(f"{decision.p_value:.6g}")
    against = {**_headline(original, candidate), "ci95": limits or None, "p_value": p_value}
    counted = {"cases": len(candidate), "repeats": repeats, "compared_with": "baseline"}
    return {"model": model, **_headline(plain, enhanced), "vs_original": against, **counted}


def _headline(before: Sequence[Score], after: Sequence[Score]) -> dict[str, str]:
    points = (fmean(score.passed for score in after) - fmean(score.passed for score in before)) * 100
    return {"performance_increase": percent(points), "token_savings": percent(token_saving(before, after) * 100)}


def _settled(lifts: Sequence[float], p_value: float, bound: float, cheap: bool) -> Optional[str]:
    """What the rule says; None where that is open."""
    if p_value <= ALPHA:
        return "better"
    if cheap and _loses_little(bound):
        return "cheaper"
    return "worse" if SignFlips([-lift for lift in lifts]).p_value() <= ALPHA else None


def _loses_little(bound: float) -> bool:
    return bound >= -MARGIN - FLOAT_ERROR


def _needed(
    lifts: Sequence[float], bound: float, spared: Sequence[float], saving: float, token_p_value: float
) -> Optional[int]:
    """How many cases would settle what is open, as a lift or as a saving; None where no number would."""
    saves: list[Optional[int]] = [FEWEST_CASES if _is_large(saving) else None]
    if token_p_value > ALPHA:
        saves.append(cases_needed(spared))
    if not _loses_little(bound):
        saves.append(cases_needed([lift + MARGIN for lift in lifts], 1 - LEVEL))
    known = [cases for cases in saves if cases]
    routes = [cases_needed(lifts), max(known) if len(known) == len(saves) else None]
    return min((max(cases, len(lifts) + 1) for cases in routes if cases), default=None)


def _counted(cases: int, noun: str) -> str:
    return f"{cases} {noun}{'s' if cases != 1 else ''}"


def _reason(decision: Decision, cheap: bool, open_: bool, left_out: int, noun: str) -> str:
    """Two to six sentences with the figures. `open_`: what is not graded could turn it; `left_out` cases do not count."""
    low, high = (round(limit * 100, 1) + 0.0 if math.isfinite(limit) else limit for limit in decision.ci95)
    limits = f" (95 % interval {low:.1f} to {high:.1f})" if math.isfinite(low) else ""
    sentences = [
        f"{decision.kind.capitalize()}: on {_counted(decision.cases, noun)} the pass rate {_moved(decision.lift)}{limits};"
        f" {OPEN if open_ else _sure(decision)}.",
        f"Tokens {_tokens_moved(decision)}.",
        f"{_counted(left_out, noun)} without a graded answer in both arms did not count." if left_out else "",
        too_few(decision.cases, noun) or "",
    ]
    if cheap and not decision.publish and not open_:
        sentences.append(f"As a loss of {MARGIN * 100:.0f} points or more is not ruled out, the saving does not count.")
    elif decision.cases_needed and _is_large(decision.token_saving) and not cheap:
        sentences.append("The saving does not count, as chance could have made it.")
    if decision.cases_needed:
        sentences.append(f"If it is as it looks, {_counted(decision.cases_needed, noun)} would probably settle it.")
    elif decision.kind == "no better":
        sentences.append("No number of cases finds a gain where there is none.")
    return " ".join(sentence for sentence in sentences if sentence)


def _sure(decision: Decision) -> str:
    """What noise has to do with the lift."""
    if decision.kind == "cheaper" and decision.ci95 == (0.0, 0.0):
        return "no case came out differently"
    if decision.kind == "cheaper":
        loss = max(0.0, -decision.noninferior_bound) * 100
        return f"a loss of more than {loss:.1f} points is ruled out with 95 % confidence"
    if decision.kind == "worse" or decision.lift <= 0:
        return "more than noise explains" if decision.kind == "worse" else "noise explains as much"
    chance = f"noise alone does as well with probability {_chance(decision.p_value)}"
    return chance if decision.kind == "better" else f"{chance}, too often to tell them apart"


def _moved(lift: float) -> str:
    points = round(abs(lift) * 100, 1)
    return f"{'rises' if lift > 0 else 'falls'} by {points} points" if points else "does not change"


def _tokens_moved(decision: Decision) -> str:
    share = round(abs(decision.token_saving) * 100)
    if not share:
        return "stay the same"
    if decision.token_saving < 0:
        return f"rise by {share} %"
    chance = _chance(decision.token_p_value)
    return f"fall by {share} % (p {chance if chance.startswith('less') else f'= {chance}'})"


def _chance(p_value: float) -> str:
    """A p-value in words: four digits, and never 0."""
    return f"{p_value:.4f}" if p_value >= 0.0001 else "less than 0.0001"
