"""How fast commands start, against a bare Python in the same run. Prints one Markdown row a claim.

Usage: python benchmarks/startup.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ROUNDS = 15
# What four checks cost that each start Python and import what a call to a server needs.
FOUR_STARTS = [[sys.executable, "-c", "import json, requests, yaml"]] * 4


class Profile(BaseHTTPRequestHandler):
    """A server that accepts every key."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *unused: object) -> None:
        """Quiet."""


def seconds(commands: Sequence[Sequence[str]], env: dict[str, str]) -> float:
    """Wall time of running the commands one after another."""
    started = time.perf_counter()
    for command in commands:
        subprocess.run(
            command, env=env, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
    return time.perf_counter() - started


def row(
    claim: str, ours: Sequence[Sequence[str]], theirs: Sequence[Sequence[str]], bar: float, env: dict[str, str]
) -> bool:
    """Measure both in turn, print the ratio of the medians, and say whether it keeps the bar."""
    pairs = [(seconds(ours, env), seconds(theirs, env)) for _ in range(ROUNDS + 1)][1:]
    mine, other = (statistics.median(side) for side in zip(*pairs))
    ratio = mine / other
    print(f"| {claim} | {mine * 1000:.0f} ms | {other * 1000:.0f} ms | {ratio:.2f} | ≤ {bar:.2f} |", flush=True)
    return ratio <= bar


def main() -> int:
    """Exit 1 if a bar is missed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Profile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    python = [sys.executable, "-m"]
    bare = [[sys.executable, "-c", "pass"]]
    with tempfile.TemporaryDirectory(prefix="mega code ") as home:
        env = {
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
            "HOME": home,
            "MEGA_CODE_SERVER_URL": f"http://127.0.0.1:{server.server_address[1]}",
            "MEGA_CODE_API_KEY": "benchmark-key",
            "MEGA_CODE_CLIENT_MODE": "remote",
        }
        print("| what | ours | against | ratio | bar |\n|---|---|---|---|---|")
        client = [*python, "mega_code.client.remote_enhance"]
        kept = [
            row("`--help` against a bare Python", [[*client, "--help"]], bare, 5, env),
            row(
                "`--list-cached` against a bare Python", [[*client, "--list-cached", "--skill-name", "x"]], bare, 5, env
            ),
            row("`setup.sh` against four Python starts", [["scripts/setup.sh"]], FOUR_STARTS, 1 / 3, env),
        ]
    server.shutdown()
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
