#!/usr/bin/env bats

load test_helper

@test "poll: a finished job is fetched and ready to install" {
  fake_gateway soon
  run -0 --separate-stderr poll.sh --job-id "$JOB"
  equal "LOG=$TRANSCRIPT.log" "${lines[0]}"
  equal "RESULT_JSON=$TRANSCRIPT.result.json" "${lines[1]}"
  equal ready "$(value OUTCOME)"
  equal "$JOB" "$(value JOB_ID)"
  equal succeeded "$(value STATUS)"
  equal enhanced "$(value ARTIFACT_KIND)"
  equal "$DATA/enhancements/$JOB" "$(value STAGING_DIR)"
  [ -f "$DATA/enhancements/$JOB/SKILL.md" ]
  [[ "$stderr" == *"iterating [1/5]"* ]]
}

@test "poll: a job with nothing to install is terminal" {
  fake_gateway source
  run -0 poll.sh --job-id "$JOB"
  equal terminal "$(value OUTCOME)"
  equal source "$(value ARTIFACT_KIND)"
}

@test "poll: --max-wait 0 looks once, exits 3 and names the job" {
  fake_gateway running
  for zero in 0 00 0.0; do
    run -3 poll.sh --job-id "$JOB" --max-wait "$zero"
    equal timeout "$(value OUTCOME)"
    equal "$JOB" "$(value JOB_ID)"
  done
}

@test "poll: waits as long as it is told, and the status of the module comes through the tee" {
  fake_gateway running
  SECONDS=0
  run -3 --separate-stderr poll.sh --job-id "$JOB" --max-wait 2
  [[ "$SECONDS" -ge 2 && "$SECONDS" -lt 10 ]]
  equal "$stderr" "$(sed '$d' "$TRANSCRIPT.log")"
  [[ "$stderr" == *"iterating [1/5]"* ]]
}

@test "poll: of --poll-timeout it says what is left for the next call" {
  fake_gateway running
  left() { # <poll-timeout> <max-wait>
    run -3 --separate-stderr poll.sh --job-id "$JOB" --poll-timeout "$1" --max-wait "$2"
    value TIME_LEFT
  }
  equal 1199.5 "$(left 1200 0.5)"
  equal none "$(left 0.5 540)"
  equal 0 "$(left 0 0.5)"
  run -4 --separate-stderr poll.sh --job-id "$JOB" --poll-timeout soon
  equal "poll: --poll-timeout takes seconds, like 90 or 0.5; not 'soon'." "$stderr"
}

@test "poll: Ctrl+C in the middle exits 130 and names the job" {
  fake_gateway running
  run -130 --separate-stderr interrupted SIGINT iterating poll.sh --job-id "$JOB"
  equal "LOG=$TRANSCRIPT.log" "${lines[0]}"
  equal "RESULT_JSON=$TRANSCRIPT.result.json" "${lines[1]}"
  equal interrupted "$(value OUTCOME)"
  equal "$JOB" "$(value JOB_ID)"
  [[ "$(cat "$TRANSCRIPT.result.json")" == *'"interrupted"'* ]]
}

@test "poll: a key press on a terminal does the same" {
  fake_gateway running
  run -130 on_terminal iterating '^C' -- poll.sh --job-id "$JOB"
  equal "$JOB" "$(value JOB_ID)"
}

@test "poll: SIGTERM, even to the script alone, exits 143 and names the job" {
  fake_gateway running
  poll.sh --job-id "$JOB" >"$ROOM/out" 2>"$ROOM/err" 3>&- &
  by_and_by grep -q iterating "$ROOM/err"
  kill -TERM $!
  status=0
  wait $! || status=$?
  equal 143 "$status"
  output="$(cat "$ROOM/out")"
  equal interrupted "$(value OUTCOME)"
  equal "$JOB" "$(value JOB_ID)"
}

@test "poll: --log goes on with a transcript" {
  fake_gateway
  skill demo-skill
  run -0 submit.sh --skill-name demo-skill
  run -0 --separate-stderr poll.sh --job-id "$JOB" --log "$(value LOG)"
  equal "LOG=$TRANSCRIPT.log" "${lines[0]}"
  equal "RESULT_JSON=$TRANSCRIPT-2.result.json" "${lines[1]}"
  [[ "$(cat "$TRANSCRIPT.result.json")" == *'"submitted"'* ]]
  equal ready "$(value OUTCOME)"
  [[ "$(cat "$TRANSCRIPT.log")" == *'{"submitted"'*'"needs_install_location"'* ]]
}

@test "poll: --log refuses a link, a missing file and one that is no log" {
  printf 'precious\n' >"$ROOM/victim"
  ln -s "$ROOM/victim" "$ROOM/link.log"
  for path in "$ROOM/link.log" "$ROOM/missing.log" "$ROOM/victim" "$ROOM"; do
    run -4 --separate-stderr poll.sh --job-id 12345678-1234-1234-1234-123456789abc --log "$path"
    equal "poll: --log needs a .log file of yours that an earlier step printed." "$stderr"
  done
  equal precious "$(cat "$ROOM/victim")"
}

@test "poll: a link in the place of the result of a continued transcript is left alone, not followed" {
  fake_gateway
  printf 'precious\n' >"$ROOM/victim"
  : >"$TRANSCRIPT.log"
  ln -s "$ROOM/victim" "$TRANSCRIPT.result.json"
  run -0 poll.sh --job-id "$JOB" --log "$TRANSCRIPT.log"
  equal ready "$(value OUTCOME)"
  equal "$TRANSCRIPT-2.result.json" "$(value RESULT_JSON)"
  [ -L "$TRANSCRIPT.result.json" ]
  equal precious "$(cat "$ROOM/victim")"
}

@test "poll: a bad id, a bad wait, no id and an unknown flag are status 4" {
  fake_gateway
  run -4 poll.sh --job-id ../../etc
  equal invalid_job_id "$(value ERROR_CODE)"
  run -4 --separate-stderr poll.sh --job-id "$JOB" --max-wait soon
  equal "poll: --max-wait takes seconds, like 90 or 0.5; not 'soon'." "$stderr"
  run -4 --separate-stderr poll.sh
  equal "poll: name the job with --job-id." "$stderr"
  run -4 --separate-stderr poll.sh --job-id
  equal "poll: --job-id needs a value; see --help." "$stderr"
  run -4 --separate-stderr poll.sh --job-id "$JOB" --for-ever
  equal "poll: unknown argument '--for-ever'; see --help." "$stderr"
}

@test "poll: a job that the server does not know is status 4" {
  fake_gateway
  run -4 poll.sh --job-id 12345678-1234-1234-1234-123456789abc
  equal error "$(value OUTCOME)"
}
