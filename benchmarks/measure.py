"""What the benchmarks share: a row of the one table, rounds that are interleaved, and the machine's facts.

Every benchmark prints HEAD and its rows, and ends with 1 where a bar is missed; run.sh makes one table of them all.

Usage: python benchmarks/measure.py      prints the facts, in one line
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple, Optional

REPOSITORY = Path(__file__).resolve().parent.parent
HEAD = "| what | ours | against | ratio | bar | kept |\n|---|---|---|---|---|---|"
PREFIX = "mega code "  # of temporary folders: a path with a space in it


class Row(NamedTuple):
    """A line of the table. `value` is what the bar is about: the ratio, where there is one, else our own figure.

    Without a sign it is 1 for what is to hold and does.
    """

    what: str
    ours: str
    against: str
    ratio: str
    value: float
    bar: float
    sign: str = "≤"
    unit: str = ""

    @property
    def kept(self) -> bool:
        return self.value <= self.bar if self.sign == "≤" else self.value >= self.bar

    def __str__(self) -> str:
        bar = f"{self.sign} {self.bar:.3g}{self.unit}" if self.sign else "yes"
        return f"| {' | '.join((self.what, self.ours, self.against, self.ratio, bar, 'yes' if self.kept else 'NO'))} |"


def compared(what: str, ours: Sequence[float], name: str, theirs: Sequence[float], bar: float) -> Row:
    """The ratio of two medians of seconds, which is to be `bar` at most."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    return Row(what, seconds(mine), f"{name}: {seconds(other)}", f"{mine / other:.2f}", mine / other, bar, unit="×")


def faster(what: str, ours: Sequence[float], name: str, theirs: Sequence[float], bar: float) -> Row:
    """How many times as fast as the other we are, which is to be `bar` at least."""
    row = compared(what, ours, name, theirs, bar)
    return row._replace(ratio=f"{1 / row.value:.2f}", value=1 / row.value, sign="≥")


def counted(what: str, value: float, shown: str, bar: float, unit: str = "", against: str = "") -> Row:
    """A figure that is to be `bar` at most, whatever others do."""
    return Row(what, shown, against, "", value, bar, unit=unit)


def holds(what: str, kept: bool) -> Row:
    """Something without a figure, which is so or is not."""
    return Row(what, "yes" if kept else "no", "", "", float(kept), 1, sign="")


def seconds(value: float) -> str:
    """`340 µs`, `85 ms` or `1.23 s`."""
    if value < 0.001:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def interleaved(rounds: int, *measures: Callable[[], float], warm_up: int = 1) -> list[list[float]]:
    """What each gives, in turn, so that a machine that is slow for a while is so for all of them."""
    taken = [[measure() for measure in measures] for _ in range(warm_up + rounds)][warm_up:]
    return [list(column) for column in zip(*taken)]


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall time."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def command(words: Sequence[str], env: dict[str, str], quietly: bool = False) -> float:
    """Seconds that a command takes, its start included; `quietly` without its stderr.

    Raises CalledProcessError where it fails.
    """
    quiet = subprocess.DEVNULL
    stderr = quiet if quietly else None
    return timed(
        lambda: subprocess.run(words, env=env, cwd=REPOSITORY, check=True, stdin=quiet, stdout=quiet, stderr=stderr)
    )


def two_cores() -> int:
    """Keep this process, and what it starts, to two of its cores where the system can; gives how many it has then."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    return len(os.sched_getaffinity(0))


def takes_no_arguments(about: Optional[str]) -> None:
    """Answer --help with a module's own words, and refuse what else is asked."""
    raw = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=about, formatter_class=raw).parse_args()


def report(rows: Sequence[Row]) -> int:
    """Print the table; gives the exit status."""
    print(HEAD)
    for row in rows:
        print(row, flush=True)
    return 0 if all(row.kept for row in rows) else 1


def facts() -> str:
    """When and on what the figures were taken; no path, no name of the machine."""
    system = f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}"
    parts = [f"{datetime.now(timezone.utc):%Y-%m-%d}", system, _processor(), f"{os.cpu_count()} cores"]
    parts += [f"Python {platform.python_version()}", _file_system(tempfile.gettempdir())]
    return f"Measured {', '.join(part for part in parts if part)}; medians of interleaved rounds."


def _processor() -> str:
    if sys.platform == "darwin":
        return _said("sysctl", "-n", "machdep.cpu.brand_string")
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _file_system(path: str) -> str:
    """The type of the file system at `path`, where the system says it."""
    best: tuple[int, Optional[str]] = (0, None)
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return "apfs" if sys.platform == "darwin" else ""
    for _, point, kind, *_ in map(str.split, mounts):
        if os.path.realpath(path).startswith(point):
            best = max(best, (len(point), kind))
    return best[1] or ""


def _said(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    print(facts())
