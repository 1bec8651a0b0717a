#!/usr/bin/env bats

load test_helper

@test "setup: prints exactly four lines and nothing else" {
  fake_gateway
  run -0 --separate-stderr setup.sh
  [ "$stderr" = "" ]
  [ "${#lines[@]}" -eq 4 ]
  equal "MEGA_DIR=$REPOSITORY" "${lines[0]}"
  equal "DATA_DIR=$DATA" "${lines[1]}"
  equal "PROJECT_DIR=$PROJECT" "${lines[2]}"
  [[ "${lines[3]}" =~ ^MEGA_CODE_SESSION_ID=[0-9a-f-]{36}$ ]]
}

@test "setup: starts Python exactly once where python3 has the packages" {
  fake_gateway
  fake python3 'printf "%s\n" "$*" >>"'"$ROOM"'/starts"; exec "'"$REAL_PYTHON"'" "$@"'
  run -0 setup.sh
  equal "-m mega_code.client.setup --project-dir $PROJECT" "$(cat "$ROOM/starts")"
  [ ! -e "$DATA/runtime" ]
}

@test "setup: works through a link to the folder, a link to a link to the script, and from another folder" {
  fake_gateway
  mkdir "$ROOM/a skill" "$ROOM/links" "$ROOM/elsewhere"
  ln -s "$SCRIPTS" "$ROOM/a skill/scripts"
  ln -s "../a skill/scripts/setup.sh" "$ROOM/links/one"
  ln -s one "$ROOM/links/two"
  cd "$ROOM/elsewhere"
  for command in "$ROOM/a skill/scripts/setup.sh" "../a skill/scripts/setup.sh" "$ROOM/links/two" ../links/two; do
    run -0 "$command"
    equal "MEGA_DIR=$REPOSITORY" "${lines[0]}"
    equal "PROJECT_DIR=$ROOM/elsewhere" "${lines[2]}"
  done
}

@test "setup: works from a clone whose path has a space" {
  fake_gateway
  mkdir "$ROOM/my clone"
  cp -R "$REPOSITORY/scripts" "$REPOSITORY/mega_code" "$REPOSITORY/setup.cfg" "$ROOM/my clone"
  run -0 "$ROOM/my clone/scripts/setup.sh"
  equal "MEGA_DIR=$ROOM/my clone" "${lines[0]}"
}

@test "setup: CDPATH does not lead it astray" {
  fake_gateway
  mkdir -p "$ROOM/trap/scripts/lib"
  cd "$REPOSITORY"
  CDPATH="$ROOM/trap" run -0 bash scripts/setup.sh --project-dir "$PROJECT"
  equal "MEGA_DIR=$REPOSITORY" "${lines[0]}"
}

@test "setup: CLAUDE_PROJECT_DIR is the project, a flag wins over it, and a relative one counts from here" {
  fake_gateway
  mkdir "$ROOM/other" inner
  CLAUDE_PROJECT_DIR="$ROOM/other" run -0 setup.sh
  equal "PROJECT_DIR=$ROOM/other" "${lines[2]}"
  CLAUDE_PROJECT_DIR="$ROOM/other" run -0 setup.sh --project-dir=inner
  equal "PROJECT_DIR=$PROJECT/inner" "${lines[2]}"
}

@test "setup: the data folder follows the variables, a relative one counts from here" {
  fake_gateway
  unset MEGA_CODE_DATA_DIR
  run -0 setup.sh
  equal "DATA_DIR=$HOME/.local/share/mega-code" "${lines[1]}"
  XDG_DATA_HOME="$ROOM/xdg" run -0 setup.sh
  equal "DATA_DIR=$ROOM/xdg/mega-code" "${lines[1]}"
  XDG_DATA_HOME=relative run -0 setup.sh
  equal "DATA_DIR=$HOME/.local/share/mega-code" "${lines[1]}"
  MEGA_CODE_DATA_DIR=mine run -0 setup.sh
  equal "DATA_DIR=$PROJECT/mine" "${lines[1]}"
  # shellcheck disable=SC2088
  MEGA_CODE_DATA_DIR='~/mine' run -0 setup.sh
  equal "DATA_DIR=$HOME/mine" "${lines[1]}"
}

@test "setup: modules of the person's project do not get in the way" {
  fake_gateway
  mkdir mega_code
  printf 'raise SystemExit("wrong package")\n' | tee mega_code/__init__.py >json.py
  run -0 setup.sh
  PYTHONSAFEPATH=1 run -0 setup.sh
}

@test "setup: another mode is one sentence and status 4" {
  run -4 --separate-stderr setup.sh
  equal "" "$output"
  [[ "$stderr" == "setup: MEGA_CODE_CLIENT_MODE "*--hitl* ]]
  [ "${#stderr_lines[@]}" -eq 1 ]
}

@test "setup: a MEGA_CODE_PYTHON that is gone is one sentence and status 5" {
  fake_gateway
  MEGA_CODE_PYTHON="$ROOM/gone" run -5 --separate-stderr setup.sh
  equal "setup: MEGA_CODE_PYTHON names $ROOM/gone, which cannot be run; unset it, or name a Python 3.9 or later." "$stderr"
  equal '' "$output"
}

@test "setup: no server and a wrong key are status 5" {
  fake_gateway
  MEGA_CODE_API_KEY=wrong run -5 --separate-stderr setup.sh
  [[ "$output" == "" && "$stderr" == "setup: "*auth_failure* ]]
  MEGA_CODE_SERVER_URL=http://127.0.0.1:9 run -5 --separate-stderr setup.sh
  [[ "$output" == "" && "$stderr" == "setup: "*network_failure* ]]
}

@test "setup: the plugin folder and a missing folder are status 4" {
  fake_gateway
  mkdir -p "$HOME/.claude/plugins/cache/x"
  CLAUDE_PROJECT_DIR="$HOME/.claude/plugins/cache/x" run -4 --separate-stderr setup.sh
  [[ "$output" == "" && "$stderr" == "setup: "*plugin_cache_project_dir* ]]
  run -4 --separate-stderr setup.sh --project-dir /nowhere
  [[ "$output" == "" && "$stderr" == "setup: "*/nowhere* ]]
}

@test "setup: unknown flags, stray words and missing values are status 4" {
  for arguments in --nonsense stray --project-dir --project-dir=; do
    run -4 --separate-stderr setup.sh $arguments
    equal "" "$output"
    [[ "$stderr" == "setup: "*"see --help." ]]
  done
}
