#!/usr/bin/env bash
# Usage: run.sh [--seconds N] [--minimise] [TARGET...]
#
# Fuzz each target for N seconds (default: 150) with atheris, which needs Python 3.11 or 3.12 (PYTHON names it), in a
# virtual environment of its own. Prints the executions of each target.
#
#   --minimise   put the smallest set of inputs that reaches the same code into tests/fuzz/corpus, where CI replays it
#
# Exit: 0 no promise was broken, 1 one was (the input is named), 4 bad input, 5 atheris could not be set up.
set -euo pipefail
here="$(CDPATH='' cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)"
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
die() { # <code> <message...>
  printf 'fuzz: %s\n' "${*:2}" >&2
  exit "$1"
}

seconds=150 minimise='' targets=()
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help)
    usage
    exit
    ;;
  --seconds) [[ "${2:-}" =~ ^[0-9]+$ ]] || die 4 "--seconds needs a number; see --help." && seconds="$2" && shift ;;
  --minimise) minimise=yes ;;
  answer | envfile | frontmatter | intake) targets+=("$1") ;;
  *) die 4 "unknown argument '$1'; see --help." ;;
  esac
  shift
done
[ "${#targets[@]}" -gt 0 ] || targets=(answer envfile frontmatter intake)

work="${MEGA_CODE_FUZZ_DIR:-${TMPDIR:-/tmp}/mega-code-fuzz-$(id -u)}"
python="$work/venv/bin/python"
mkdir -p -- "$work"
if [ ! -f "$work/venv/complete" ]; then
  printf 'fuzz: setting up %s\n' "$work/venv" >&2
  { "${PYTHON:-python3}" -m venv "$work/venv" && "$python" -m pip install atheris requests PyYAML &&
    : >"$work/venv/complete"; } >"$work/venv.log" 2>&1 || die 5 "atheris could not be set up; see $work/venv.log."
fi

failed=''
for target in "${targets[@]}"; do
  mkdir -p -- "$work/$target"
  cp -- "$here/corpus/$target/"* "$work/$target/" 2>/dev/null || :
  if ! "$python" "$here/drive.py" "$target" "$work/$target" "$seconds" >"$work/$target.log" 2>&1; then
    failed=yes
    printf 'fuzz: %s broke a promise; see %s\n' "$target" "$work/$target.log" >&2
  fi
  printf '%s: %s executions in %s s\n' "$target" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target.log")" "$seconds"
  if [ -n "$minimise" ]; then
    "$python" "$here/minimise.py" "$target" "$work/$target" "$here/corpus/$target"
  fi
done
[ -z "$failed" ] || exit 1
