"""What reports and headlines are put together from: values on one line, figures, and commands that can be copied."""

from __future__ import annotations

import json
import os
import shlex
from typing import Any, Optional

from mega_code.envelope import Envelope
from mega_code.paths import script as command
from mega_code.plain import plain

__all__ = ["cancel", "command", "line", "original_project", "removal", "resume", "roi_lines", "short"]


def resume(job_id: str) -> str:
    """The command that takes a job up again."""
    return command("enhance.sh", "--poll-existing", job_id)


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
