#!/usr/bin/env bash
# Usage: benchmarks/run.sh
#
# Measure what this project claims to be fast at, and print it as Markdown with the machine's facts. Each figure is
# taken side by side with what it is compared with, in one run. PYTHON names a Python with the packages of the dev extra.
#
# Exit: 0 every bar is kept, 1 one is missed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case "${1:-}" in
-h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "benchmarks/run.sh" && exit ;;
esac
python="${PYTHON:-python3}" missed=0

printf 'Measured %s on %s, %s cores, %s.\n\n' "$(date -u +%Y-%m-%d)" "$(uname -sm)" "$(getconf _NPROCESSORS_ONLN)" \
  "$("$python" --version)"
for benchmark in startup latency evaluation; do
  "$python" "benchmarks/$benchmark.py" || missed=1
  printf '\n'
done
exit "$missed"
