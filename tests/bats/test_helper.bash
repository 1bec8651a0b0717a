# shellcheck shell=bash disable=SC2034,SC2154
# A hostile clean room: temp root with a space in its name, HOME moved, PATH fixed, our variables and proxies unset.

bats_require_minimum_version 1.5.0

REPOSITORY="$(cd "$BATS_TEST_DIRNAME/../.." && pwd -P)"
SCRIPTS="$REPOSITORY/scripts"
REAL_PYTHON="$(python3 -c 'import sys; print(sys.executable)')"

setup() {
  ROOM="$BATS_TEST_TMPDIR/a room"
  BIN="$ROOM/bin"
  PROJECT="$ROOM/a project"
  DATA="$ROOM/data"
  mkdir -p "$ROOM/home" "$BIN" "$PROJECT" "$ROOM/tmp"
  clean_variables
  export HOME="$ROOM/home" MEGA_CODE_DATA_DIR="$DATA" TMPDIR="$ROOM/tmp"
  export PATH="$BIN:$SCRIPTS:${REAL_PYTHON%/*}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
  # Transcripts bear a time of this test's own, so that they can be foretold, and removed.
  STAMP="$(printf '%08d-%06d' $((RANDOM * 3001)) $(($$ % 1000000)))"
  TRANSCRIPT="/tmp/mega-code-enhance-$STAMP"
  fake date '[ "$*" = +%Y%m%d-%H%M%S ] && printf "%s\n" '"$STAMP"' || exec /bin/date "$@"'
  cd "$PROJECT" || return
}

teardown() {
  [ -z "${GATEWAY:-}" ] || kill "$GATEWAY" || :
  rm -rf "$TRANSCRIPT"*
}

clean_variables() {
  local name
  for name in "${!MEGA_CODE_@}" "${!CLAUDE_@}" "${!XDG_@}" "${!UV_@}" "${!OTEL_@}" PYTHONPATH PYTHONSAFEPATH \
    PYTHONDONTWRITEBYTECODE VIRTUAL_ENV CDPATH {http,https,all,no}_proxy {HTTP,HTTPS,ALL,NO}_PROXY; do
    unset "$name"
  done
}

fake() { # <program> <script>; a program of that name in front of the real one
  printf '#!/usr/bin/env bash\n%s\n' "$2" >"$BIN/$1"
  chmod +x "$BIN/$1"
}

skill() { # <name> [<project|global>]; makes a skill
  local base="$PROJECT"
  [ "${2:-}" != global ] || base="$HOME"
  mkdir -p "$base/.claude/skills/$1"
  printf -- '---\nname: %s\ndescription: Does a thing. Use when a thing is to be done.\n---\n# %s\n\nDo it.\n' "$1" "$1" \
    >"$base/.claude/skills/$1/SKILL.md"
}

by_and_by() { # <command...>; waits until it succeeds, a minute at most
  local end=$((SECONDS + 60))
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

gateway_decided() { # whether it answers, or never will
  [ -s "$ROOM/gateway" ] || ! kill -0 "$GATEWAY" 2>/dev/null
}

fake_gateway() { # [<flag>...]; starts tests/support's gateway as flags of fake_gateway.py say, and configures it
  PYTHONPATH="$REPOSITORY/tests:$REPOSITORY" "$REAL_PYTHON" "$REPOSITORY/tests/bats/fake_gateway.py" "$ROOM/gateway" "$@" \
    >"$ROOM/gateway.log" 2>&1 3>&- &
  GATEWAY=$!
  by_and_by gateway_decided && [ -s "$ROOM/gateway" ] || { cat "$ROOM/gateway.log" && return 1; }
  JOB="$(sed -n 1p "$ROOM/gateway")"
  MEGA_CODE_SERVER_URL="$(sed -n 2p "$ROOM/gateway")"
  MEGA_CODE_API_KEY="$(sed -n 3p "$ROOM/gateway")"
  export MEGA_CODE_SERVER_URL MEGA_CODE_API_KEY MEGA_CODE_CLIENT_MODE=remote
}

interrupted() { # <signal> <text to wait for on stderr> <command...>; a signal to the command's group, as a terminal does
  "$REAL_PYTHON" "$REPOSITORY/tests/bats/interrupted.py" "$@"
}

on_terminal() { # [<text> <answer>]... -- <command...>; runs it on a terminal, types each answer when its text shows
  "$REAL_PYTHON" "$REPOSITORY/tests/bats/on_terminal.py" "$@"
}

value() { # <key>; of $output
  sed -n "s/^$1=//p" <<<"$output"
}

equal() { # <expected> <actual>
  [ "$1" = "$2" ] || {
    printf 'expected: %s\nactual:   %s\n' "$1" "$2"
    return 1
  }
}

as_typed() { # <word>...; as a shell takes them, spelt as our commands spell them
  "$REAL_PYTHON" -c 'import shlex, sys; print(shlex.join(sys.argv[1:]))' "$@"
}
