"""Where everything lies, and which names may become part of a path."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from mega_code.errors import MegaCodeError

SCOPES = ("project", "global")
SKILL_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
JOB_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
PLUGIN_FOLDERS = ("/.claude/plugins/cache/", "/.claude/plugins/marketplaces/")
_UNPRINTABLE = re.compile(r"[\\\x00-\x1f\x7f-\x9f]")
_ABSOLUTE = re.compile(r"/|[A-Za-z]:")
_NO_NAMES = frozenset(("", ".", ".."))
MEGA_DIR = Path(__file__).resolve().parent.parent


def script(name: str, *arguments: str) -> str:
    """A command line of this bundle that can be copied as it is, wherever one is."""
    return shlex.join([str(MEGA_DIR / "scripts" / name), *arguments])


def data_dir(env: Mapping[str, str]) -> Path:
    """`$MEGA_CODE_DATA_DIR`, else `$XDG_DATA_HOME/mega-code`, else `~/.local/share/mega-code`.

    A relative XDG_DATA_HOME is ignored, as the XDG Base Directory Specification asks.
    """
    own = env.get("MEGA_CODE_DATA_DIR")
    if own:
        return Path(os.path.abspath(os.path.expanduser(own)))
    xdg = env.get("XDG_DATA_HOME", "")
    if os.path.isabs(xdg):
        return Path(xdg) / "mega-code"
    return Path.home() / ".local" / "share" / "mega-code"


def project_dir(value: Optional[str], env: Mapping[str, str]) -> Path:
    """The person's project: `value`, else `$CLAUDE_PROJECT_DIR`, else the working directory.

    Raises MegaCodeError: `invalid_path` where it is no folder, `plugin_cache_project_dir` inside Claude Code's own.
    """
    try:
        path = Path(os.path.abspath(value or env.get("CLAUDE_PROJECT_DIR") or os.getcwd()))
    except FileNotFoundError:
        raise MegaCodeError("invalid_path", "The working directory is gone; name the project folder.") from None
    if not os.path.isdir(path):
        raise MegaCodeError("invalid_path", f"The project folder {str(path)!r} is not there.")
    for spelling in (f"{path}/", f"{path.resolve()}/"):
        if any(folder in spelling for folder in PLUGIN_FOLDERS):
            raise MegaCodeError(
                "plugin_cache_project_dir",
                f"{str(path)!r} is Claude Code's own plugin folder; set CLAUDE_PROJECT_DIR to your project's folder.",
            )
    return path


def skills_root(scope: str, project: Path) -> Path:
    """The folder that holds a scope's skill folders."""
    base = Path.home() if scope == "global" else project
    return base / ".claude" / "skills"


def check_skill_name(name: str) -> str:
    """`name` itself. Raises MegaCodeError `invalid_skill_name`."""
    if not SKILL_NAME.fullmatch(name):
        raise MegaCodeError(
            "invalid_skill_name",
            f"{name[:80]!r} is no skill name: lower-case letters, digits and inner hyphens, 64 characters at most.",
        )
    return name


def is_job_id(value: object) -> bool:
    """Whether `value` is a UUID in its usual spelling."""
    return isinstance(value, str) and JOB_ID.fullmatch(value) is not None


def check_job_id(value: str) -> str:
    """`value` itself. Raises MegaCodeError `invalid_job_id`."""
    if not is_job_id(value):
        raise MegaCodeError("invalid_job_id", f"{value[:80]!r} is no job id; a job id is a UUID.")
    return value


def check_relpath(relpath: object, what: str = "path") -> str:
    """A relative POSIX path that stays below its root on every platform, unchanged.

    Raises MegaCodeError `invalid_path` if it is no string, empty, absolute or over-long, has an empty, `.` or `..`
    part, a backslash, a control character, an unpaired surrogate, or a drive letter.
    """

    def refuse(why: str) -> MegaCodeError:
        return MegaCodeError("invalid_path", f"The {what} {str(relpath)[:120]!r} {why}.")

    if not isinstance(relpath, str) or not relpath:
        raise refuse("is empty or no string")
    if _UNPRINTABLE.search(relpath):
        raise refuse("holds a backslash or a control character")
    try:
        size = len(relpath.encode())
    except UnicodeEncodeError:
        raise refuse("is no valid Unicode") from None
    if _ABSOLUTE.match(relpath):
        raise refuse("is absolute")
    parts = relpath.split("/")
    if not _NO_NAMES.isdisjoint(parts):
        raise refuse("has an empty, '.' or '..' part")
    if size > 1024 or (size > 255 and any(len(part.encode()) > 255 for part in parts)):
        raise refuse("is too long")
    return relpath


class DataDir:
    """The layout below `DATA_DIR`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env_file = root / ".env"
        self.enhancements = root / "enhancements"
        self.gateway = root / "gateway"
        self.client_json = self.gateway / "client.json"
        self.gateway_environment = self.gateway / "environment.json"
        self.pending_skills = root / "data" / "pending-skills"
        self.skill_enhance = root / "data" / "skill-enhance"
        self.given_up = root / "runtime" / "spans-given-up"

    def staging(self, job_id: str) -> Path:
        """Verified files of one job, not yet installed."""
        return self._of(job_id)

    def rejected(self, job_id: str) -> Path:
        """A bundle that broke the frontmatter contract, kept for a look."""
        return self._of(job_id, ".rejected")

    def result(self, job_id: str) -> Path:
        """The result body as received, plus `skill_name`."""
        return self._of(job_id, ".result.json")

    def report(self, job_id: str) -> Path:
        """The result as a page for a person."""
        return self._of(job_id, ".report.html")

    def digests(self, job_id: str) -> Path:
        """The SHA-256 of downloaded files whose result names none."""
        return self._of(job_id, ".sha256.json")

    def job(self, job_id: str) -> Path:
        """What was submitted."""
        return self._of(job_id, ".job.json")

    def _of(self, job_id: str, ending: str = "") -> Path:
        """What belongs to a job, which is one job however its id is spelt."""
        return self.enhancements / f"{check_job_id(job_id).lower()}{ending}"
