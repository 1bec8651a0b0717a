#!/usr/bin/env bats

load test_helper

fetched() { # a job that is fetched and ready
  fake_gateway
  poll.sh --job-id "$JOB" >/dev/null 2>&1
}

@test "install: into the project, over what was there, with a backup" {
  skill demo-skill
  fetched
  run -0 --separate-stderr install.sh --job-id "$JOB" --skill-name demo-skill --scope project
  equal installed "$(value OUTCOME)"
  equal "$PROJECT/.claude/skills/demo-skill" "$(value INSTALLED_PATH)"
  equal 1 "$(value ACTIVE)"
  grep -q 'Demo, enhanced' .claude/skills/demo-skill/SKILL.md
  grep -q 'Do it' "$(value BACKUP_PATH)/SKILL.md"
}

@test "install: the envelope has a file of its own, private, beside the log" {
  fetched
  run -0 install.sh --job-id "$JOB" --skill-name demo-skill --scope global --log "$TRANSCRIPT.log"
  equal "LOG=$TRANSCRIPT.log" "${lines[0]}"
  equal "RESULT_JSON=$TRANSCRIPT.install.json" "${lines[1]}"
  [[ "$(ls -l "$TRANSCRIPT.install.json")" == -rw-------* ]]
  [ -s "$TRANSCRIPT.result.json" ]
  [ -f "$HOME/.claude/skills/demo-skill/SKILL.md" ]
}

@test "install: --log leaves the envelope of an earlier step as it is" {
  fetched
  run -0 install.sh --job-id "$JOB" --skill-name demo-skill --scope project --log "$TRANSCRIPT.log"
  earlier="$(cat "$TRANSCRIPT.install.json")"
  run -0 install.sh --job-id "$JOB" --skill-name demo-skill --scope project --log "$TRANSCRIPT.log"
  equal "RESULT_JSON=$TRANSCRIPT-2.install.json" "${lines[1]}"
  equal "$earlier" "$(cat "$TRANSCRIPT.install.json")"
}

@test "install: a project copy beside a global one is shadowed" {
  skill demo-skill global
  fetched
  run -0 install.sh --job-id "$JOB" --skill-name demo-skill --scope=project
  equal 0 "$(value ACTIVE)"
  equal "$HOME/.claude/skills/demo-skill/SKILL.md" "$(value SHADOWED_BY)"
}

@test "install: --undo puts the old copy back, from the folder it is given" {
  skill demo-skill
  fetched
  run -0 install.sh --job-id "$JOB" --skill-name demo-skill --scope project
  backup="$(value BACKUP_PATH)"
  cd "${backup%/*}"
  run -0 install.sh --undo "${backup##*/}"
  equal restored "$(value OUTCOME)"
  grep -q 'Do it' "$PROJECT/.claude/skills/demo-skill/SKILL.md"
}

@test "install: --undo --skill-name takes the newest backup" {
  skill demo-skill
  fetched
  run -0 install.sh --job-id "$JOB" --skill-name demo-skill --scope project
  run -0 install.sh --undo --skill-name demo-skill
  grep -q 'Do it' "$PROJECT/.claude/skills/demo-skill/SKILL.md"
}

@test "install: a global skill that is a link is not offered to the clean-up, and the command that is offered works" {
  skill demo-skill global
  mkdir "$ROOM/dotfiles"
  mv ~/.claude/skills/demo-skill "$ROOM/dotfiles"
  ln -s "$ROOM/dotfiles/demo-skill" ~/.claude/skills/demo-skill
  fetched
  run -0 --separate-stderr install.sh --job-id "$JOB" --skill-name demo-skill --scope project
  equal "$HOME/.claude/skills/demo-skill" "$(value OTHER_LINK)"
  shadowing="$(value SHADOWED_BY)"
  run -0 --separate-stderr report.sh "$(value RESULT_JSON)"
  line="$(grep '^To remove' <<<"$output")"
  run -4 --separate-stderr install.sh --cleanup-original "$shadowing"
  equal cleanup_unsafe_path "$(value ERROR_CODE)"
  [[ "$(value ERROR_MESSAGE)" == *" It is behind a link, which goes by itself: rm '$HOME/.claude/skills/demo-skill'" ]]
  printf '%s\n' "${line##*: }" >"$ROOM/command"
  run -0 bash "$ROOM/command"
  run ! ls -d ~/.claude/skills/demo-skill
  [ -f "$ROOM/dotfiles/demo-skill/SKILL.md" ]
}

