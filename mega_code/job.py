"""The words for where a job is, shared by the client, the gateway and the tables in `references/`."""

from __future__ import annotations

QUEUED = "queued"
RUNNING = ("running", "processing")
TERMINAL = (
    "succeeded",
    "failed",
    "rejected",
    "quarantined",
    "cancelled",
    "enhancement_blocked",
    "revoked",
    "invariant_violation",
)
ITERATING = "iterating"
PHASES = ("intake", "evaluation_setup", ITERATING, "publishing")
