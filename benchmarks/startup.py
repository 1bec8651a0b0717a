"""How fast commands start, against a bare Python in the same run.

setup.sh is counted too: Python starts by a wrapper in front of python3 and by what every interpreter runs first, of
which the larger counts, so that neither another name nor a second start in one process is missed; calls by the server
that gets them. So is what a collector of spans costs that fails, in every way that the tests know of one; this needs
the extra `telemetry`.

Usage: python benchmarks/startup.py
Exit: 0 every bar is kept, 1 one is missed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

from benchmarks.measure import PREFIX, Row, command, compared, counted, interleaved, report, seconds, takes_no_arguments  # noqa: E402
from support.collector import Collector, broken  # noqa: E402

ROUNDS = 15
COLLECTOR_ROUNDS = 3
COLLECTOR_S = 2
FAILURES = ("refuses", "takes no connection", "hangs", "trickles", "never ends")
SKILLS, RESULTS = 200, 20
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


def write_results(home: Path) -> None:
    """Results that could be installed: what the gateway said of each, and its verified files."""
    kept = home / ".local" / "share" / "mega-code" / "enhancements"
    for number in range(RESULTS):
        job_id, files = str(uuid.UUID(int=number)), []
        for relpath in ("SKILL.md", "references/one.md", "scripts/two.sh"):
            content = SKILL.format(number=number).encode()
            path = kept / job_id / relpath
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest()
            files.append({"relpath": relpath, "url": f"/{relpath}", "sha256": sha256, "size": len(content)})
        told = {"status": "succeeded", "artifact_kind": "enhanced", "completed_at": "2026-04-22T06:11:55Z"}
        result = {**told, "roi": [], "artifact": {"files": files}, "skill_name": "x"}
        (kept / f"{job_id}.result.json").write_text(json.dumps(result))


def starts(words: list[str], home: Path, env: dict[str, str]) -> int:
    """How many interpreters a command starts."""
    folder, called, ran = home / "bin", home / "called", home / "ran"
    folder.mkdir()
    wrapper = folder / "python3"
    wrapper.write_text(f'#!/bin/sh\necho >>{shlex.quote(str(called))}\nexec {shlex.quote(sys.executable)} "$@"\n')
    wrapper.chmod(0o755)
    (folder / "sitecustomize.py").write_text(f"with open({str(ran)!r}, 'a') as notes:\n    notes.write('\\n')\n")
    path = os.pathsep.join([str(folder), "/usr/bin", "/bin"])
    command(words, {**env, "PATH": path, "PYTHONPATH": str(folder)})
    return max(len(notes.read_text()) for notes in (called, ran))


def collectors(listing: list[str], env: dict[str, str]) -> list[Row]:
    """What a collector that fails adds to a command, at worst. Raises SystemExit where no spans can be sent at all."""
    with Collector() as well:
        command(listing, {**env, **well.env})
    if not well.bodies:
        raise SystemExit("startup: no spans come to a collector that is well; is the extra `telemetry` installed?")
    with contextlib.ExitStack() as stack:
        settings = [stack.enter_context(broken(how)) for how in FAILURES]
        bare, *failing = interleaved(
            COLLECTOR_ROUNDS,
            lambda: command(listing, env),
            *(lambda own=own: command(listing, {**env, **own}, quietly=True) for own in settings),  # type: ignore[misc]
        )
    return [
        counted(f"a collector of spans that {how} adds, at worst", worst, seconds(worst), COLLECTOR_S, " s")
        for how, worst in zip(FAILURES, (max(taken) - statistics.median(bare) for taken in failing))
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
    write_results(home)
    client = [sys.executable, "-m", "mega_code.client.remote_enhance"]
    cache = [*client, "--list-cached", "--skill-name", "x"]
    said = subprocess.run(cache, env=env, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    assert len(json.loads(said)["cached"]) == RESULTS, said
    listing = [sys.executable, "-m", "mega_code.client.skill_enhance_helper", "list-skills"]
    bare, helping, cached, listed, ready, check = interleaved(
        ROUNDS,
        lambda: command(BARE, env),
        lambda: command([*client, "--help"], env),
        lambda: command(cache, env),
        lambda: command(listing, env),
        lambda: command(["scripts/setup.sh"], env),
        lambda: command(CHECK, env),
    )
    python = "`python3 -c pass`"
    Profile.calls = 0
    started = starts(["scripts/setup.sh"], home, env)
    return [
        compared("`--help`", helping, python, bare, 5),
        compared(f"`--list-cached` on {RESULTS} results", cached, python, bare, 5),
        compared(f"`list-skills` on {SKILLS} skills", listed, python, bare, 5),
        counted("`setup.sh`: Python starts", started, str(started), 1),
        counted("`setup.sh`: HTTP calls", Profile.calls, str(Profile.calls), 1),
        compared("`setup.sh`", ready, "four checks of one start each", [4 * taken for taken in check], 1 / 3),
        *collectors(cache, env),
    ]


def main() -> int:
    """Print the rows; gives the exit status."""
    takes_no_arguments(__doc__)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Profile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as home:
        table = rows(Path(home), f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    return report(table)


if __name__ == "__main__":
    sys.exit(main())
