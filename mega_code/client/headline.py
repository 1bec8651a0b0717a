"""The main values of an envelope, for a script."""

from __future__ import annotations

from typing import Any

from mega_code.client.wording import line, original_project
from mega_code.envelope import Envelope

# The keys that by themselves say what an envelope is; the others are told apart by what came of a job.
OUTCOMES = (
    *("error", "conflict", "timeout", "interrupted", "submitted", "cancelled", "cached", "backups"),
    *("removed", "restored", "authenticated"),
)
HEADLINES = {
    **{key.upper(): key for key in ("job_id", "skill_name", "status", "artifact_kind", "content_hash", "staging_dir")},
    **{key.upper(): key for key in ("original_path", "original_scope", "original_project", "install_location")},
    **{key.upper(): key for key in ("installed_path", "scope")},
    **{key.upper(): key for key in ("backup_path", "active", "shadowed_by", "other_copy", "other_link", "elapsed_s")},
    **{key.upper(): key for key in ("removed", "restored")},
    "EXISTING_JOB_ID": "existing_job_id",
}


def headline(envelope: Envelope) -> list[str]:
    """An envelope's main values as `KEY=value` lines for a script: `OUTCOME` first, absent values left out."""
    outcome = next((key for key in OUTCOMES if key in envelope), None) or (
        "installed" if envelope.get("installed") else "ready" if envelope.get("needs_install_location") else "terminal"
    )
    inner = envelope.get(outcome)
    values: dict[str, Any] = {**envelope, **(inner if isinstance(inner, dict) else {})}
    error = {f"ERROR_{key.upper()}": values.pop(key, None) for key in ("code", "message")} if outcome == "error" else {}
    values["original_project"] = original_project(values)
    picked = {key: values.get(source) for key, source in HEADLINES.items()}
    return [f"OUTCOME={outcome}"] + [
        f"{key}={line(int(value) if isinstance(value, bool) else value)}"
        for key, value in {**picked, **error}.items()
        if value is not None and not isinstance(value, (dict, list))
    ]
