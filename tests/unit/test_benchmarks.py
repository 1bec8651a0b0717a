"""The one table of the benchmarks: every bar has its row, and what did not come to its end is not published."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bars, gateway
from benchmarks.measure import HEAD, counted, holds
from support.room import REPOSITORY

# What each line of the issue that sets the bars needs, as the beginning of a row's name, and the bar.
BARS = [
    ("`--help`", "≤ 5×"),
    ("`--list-cached`", "≤ 5×"),
    ("`list-skills` on 200 skills", "≤ 5×"),
    ("`setup.sh`: Python starts", "≤ 1"),
    ("`setup.sh`: HTTP calls", "≤ 1"),
    ("pack 20 MiB of incompressible files", "≥ 0.8×"),
    ("submit 20 MiB of incompressible files: peak memory", "≤ 40 MiB"),
    ("pack 20 MiB of incompressible files: same bytes", "yes"),
    ("pack 2,000 small files", "≥ 0.8×"),
    ("submit 2,000 small files: peak memory", "≤ 40 MiB"),
    ("pack 2,000 small files: same bytes", "yes"),
    ("download 200 files at 50 ms", "≥ 6×"),
    ("install 2,000 files", "≤ 1.5×"),
    ("install 2,000 files over as many: the exchange", "≤ 1.5×"),
    ("job done → client done, embedded gateway", "≤ 0.3 s"),
    ("job under a minute done → seen, mean, where `Prefer` is ignored", "≤ 0.6×"),
    ("looks in 20 minutes", "≤ 120"),
    ("status call while 100 clients poll and 1,000 jobs are queued, p99", "≤ 100 ms"),
    ("gateway's memory over 10,000 jobs: growth", "≤ 0.5 KiB a job"),
    ("gateway's memory over 10,000 jobs: highest", "≤ 1.1×"),
    ("status call of an ended job, gateway that keeps 10,000 jobs", "≤ 1.2×"),
    ("status call of a queued job, gateway that keeps 10,000 jobs", "≤ 1.2×"),
    ("poll with `Prefer`", "≤ 1.2×"),
    ("evaluation, 64 cases × 3 repeats × 2 arms, 0.2 s a call, 16 at a time", "≤ 1.2×"),
    *[(f"a collector of spans that {how}", "≤ 2 s") for how in ("refuses", "takes no", "hangs", "trickles", "never")],
]
PRINTING = """\
import sys
sys.path.insert(0, {root!r})
from benchmarks.bars import ROWS
from benchmarks.measure import HEAD
print(HEAD)
for name, bar in ROWS[{name!r}].items():
    print(f"| {{name}} | 1 |  |  | {{bar}} | yes |")
