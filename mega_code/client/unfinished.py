"""What a person is told of a command that did not finish: one sentence, then the exact command that goes on."""

from __future__ import annotations

from typing import Any

from mega_code.client.wording import Place, cancel, command, enhance, line, removal, resume
from mega_code.envelope import Envelope
from mega_code.errors import CODES
from mega_code.paths import is_job_id
from mega_code.plain import plain

SUBMITTING = ("enhance.sh",)
UNKNOWN_JOB = ("http_404", "http_410", "not_found", "invalid_job_id")
NO_WAY_ON = ("cleanup_path_missing", "cleanup_unsafe_path")
REFETCHED = ("missing_staging", "missing_artifact", "sha256_mismatch", "download_failed")
# Codes of what the same command would end in once more, until it is mended or said otherwise.
MENDED_FIRST = (
    *("skill_not_found", "ambiguous_skill", "invalid_skill_name", "missing_skill_dir", "missing_skill_md"),
    *("forbidden_path", "symlink_rejected", "invalid_job_id"),
)
# Codes whose message says what is wrong, and neither it nor the command what to do about it.
ADVISED = (
    *("secret_detected", "size_exceeded", "network_failure", "queue_full", "invalid_response"),
    *("missing_iteration", "invalid_cases", "invalid_gradings", "invalid_draft", "audit_refused", "skill_changed"),
    *("budget_spent", "model_failure"),
)


def conflict(envelope: Envelope, place: Place) -> list[str]:
    job_id = str(envelope["conflict"]["existing_job_id"])
    return [f"This content was submitted before, as job {job_id}.", f"To resume: {resume(job_id, place)}"]


def timeout(envelope: Envelope, place: Place) -> list[str]:
    job_id, elapsed = str(envelope["timeout"]["job_id"]), envelope["timeout"]["elapsed_s"]
    return [f"Job {job_id} had not ended after {elapsed} s; it goes on.", *_ways_on(job_id, place)]


def interrupted(envelope: Envelope, place: Place) -> list[str]:
    interrupted = envelope["interrupted"]
    job_id, again = interrupted["job_id"], _again(interrupted)
    if again[0] not in SUBMITTING:
        return ["Interrupted.", _way_on(interrupted, place)]
    if is_job_id(job_id):
        return [f"Interrupted; job {job_id} goes on.", *_ways_on(str(job_id), place)]
    how = "Interrupted before the server named a job; starting again is safe, since a job that it has is found again."
    return [how, _way_on(interrupted, place)]


def _ways_on(job_id: str, place: Place) -> list[str]:
    return [f"To resume: {resume(job_id, place)}", f"To cancel: {cancel(job_id)}"]


def cancelled(envelope: Envelope, _: Place) -> list[str]:
    job_id = str(envelope["cancelled"]["job_id"])
    return [f"Job {job_id} is cancelled: it ends with its next step.", f"To see how it ended: {resume(job_id)}"]


def _again(inner: dict[str, Any]) -> list[str]:
    """The script, and its words, that do again what was not finished."""
    again = inner.get("again")
    return [str(word) for word in again] if isinstance(again, list) and again else ["enhance.sh"]


def _way_on(inner: dict[str, Any], place: Place, code: str = "") -> str:
    """The command that resumes, where there is a job that is not done with; else the one that starts again.

    Where nobody said what starts an error's command again, its remedy: never a command that submits something else.
    """
    job_id, again = inner.get("job_id"), _again(inner)
    waits = again[0] in SUBMITTING or code in REFETCHED
    if waits and is_job_id(job_id) and code not in UNKNOWN_JOB:
        return f"To resume: {resume(str(job_id), place)}"
    if code and not inner.get("again"):
        return CODES.get(code, CODES["invalid_job_id"]).remedy  # any other is a server's, about a job
    return f"To start again: {_whole(again, place)}"


def _whole(words: list[str], place: Place) -> str:
    return enhance(words[1:], place) if words[0] == "enhance.sh" else line(command(*words))


def _allowing(error: dict[str, Any], place: Place) -> list[str]:
    """The command that packs a file although it looks like a secret; nothing where the command is none that packs."""
    again, relpath = _again(error), error.get("relpath")
    packs = again[0] == "enhance.sh" or again[:2] == ["hitl.sh", "start"]
    if error.get("code") != "secret_detected" or not packs or not isinstance(relpath, str):
        return []
    return [f"To allow that file: {_whole([*again, '--allow-secret', relpath], place)}"]


def error(envelope: Envelope, place: Place) -> list[str]:
    error = envelope["error"]
    code, message = str(error.get("code")), line(error.get("message"))
    lines, allowing = [f"{message} [{plain(code)}]"], _allowing(error, place)
    if code == "auth_failure":
        lines.append(f"To set a key: {command('configure.sh', '--api-key-stdin')}")
    elif not allowing and (code in (*ADVISED, *MENDED_FIRST) or (code in CODES and CODES[code].upstream)):
        lines.append(CODES[code].remedy)
    if error.get("installed_path"):  # an undo that has nothing to put back
        lines.append(removal("it", str(error["installed_path"])))
        if error.get("backup_path"):
            before = command("install.sh", "--undo", str(error["backup_path"]))
            lines.append(f"To undo the install before it: {line(before)}")
    elif code not in (*NO_WAY_ON, *MENDED_FIRST):
        lines.append(_way_on(error, place, code))
    return [*dict.fromkeys(lines), *allowing]
