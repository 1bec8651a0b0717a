#!/usr/bin/env bats
# Which Python runs the modules: scripts/lib/python.sh and make_venv.py.

load test_helper

CONFLICT=2

clone() { # a copy of this clone to change; sets CLONE
  CLONE="$ROOM/my clone"
  mkdir "$CLONE"
  cp -R "$REPOSITORY/scripts" "$REPOSITORY/mega_code" "$REPOSITORY/setup.cfg" "$REPOSITORY/pyproject.toml" "$CLONE"
}

recorder() { # <program>; it notes its arguments, and is Python
  fake "$1" "printf '%s\n' \"\$*\" >>\"$ROOM/$1.calls\"; exec \"$REAL_PYTHON\" \"\$@\""
}

uv() { # <status of sync>; a uv that notes its arguments
  fake uv "
    printf '%s\n' \"\$*\" >>\"$ROOM/uv.calls\"
    [ \"\$1\" != sync ] || { mkdir -p \"$CLONE/.venv\"; exit $1; }
    while [ \"\$1\" != python ]; do shift; done
    cd \"$CLONE\" && exec \"$REAL_PYTHON\" \"\${@:2}\""
}

bare_python() { # python3 without any package
  "$REAL_PYTHON" -m venv --without-pip "$ROOM/bare"
  fake python3 "exec \"$ROOM/bare/bin/python\" \"\$@\""
}

requirements() {
  "$REAL_PYTHON" -c 'import configparser, sys
config = configparser.ConfigParser(interpolation=None)
config.read(sys.argv[1])
extras = config["options.extras_require"]
print("".join((config["options"]["install_requires"], extras["gateway"], extras["optimize"])).strip())' "$REPOSITORY/setup.cfg"
}

@test "runtime: uv is used where it is there, and prepared once" {
  clone
  uv 0
  for _ in 1 2; do
    run -0 --separate-stderr "$CLONE/scripts/args.sh" <<<'my-skill'
    equal my-skill "$(value SKILL_NAME)"
    equal '' "$stderr"
  done
  equal "sync --quiet --inexact --no-install-project --extra gateway --extra optimize --directory $CLONE
run --quiet --no-sync --directory $CLONE --extra gateway --extra optimize python -m mega_code.client.arguments
run --quiet --no-sync --directory $CLONE --extra gateway --extra optimize python -m mega_code.client.arguments" "$(cat "$ROOM/uv.calls")"
}

@test "runtime: uv prepares again where setup.cfg has changed, and where its environment is gone" {
  clone
  uv 0
  touch -t 203001010000 "$CLONE/setup.cfg"
  "$CLONE/scripts/args.sh" </dev/null
  "$CLONE/scripts/args.sh" </dev/null
  touch -t 202001010000 "$CLONE/setup.cfg"
  "$CLONE/scripts/args.sh" </dev/null
  rm -r "$CLONE/.venv"
  "$CLONE/scripts/args.sh" </dev/null
  equal 3 "$(grep -c '^sync' "$ROOM/uv.calls")"
}

@test "runtime: a uv that cannot prepare costs one line and one try, and its status 2 is no conflict" {
  clone
  uv "$CONFLICT"
  run -0 --separate-stderr "$CLONE/scripts/args.sh" <<<'my-skill'
  equal my-skill "$(value SKILL_NAME)"
  [[ "$stderr" == "args: uv could not install the Python packages"* && "${#stderr_lines[@]}" -eq 1 ]]
  run -0 --separate-stderr "$CLONE/scripts/args.sh" <<<'my-skill'
  equal '' "$stderr"
  equal 1 "$(grep -c . "$ROOM/uv.calls")"
}

@test "runtime: where a collector is named, uv brings what spans need, once, and is used without it elsewhere" {
  clone
  uv 0
  mkdir -p "$DATA"
  "$CLONE/scripts/args.sh" </dev/null
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 "$CLONE/scripts/args.sh" </dev/null
  printf 'export OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:1\n' >"$DATA/.env"
  "$CLONE/scripts/args.sh" </dev/null
  rm "$DATA/.env"
  "$CLONE/scripts/args.sh" </dev/null
  equal "--extra gateway --extra optimize
--extra gateway --extra optimize --extra telemetry" "$(sed -n '/^sync/s/.*--no-install-project \(.*\) --directory.*/\1/p' "$ROOM/uv.calls")"
  equal 2 "$(grep -c '^run.*--extra telemetry python' "$ROOM/uv.calls")"
  equal 2 "$(grep -c '^run.*--extra optimize python' "$ROOM/uv.calls")"
}

@test "runtime: what spans need and uv cannot get costs one line, and nothing else" {
  clone
  fake uv "
    printf '%s\n' \"\$*\" >>\"$ROOM/uv.calls\"
    [ \"\$1\" != sync ] || { mkdir -p \"$CLONE/.venv\"; [[ \"\$*\" != *telemetry* ]]; exit; }
    while [ \"\$1\" != python ]; do shift; done
    cd \"$CLONE\" && exec \"$REAL_PYTHON\" \"\${@:2}\""
  export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1
  run -0 --separate-stderr "$CLONE/scripts/args.sh" <<<'my-skill'
  equal my-skill "$(value SKILL_NAME)"
  [[ "$stderr" == *'going on without those for spans.' && "${#stderr_lines[@]}" -eq 1 ]]
  run -0 --separate-stderr "$CLONE/scripts/args.sh" <<<'my-skill'
  equal '' "$stderr"
  equal "sync sync run run" "$(cut -d ' ' -f 1 "$ROOM/uv.calls" | tr '\n' ' ' | sed 's/ $//')"
}

@test "runtime: where what spans need cannot be had, the environment that is there is used" {
  mkdir -p "$DATA/runtime/venv/bin"
  fake other "exec \"$REAL_PYTHON\" \"\$@\""
  mv "$BIN/other" "$DATA/runtime/venv/bin/python"
  requirements >"$DATA/runtime/venv/complete"
  # shellcheck disable=SC2016
  for name in python3 python; do fake "$name" 'case "$1" in -m) exit 97 ;; -c) exit 0 ;; *) exit 1 ;; esac'; done
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 run -0 --separate-stderr args.sh <<<'my-skill'
  equal my-skill "$(value SKILL_NAME)"
  equal "args: the Python packages for spans could not be installed; going on without." "$stderr"
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 run -0 --separate-stderr args.sh <<<'my-skill'
  equal '' "$stderr"
}

@test "runtime: the bundle's own environment is used where it is complete and fits" {
  recorder python
  mkdir -p "$DATA/runtime/venv/bin"
  cp "$BIN/python" "$DATA/runtime/venv/bin/python"
  requirements >"$DATA/runtime/venv/complete"
  run -0 args.sh <<<''
  equal "-m mega_code.client.arguments" "$(cat "$ROOM/python.calls")"
  printf 'requests>=99\n' >"$DATA/runtime/venv/complete"
  run -0 args.sh <<<''
  rm "$DATA/runtime/venv/complete"
  run -0 args.sh <<<''
  equal 1 "$(grep -c . "$ROOM/python.calls")"
}

@test "runtime: where the environment misses packages after all, that is one sentence with status 5, and never 97" {
  mkdir -p "$DATA/runtime/venv/bin"
  fake python 'exit 97'
  mv "$BIN/python" "$DATA/runtime/venv/bin/python"
  requirements >"$DATA/runtime/venv/complete"
  fake python3 'exit 0' # which says that it has made it anew
  skill demo-skill
  for command in 'args.sh' 'gateway.sh status' 'enhance.sh demo-skill --dry-run' 'submit.sh --skill-name demo-skill'; do
    read -ra words <<<"$command"
    run -5 --separate-stderr "${words[@]}" </dev/null
    [[ "${stderr_lines[0]}" == *": the Python packages in $DATA/runtime/venv cannot be used; remove that folder, and run this again." ]]
  done
}

@test "runtime: the Python that MEGA_CODE_PYTHON names comes before uv, and needs nothing else" {
  clone
  uv 0
  recorder our-python
  MEGA_CODE_PYTHON="$BIN/our-python" run -0 --separate-stderr "$CLONE/scripts/args.sh" <<<'my-skill'
  equal my-skill "$(value SKILL_NAME)"
  equal "-m mega_code.client.arguments" "$(cat "$ROOM/our-python.calls")"
  [ ! -e "$ROOM/uv.calls" ]
}

@test "runtime: a folder that cannot be written is named, in one sentence, and no network is blamed" {
  unset MEGA_CODE_DATA_DIR
  fake python3 "[ \"\$1\" = -m ] && exit 97; exec \"$REAL_PYTHON\" \"\$@\""
  HOME=/dev/null run -5 --separate-stderr args.sh </dev/null
  equal "mega-code: '/dev/null/.local/share/mega-code/runtime' cannot be written: Not a directory; MEGA_CODE_DATA_DIR can name another folder." "$stderr"
  clone
  uv 0
  HOME=/dev/null run -5 --separate-stderr "$CLONE/scripts/args.sh" </dev/null
  equal "args: '/dev/null/.local/share/mega-code/runtime' cannot be made; MEGA_CODE_DATA_DIR can name another folder." "$stderr"
}

@test "runtime: where the skills have copies for links, as in a wheel, the bundle is still the one around them" {
  clone
  mkdir -p "$CLONE/skills/one"
  mv "$CLONE" "$ROOM/skills" && CLONE="$ROOM/skills"
  cp -R "$CLONE/scripts" "$CLONE/skills/one/scripts"
  for folder in "$CLONE" "$CLONE/skills/one"; do
    run -0 --separate-stderr bash -c "self=x && . '$folder/scripts/lib/common.sh' && printf '%s\n' \"\$MEGA_DIR\""
    equal "$(cd "$CLONE" && pwd -P)" "$output"
  done
}

@test "runtime: stdin, arguments and status are the module's own" {
  recorder python3
  run -0 args.sh <<<'my-skill'
  equal my-skill "$(value SKILL_NAME)"
  run -4 args.sh <<<'a b'
  equal 2 "$(grep -c . "$ROOM/python3.calls")"
}

@test "runtime: without any Python it says so and exits 5" {
  mkdir "$ROOM/tools"
  for tool in bash env dirname readlink sed awk cat mktemp rm; do ln -s "$(command -v "$tool")" "$ROOM/tools/$tool"; done
  PATH="$ROOM/tools" run -5 --separate-stderr "$SCRIPTS/args.sh"
  equal "args: there is no Python on PATH; install Python 3.9 or later, or uv." "$stderr"
}

@test "runtime: Pythons that are too old end in one sentence and status 5" {
  for name in python3 python python3.9 python3.10 python3.11 python3.12 python3.13; do
    # shellcheck disable=SC2016
    fake "$name" '[ "$1" = -m ] && exit 97; exit 1'
  done
  run -5 --separate-stderr args.sh
  equal "args: no Python 3.9 or later with the venv module is on PATH; install one (Debian: python3-venv), or uv." "$stderr"
  [ ! -e "$DATA/runtime/venv" ]
}

@test "runtime: an answer that cannot be written is said, with status 5, and one that nobody asks for is left out" {
  skill demo-skill
  for command in args.sh 'gateway.sh status' 'skills.sh list --all' 'enhance.sh doctor' 'enhance.sh demo-skill --dry-run'; do
    read -ra words <<<"$command"
    status=0
    "${words[@]}" </dev/null >/dev/full 2>"$ROOM/said" || status=$?
    equal "5 The answer could not be written: No space left on device." "$status $(cat "$ROOM/said")"
    wanted=0
    [ "$command" != 'gateway.sh status' ] || wanted=3
    status=0
    "${words[@]}" </dev/null >&- 2>"$ROOM/said" || status=$?
    equal "$wanted " "$status $(cat "$ROOM/said")"
  done
}

@test "runtime: closed standard streams are none that anything else is written to" {
  fake_gateway
  skill demo-skill
  status=0
  enhance.sh demo-skill --yes >"$ROOM/report" 2>&- </dev/null || status=$?
  equal 0 "$status"
  [[ "$(cat "$ROOM/report")" == "Installed at $PROJECT/.claude/skills/demo-skill."* ]]
  status=0
  submit.sh --skill-name demo-skill >&- 2>&- <&- || status=$?
  equal 0 "$status"
}

# bats test_tags=slow
@test "runtime: a python3 without the packages gets an environment of our own, once" {
  fake_gateway
  bare_python
  run -0 --separate-stderr setup.sh
  [ "${#lines[@]}" -eq 4 ]
  [[ "$stderr" == "mega-code: Preparing the Python packages "*"this once"* && "${#stderr_lines[@]}" -eq 1 ]]
  equal "$(requirements)" "$(cat "$DATA/runtime/venv/complete")"
  run -0 --separate-stderr setup.sh
  equal '' "$stderr"
  [ "$(printf '%s\n' "$DATA/runtime/"*)" = "$(printf '%s\n' "$DATA/runtime/"venv{,.lock,.log})" ]
}

# bats test_tags=slow
@test "runtime: an environment whose Python was upgraded is made anew, once" {
  bare_python
  run -3 --separate-stderr gateway.sh status
  for packages in "$DATA/runtime/venv/lib"/python3.*; do mv "$packages" "${packages%/*}/python3.0"; done # what another Python sees
  run -3 --separate-stderr gateway.sh status
  equal 'not running' "$output"
  [[ "$stderr" == "mega-code: Preparing the Python packages "*"this once"* && "${#stderr_lines[@]}" -eq 1 ]]
  run -3 --separate-stderr gateway.sh status
  equal '' "$stderr"
}

# bats test_tags=slow
@test "runtime: a look at what a job would cost makes it too, for a folder and for a name" {
  skill demo-skill
  bare_python
  export MEGA_CODE_MODEL=openai:small MEGA_CODE_MODEL_URL=http://127.0.0.1:9/v1
  for named in .claude/skills/demo-skill demo-skill; do
    run -0 --separate-stderr enhance.sh "$named" --dry-run
    equal "Model: small." "${lines[0]}"
  done
}

# bats test_tags=slow
@test "runtime: a step with a transcript makes the environment too, and goes on" {
  fake_gateway
  skill demo-skill
  bare_python
  run -0 --separate-stderr submit.sh --skill-name demo-skill
  equal submitted "$(value OUTCOME)"
  [[ "$stderr" == *"Preparing the Python packages"*"submitted as job $JOB"* ]]
  [[ "$(cat "$TRANSCRIPT.log")" == *"Preparing the Python packages"* ]]
}

# bats test_tags=slow
@test "runtime: two first runs at once make one environment" {
  fake_gateway
  bare_python
  setup.sh >"$ROOM/one" 2>"$ROOM/one.err" 3>&- &
  setup.sh >"$ROOM/two" 2>"$ROOM/two.err" 3>&-
  wait $!
  equal 4 "$(grep -c = "$ROOM/one")"
  equal 4 "$(grep -c = "$ROOM/two")"
  equal 1 "$(cat "$ROOM/one.err" "$ROOM/two.err" | grep -c 'Preparing')"
  equal 1 "$(cat "$ROOM/one.err" "$ROOM/two.err" | grep -c 'Waiting')"
}

# bats test_tags=slow
@test "runtime: Ctrl+C while it is made leaves nothing half-made, and the next run makes it" {
  fake_gateway
  bare_python
  run -130 --separate-stderr interrupted SIGINT Preparing setup.sh
  equal '' "$output"
  [ "$(find "$DATA/runtime" -type d)" = "$DATA/runtime" ]
  run -0 setup.sh
}

# bats test_tags=slow
@test "runtime: no network is one sentence that says what to do, and status 5" {
  bare_python
  unset PIP_FIND_LINKS PIP_EXTRA_INDEX_URL
  PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 MEGA_CODE_CLIENT_MODE=remote MEGA_CODE_SERVER_URL=http://127.0.0.1:9 MEGA_CODE_API_KEY=key \
    run -5 --separate-stderr setup.sh
  [[ "${stderr_lines[*]}" == *"setup: the Python packages could not be installed; is there a network?"*"pip install requests PyYAML bottle waitress" ]]
  [ ! -e "$DATA/runtime/venv" ]
}