"""
TABLES = "print('README is written')\n"


def all_rows() -> list[tuple[str, str]]:
    return [row for rows in bars.ROWS.values() for row in rows.items()]


@pytest.mark.parametrize(("name", "bar"), BARS, ids=lambda value: value)
def test_every_bar_has_a_row(name: str, bar: str) -> None:
    assert [row for row in all_rows() if row[0].startswith(name) and row[1] == bar]


def test_the_readme_quotes_a_row_for_every_bar_and_none_is_missed() -> None:
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    quoted = bars.rows(readme.partition("<!-- benchmarks:")[2].partition("<!-- end -->")[0])
    assert [bars.bar_of(row) for row in quoted] == all_rows(), "run: benchmarks/run.sh"
    assert [row for row in quoted if not row.endswith("| yes |")] == []


def test_a_row_says_what_is_kept() -> None:
    assert str(holds("pack: same bytes", True)) == "| pack: same bytes | yes |  |  | yes | yes |"
    assert str(holds("pack: same bytes", False)) == "| pack: same bytes | no |  |  | yes | NO |"
    assert str(counted("calls", 2, "2", 1)) == "| calls | 2 |  |  | ≤ 1 | NO |"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a", "b"), []),
        (("a",), ["there is no row 'b' with the bar ≤ 1"]),
        (("a", "b", "c"), ["nobody asked for 'c' with the bar ≤ 1"]),
        (("a", "b", "b"), ["'b' is there twice"]),
    ],
)
def test_a_row_that_is_missing_strange_or_there_twice_is_named(names: tuple[str, ...], said: list[str]) -> None:
    rows = [str(counted(name, 1, "1", 1)) for name in names]
    assert bars.rows("\n".join([HEAD, *rows])) == rows
    assert list(bars.trouble(rows, {"a": "≤ 1", "b": "≤ 1"})) == said


def test_a_bar_that_was_made_easier_is_named() -> None:
    assert list(bars.trouble([str(counted("a", 1, "1", 2))], {"a": "≤ 1"})) == [
        "there is no row 'a' with the bar ≤ 1",
        "nobody asked for 'a' with the bar ≤ 2",
    ]


def test_growth_is_the_slope_of_the_whole_and_not_of_its_ends() -> None:
    flat = [(jobs, 50.0 + (jobs % 2)) for jobs in range(1000)]
    assert gateway.slope([*flat, (1000, 80.0)]) < 0.001
    assert gateway.slope([(jobs, 50 + 3 * jobs / 1024) for jobs in range(0, 1000, 10)]) == pytest.approx(3 / 1024)


# run.sh, in a house of its own whose benchmarks print at once


@pytest.fixture
def house(tmp_path: Path) -> Path:
    root = tmp_path / "a house"
    (root / "scripts" / "lib").mkdir(parents=True)
    (root / "scripts" / "lib" / "tables.py").write_text(TABLES)
    (root / "benchmarks").mkdir()
    for name in ("run.sh", "bars.py", "measure.py"):
        shutil.copy(REPOSITORY / "benchmarks" / name, root / "benchmarks" / name)
    for name in bars.ROWS:
        (root / "benchmarks" / f"{name}.py").write_text(PRINTING.format(root=str(root), name=name))
    for name in ("audit", "decisions", "jobs"):
        (root / "benchmarks" / f"{name}.py").write_text(f"print('table of {name}')\n")
    (root / "benchmarks" / "RESULTS.md").write_text("old\n")
    return root


def run(house: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "TMPDIR": str(house)}
    return subprocess.run(
        [house / "benchmarks" / "run.sh", *words], env=env, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_whole_run_writes_its_table_in_the_order_of_the_bars(house: Path) -> None:
    done = run(house)
    written = (house / "benchmarks" / "RESULTS.md").read_text("utf-8")
    facts, empty, *table = written.splitlines()
    assert (done.returncode, done.stdout) == (0, written)
    assert facts.startswith("Measured ") and not empty and table[:2] == HEAD.splitlines()
    assert [bars.bar_of(row) for row in table[2:]] == all_rows()
    assert done.stderr.splitlines() == [*(f"run: {name}" for name in bars.ROWS), "README is written"]
    assert sorted(path.name for path in house.iterdir()) == ["benchmarks", "scripts"]


def test_a_missed_bar_is_written_and_ends_with_1(house: Path) -> None:
    path = house / "benchmarks" / "install.py"
    path.write_text(path.read_text().replace("| yes |", "| NO |") + "sys.exit(1)\n")
    assert run(house).returncode == 1
    assert (house / "benchmarks" / "RESULTS.md").read_text("utf-8").count("| NO |") == len(bars.ROWS["install"])


def test_a_benchmark_that_breaks_off_leaves_the_old_table(house: Path) -> None:
    (house / "benchmarks" / "install.py").write_text("raise SystemExit('no disk')\n")
    done = run(house)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no disk\n" in done.stderr and "README is written" not in done.stderr
    assert [f"install: there is no row {name!r} with the bar {bar}" in done.stderr for name, bar in
            bars.ROWS["install"].items()] == [True, True]  # fmt: skip
    assert (house / "benchmarks" / "RESULTS.md").read_text() == "old\n"


def test_all_runs_the_others_too_and_takes_their_failure(house: Path) -> None:
    (house / "benchmarks" / "decisions.py").write_text("raise SystemExit(1)\n")
    done = run(house, "--all")
    assert done.returncode == 1 and done.stdout.endswith("\ntable of audit\n\n\ntable of jobs\n")


def test_what_it_does_not_know_it_refuses_before_it_measures(house: Path) -> None:
    done = run(house, "--fast")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == "run: unknown argument '--fast'; see --help.\n"
