"""How long after a job's end the client sees it on a server that holds no answer back, against a look every 10 s.

The real waiting loop with a clock that is turned by hand, on jobs that take up to a minute; and how many looks it takes
at a job that runs for twenty minutes. The look every 10 s is at the same server.

Usage: python benchmarks/polling.py
Exit: 0 every bar is kept, 1 one is missed.
"""

from __future__ import annotations

import contextlib
import io
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import compared, counted, report, takes_no_arguments
from mega_code.client.remote_enhance.api import Poll
from mega_code.client.remote_enhance.polling import NotTerminal, Poller

JOB = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
JOBS = 2000
LONGEST_S, CADENCE_S, LONG_S = 60.0, 10.0, 1200.0
ROUND_TRIP_S = 0.05
BAR = 0.6


class Server:
    """Answers at once, whatever it was asked to wait; its clock and sleep are the loop's."""

    def __init__(self, done: float) -> None:
        self.now, self.done, self.looks = 0.0, done, 0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def look(self, *unused: Any) -> Poll:
        self.looks += 1
        self.now += ROUND_TRIP_S / 2
        status = "succeeded" if self.now >= self.done else "running"
        self.now += ROUND_TRIP_S / 2
        return Poll({"job_id": JOB, "status": status, "phase_public": None}, None, False)


def watched(done: float, timeout_s: float = 0) -> Server:
    """A job that ends at `done` seconds, waited for."""
    server = Server(done)
    poller = Poller(server, JOB, timeout_s=timeout_s, clock=server.clock, sleep=server.sleep, wall=server.clock)  # type: ignore[arg-type]
    with contextlib.suppress(NotTerminal), contextlib.redirect_stderr(io.StringIO()):
        poller.wait()
    return server


def fixed(done: float, timeout_s: float = LONG_S) -> Server:
    """The same job, looked at every so often."""
    server, began = Server(done), 0.0
    while began < timeout_s and server.look().job["status"] == "running":  # type: ignore[index]
        began += CADENCE_S
        server.sleep(began - server.now)
    return server


def main() -> int:
    """Print the rows; gives the exit status."""
    takes_no_arguments(__doc__)
    random.seed(1)
    ends = [random.uniform(0, LONGEST_S) for _ in range(JOBS)]
    waits = [[sum(watch(done).now - done for done in ends) / JOBS] for watch in (watched, fixed)]
    looks = max(watched(2 * LONG_S, LONG_S).looks for _ in range(20))
    most = fixed(2 * LONG_S).looks
    name = f"a look every {CADENCE_S:.0f} s"
    return report(
        [
            compared("job under a minute done → seen, mean, where `Prefer` is ignored", waits[0], name, waits[1], BAR),
            counted("looks in 20 minutes, the most of 20 runs", looks, str(looks), most, against=f"{name}: {most}"),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
