"""A hostile clean room: nothing of the person's own machine reaches a test, and its folders have a space."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
SKILL_TEXT = "---\nname: {name}\ndescription: Does a thing. Use when a thing is to be done.\n---\n# {name}\n\nDo it.\n"
OURS = ("MEGA_CODE_", "CLAUDE_", "XDG_", "OTEL_", "UV_")
OTHERS = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV", "NO_PROXY")


def is_foreign(name: str) -> bool:
    """Whether a variable of the surrounding environment must not reach a test."""
    upper = name.upper()
    return upper.startswith(OURS) or upper.endswith("_PROXY") or upper in OTHERS


def script(name: str) -> str:
    """A script of ours as it is shown to a person, who copies it into a shell."""
    return shlex.quote(str(REPOSITORY / "scripts" / f"{name}.sh"))


class Room:
    """A home, a project and a data folder of one test; `env` is what its processes get, and a test may change it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home, self.project, self.data, self.tmp = (root / name for name in ("home", "a project", "data", "tmp"))
        for folder in (self.home, self.project, self.tmp):
            folder.mkdir(parents=True)
        path = [os.path.dirname(sys.executable), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        kept = {name: value for name, value in os.environ.items() if not is_foreign(name)}
        self.env: dict[str, str] = {
            **kept,
            "HOME": str(self.home),
            "MEGA_CODE_DATA_DIR": str(self.data),
            "PATH": os.pathsep.join(path),
            "TMPDIR": str(self.tmp),
        }

    def run(self, args: Sequence[object], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in the project, without a terminal, for two minutes at most; its output is text."""
        given: dict[str, Any] = {
            "cwd": self.project,
            "env": self.env,
            "capture_output": True,
            "text": True,
            "timeout": 120,
            **options,
        }
        if "input" not in given:
            given.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([str(arg) for arg in args], check=False, **given)

    def script(self, name: str, *args: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one of our scripts."""
        return self.run([REPOSITORY / "scripts" / name, *args], **options)

    def python(self, module: str, *args: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one of our modules, in the repository as the scripts do."""
        return self.run([sys.executable, "-m", module, *args], **{"cwd": REPOSITORY, **options})

    def add_skill(self, scope: str = "project", name: str = "demo-skill", text: str = "") -> Path:
        """Make a skill in a scope (`project` or `global`); its folder."""
        folder = (self.home if scope == "global" else self.project) / ".claude" / "skills" / name
        folder.mkdir(parents=True)
        (folder / "SKILL.md").write_text(text or SKILL_TEXT.format(name=name), encoding="utf-8")
        return folder
