#!/usr/bin/env bats

load test_helper

@test "skills: list prints one JSON line, of this product's skills unless told otherwise" {
  skill demo-skill
  skill other-skill global
  run -0 --separate-stderr skills.sh list
  equal '[]' "$output"
  run -0 --separate-stderr skills.sh list --all
  [[ "$output" == '[{"name": "demo-skill",'*'"scope": "project"'*'{"name": "other-skill",'*'"scope": "global"'* ]]
  equal 1 "${#lines[@]}"
}

@test "skills: resolve takes a name or the start of one" {
  skill demo-skill
  run -0 --separate-stderr skills.sh resolve demo
  [[ "$output" == '{"name": "demo-skill", "path": "'"$PROJECT"'/.claude/skills/demo-skill/SKILL.md", "scope": "project",'* ]]
  run -4 --separate-stderr skills.sh resolve nope --project-dir "$PROJECT"
  [[ "$output" == '{"error": {"code": "skill_not_found",'*'"candidates": ["demo-skill"]}}' ]]
  equal "There is no skill 'nope'; there are: demo-skill." "$stderr"
}

@test "skills: cached asks nobody" {
  run -0 --separate-stderr skills.sh cached demo-skill
  equal '{"cached": []}' "$output"
  equal '' "$stderr"
}

@test "skills: backups are those of all skills, or of one" {
  skill demo-skill
  skill other-skill
  for name in demo-skill other-skill; do install.sh --cleanup-original "$PROJECT/.claude/skills/$name" >/dev/null 2>&1; done
  run -0 --separate-stderr skills.sh backups
  [[ "$output" == '{"backups": [{'*other-skill*'{'*demo-skill*'}]}' ]]
  run -0 --separate-stderr skills.sh backups demo-skill
  [[ "$output" == '{"backups": [{"backup_path": "'*'/demo-skill", "skill_name": "demo-skill", '*'"reason": "cleanup"}]}' ]]
  run -4 --separate-stderr skills.sh backups Demo
  [[ "$output" == *invalid_skill_name* ]]
}

@test "skills: what makes no sense is status 4" {
  run -4 --separate-stderr skills.sh
  equal 'skills: say list, resolve, cached or backups; see --help.' "$stderr"
  run -4 --separate-stderr skills.sh list demo-skill
  equal "skills: unknown argument 'demo-skill'; see --help." "$stderr"
  for what in resolve cached; do
    run -4 --separate-stderr skills.sh "$what"
    equal "|skills: name the skill: skills.sh $what NAME." "$output|$stderr"
  done
}
