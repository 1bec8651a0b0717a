"""How fast commands start, against a bare Python in the same run.

setup.sh is counted too: Python starts by a wrapper in front of python3, calls by the server that gets them. So is what
a collector of spans costs that is not there, or never answers; this needs the extra `telemetry`.

Usage: python benchmarks/startup.py
Exit: 0 every bar is kept, 1 one is missed.
"""

from __future__ import annotations

import os
import shlex
import socket
import statistics
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import PREFIX, Row, command, compared, counted, interleaved, report, seconds

ROUNDS = 15
COLLECTOR_ROUNDS = 5
SKILLS = 200
BARE = [sys.executable, "-c", "pass"]
# What each of four checks costs that start Python by themselves and import what a call to a server needs.
CHECK = [sys.executable, "-c", "import json, requests, yaml"]
SKILL = """\
---
name: skill-{number}
description: Does the thing number {number}. Use it when somebody asks for that, says so, or means it.
metadata:
  author: co-authored by www.megacode.ai
  version: "1.1.0"
  generated_at: "2026-04-22T06:11:55Z"
  tags: [git, automation]
  roi:
    - model: gemini-3-flash-preview
      performance_increase: "67%"
      token_savings: "0%"
---
# Skill {number}
"""


class Profile(BaseHTTPRequestHandler):
    """A server that accepts every key, and counts."""

    calls = 0

    def do_GET(self) -> None:
        Profile.calls += 1
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *unused: object) -> None:
        """Quiet."""


def write_skills(home: Path) -> None:
    """Skills of ours, each with the frontmatter of an enhanced one."""
    for number in range(SKILLS):
        folder = home / ".claude" / "skills" / f"skill-{number}"
        folder.mkdir(parents=True)
        (folder / "SKILL.md").write_text(SKILL.format(number=number))


def counting_python(home: Path) -> tuple[Path, Path]:
    """A folder for PATH whose python3 notes each start, and the file of the notes."""
    folder, notes = home / "bin", home / "starts"
    folder.mkdir()
    wrapper = folder / "python3"
    wrapper.write_text(f'#!/bin/sh\necho >>{shlex.quote(str(notes))}\nexec {shlex.quote(sys.executable)} "$@"\n')
    wrapper.chmod(0o755)
    return folder, notes


def collectors(client: list[str], env: dict[str, str]) -> list[Row]:
    """What a collector that fails adds to a command, at worst. It is a port where nobody is, or where nobody answers."""
    listing = [*client, "--list-cached", "--skill-name", "x"]
    with socket.socket() as silent, socket.socket() as free:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        free.bind(("127.0.0.1", 0))  # and does not listen
        ports = {"that is not there": free.getsockname()[1], "that never answers": silent.getsockname()[1]}
        endpoints = [{**env, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"} for port in ports.values()]
        bare, *failing = interleaved(
            COLLECTOR_ROUNDS,
            lambda: command(listing, env),
            lambda: command(listing, endpoints[0], quietly=True),
            lambda: command(listing, endpoints[1], quietly=True),
        )
    return [
        counted(f"a collector of spans {name} adds, at worst", worst, seconds(worst), 2, " s")
        for name, worst in zip(ports, (max(taken) - statistics.median(bare) for taken in failing))
    ]


def rows(home: Path, url: str) -> list[Row]:
    """Everything that is claimed about starting."""
    env = {
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), "/usr/bin", "/bin"]),
        "HOME": str(home),
        "MEGA_CODE_SERVER_URL": url,
        "MEGA_CODE_API_KEY": "benchmark-key",
        "MEGA_CODE_CLIENT_MODE": "remote",
    }
    write_skills(home)
    client = [sys.executable, "-m", "mega_code.client.remote_enhance"]
    listing = [sys.executable, "-m", "mega_code.client.skill_enhance_helper", "list-skills"]
    bare, helping, cached, listed, ready, check = interleaved(
        ROUNDS,
        lambda: command(BARE, env),
        lambda: command([*client, "--help"], env),
        lambda: command([*client, "--list-cached", "--skill-name", "x"], env),
        lambda: command(listing, env),
        lambda: command(["scripts/setup.sh"], env),
        lambda: command(CHECK, env),
    )
    python = "`python3 -c pass`"
    folder, notes = counting_python(home)
    Profile.calls = 0
    command(["scripts/setup.sh"], {**env, "PATH": os.pathsep.join([str(folder), "/usr/bin", "/bin"])})
    starts = len(notes.read_text().splitlines())
    return [
        compared("`--help`", helping, python, bare, 5),
        compared("`--list-cached`", cached, python, bare, 5),
        compared(f"`list-skills` on {SKILLS} skills", listed, python, bare, 5),
        counted("`setup.sh`: Python starts", starts, str(starts), 1),
        counted("`setup.sh`: HTTP calls", Profile.calls, str(Profile.calls), 1),
        compared("`setup.sh`", ready, "four checks of one start each", [4 * taken for taken in check], 1 / 3),
        *collectors(client, env),
    ]


def main() -> int:
    """Print the rows; gives the exit status."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Profile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as home:
        table = rows(Path(home), f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    return report(table)


if __name__ == "__main__":
    sys.exit(main())
