"""From the job's end to the client's end, against the embedded gateway. Prints one Markdown row.

The clock starts when the evaluation returns, before the result is published, and stops when the client's process is
gone: publishing, the answer to the poll, the result, the download, the verification and the exit all count.

Usage: python benchmarks/latency.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import PREFIX, REPOSITORY, counted, report, seconds, takes_no_arguments

ROUNDS = 10
BAR_S = 0.3


class Held:
    """The real evaluation, with its outcome held back until the client waits for it."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.go = threading.Event()
        self.returned = 0.0

    def __call__(self, skill_dir: Path, skill_id: str, progress: Any, now: Any) -> Any:
        from mega_code.evaluation import Room, enhance

        store = progress.workspace.parent / "completions.sqlite3"
        outcome = enhance(skill_dir, skill_id, progress, now, Room({}, progress.workspace, store, progress.job_id))
        self.done.set()
        self.go.wait(60)
        self.returned = time.perf_counter()
        return outcome


def measure(home: Path) -> float:
    """Seconds of one round, on a gateway and a data folder of its own."""
    from mega_code.gateway.server import Gateway
    from mega_code.paths import DataDir

    held = Held()
    gateway = Gateway(DataDir(home / "data"), evaluator=held)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "MEGA_CODE_SERVER_URL": gateway.start(),
        "MEGA_CODE_API_KEY": gateway.keys.issue("benchmark"),
        "MEGA_CODE_CLIENT_MODE": "remote",
        "PYTHONPATH": str(REPOSITORY),
    }
    command = [sys.executable, "-m", "mega_code.client.remote_enhance"]
    client = subprocess.Popen(
        [*command, "--skill-dir", str(REPOSITORY / "examples" / "commit-message"), "--project-dir", str(home)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for_publishing(client)
        assert held.done.wait(60)
        held.go.set()
        client.communicate(timeout=60)
        ended = time.perf_counter()
    finally:
        client.kill()
        held.go.set()
        gateway.close()
    assert client.returncode == 0
    return ended - held.returned


def wait_for_publishing(client: subprocess.Popen[str]) -> None:
    """Until the client says that phase, from which on its poll is held. Raises RuntimeError where it ends before."""
    assert client.stderr
    said = []
    for line in iter(client.stderr.readline, ""):
        said.append(line)
        if "publishing" in line:
            return
    raise RuntimeError(f"the client has ended with {client.wait()}:\n{''.join(said)}")


def main() -> int:
    """Exit 1 if the bar is missed."""
    takes_no_arguments(__doc__)
    taken = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix=PREFIX) as home:
            taken.append(measure(Path(home)))
    middle, worst = statistics.median(taken), max(taken)
    shown = f"{seconds(middle)}, at worst {seconds(worst)}"
    return report([counted("job done → client done, embedded gateway", worst, shown, BAR_S, " s")])


if __name__ == "__main__":
    sys.exit(main())
