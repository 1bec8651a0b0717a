"""`python -m mega_code.client.report ENVELOPE.json`: any envelope as the text a person is shown."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Optional

from mega_code.commandline import Parser, manual, open_streams, tell
from mega_code.console import say
from mega_code.envelope import Envelope
from mega_code.errors import CODES, MegaCodeError
from mega_code.files import read_json
from mega_code.paths import SCOPES, is_job_id, script
from mega_code.plain import plain

SHOWN_APART = ("status", "invariants", "evidence", "evaluation", "reason", "job_id")
# Line breaks, tabs, and the joiners and marks of direction that emoji and some scripts are written with; none of them
# steers a terminal.
VERBATIM = "\n\t\u200c\u200d\u200e\u200f"
SUMMARY_CHARS = 300
VALUE_CHARS = 1000
command = script


def resume(job_id: str) -> str:
    """The command that takes a job up again."""
    return command("enhance.sh", "--poll-existing", job_id)


def cancel(job_id: str) -> str:
    """The command that ends a job."""
    return command("enhance.sh", "--cancel", job_id)


class Place(NamedTuple):
    """Where a person would have something installed, as far as that is known."""

    scope: Optional[str] = None
    project_dir: Optional[str] = None


def text(envelope: Envelope, log: Optional[str] = None, place: Place = Place()) -> str:
    """The report on an envelope, lines without a final line break; `place` is for the command that installs."""
    for key, shape in SHAPES.items():
        if key in envelope:
            return "\n".join(shape(envelope))
    if envelope.get("installed") is True:
        lines = _installed(envelope)
    elif envelope.get("needs_install_location"):
        lines = _ready(envelope, place)
    elif "status" in envelope:
        lines = _terminal(envelope, log)
    else:
        raise MegaCodeError("invalid_arguments", "The file holds no envelope of this product.")
    page = envelope.get("report_path")
    return "\n".join([*lines, f"Report: {_line(page)}"] if page else lines)


# Finished


def _installed(envelope: Envelope) -> list[str]:
    lines = [f"Installed at {_line(envelope.get('installed_path'))}.", *roi_lines(_result(envelope).get("roi"))]
    if envelope.get("backup_path"):
        backup = str(envelope["backup_path"])
        lines += [f"Replaced copy kept in {_line(backup)}", f"To undo: {command('install.sh', '--undo', backup)}"]
    link = envelope.get("other_link")
    if envelope.get("active") is False:
        winner = str(envelope.get("shadowed_by"))
        lines += [
            f"Warning: Claude Code will load {_line(winner)} instead; a global skill wins over a project's.",
            _removal("the global copy", winner, link),
        ]
    elif envelope.get("other_copy"):
        other = str(envelope["other_copy"])
        lines += [
            f"Claude Code will load this copy, and not the project's at {_line(other)}.",
            _removal("the project's", other, link),
        ]
    return lines


def _removal(what: str, path: str, link: Any = None) -> str:
    """The command that takes a copy away; a link goes by itself, since what it leads to may be needed elsewhere."""
    if link:
        return f"To remove {what}, which is a link (what it leads to stays): {_line(shlex.join(['rm', str(link)]))}"
    project = path.rpartition("/.claude/skills/")[0]
    elsewhere = ["--project-dir", project] if project and project != os.path.expanduser("~") else []
    return f"To remove {what} (it is backed up): {_line(command('install.sh', '--cleanup-original', path, *elsewhere))}"


def _ready(envelope: Envelope, place: Place) -> list[str]:
    job_id, name = str(envelope.get("job_id")), str(envelope.get("skill_name") or "NAME")
    scope = place.scope or str(envelope.get("original_scope") or "project")
    project = place.project_dir or original_project(envelope)
    install = ["--job-id", job_id, "--skill-name", name, "--scope", scope]
    if scope == "project" and project is not None:
        install += ["--project-dir", project]
    return [
        "Succeeded: an enhanced version is ready to install.",
        *roi_lines(_result(envelope).get("roi")),
        f"Staged in {_line(envelope.get('staging_dir'))}",
        f"To install: {command('install.sh', *install)}",
    ]


def original_project(envelope: Envelope) -> Optional[str]:
    """The project that a skill came from; None where it came from none, or that is not known."""
    path = envelope.get("original_path")
    if envelope.get("original_scope") != "project" or not isinstance(path, str):
        return None
    return path.rpartition("/.claude/skills/")[0]


def roi_lines(roi: Any) -> list[str]:
    """One line a model, both figures always; a plus before a first figure that has no sign."""
    entries = [entry for entry in roi if isinstance(entry, dict)] if isinstance(roi, list) else []
    if not entries:
        return ["ROI: no ROI data"]
    lines = []
    for entry in entries:
        performance = _figure(entry.get("performance_increase"))
        sign = "" if performance[:1] in "+-\N{MINUS SIGN}n" else "+"
        savings = _figure(entry.get("token_savings"))
        model = _line(entry.get("model") or "unknown")
        lines.append(f"ROI: {sign}{performance} performance, {savings} token savings, model={model}")
    return lines


def _figure(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:g}%"
    return _line(value).strip() or "n/a" if value is not None else "n/a"


def _terminal(envelope: Envelope, log: Optional[str]) -> list[str]:
    result = _result(envelope)
    lines = [f"Status: {_line(envelope.get('status'))}"]
    invariants = result.get("invariants")
    for invariant in invariants if isinstance(invariants, list) else [invariants] if invariants else []:
        lines.append(f"- {_short(invariant, VALUE_CHARS)}")
    for key in ("evidence", "evaluation"):
        if result.get(key):
            lines.append(f"{key.capitalize()}: {_summary(result[key])}")
    if result.get("reason") is not None:
        reason = result["reason"] if isinstance(result["reason"], str) else json.dumps(result["reason"])
        reason = plain(reason.replace("\r\n", "\n"), keep=VERBATIM)
        lines.append(f"Reason: {reason}")
    roi = result.get("roi")
    measured = ["Measured, and not published:", *roi_lines(roi)] if roi and isinstance(roi, list) else []
    lines += measured
    for key, value in result.items():
        if key not in SHOWN_APART and value is not None and not (measured and key == "roi"):
            lines.append(f"{_line(key)}: {'none' if value in ([], {}) else _short(value, VALUE_CHARS)}")
    lines.append(f"Job: {_line(envelope.get('job_id') or result.get('job_id') or 'unknown')}")
    if log:
        lines.append(f"Log: {_line(log)}")
    return lines


def _summary(value: Any) -> str:
    """A few words on something large: its scalars, and how much there is of the rest."""
    if not isinstance(value, dict):
        return f"{len(value)} entries" if isinstance(value, list) and len(value) > 3 else _short(value, SUMMARY_CHARS)
    parts = []
    for key, inner in value.items():
        if isinstance(inner, (list, dict)):
            parts.append(f"{_line(key)}: {len(inner)} {'entry' if len(inner) == 1 else 'entries'}")
        elif inner is not None:
            parts.append(f"{_line(key)}: {_short(inner, 80)}")
    return _short("; ".join(parts), SUMMARY_CHARS)


def _cached(envelope: Envelope) -> list[str]:
    entries = envelope["cached"]
    if not entries:
        return ["Nothing is cached for this skill."]
    return [
        line
        for entry in entries
        for line in (f"{entry['job_id']}  {entry['completed_at'] or ''}".rstrip(), *roi_lines(entry["roi"]))
    ]


def _backups(envelope: Envelope) -> list[str]:
    entries = envelope["backups"]
    if not entries:
        return ["There are no backups."]
    return [
        f"{entry['created_at']}  {entry['reason']}  {_line(entry['origin'])}\n  {_line(entry['backup_path'])}"
        for entry in entries
    ]


def _submitted(envelope: Envelope) -> list[str]:
    job_id = str(envelope["submitted"]["job_id"])
    return [
        f"Submitted {_line(envelope['submitted']['skill_name'])} as job {job_id}.",
        f"To wait for it: {resume(job_id)}",
    ]


# Not finished


def _conflict(envelope: Envelope) -> list[str]:
    job_id = str(envelope["conflict"]["existing_job_id"])
    return [f"This content was submitted before, as job {job_id}.", f"To resume: {resume(job_id)}"]


def _timeout(envelope: Envelope) -> list[str]:
    job_id, elapsed = str(envelope["timeout"]["job_id"]), envelope["timeout"]["elapsed_s"]
    return [f"Job {job_id} had not ended after {elapsed} s; it goes on.", *_ways_on(job_id)]


def _interrupted(envelope: Envelope) -> list[str]:
    interrupted = envelope["interrupted"]
    job_id, again = interrupted["job_id"], _again(interrupted)
    if again[0] not in SUBMITTING:
        return ["Interrupted.", _way_on(interrupted)]
    if is_job_id(job_id):
        return [f"Interrupted; job {job_id} goes on.", *_ways_on(str(job_id))]
    how = "Interrupted before the server named a job; starting again is safe, since a job that it has is found again."
    return [how, _way_on(interrupted)]


def _ways_on(job_id: str) -> list[str]:
    return [f"To resume: {resume(job_id)}", f"To cancel: {cancel(job_id)}"]


def _cancelled(envelope: Envelope) -> list[str]:
    job_id = str(envelope["cancelled"]["job_id"])
    return [f"Job {job_id} is cancelled: it ends with its next step.", f"To see how it ended: {resume(job_id)}"]


SUBMITTING = ("enhance.sh", "submit.sh")
UNKNOWN_JOB = ("http_404", "http_410", "not_found", "invalid_job_id")
NO_WAY_ON = ("cleanup_path_missing", "cleanup_unsafe_path")
REFETCHED = ("missing_staging", "missing_artifact", "sha256_mismatch", "download_failed")
# Codes whose message says what is wrong, and neither it nor the command what to do about it.
ADVISED = (
    *("secret_detected", "size_exceeded", "network_failure", "queue_full", "invalid_response"),
    *("missing_iteration", "invalid_cases", "invalid_gradings", "invalid_draft", "audit_refused", "skill_changed"),
    *("budget_spent", "model_failure"),
)


def _again(inner: dict[str, Any]) -> list[str]:
    """The script, and its words, that do again what was not finished."""
    again = inner.get("again")
    return [str(word) for word in again] if isinstance(again, list) and again else ["enhance.sh"]


def _way_on(inner: dict[str, Any], code: str = "") -> str:
    """The command that resumes, where there is a job that is not done with; else the one that starts again."""
    job_id, again = inner.get("job_id"), _again(inner)
    waits = again[0] in SUBMITTING or code in REFETCHED
    if waits and is_job_id(job_id) and code not in UNKNOWN_JOB:
        return f"To resume: {resume(str(job_id))}"
    return f"To start again: {_line(command(*again))}"


def _error(envelope: Envelope) -> list[str]:
    error = envelope["error"]
    code, message = str(error.get("code")), _line(error.get("message"))
    lines = [f"{message} [{plain(code)}]"]
    if code == "auth_failure":
        lines.append(f"To set a key: {command('configure.sh', '--api-key-stdin')}")
    elif code in ADVISED or (code in CODES and CODES[code].upstream):
        lines.append(CODES[code].remedy)
    if error.get("installed_path"):  # an undo that has nothing to put back
        lines.append(_removal("it", str(error["installed_path"])))
        if error.get("backup_path"):
            before = command("install.sh", "--undo", str(error["backup_path"]))
            lines.append(f"To undo the install before it: {_line(before)}")
    elif code not in NO_WAY_ON:
        lines.append(_way_on(error, code))
    return lines


SHAPES: dict[str, Callable[[Envelope], list[str]]] = {
    "error": _error,
    "conflict": _conflict,
    "timeout": _timeout,
    "interrupted": _interrupted,
    "submitted": _submitted,
    "cancelled": _cancelled,
    "cached": _cached,
    "backups": _backups,
    "removed": lambda e: [
        f"Removed {_line(e['removed'])}; a copy is in {_line(e.get('backup_path') or 'the backups')}"
    ],
    "restored": lambda e: [f"Restored {_line(e['restored'])}."],
    "authenticated": lambda e: [f"{_line(e.get('server_url'))} accepts the key."],
}

# Headline values


def headline(envelope: Envelope) -> list[str]:
    """An envelope's main values as `KEY=value` lines for a script: `OUTCOME` first, absent values left out."""
    outcome = next((key for key in SHAPES if key in envelope), None) or (
        "installed" if envelope.get("installed") else "ready" if envelope.get("needs_install_location") else "terminal"
    )
    inner = envelope.get(outcome)
    values: dict[str, Any] = {**envelope, **(inner if isinstance(inner, dict) else {})}
    error = {f"ERROR_{key.upper()}": values.pop(key, None) for key in ("code", "message")} if outcome == "error" else {}
    values["original_project"] = original_project(values)
    picked = {key: values.get(source) for key, source in HEADLINES.items()}
    return [f"OUTCOME={outcome}"] + [
        f"{key}={_line(int(value) if isinstance(value, bool) else value)}"
        for key, value in {**picked, **error}.items()
        if value is not None and not isinstance(value, (dict, list))
    ]


