#!/usr/bin/env bats
# The rest of scripts/test.sh tests itself whenever it runs.

load test_helper

@test "test: an unknown flag is status 4 and sets nothing up" {
  run -4 --separate-stderr test.sh --fast
  equal "test: unknown argument '--fast'; see --help." "$stderr"
  [ ! -e "$DATA" ]
}

@test "test: bats is installed into the system in CI alone" {
  mkdir "$ROOM/bare"
  for program in bash env dirname readlink getconf sed cat mkdir sort; do ln -s "$(command -v "$program")" "$ROOM/bare"; done
  ln -s "$REAL_PYTHON" "$ROOM/bare/python3"
  BIN="$ROOM/bare" fake id 'printf "0\n"'
  BIN="$ROOM/bare" fake apt-get 'printf "%s\n" "$*" >>"'"$ROOM"'/asked"; exit 1'
  run -5 --separate-stderr env PATH="$ROOM/bare" bash "$SCRIPTS/test.sh" --quick
  equal "test: bats is neither on PATH nor to be had from npm; install bats-core, or npm." "$stderr"
  [ ! -e "$ROOM/asked" ]
  run -5 --separate-stderr env CI=true PATH="$ROOM/bare" bash "$SCRIPTS/test.sh" --quick
  equal 'install -y bats' "$(cat "$ROOM/asked")"
}
