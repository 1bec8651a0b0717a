"""`python -m mega_code.client.report ENVELOPE.json`: any envelope as the text a person is shown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Optional

from mega_code.client import unfinished
from mega_code.client.headline import headline
from mega_code.client.wording import Place, command, line, original_project, removal, resume, roi_lines, short
from mega_code.commandline import Parser, manual, open_streams, tell
from mega_code.console import say
from mega_code.envelope import Envelope
from mega_code.errors import MegaCodeError
from mega_code.files import read_json
from mega_code.paths import SCOPES
from mega_code.plain import plain

SHOWN_APART = ("status", "invariants", "evidence", "evaluation", "reason", "job_id")
# Line breaks, tabs, and the joiners and marks of direction that emoji and some scripts are written with; none of them
# steers a terminal.
VERBATIM = "\n\t\u200c\u200d\u200e\u200f"
SUMMARY_CHARS = 300
VALUE_CHARS = 1000


def text(envelope: Envelope, log: Optional[str] = None, place: Place = Place()) -> str:
    """The report on an envelope, lines without a final line break; `place` is for the commands that it shows."""
    for key, shape in SHAPES.items():
        if key in envelope:
            return "\n".join(shape(envelope, place))
    if envelope.get("installed") is True:
        lines = _installed(envelope)
    elif envelope.get("needs_install_location"):
        lines = _ready(envelope, place)
    elif "status" in envelope:
        lines = _terminal(envelope, log)
    else:
        raise MegaCodeError("invalid_arguments", "The file holds no envelope of this product.")
    page = envelope.get("report_path")
    return "\n".join([*lines, f"Report: {line(page)}"] if page else lines)


def _installed(envelope: Envelope) -> list[str]:
    lines = [f"Installed at {line(envelope.get('installed_path'))}.", *roi_lines(_result(envelope).get("roi"))]
    if envelope.get("backup_path"):
        backup = str(envelope["backup_path"])
        lines += [f"Replaced copy kept in {line(backup)}", f"To undo: {command('install.sh', '--undo', backup)}"]
    elif "backup_path" in envelope:
        lines.append(removal("it again", str(envelope.get("installed_path"))))
    link = envelope.get("other_link")
    if envelope.get("active") is False:
        winner = str(envelope.get("shadowed_by"))
        lines += [
            f"Warning: Claude Code will load {line(winner)} instead; a global skill wins over a project's.",
            removal("the global copy", winner, link),
        ]
    elif envelope.get("other_copy"):
        other = str(envelope["other_copy"])
        lines += [
            f"Claude Code will load this copy, and not the project's at {line(other)}.",
            removal("the project's", other, link),
        ]
    return lines


def _ready(envelope: Envelope, place: Place) -> list[str]:
    if not isinstance(envelope.get("job_id"), str):
        raise MegaCodeError("invalid_arguments", "The envelope names no job to install.")
    job_id, name = str(envelope["job_id"]), str(envelope.get("skill_name") or "NAME")
    scope = place.scope or str(envelope.get("install_location") or envelope.get("original_scope") or "project")
    project = place.project_dir or original_project(envelope)
    install = ["--job-id", job_id, "--skill-name", name, "--scope", scope]
    if scope == "project" and project is not None:
        install += ["--project-dir", project]
    return [
        "Succeeded: an enhanced version is ready to install.",
        *roi_lines(_result(envelope).get("roi")),
        f"Staged in {line(envelope.get('staging_dir'))}",
        f"To install: {command('install.sh', *install)}",
    ]


def _terminal(envelope: Envelope, log: Optional[str]) -> list[str]:
    result = _result(envelope)
    lines = [f"Status: {line(envelope.get('status'))}"]
    invariants = result.get("invariants")
    for invariant in invariants if isinstance(invariants, list) else [invariants] if invariants else []:
        lines.append(f"- {short(invariant, VALUE_CHARS)}")
    for key in ("evidence", "evaluation"):
        if result.get(key):
            lines.append(f"{key.capitalize()}: {_summary(result[key])}")
    if result.get("reason") is not None:
        reason = result["reason"] if isinstance(result["reason"], str) else json.dumps(result["reason"])
        reason = plain(reason.replace("\r\n", "\n"), keep=VERBATIM)
        lines.append(f"Reason: {reason}")
    for key, value in result.items():
        if key not in SHOWN_APART and value is not None:
            lines.append(f"{line(key)}: {_other(key, value)}")
    lines.append(f"Job: {line(envelope.get('job_id') or result.get('job_id') or 'unknown')}")
    if log:
        lines.append(f"Log: {line(log)}")
    return lines


def _other(key: str, value: Any) -> str:
    """A value of a result in words, or as it is."""
    if key == "roi" and value and isinstance(value, list):
        return f"measured, and not published: {'; '.join(each.partition(': ')[2] for each in roi_lines(value))}"
    return "none" if value in ([], {}) else short(value, VALUE_CHARS)


def _summary(value: Any) -> str:
    """A few words on something large: its scalars, and how much there is of the rest."""
    if not isinstance(value, dict):
        return f"{len(value)} entries" if isinstance(value, list) and len(value) > 3 else short(value, SUMMARY_CHARS)
    parts = []
    for key, inner in value.items():
        if isinstance(inner, (list, dict)):
            parts.append(f"{line(key)}: {len(inner)} {'entry' if len(inner) == 1 else 'entries'}")
        elif inner is not None:
            parts.append(f"{line(key)}: {short(inner, 80)}")
    return short("; ".join(parts), SUMMARY_CHARS)


def _cached(envelope: Envelope, _: Place) -> list[str]:
    entries = envelope["cached"]
    if not entries:
        return ["Nothing is cached for this skill."]
    return [
        line
        for entry in entries
        for line in (f"{entry['job_id']}  {entry['completed_at'] or ''}".rstrip(), *roi_lines(entry["roi"]))
    ]


def _backups(envelope: Envelope, _: Place) -> list[str]:
    entries = envelope["backups"]
    if not entries:
        return ["There are no backups."]
    return [
        f"{entry['created_at']}  {entry['reason']}  {line(entry['origin'])}\n  {line(entry['backup_path'])}"
        for entry in entries
    ]


def _submitted(envelope: Envelope, place: Place) -> list[str]:
    job_id = str(envelope["submitted"]["job_id"])
    return [
        f"Submitted {line(envelope['submitted']['skill_name'])} as job {job_id}.",
        f"To wait for it: {resume(job_id, place)}",
    ]


SHAPES: dict[str, Callable[[Envelope, Place], list[str]]] = {
    "error": unfinished.error,
    "conflict": unfinished.conflict,
    "timeout": unfinished.timeout,
    "interrupted": unfinished.interrupted,
    "submitted": _submitted,
    "cancelled": unfinished.cancelled,
    "cached": _cached,
    "backups": _backups,
    "removed": lambda e, _: [
        f"Removed {line(e['removed'])}; a copy is in {line(e.get('backup_path') or 'the backups')}"
    ],
    "restored": lambda e, _: [f"Restored {line(e['restored'])}."],
    "authenticated": lambda e, _: [f"{line(e.get('server_url'))} accepts the key."],
}


def _result(envelope: Envelope) -> dict[str, Any]:
    result = envelope.get("result")
    return result if isinstance(result, dict) else {}


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
    parser.add_argument("--scope", choices=SCOPES, help="the scope of the command that goes on")
    parser.add_argument("--project-dir", metavar="DIR", help="the project of that command")
    parser.add_argument("--poll-timeout", metavar="SECONDS", help="how long that command would wait for the job")
    parser.add_argument("--yes", action="store_true", help="that command would not ask")
    parser.add_argument("--headline", action="store_true", help="print KEY=value lines instead of words")
    try:
        arguments = parser.parse_args(argv)
        if not os.path.exists(arguments.envelope):
            raise MegaCodeError("invalid_path", f"{arguments.envelope!r} is not there.")
        envelope = read_json(arguments.envelope)
        if not isinstance(envelope, dict):
            raise MegaCodeError("invalid_arguments", f"{arguments.envelope!r} holds no envelope.")
        place = Place(arguments.scope, arguments.project_dir, arguments.yes, arguments.poll_timeout)
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
