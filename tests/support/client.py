"""The real command in a process of its own, and what every run of it must hold to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from mega_code import envelope as envelopes
from support.fake_gateway import KEY
from support.room import REPOSITORY, Room


class Outcome(NamedTuple):
    """How a run ended."""

    status: int
    envelope: dict[str, Any]
    stderr: str

    @property
    def code(self) -> str:
        """The error code, or an empty string."""
        return str(self.envelope.get("error", {}).get("code", ""))


class Client:
    """Runs the command in a clean room."""

    def __init__(self, room: Room, env: dict[str, str]) -> None:
        self.home, self.project, self.data = room.home, room.project, room.data
        self.data.mkdir(exist_ok=True)
        self.wrapper: list[str] = []  # what runs the command
        self.env = {**room.env, "PYTHONPATH": str(REPOSITORY), **env}

    def popen(
        self, *arguments: str, module: str = "mega_code.client.remote_enhance", **env: str
    ) -> subprocess.Popen[str]:
        """The command, started."""
        return subprocess.Popen(
            [*self.wrapper, sys.executable, "-m", module, *arguments],
            cwd=self.project,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, **env: str) -> Outcome:
        """Run to the end, at most two minutes; stdout, `--result-json` and the exit status must agree."""
        result_json = self.data.parent / f"result {os.urandom(4).hex()}.json"
        process = self.popen(*arguments, "--result-json", str(result_json), **env)
        try:
            stdout, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
        return finished(process.returncode, stdout, stderr, result_json)

    def skill(self, name: str = "demo-skill", scope: str = "project", text: str = "") -> Path:
        """Make a skill and give its folder."""
        base = self.home if scope == "global" else self.project
        folder = base / ".claude" / "skills" / name
        folder.mkdir(parents=True)
        (folder / "SKILL.md").write_text(
            text or f"---\nname: {name}\ndescription: A {scope} skill.\n---\n# Old {scope}\n"
        )
        return folder

    @property
    def enhancements(self) -> Path:
        return self.data / "enhancements"

    def leftovers(self) -> list[str]:
        """Hidden or temporary names anywhere in the room: there should never be any."""
        return [
            str(path)
            for root in (self.home, self.project, self.data)
            for path in root.rglob("*")
            if path.name.endswith((".tmp", ".part")) or ".mega-" in path.name
        ]


def finished(status: int, stdout: str, stderr: str, result_json: Path) -> Outcome:
    """Check what holds for every run, and give the outcome."""
    assert "Traceback" not in stderr, stderr
    assert stdout.count("\n") == 1, (stdout, stderr)
    envelope = json.loads(stdout)
    assert json.loads(result_json.read_text()) == envelope
    assert envelopes.exit_status(envelope) == status, (status, envelope)
    assert KEY not in stdout + stderr + result_json.read_text()
    return Outcome(status, envelope, stderr)
