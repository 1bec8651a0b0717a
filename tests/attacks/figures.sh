#!/usr/bin/env bash
# Usage: figures.sh [pytest arguments...]
#
# Run the attacks and print what they did: one line `name | count` each, summed up.
# MEGA_CODE_ATTACK_SCALE (default 1) is how many times as many points to attack; PYTHON has the dev packages.
#
# Exit: 0 nothing broke, 1 a test failed.
set -euo pipefail
case "${1:-}" in -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
MEGA_CODE_TALLY="$(mktemp "${TMPDIR:-/tmp}/mega-code.XXXXXX")"
export MEGA_CODE_TALLY PYTEST_TIMEOUT="${PYTEST_TIMEOUT:-0}" # as long as it likes: it is run by hand
trap 'rm -f -- "$MEGA_CODE_TALLY"' EXIT
"${PYTHON:-python3}" -m pytest -q -p no:cacheprovider tests/attacks "$@" >&2
awk -F ' [|] ' '{ sum[$1] += $2 } END { for (name in sum) printf "%s | %d\n", name, sum[name] }' "$MEGA_CODE_TALLY" | sort
