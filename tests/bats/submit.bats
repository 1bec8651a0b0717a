#!/usr/bin/env bats

load test_helper

@test "submit: a skill by name gives the job, the log and the result" {
  fake_gateway
  skill demo-skill
  run -0 --separate-stderr submit.sh --skill-name demo-skill
  equal "LOG=$TRANSCRIPT.log" "${lines[0]}"
  equal "RESULT_JSON=$TRANSCRIPT.result.json" "${lines[1]}"
  equal "OUTCOME=submitted" "${lines[2]}"
  equal "$JOB" "$(value JOB_ID)"
  equal demo-skill "$(value SKILL_NAME)"
  [[ "$stderr" == *"submitted as job $JOB"* ]]
}

@test "submit: the envelope goes to the log and the result file, progress to the log and stderr" {
  fake_gateway
  skill demo-skill
  run -0 --separate-stderr submit.sh --skill-name demo-skill
  equal "$(cat "$TRANSCRIPT.result.json")" "$(sed -n '$p' "$TRANSCRIPT.log")"
  equal "$stderr" "$(sed '$d' "$TRANSCRIPT.log")"
  [[ "$output$stderr" != *'"submitted"'* ]]
  [[ "$(cat "$TRANSCRIPT".*)" != *"$MEGA_CODE_API_KEY"* ]]
}

@test "submit: a folder, relative to where it is called, with a space in its path" {
  fake_gateway
  skill demo-skill
  mkdir "$ROOM/some where"
  mv .claude/skills/demo-skill "$ROOM/some where"
  cd "$ROOM"
  run -0 submit.sh --skill-dir "some where/demo-skill"
  equal demo-skill "$(value SKILL_NAME)"
}

@test "submit: the project comes from the flag, the variable, or here" {
  fake_gateway
  skill demo-skill
  cd "$ROOM"
  run -0 submit.sh --skill-name demo-skill --project-dir "a project"
  CLAUDE_PROJECT_DIR="$PROJECT" run -0 submit.sh --skill-name demo-skill
  run -4 submit.sh --skill-name demo-skill
  equal skill_not_found "$(value ERROR_CODE)"
}

@test "submit: a name that is none, and a name nobody has, are status 4" {
  fake_gateway
  run -4 submit.sh --skill-name ../../etc
  equal invalid_skill_name "$(value ERROR_CODE)"
  run -4 submit.sh --skill-name nobody
  equal skill_not_found "$(value ERROR_CODE)"
  equal error "$(value OUTCOME)"
  [ -n "$(value ERROR_MESSAGE)" ]
}

@test "submit: a secret is refused, and let through where that very file is allowed" {
  fake_gateway
  skill demo-skill
  printf 'AKIA%s\n' ABCDEFGHIJKLMNOP | tee .claude/skills/demo-skill/a.txt >".claude/skills/demo-skill/b c.txt"
  run -4 submit.sh --skill-name demo-skill
  equal secret_detected "$(value ERROR_CODE)"
  run -4 submit.sh --skill-name demo-skill --allow-secret a.txt
  equal secret_detected "$(value ERROR_CODE)"
  run -0 submit.sh --skill-name demo-skill --allow-secret a.txt --allow-secret "b c.txt"
}

@test "submit: a conflict is status 2 and names the job" {
  fake_gateway duplicate
  skill demo-skill
  run -2 submit.sh --skill-name demo-skill
  equal conflict "$(value OUTCOME)"
  [[ "$output" == *"$JOB"* ]]
}

@test "submit: a full queue and a dead server are status 5" {
  fake_gateway full
  skill demo-skill
  run -5 submit.sh --skill-name demo-skill
  equal queue_full "$(value ERROR_CODE)"
  MEGA_CODE_SERVER_URL=http://127.0.0.1:9 run -5 submit.sh --skill-name demo-skill
  equal network_failure "$(value ERROR_CODE)"
}

@test "submit: without a skill, and with an unknown flag, it is one sentence and leaves no transcript" {
  run -4 --separate-stderr submit.sh
  equal "submit: name the skill with --skill-name or --skill-dir." "$stderr"
  run -4 --separate-stderr submit.sh --skill-name demo-skill --force
  equal "submit: unknown argument '--force'; see --help." "$stderr"
  [ ! -e "$TRANSCRIPT.log" ]
}

# Transcripts

@test "submit: transcripts are private" {
  fake_gateway
  skill demo-skill
  umask 000
  run -0 submit.sh --skill-name demo-skill
  for file in "$TRANSCRIPT.log" "$TRANSCRIPT.result.json"; do
    [[ "$(ls -l "$file")" == -rw-------* ]]
  done
}

@test "submit: a TMPDIR that is none costs nothing, and nothing is left anywhere" {
  fake_gateway
  skill demo-skill
  for folder in "$ROOM/missing" /dev/null /proc; do
    TMPDIR="$folder" run -0 --separate-stderr submit.sh --skill-name demo-skill
    equal "$JOB" "$(value JOB_ID)"
    [[ "$stderr" == "packed demo-skill: "* && "$(cat "$(value LOG)")" == *'{"submitted"'* ]]
    TMPDIR="$folder" run -0 --separate-stderr enhance.sh demo-skill --yes
    [[ "$output" == "Installed at "* && "$stderr" == "packed demo-skill: "* ]]
  done
  run ! ls /stderr /stdout
}

@test "submit: where no folder for a pipe can be had it says so and uploads nothing" {
  fake_gateway
  skill demo-skill
  mkdir "$ROOM/full"
  BIN="$ROOM/full" fake mktemp 'exit 1'
  run -4 --separate-stderr env "PATH=$ROOM/full:$PATH" submit.sh --skill-name demo-skill
  equal "submit: nothing can be written in /tmp; set TMPDIR to a folder of yours." "$stderr"
  run -4 --separate-stderr env "PATH=$ROOM/full:$PATH" enhance.sh demo-skill
  equal "enhance: nothing can be written in /tmp; set TMPDIR to a folder of yours." "$stderr"
  run ! ls /stderr /stdout
}

@test "submit: a link or a pipe in the place of a transcript is neither followed nor opened" {
  fake_gateway
  skill demo-skill
  printf 'precious\n' >"$ROOM/victim"
  ln -s "$ROOM/victim" "$TRANSCRIPT.log"
  ln -s "$ROOM/missing" "$TRANSCRIPT-2.result.json"
  mkfifo "$TRANSCRIPT-3.log"
  ln -s /dev/null "$TRANSCRIPT-4.install.json"
  mkdir "$TRANSCRIPT-5.log"
  run -0 --separate-stderr submit.sh --skill-name demo-skill
  equal "LOG=$TRANSCRIPT-6.log" "${lines[0]}"
  equal "RESULT_JSON=$TRANSCRIPT-6.result.json" "${lines[1]}"
  equal precious "$(cat "$ROOM/victim")"
  [ ! -e "$ROOM/missing" ]
}

@test "submit: two runs in one second have transcripts of their own" {
  fake_gateway
  skill demo-skill
  submit.sh --skill-name demo-skill >"$ROOM/one" &
  submit.sh --skill-name demo-skill >"$ROOM/two"
  wait $!
  [ "$(sed -n 1p "$ROOM/one")" != "$(sed -n 1p "$ROOM/two")" ]
  [ -s "$TRANSCRIPT.result.json" ] && [ -s "$TRANSCRIPT-2.result.json" ]
}
