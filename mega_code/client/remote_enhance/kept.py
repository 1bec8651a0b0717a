"""The modes about what was replaced or removed, and how it comes back. They ask nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from mega_code import backups, places, telemetry
from mega_code.client.remote_enhance import install
from mega_code.envelope import Envelope
from mega_code.errors import MegaCodeError
from mega_code.paths import SCOPES, DataDir, check_skill_name, script, skills_root


def list_backups(data: DataDir, name: Optional[str]) -> Envelope:
    """What was replaced or removed, newest first."""
    return {"backups": backups.listing(data, check_skill_name(name) if name is not None else None)}


def clean_up(data: DataDir, path: str, project: Path) -> Envelope:
    """Remove a superseded copy; it moves into a backup."""
    with telemetry.span("clean-up"):
        removed, backup = install.clean_up(path, project, data)
    return {"removed": str(removed), "backup_path": str(backup)}


def _newest_install(data: DataDir, name: Optional[str], project: Optional[Path]) -> dict[str, Any]:
    """The backup of the newest install that is not undone yet. Raises MegaCodeError."""
    if not name:
        raise MegaCodeError("missing_skill_name", "Name the skill whose install is to be undone: --skill-name NAME.")
    scopes = [scope for scope in SCOPES if scope == "global" or project]
    made = backups.standing(data, [skills_root(s, project or Path()) / check_skill_name(name) for s in scopes])
    if not made:
        raise MegaCodeError("invalid_path", f"There is no install of {name!r} here that could be undone.")
    if made[0]["backup_path"]:
        return made[0]
    origin = Path(made[0]["origin"])
    of_project = ["--project-dir", str(project)] if project and origin.parent == skills_root("project", project) else []
    removal = script("install.sh", "--cleanup-original", str(origin), *of_project)
    before = next((note["backup_path"] for note in made if note["backup_path"]), None)
    raise MegaCodeError(
        "invalid_path",
        f"The newest install of {name!r}, at {str(origin)!r}, replaced nothing that could be put back; {removal} removes it.",
        installed_path=str(origin),
        **({"backup_path": before} if before else {}),
    )


def restore(data: DataDir, backup_dir: str, name: Optional[str], project: Optional[Path]) -> Envelope:
    """Put a backup back: the one named, or (`latest`) what the newest install of `name` in one of our scopes replaced."""
    if backup_dir == "latest":
        backup = _newest_install(data, name, project)
    else:
        backup = backups.find(backup_dir, data)
        if name and name != backup["skill_name"]:
            raise MegaCodeError("invalid_arguments", f"That is a backup of {backup['skill_name']!r}, not of {name!r}.")
    with telemetry.span("restore"):
        done = places.restore(backup, data)
    return {"restored": str(done.path), "backup_path": str(done.backup_path) if done.backup_path else None}