@test "install: what failed is reported with the command that does it again" {
  way_on() { # <argument>...; the last line of the report
    run -4 --separate-stderr install.sh "$@"
    run -0 --separate-stderr report.sh "$(value RESULT_JSON)"
    equal 2 "${#lines[@]}"
    printf '%s\n' "${lines[1]}"
  }
  again="To start again: $(as_typed "$SCRIPTS/install.sh")"
  equal "$again --undo --skill-name demo-skill --project-dir '$PROJECT'" "$(way_on --undo --skill-name demo-skill)"
  equal "$again --undo '$ROOM/nowhere' --project-dir '$PROJECT'" "$(way_on --undo "$ROOM/nowhere")"
  skill demo-skill global
  mkdir -p "$DATA"
  printf 'in the way\n' >"$DATA/enhancements"
  place="$HOME/.claude/skills/demo-skill"
  equal "$again --cleanup-original '$place' --project-dir '$PROJECT'" "$(way_on --cleanup-original "$place")"
}

@test "install: --undo with nothing to undo is status 4" {
  run -4 install.sh --undo --skill-name demo-skill
  equal error "$(value OUTCOME)"
  run -4 install.sh --undo "$ROOM/nowhere"
  equal error "$(value OUTCOME)"
}

@test "install: --cleanup-original moves a copy that is in the way into a backup" {
  skill demo-skill global
  cd "$HOME"
  run -0 install.sh --cleanup-original .claude/skills/demo-skill/SKILL.md --project-dir "$PROJECT"
  equal "$HOME/.claude/skills/demo-skill" "$(value REMOVED)"
  [ ! -e "$HOME/.claude/skills/demo-skill" ]
  run -0 install.sh --undo "$(value BACKUP_PATH)"
  [ -f "$HOME/.claude/skills/demo-skill/SKILL.md" ]
  run -4 install.sh --cleanup-original "$ROOM"
  equal cleanup_unsafe_path "$(value ERROR_CODE)"
}

@test "install: what was never fetched is fetched, and where that cannot be the code says why" {
  fake_gateway
  MEGA_CODE_SERVER_URL='' run -4 install.sh --job-id "$JOB" --skill-name demo-skill --scope project
  equal missing_staging "$(value ERROR_CODE)"
  MEGA_CODE_SERVER_URL=http://127.0.0.1:9 run -5 install.sh --job-id "$JOB" --skill-name demo-skill --scope project
  equal network_failure "$(value ERROR_CODE)"
  run -0 install.sh --job-id "$JOB" --skill-name demo-skill --scope project
  equal installed "$(value OUTCOME)"
}

@test "install: what is missing or too much is one sentence and status 4" {
  id=12345678-1234-1234-1234-123456789abc
  expect() { # <sentence> <argument>...
    run -4 --separate-stderr install.sh "${@:2}"
    equal "install: $1" "$stderr"
    equal '' "$output"
  }
  expect "name the job with --job-id."
  expect "name the skill with --skill-name." --job-id "$id"
  expect "say where to install with --scope project or --scope global." --job-id "$id" --skill-name x
  expect "say where to install with --scope project or --scope global." --job-id "$id" --skill-name x --scope team
  expect "unknown argument 'stray'; see --help." stray
  expect "unknown argument '--force'; see --help." --force
  expect "say what to undo: a backup folder, or --skill-name NAME." --undo
  expect "--undo takes a backup folder or --skill-name, and nothing else." --undo --job-id "$id" --skill-name x
  expect "--undo takes a backup folder or --skill-name, and nothing else." --undo somewhere --skill-name x
  expect "--cleanup-original takes a path, and nothing else." --cleanup-original x --skill-name x
}
