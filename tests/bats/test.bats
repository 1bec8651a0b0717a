#!/usr/bin/env bats
# The rest of scripts/test.sh tests itself whenever it runs.

load test_helper

@test "test: an unknown flag is status 4 and sets nothing up" {
  run -4 --separate-stderr test.sh --fast
  equal "test: unknown argument '--fast'; see --help." "$stderr"
  [ ! -e "$DATA" ]
}
