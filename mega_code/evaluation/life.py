"""For how long a job was worked on, in each of its lives: from a start to an end, or to a kill."""

from __future__ import annotations

import time

from mega_code.evaluation.store import Store

NOTE_S = 1.0


class Life:
    """Keeps for how long a job is worked on, so that a kill takes no more than `NOTE_S` of it."""

    def __init__(self, store: Store, job: str) -> None:
        self.store, self.number = store, store.live(job)
        self.began = self.noted = time.monotonic()

    def tick(self) -> None:
        """Note it where the last time is long enough ago."""
        if time.monotonic() - self.noted >= NOTE_S:
            self.note()

    def note(self) -> None:
        """Note it."""
        self.noted = time.monotonic()
        self.store.lived(self.number, self.noted - self.began)
