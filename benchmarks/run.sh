#!/usr/bin/env bash
# Usage: benchmarks/run.sh
#
# Measure what this project claims to be fast and light at, each figure side by side with what it is
# compared with, and put it into one Markdown table: benchmarks/RESULTS.md, and README between its marks.
# Prints the table; what is measured now goes to stderr. Three to four minutes; nothing else should run.
#
# Exit: 0 every bar is kept, 1 one is missed.
#
# Environment:
#   PYTHON   a Python with the packages of the dev extra, instead of python3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case "${1:-}" in
-h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "benchmarks/run.sh" && exit ;;
esac
python="${PYTHON:-python3}" missed=0 table="$(mktemp "${TMPDIR:-/tmp}/mega-code.XXXXXX")"
trap 'rm -f -- "$table"' EXIT

for benchmark in startup packaging downloads install latency polling gateway evaluation; do
  printf 'run: %s\n' "$benchmark" >&2
  "$python" "benchmarks/$benchmark.py" >>"$table" || missed=1
done
{
  "$python" benchmarks/measure.py
  printf '\n'
  awk '!/^\|/ || !seen[$0]++' "$table"
} >benchmarks/RESULTS.md
"$python" -m scripts.lib.tables >&2
cat benchmarks/RESULTS.md
exit "$missed"
