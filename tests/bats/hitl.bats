#!/usr/bin/env bats

load test_helper

keys() { # the keys that were printed, in order
  sed -n 's/^\([A-Z_]*\)=.*/\1/p' <<<"$output" | tr '\n' ' '
}

@test "hitl: start prints where the iteration lies, by the beginning of the skill's name" {
  skill demo-skill
  run -0 --separate-stderr hitl.sh start --skill demo
  equal "$TRANSCRIPT.log" "$(sed -n 's/^LOG=//p' <<<"$output")"
  equal "$DATA/data/skill-enhance/demo-skill/iteration-1" "$(sed -n 's/^ITERATION_DIR=//p' <<<"$output")"
  equal 'LOG RESULT_JSON OUTCOME SKILL_NAME SKILL_PATH SCOPE ITERATION CREATED_AT CONTENT_HASH ALLOW_SECRET ITERATION_DIR CASES ' "$(keys)"
  [[ "$stderr" == 'iteration 1 of demo-skill, in '* ]]
}

@test "hitl: a step goes on with the transcript of an earlier one, and its status is the command's own" {
  skill demo-skill
  hitl.sh start --skill demo-skill 2>/dev/null
  run -4 --separate-stderr hitl.sh check-cases --skill demo-skill --log "$TRANSCRIPT.log"
  equal 'LOG RESULT_JSON OUTCOME ERROR_CODE ERROR_MESSAGE ' "$(keys)"
  [[ "$output" == *"LOG=$TRANSCRIPT.log"*'ERROR_CODE=out_of_order'* ]]
  grep -q 'iteration 1 of demo-skill' "$TRANSCRIPT.log"
  grep -q 'no usable test-cases.json yet' "$TRANSCRIPT.log"
  run -0 --separate-stderr hitl.sh audit --skill demo-skill --decision skip
  [[ "$output" == *'POLICY=warn_and_continue'*'DECISION=skip'*'MAY_RUN=0'* ]]
  run -0 --separate-stderr hitl.sh history --skill=demo-skill
  [[ "$output" == *'OUTCOME=history'*'ENTRIES=1'* ]]
}

@test "hitl: publish asks the configured server, and only for what was accepted" {
  skill demo-skill
  hitl.sh start --skill demo-skill 2>/dev/null
  run -4 --separate-stderr hitl.sh publish --skill demo-skill
  [[ "$output" == *'ERROR_CODE=out_of_order'* && "$stderr" == *'accept a draft first'* ]]
}

@test "hitl: what makes no sense is status 4" {
  run -4 --separate-stderr hitl.sh
  steps="$(hitl.sh --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p' | tr '\n' ' ')"
  equal "hitl: say which step: $(sed 's/ $//; s/ /, /g; s/, publish$/ or publish/' <<<"$steps"); see --help." "$stderr"
  run -4 --separate-stderr hitl.sh start
  equal 'hitl: name the skill with --skill.' "$stderr"
  run -4 --separate-stderr hitl.sh run --skill
  equal 'hitl: --skill needs a value; see --help.' "$stderr"
  run -4 --separate-stderr hitl.sh run --skill x --fast
  equal "hitl: unknown argument '--fast'; see --help." "$stderr"
}
