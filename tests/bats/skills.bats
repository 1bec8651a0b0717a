#!/usr/bin/env bats

load test_helper

@test "skills: lists every skill as one JSON line" {
  skill demo-skill
  skill other global
  run -0 --separate-stderr skills.sh list --all
  [ "${#lines[@]}" -eq 1 ]
  [[ "$output" == '[{"name": "demo-skill", '*'"scope": "project"'*'{"name": "other", '*'"scope": "global"'* ]]
  equal '' "$stderr"
  run -0 skills.sh list
  equal '[]' "$output"
}

@test "skills: resolves a name by its start, in the project it is given" {
  skill demo-skill
  cd /
  run -0 skills.sh resolve demo --project-dir "$PROJECT"
  [[ "$output" == '{"name": "demo-skill", "path": "'"$PROJECT"'/.claude/skills/demo-skill/SKILL.md", '* ]]
}

@test "skills: one that nobody has is status 4" {
  run -4 --separate-stderr skills.sh resolve nobody
  [[ "$output" == '{"error": {"code": "skill_not_found", '* && "${#stderr_lines[@]}" -eq 1 ]]
}

@test "skills: what is staged needs no server" {
  fake_gateway
  run -0 poll.sh --job-id "$JOB"
  MEGA_CODE_SERVER_URL=http://127.0.0.1:9 run -0 --separate-stderr skills.sh cached demo-skill
  [[ "$output" == '{"cached": [{"job_id": "'"$JOB"'", '* ]]
}

@test "skills: anything but its three words is status 4" {
  for words in '' show 'list demo-skill' '--all' 'resolve one two'; do
    IFS=' ' read -ra arguments <<<"$words"
    run -4 --separate-stderr skills.sh ${arguments[@]+"${arguments[@]}"}
    [[ "$output" == '' && "$stderr" == "skills: "*"see --help." ]]
  done
}
