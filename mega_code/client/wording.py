"""What reports and headlines are put together from: values on one line, figures, and commands that can be copied."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from mega_code.envelope import Envelope
from mega_code.paths import script as command
from mega_code.plain import plain

__all__ = [
    "Place",
    "cancel",
    "command",
    "enhance",
    "line",
    "original_project",
    "removal",
    "resume",
    "roi_lines",
    "short",
]


class Place(NamedTuple):
    """Where a person would have something installed, and how, as far as that was said."""

    scope: Optional[str] = None
    project_dir: Optional[str] = None
    yes: bool = False
    poll_timeout: Optional[str] = None


def enhance(words: Sequence[str], place: Place) -> str:
    """A command of enhance.sh: `words`, and the flags of `place` that are not among them."""
    values = {"--scope": place.scope, "--project-dir": place.project_dir, "--poll-timeout": place.poll_timeout}
    flags = [word for flag, value in values.items() if value and flag not in words for word in (flag, value)]
    return line(command("enhance.sh", *words, *flags, *(["--yes"] if place.yes else [])))


def resume(job_id: str, place: Place = Place()) -> str:
    """The command that takes a job up again."""
    return enhance(["--poll-existing", job_id], place)


def cancel(job_id: str) -> str:
    """The command that ends a job."""
    return command("enhance.sh", "--cancel", job_id)


def removal(what: str, path: str, link: Any = None) -> str:
    """The command that takes a copy away; a link goes by itself, since what it leads to may be needed elsewhere."""
    if link:
        return f"To remove {what}, which is a link (what it leads to stays): {line(shlex.join(['rm', str(link)]))}"
    project = path.rpartition("/.claude/skills/")[0]
    elsewhere = ["--project-dir", project] if project and project != os.path.expanduser("~") else []
    return f"To remove {what} (it is backed up): {line(command('install.sh', '--cleanup-original', path, *elsewhere))}"


def original_project(envelope: Envelope) -> Optional[str]:
    """The project that a job was submitted for, else that its skill came from; None where neither is known."""
    if isinstance(envelope.get("project_dir"), str):
        return str(envelope["project_dir"])
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
        model = line(entry.get("model") or "unknown")
        lines.append(f"ROI: {sign}{performance} performance, {savings} token savings, model={model}")
    return lines


def _figure(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:g}%"
    return line(value).strip() or "n/a" if value is not None else "n/a"


def line(value: Any) -> str:
    """One value on one line."""
    return " ".join(plain(value, keep="\n").split("\n"))


def short(value: Any, limit: int) -> str:
    whole = line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return whole if len(whole) <= limit else f"{whole[: limit - 1]}…"
