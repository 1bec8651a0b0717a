#!/usr/bin/env bash
# Usage: benchmarks/run.sh [--all]
#
# Measure what this project claims to be fast and light at, each figure side by side with what it is
# compared with, and put it into one Markdown table: benchmarks/RESULTS.md, and README between its marks.
# Prints the table; what is measured now goes to stderr. About eight minutes; nothing else should run.
#
#   --all   then also how right the audit, the rule of publication and whole jobs are, each in a table of
#           its own that is printed only; this takes longer than all the rest
#
# Exit: 0 every bar is kept, 1 one is missed, 2 a benchmark has not printed every row, so that no table is
# written, 4 bad input.
#
# Environment:
#   PYTHON   a Python with the packages of the dev extra, instead of python3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-python3}" missed=0 others=()
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "benchmarks/run.sh" && exit ;;
  --all) others=(audit decisions jobs) ;;
  *) printf "run: unknown argument '%s'; see --help.\n" "$1" >&2 && exit 4 ;;
  esac
  shift
done
work="$(mktemp -d "${TMPDIR:-/tmp}/mega-code.XXXXXX")"
trap 'rm -r -- "$work"' EXIT

for benchmark in $("$python" benchmarks/bars.py); do
  printf 'run: %s\n' "$benchmark" >&2
  "$python" "benchmarks/$benchmark.py" >"$work/$benchmark" || missed=1
done
if ! "$python" benchmarks/bars.py "$work" >"$work/table"; then
  printf 'run: rows are missing, so no table is written.\n' >&2
  exit 2
fi
{
  "$python" benchmarks/measure.py
  printf '\n'
  cat "$work/table"
} >"$work/results"
cat "$work/results" >benchmarks/RESULTS.md
"$python" -m scripts.lib.tables >&2
cat benchmarks/RESULTS.md

for benchmark in ${others[0]+"${others[@]}"}; do
  printf 'run: %s\n' "$benchmark" >&2
  printf '\n'
  "$python" "benchmarks/$benchmark.py" || missed=1
done
exit "$missed"
