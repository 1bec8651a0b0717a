"""What of a search gepa leaves to chance: parents and batches, drawn anew from the number of the iteration.

So a search that is resumed asks what the undisturbed one would have asked.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from mega_code.evaluation.proposals import BODY, DESCRIPTION
from mega_code.evaluation.triggers import Trigger

CASES_A_BATCH = 4
QUERIES_A_BATCH = 6
EVERY_NTH_DESCRIBES = 3


def component(state: Any, trajectories: Sequence[Any], *_: Any) -> list[str]:
    """A batch of queries is about the description, a batch of cases about the body."""
    return [DESCRIPTION if isinstance(trajectories[0][0], Trigger) else BODY]


def selector(seed: int) -> Any:
    """Chooses parents from the Pareto front."""
    from gepa.strategies.candidate_selector import ParetoCandidateSelector

    class Selector(ParetoCandidateSelector):  # type: ignore[misc,unused-ignore]
        def select_candidate_idx(self, state: Any) -> int:
            self.rng = random.Random(f"{seed}:parent:{state.i}")
            return int(super().select_candidate_idx(state))

    return Selector(None)


class Sampler:
    """The batch of an iteration, as positions among so many cases and the queries behind them.

    It is of queries every third time, else of cases; each a walk through a shuffled order.
    """

    def __init__(self, cases: int, queries: int, seed: int) -> None:
        self.cases = list(range(cases))
        self.queries = list(range(cases, cases + queries))
        self.seed = seed

    def next_minibatch_ids(self, loader: Any, state: Any) -> list[int]:
        turn, rest = divmod(state.i, EVERY_NTH_DESCRIBES)
        if self.queries and rest == EVERY_NTH_DESCRIBES - 1:
            return self._walk(self.queries, turn, QUERIES_A_BATCH)
        number = state.i - turn if self.queries else state.i
        return self._walk(self.cases, number, CASES_A_BATCH)

    def _walk(self, ids: list[int], number: int, size: int) -> list[int]:
        size = min(size, len(ids))
        start, found = number * size, []
        for position in range(start, start + size):
            lap, place = divmod(position, len(ids))
            order = list(ids)
            random.Random(f"{self.seed}:batch:{lap}").shuffle(order)
            found.append(order[place])
        return list(dict.fromkeys(found))
