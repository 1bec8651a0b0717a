#!/usr/bin/env bats

load test_helper

args() { # <raw arguments>
  args.sh <<<"$1"
}

@test "args: nothing gives the defaults" {
  run -0 --separate-stderr args ''
  equal $'HITL=0\nSKILL_NAME=\nPOLL_TIMEOUT=1200\nJOB_ID=\nRESIDUAL_ARGS=' "$output"
  equal '' "$stderr"
}

@test "args: a name, a timeout and --HITL in any place and case" {
  run -0 args 'my-skill --HITL --poll-timeout 30'
  equal $'HITL=1\nSKILL_NAME=my-skill\nPOLL_TIMEOUT=30\nJOB_ID=\nRESIDUAL_ARGS=my-skill --poll-timeout 30' "$output"
}

@test "args: a job id" {
  id=12345678-1234-1234-1234-123456789abc
  run -0 args "--poll-existing $id"
  equal "$id" "$(value JOB_ID)"
}

@test "args: what a shell would run stays text" {
  # shellcheck disable=SC2016
  for raw in '$(touch pwned)' '`touch pwned`' 'x; touch pwned' "'" '"; touch pwned; "' '../../etc' '--skill-name=$(touch pwned)'; do
    run -4 --separate-stderr args "$raw"
    equal '' "$output"
    [[ "$stderr" == "args: "* ]]
  done
  [ ! -e pwned ]
  [ ! -e "$REPOSITORY/pwned" ]
}

@test "args: words on its own command line are status 4" {
  run -4 --separate-stderr args.sh my-skill
  equal "args: the arguments are read from stdin, not 'my-skill'; see --help." "$stderr"
}
