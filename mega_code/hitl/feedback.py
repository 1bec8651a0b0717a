"""What a person says in a review, kept in feedback.json; each box has a version, so that no tab overwrites another's."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple, Optional

from mega_code.errors import MegaCodeError
from mega_code.files import read_json, write_json

TEXT_CHARACTERS = 16_000
TIE = "tie"
OVERALL = None


class Entry(NamedTuple):
    """One box: what is said of a case, and the arm that is preferred (`tie` for neither)."""

    text: str = ""
    preference: Optional[str] = None

    @property
    def version(self) -> str:
        """Names this content, on any server and at any time."""
        return hashlib.sha256(json.dumps(list(self)).encode()).hexdigest()[:16]


class Changed(Exception):
    """Somebody else changed the box since; it holds what stands there now."""

    def __init__(self, entry: Entry) -> None:
        super().__init__("the box was changed elsewhere")
        self.entry = entry


class Feedback:
    """The feedback of one iteration. Its methods may be called from several threads."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        """Raises MegaCodeError `invalid_path` where the file is there and is no feedback: it may be somebody's work."""
        self.path, self.now = path, now
        self.lock = threading.Lock()
        self.state, self.blind = "open", False
        self.cases: dict[str, Entry] = {}
        self.overall = Entry()
        if path.exists():
            self._read()

    def _read(self) -> None:
        value: Any = read_json(self.path)
        try:
            self.state, self.blind = str(value["state"]), value["blind"] is True
            self.cases = {case: Entry(one["text"], one.get("preference")) for case, one in value["cases"].items()}
            self.overall = Entry(value["overall"]["text"])
        except (KeyError, TypeError, AttributeError):
            message = f"{str(self.path)!r} is no feedback of a review; move it away to begin anew."
            raise MegaCodeError("invalid_path", message) from None

    @property
    def submitted(self) -> bool:
        return self.state == "submitted"

    def begin(self, blind: bool) -> None:
        """Take up the review; what was begun blind stays so until it is submitted. Raises OSError."""
        with self.lock:
            if not self.submitted and ((blind and not self.blind) or not self.path.exists()):
                self._write(self.cases, self.overall, "open", blind or self.blind)

    def entry(self, case: Optional[str]) -> Entry:
        """What stands in the box of a case, or in the one for the whole (`OVERALL`)."""
        return self.overall if case is OVERALL else self.cases.get(case, Entry())

    def save(self, case: Optional[str], entry: Entry, bases: Collection[str]) -> None:
        """Put `entry` in the place of one of the versions `bases`.

        Raises Changed where something else stands there, OSError where it could not be written.
        """
        with self.lock:
            current = self.entry(case)
            if current == entry:
                return
            if current.version not in bases:
                raise Changed(current)
            if case is OVERALL:
                self._write(self.cases, entry, self.state, self.blind)
            else:
                self._write({**self.cases, case: entry}, self.overall, self.state, self.blind)

    def submit(self) -> None:
        """The person is done. Raises OSError."""
        with self.lock:
            self._write(self.cases, self.overall, "submitted", self.blind)

    def _write(self, cases: dict[str, Entry], overall: Entry, state: str, blind: bool) -> None:
        """First the file, then the memory: what is in memory has been saved."""
        updated = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now()))
        write_json(self.path, as_json(state, updated, blind, cases, overall))
        self.cases, self.overall, self.state, self.blind = cases, overall, state, blind


def as_json(state: str, updated: str, blind: bool, cases: dict[str, Entry], overall: Entry) -> dict[str, Any]:
    """The shape of feedback.json."""
    return {
        "state": state,
        "updated_at": updated,
        "blind": blind,
        "cases": {case: entry._asdict() for case, entry in cases.items()},
        "overall": {"text": overall.text},
    }