HEADLINES = {
    **{key.upper(): key for key in ("job_id", "skill_name", "status", "artifact_kind", "content_hash", "staging_dir")},
    **{key.upper(): key for key in ("original_path", "original_scope", "original_project", "installed_path", "scope")},
    **{key.upper(): key for key in ("backup_path", "active", "shadowed_by", "other_copy", "other_link", "elapsed_s")},
    **{key.upper(): key for key in ("removed", "restored")},
    "EXISTING_JOB_ID": "existing_job_id",
}

# Words


def _result(envelope: Envelope) -> dict[str, Any]:
    result = envelope.get("result")
    return result if isinstance(result, dict) else {}


def _line(value: Any) -> str:
    """One value on one line."""
    return " ".join(plain(value, keep="\n").split("\n"))


def _short(value: Any, limit: int) -> str:
    whole = _line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return whole if len(whole) <= limit else f"{whole[: limit - 1]}…"


def main(argv: Sequence[str]) -> int:
    """Print the report; gives the exit status of reading, not of what is reported."""
    prog = "python -m mega_code.client.report"
    parser = Parser(
        prog=prog,
        description="Say in words what an envelope means.",
        epilog=manual(
            prog, (0, 4), (), ("result.json --log transcript.log", "result.json --headline"), "scripts/report.sh"
        ),
    )
    parser.add_argument("envelope", metavar="ENVELOPE.json", help="what --result-json wrote")
    parser.add_argument("--log", metavar="PATH", help="the transcript to point at")
    parser.add_argument("--scope", choices=SCOPES, help="where the command that installs would do so")
    parser.add_argument("--project-dir", metavar="DIR", help="the project of that command")
    parser.add_argument("--headline", action="store_true", help="print KEY=value lines instead of words")
    try:
        arguments = parser.parse_args(argv)
        envelope = read_json(arguments.envelope)
        if not isinstance(envelope, dict):
            raise MegaCodeError("invalid_arguments", f"{arguments.envelope!r} holds no envelope.")
        place = Place(arguments.scope, arguments.project_dir)
        output = "\n".join(headline(envelope)) if arguments.headline else text(envelope, arguments.log, place)
    except MegaCodeError as error:
        say(f"report: {error.message} [{error.code}]")
        return error.exit_status
    except (AttributeError, KeyError, TypeError):
        say("report: the envelope is incomplete [invalid_arguments]")
        return MegaCodeError("invalid_arguments", "").exit_status
    open_streams()
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    return tell(output)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
