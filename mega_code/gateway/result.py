"""How a job ended: what is kept of it, and what the API says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional, Protocol

# The client takes 16 MiB; the rest is for the envelope and the signed URLs.
MAX_BYTES = 14 * 1024 * 1024
OMITTED_FIRST = ("lineage", "evaluation", "evidence", "usage_snapshot")


class Outcome(Protocol):
    """What an evaluation hands over; all but `files` plain JSON values. `files` are the changed and added ones."""

    @property
    def status(self) -> str: ...
    @property
    def artifact_kind(self) -> str: ...
    @property
    def files(self) -> dict[str, bytes]: ...
    @property
    def roi(self) -> Any: ...
    @property
    def reason(self) -> Optional[str]: ...
    @property
    def invariants(self) -> Any: ...
    @property
    def evidence(self) -> Any: ...
    @property
    def evaluation(self) -> Any: ...
    @property
    def usage_snapshot(self) -> Any: ...
    @property
    def lineage(self) -> Any: ...


class PublishedFile(NamedTuple):
    """One line of the manifest; `mode` is octal digits, `0755` or `0644`."""

    relpath: str
    sha256: str
    size: int
    mode: str


class Artifact(NamedTuple):
    """What was published: the files, and the name of the folder they lie in, below the job's own."""

    folder: str = ""
    files: Sequence[PublishedFile] = ()


class Result(NamedTuple):
    """What is kept of an evaluation besides its files."""

    artifact_kind: str
    roi: Any = ()
    reason: Optional[str] = None
    invariants: Any = ()
    evidence: Any = None
    evaluation: Any = None
    usage_snapshot: Any = None
    lineage: Any = ()


class Ending(NamedTuple):
    """How a job ended, and when."""

    job_id: str
    skill_id: str
    status: str
    completed_at: Optional[str]
    result: Result
    files: Sequence[PublishedFile] = ()

    def body(self) -> dict[str, Any]:
        """What the API says, but for the files' URLs."""
        head = {key: getattr(self, key) for key in ("job_id", "skill_id", "status", "completed_at")}
        return {**head, **self.result._asdict(), "artifact": {"files": [file._asdict() for file in self.files]}}


def without_artifact(reason: str) -> Result:
    """A job that ended before its evaluation did."""
    return Result(artifact_kind="none", reason=reason)


def from_outcome(outcome: Outcome) -> Result:
    """The result of an evaluation; its bulkiest parts are left out (null) where a client could not take the whole.

    Raises TypeError or ValueError where a part is no JSON.
    """
    result = Result(
        artifact_kind=outcome.artifact_kind,
        roi=outcome.roi or [],
        reason=outcome.reason,
        invariants=outcome.invariants or [],
        evidence=outcome.evidence,
        evaluation=outcome.evaluation,
        usage_snapshot=outcome.usage_snapshot,
        lineage=outcome.lineage or [],
    )
    for part in OMITTED_FIRST:
        if len(json.dumps(result._asdict(), allow_nan=False)) <= MAX_BYTES:
            break
        parts: dict[str, Any] = {part: None}
        result = result._replace(**parts)
    return result
