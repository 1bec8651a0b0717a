"""The search for a better candidate: the `gepa` library, on train cases and train queries only.

gepa chooses parents from a Pareto front of pass rate and tokens, keeps the books and makes a killed search resumable
from its run directory.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from mega_code.errors import MegaCodeError
from mega_code.evaluation import arms, lineage, proposals, sampling, triggers
from mega_code.evaluation.arms import CANDIDATE, Measured, Models
from mega_code.evaluation.budget import BudgetSpent
from mega_code.evaluation.cases import Case
from mega_code.evaluation.models.base import Completer, Completion
from mega_code.evaluation.outcome import JSON
from mega_code.evaluation.proposals import BODY, DESCRIPTION, Candidate, Failure, Unusable
from mega_code.evaluation.triggers import Trigger
from mega_code.paths import script

CHEAPER = 0.95
STALE = 4  # proposals in a row that give no candidate, after which another is not worth its call
STATE = "gepa_state.bin"
FRONTIER = "hybrid"
UNMEASURED = "dropped: the budget was spent before it was measured"

log = logging.getLogger(__name__)
Item = Union[Case, Trigger]


class Search(NamedTuple):
    """What a search works on. `lacking` says before each iteration which limit has no room for one more, or nothing.

    `lineage` is filled as the search goes, so that it is there however that ends; `early` with a sentence where the
    budget has ended it.
    """

    name: str
    text: str
    cases: Sequence[Case]
    triggers: Sequence[Trigger]
    models: Models
    proposer: Completer
    seed: int
    iterations: int
    run_dir: Path
    lacking: Callable[[], str]
    iteration: Callable[[int, int], None]
    lineage: list[JSON]
    early: list[str]


class Found(NamedTuple):
    """A candidate that was kept, with its figures on the whole train half."""

    number: int
    candidate: Candidate
    score: float
    pass_rate: float
    tokens: float


def search(work: Search) -> list[Found]:
    """Every candidate that was kept, the original first.

    Raises what the models and `iteration` raise; a spent budget only ends the search, once a candidate is measured.
    """
    import gepa

    adapter = Adapter(work)
    items: list[Item] = [*work.cases, *work.triggers]
    _prepare(work.run_dir, adapter)
    try:
        gepa.optimize(
            seed_candidate=adapter.seed._asdict(),
            trainset=items,
            valset=items,
            adapter=adapter,
            candidate_selection_strategy=sampling.selector(work.seed),
            frontier_type=FRONTIER,
            skip_perfect_score=False,
            batch_sampler=sampling.Sampler(len(work.cases), len(work.triggers), work.seed),
            module_selector=sampling.component,
            acceptance_criterion=adapter,
            stop_callbacks=adapter.done,
            run_dir=str(work.run_dir),
            logger=_Log(),
            seed=work.seed,
            raise_on_exception=True,
        )
    except BudgetSpent as error:
        adapter.short = str(error)
    if adapter.trouble:
        raise adapter.trouble
    kept = adapter.kept()
    if adapter.short and not any(entry["train_score"] is not None for entry in work.lineage[1:]):
        raise BudgetSpent(f"no candidate could be tried. {adapter.short}")
    if adapter.short:
        begun = f"{adapter.begun} of up to {work.iterations} iterations"
        work.early.append(f"The budget ended the search after {begun}: {adapter.short}")
    return kept


def _prepare(run_dir: Path, adapter: Adapter) -> None:
    """Make the run directory; what an earlier attempt left there goes away where it cannot be resumed.

    The folder is the job's own, below one that is closed to other users: what is unpickled here, we have written.
    """
    from gepa.core.state import GEPAState

    if (run_dir / STATE).exists():
        try:
            state: Any = GEPAState.load(str(run_dir))
            assert state.program_candidates[0] == adapter.seed._asdict() and state.frontier_type == FRONTIER
            adapter.set_adapter_state(state.adapter_state)
            assert all(
                lineage.entry_of(adapter.lineage, Candidate(**candidate)) for candidate in state.program_candidates
            )
        except Exception as error:  # bytes that are no pickle can raise anything
            log.warning("a search cannot be resumed, so it starts anew (%s)", type(error).__name__)
            shutil.rmtree(run_dir)
            adapter.restart()
    run_dir.mkdir(parents=True, exist_ok=True)


def check_installed() -> None:
    """Raises MegaCodeError `invalid_arguments` where gepa is not there: said before anything is spent."""
    if importlib.util.find_spec("gepa") is None:
        here = ".".join(map(str, sys.version_info[:2]))
        missing = (
            "needs the library gepa: pip install 'mega-code[optimize]'"
            if sys.version_info >= (3, 10)
            else f"needs Python 3.10 or later, and this is {here}; "
            f"{script('configure.sh', '--model', 'static')} does without one"
        )
        raise MegaCodeError("invalid_arguments", f"A search with a model {missing}.")


class Adapter:
    """Runs and scores candidates for gepa, asks for new ones, decides which to keep, and writes the lineage."""

    def __init__(self, work: Search) -> None:
        self.work = work
        self.seed = proposals.original(work.text)
        self.begun = 0
        self.short = ""
        self.trouble: Optional[Exception] = None
        self.lineage = work.lineage
        self.restart()

    def restart(self) -> None:
        """Nothing but the original is known."""
        self.lineage[:] = [lineage.first(self.seed)]

    # What gepa calls

    def evaluate(self, batch: list[Item], candidate: Mapping[str, str], capture_traces: bool = False) -> Any:
        """Scores from 0 to 1 of `candidate` on every item; the trajectories are what was measured."""
        from gepa.core.adapter import EvaluationBatch

        results = self._measure(Candidate(**candidate), batch)
        scores = [_score(item, result) for item, result in zip(batch, results)]
        objectives = [_objectives(score, result) for score, result in zip(scores, results)]
        outputs = [None] * len(batch)
        return EvaluationBatch(outputs, scores, list(zip(batch, results)) if capture_traces else None, objectives)

    def make_reflective_dataset(
        self, candidate: Mapping[str, str], eval_batch: Any, components_to_update: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """What was measured, for the component that is to change."""
        return {components_to_update[0]: [{"item": item, "result": found} for item, found in eval_batch.trajectories]}

    def propose_new_texts(
        self, candidate: Mapping[str, str], reflective_dataset: Mapping[str, Any], components_to_update: Sequence[str]
    ) -> dict[str, str]:
        """The texts of a new candidate; none where the proposer gave nothing that is new and usable."""
        parent, component = Candidate(**candidate), components_to_update[0]
        if component == DESCRIPTION and not _failures(reflective_dataset[component]):
            return {}
        try:
            answer = self._ask(parent, component, reflective_dataset[component])
        except BudgetSpent as error:
            self.short = str(error)
            return {}
        except Exception as error:
            self.trouble = error  # gepa takes what is raised here for one bad proposal
            return {}
        try:
            if component == BODY:
                child = proposals.read_body(answer, parent, self.work.name)
            else:
                child = proposals.read_description(answer, parent)
            text = proposals.assemble(self.work.text, child)
        except (Unusable, MegaCodeError) as error:
            lineage.note(self.lineage, self.work.text, parent, component, None, f"dropped: not usable, {error}")
            return {}
        same = next((entry["candidate"] for entry in self.lineage if lineage.candidate_of(entry) == child), None)
        if same is not None:
            lineage.note(
                self.lineage, self.work.text, parent, component, None, f"dropped: the same as candidate {same}"
            )
            return {}
        broken = proposals.too_large(child, text, self.work.text)
        if broken:
            lineage.note(
                self.lineage,
                self.work.text,
                parent,
                component,
                child,
                f"dropped: never run, {' '.join(broken)}",
                text,
                broken,
            )
            return {}
        lineage.note(self.lineage, self.work.text, parent, component, child, UNMEASURED, text)
        return child._asdict()

    def should_accept(self, proposal: Any, state: Any) -> bool:
        """Whether a candidate did better on its batch: more passed, or as much for fewer tokens."""
        before, after = sum(proposal.subsample_scores_before), sum(proposal.subsample_scores_after)
        cost = _tokens(proposal.eval_before)
        cheaper = cost > 0 and _tokens(proposal.eval_after) <= CHEAPER * cost
        entry = lineage.entry_of(self.lineage, Candidate(**proposal.candidate))
        size = len(proposal.subsample_scores_after)
        entry["kept"] = after > before or (after == before and cheaper)
        entry["train_score"] = round(after / size, 6)
        entry["why"] = f"{'kept' if entry['kept'] else 'dropped'}: {before:.2f} to {after:.2f} of {size} on train" + (
            ", for fewer tokens" if entry["kept"] and after == before else ""
        )
        return bool(entry["kept"])

    def get_adapter_state(self) -> dict[str, Any]:
        """What a resumed search needs to know."""
        return {"lineage": [dict(entry) for entry in self.lineage]}

    def set_adapter_state(self, state: Mapping[str, Any]) -> None:
        """Takes that back; empty at the first start."""
        if state:
            self.lineage[:] = [dict(entry) for entry in state["lineage"]]

    def done(self, state: Any) -> bool:
        """Whether to end before the next iteration; tells how far the search is where not."""
        self.begun = state.i + 1
        useless = [entry["body"] is None or "invariants" in entry for entry in self.lineage[-STALE:]]
        stale = len(self.lineage) > STALE and all(useless)
        if self.trouble or self.short or stale or self.begun >= self.work.iterations:
            return True
        self.short = self.work.lacking()
        if self.short:
            return True
        self.begun += 1
        self.work.iteration(self.begun, self.work.iterations)
        return False

    # Ours

    def kept(self) -> list[Found]:
        """The candidates that were kept, on all of train; every completion of that is in the cache already."""
        found = []
        items: list[Item] = [*self.work.cases, *self.work.triggers]
        for entry in self.lineage:
            if not entry["kept"]:
                continue
            candidate = lineage.candidate_of(entry)
            try:
                results = self._measure(candidate, items)
            except BudgetSpent:  # accepted, but never run on all of train
                if candidate == self.seed:
                    raise
                entry.update(kept=False, why=f"{entry['why']}; the budget was spent before it was measured")
                continue
            cases = [result for result in results if isinstance(result, Measured)]
            score = sum(map(_score, items, results)) / len(items)
            passed, tokens = (
                sum(column) / len(cases) for column in zip(*((one.passed, one.score.tokens) for one in cases))
            )
            entry.update(train_score=round(score, 6), tokens=round(tokens, 1))
            found.append(Found(entry["candidate"], candidate, score, passed, tokens))
        return found

    def _measure(self, candidate: Candidate, items: Sequence[Item]) -> list[Union[Measured, bool]]:
        work = self.work
        cases = [item for item in items if isinstance(item, Case)]
        queries = [item for item in items if isinstance(item, Trigger)]
        text = proposals.assemble(work.text, candidate)
        measured = iter(
            arms.measure({CANDIDATE: text}, [(case, 1) for case in cases], work.models, work.seed)[CANDIDATE]
        )
        asked = triggers.measure(work.name, candidate.description, queries, work.models.loader, work.seed)
        loaded = iter(asked)
        return [next(measured) if isinstance(item, Case) else next(loaded) for item in items]

    def _ask(self, parent: Candidate, component: str, seen: Sequence[Mapping[str, Any]]) -> Completion:
        dropped = [
            "\n".join([*e.get("invariants", ()), e["diff"]])
            for e in self.lineage
            if e["component"] == component and not e["kept"] and e["diff"]
        ]
        if component == BODY:
            text = proposals.assemble(self.work.text, parent)
            measured = [one["result"] for one in seen if isinstance(one["result"], Measured)]
            request = proposals.body_request(text, measured, dropped, len(self.lineage))
        else:
            wrong, number = _failures(seen), len(self.lineage)
            request = proposals.description_request(self.work.name, parent.description, wrong, dropped, number)
        return self.work.proposer.complete_all([request])[0]


def _failures(seen: Sequence[Mapping[str, Any]]) -> list[Failure]:
    """The queries among what was measured that were answered wrongly."""
    queries = [(one["item"], one["result"]) for one in seen if isinstance(one["item"], Trigger)]
    return [Failure(query, loaded) for query, loaded in queries if query.should_trigger != loaded]


def _score(item: Item, result: Union[Measured, bool]) -> float:
    if isinstance(result, Measured):
        return float(result.passed)
    assert isinstance(item, Trigger)
    return float(result is item.should_trigger)


def _objectives(score: float, result: Union[Measured, bool]) -> dict[str, float]:
    return {"pass rate": score, "tokens": -result.score.tokens} if isinstance(result, Measured) else {"triggers": score}


def _tokens(evaluation: Any) -> float:
    return -float(sum(objective.get("tokens", 0.0) for objective in evaluation.objective_scores))


class _Log:
    """gepa's talk, for who debugs a search."""

    def log(self, message: str) -> None:
        log.debug("%s", message)
