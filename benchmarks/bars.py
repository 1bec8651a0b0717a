"""Every row that the one table has to have, with its bar, by the benchmark that prints it.

Usage: python benchmarks/bars.py [FOLDER]

Prints the benchmarks. With a FOLDER, in which a file of each one's name holds what that has printed: the table of all.
Exit: 0, 2 where a row is missing, unknown, there twice, or has another bar.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import HEAD

KEEPING = "gateway that keeps 10,000 jobs"
ROWS: dict[str, dict[str, str]] = {
    "startup": {
        "`--help`": "≤ 5×",
        "`--list-cached` on 20 results": "≤ 5×",
        "`list-skills` on 200 skills": "≤ 5×",
        "`setup.sh`: Python starts": "≤ 1",
        "`setup.sh`: HTTP calls": "≤ 1",
        "`setup.sh`": "≤ 0.333×",
        "a collector of spans that refuses adds, at worst": "≤ 2 s",
        "a collector of spans that takes no connection adds, at worst": "≤ 2 s",
        "a collector of spans that hangs adds, at worst": "≤ 2 s",
        "a collector of spans that trickles adds, at worst": "≤ 2 s",
        "a collector of spans that never ends adds, at worst": "≤ 2 s",
    },
    "packaging": {
        "pack 20 MiB of incompressible files": "≥ 0.8×",
        "submit 20 MiB of incompressible files: peak memory over a bare Python": "≤ 40 MiB",
        "pack 20 MiB of incompressible files: same bytes, three times": "yes",
        "pack 2,000 small files": "≥ 0.8×",
        "submit 2,000 small files: peak memory over a bare Python": "≤ 40 MiB",
        "pack 2,000 small files: same bytes, three times": "yes",
    },
    "downloads": {
        "download 200 files at 50 ms each": "≥ 6×",
        "download of 40 missing files: the first is named, five times": "yes",
    },
    "install": {
        "install 2,000 files over as many": "≤ 1.5×",
        "install 2,000 files over as many: the exchange": "≤ 1.5×",
    },
    "latency": {"job done → client done, embedded gateway": "≤ 0.3 s"},
    "polling": {
        "job under a minute done → seen, mean, where `Prefer` is ignored": "≤ 0.6×",
        "looks in 20 minutes, the most of 20 runs": "≤ 120",
    },
    "gateway": {
        "status call while 100 clients poll and 1,000 jobs are queued, p99": "≤ 100 ms",
        "gateway's memory over 10,000 jobs: growth in the last half": "≤ 0.5 KiB a job",
        "gateway's memory over 10,000 jobs: highest": "≤ 1.1×",
        f"status call of an ended job, {KEEPING}": "≤ 1.2×",
        f"status call of a queued job, {KEEPING}": "≤ 1.2×",
        f"poll with `Prefer` of an ended job, {KEEPING}": "≤ 1.2×",
    },
    "evaluation": {"evaluation, 64 cases × 3 repeats × 2 arms, 0.2 s a call, 16 at a time": "≤ 1.2×"},
}


def rows(text: str) -> list[str]:
    """The lines of a table without its head."""
    return [line for line in text.splitlines() if line.startswith("|") and line not in HEAD.splitlines()]


def bar_of(row: str) -> tuple[str, str]:
    """What a row is about, and its bar."""
    cells = [cell.strip() for cell in row.split("|")]
    return cells[1], cells[5]


def trouble(found: Sequence[str], wanted: dict[str, str]) -> Iterator[str]:
    """What is wrong with rows that are to be these."""
    seen = [bar_of(row) for row in found]
    yield from (
        f"there is no row {name!r} with the bar {bar}" for name, bar in wanted.items() if (name, bar) not in seen
    )
    yield from (f"nobody asked for {name!r} with the bar {bar}" for name, bar in seen if wanted.get(name) != bar)
    yield from (f"{name!r} is there twice" for name, bar in wanted.items() if seen.count((name, bar)) > 1)


def main(argv: Sequence[str]) -> int:
    """Print the names or the table; gives the exit status."""
    if not argv:
        print("\n".join(ROWS))
        return 0
    printed = {name: rows((Path(argv[0]) / name).read_text("utf-8")) for name in ROWS}
    wrong = [f"{name}: {what}" for name, found in printed.items() for what in trouble(found, ROWS[name])]
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    if not wrong:
        print("\n".join([HEAD, *(row for found in printed.values() for row in found)]))
    return 2 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
