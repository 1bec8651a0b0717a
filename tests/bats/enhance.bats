#!/usr/bin/env bats

load test_helper

teardown() {
  [ ! -d "$DATA/gateway" ] || gateway.sh stop >/dev/null 2>&1 || :
  [ -z "${GATEWAY:-}" ] || kill "$GATEWAY" || :
  rm -rf "$TRANSCRIPT"*
}

installed() { # <scope>; whether the enhanced skill is there
  local base="$PROJECT"
  [ "$1" != global ] || base="$HOME"
  grep -q 'Demo, enhanced' "$base/.claude/skills/demo-skill/SKILL.md"
}

@test "enhance: with --yes it installs where the skill came from, and stdout is the report alone" {
  fake_gateway soon
  skill demo-skill global
  run -0 --separate-stderr enhance.sh demo-skill --yes
  equal "Installed at $HOME/.claude/skills/demo-skill." "${lines[0]}"
  equal "ROI: +67% performance, 0% token savings, model=fake-model" "${lines[1]}"
  [[ "$stderr" == *"submitted as job $JOB"*"iterating [1/5]"* ]]
  installed global
}

@test "enhance: with --yes and --scope it installs there" {
  fake_gateway
  skill demo-skill global
  run -0 enhance.sh demo-skill --yes --scope project
  installed project
  run ! installed global
}

@test "enhance: a folder, by its path or by a name that is a folder here, goes into the project" {
  fake_gateway
  mkdir -p "$ROOM/some where"
  skill demo-skill
  mv .claude/skills/demo-skill "$ROOM/some where"
  cd "$ROOM"
  run -0 enhance.sh "some where/demo-skill" --yes --project-dir "$PROJECT"
  installed project
  cd "some where"
  run -0 enhance.sh demo-skill --yes --project-dir "$ROOM"
  [[ "$output" == *"Installed at $ROOM/.claude/skills/demo-skill."* ]]
}

@test "enhance: the only skill there is needs no name" {
  fake_gateway
  skill demo-skill
  run -0 enhance.sh --yes
  installed project
}

@test "enhance: several skills and nobody to ask is status 4 and names them" {
  fake_gateway
  skill demo-skill
  skill other global
  run -4 --separate-stderr enhance.sh --yes
  equal "enhance: name one of the skills: demo-skill (project), other (global)." "$stderr"
  equal '' "$output"
}

@test "enhance: the beginning of one skill's name is enough, and which it is taken for is said" {
  fake_gateway
  skill demo-skill
  skill other
  run -0 --separate-stderr enhance.sh demo --yes
  equal "enhance: 'demo' is taken for the skill demo-skill (project)." "${stderr_lines[0]}"
  installed project
  run -0 --separate-stderr enhance.sh o --dry-run
  equal "enhance: 'o' is taken for the skill other (project)." "$stderr"
  skill demo-two global
  run -4 --separate-stderr enhance.sh demo --yes
  equal "'demo' fits demo-skill, demo-two; give one name in full. [ambiguous_skill]" "${lines[0]}"
}

@test "enhance: what is no skill is said before a gateway is started for it" {
  run -4 --separate-stderr enhance.sh nobody --yes
  equal "There is no skill 'nobody'; there are no skills at all. [skill_not_found]" "${lines[0]}"
  run -4 --separate-stderr enhance.sh ./nobody --yes
  equal "There is no skill folder '$PROJECT/./nobody'. [missing_skill_dir]" "${lines[0]}"
  skill demo-skill
  run -4 --separate-stderr enhance.sh .claude/skills/demo-skill/SKILL.md --yes
  equal "'$PROJECT/.claude/skills/demo-skill/SKILL.md' is a file; name the skill's folder: '$PROJECT/.claude/skills/demo-skill'. [missing_skill_dir]" "${lines[0]}"
  [ ! -e "$DATA/gateway" ]
}

@test "enhance: a file that looks like a secret goes with the command that is shown, and so with a preview" {
  fake_gateway
  skill demo-skill
  printf 'AKIA%s\n' ABCDEFGHIJKLMNOP >".claude/skills/demo-skill/b c.txt"
  run -4 --separate-stderr enhance.sh demo-skill --yes
  again="$(as_typed "$SCRIPTS/enhance.sh" demo-skill)"
  rest="$(as_typed --project-dir "$PROJECT")"
  [[ "${lines[0]}" == "'b c.txt', line 1: "*"[secret_detected]" ]]
  equal "To start again: $again $rest --yes" "${lines[1]}"
  equal "To allow that file: ${again} $rest --allow-secret 'b c.txt' --yes" "${lines[2]}"
  equal 3 "${#lines[@]}"
  command="${lines[2]#*: }"
  run -0 --separate-stderr enhance.sh demo-skill --dry-run --allow-secret "b c.txt"
  equal "Model: static, which is no language model: 0 calls, 0 tokens." "${lines[1]}"
  run -0 --separate-stderr bash -c "$command"
  installed project
  run -4 --separate-stderr enhance.sh --poll-existing "$JOB" --allow-secret x
  equal "enhance: --allow-secret is for a skill that is packed; leave --poll-existing out." "$stderr"
}

@test "enhance: no skill at all is status 4" {
  fake_gateway
  run -4 --separate-stderr enhance.sh --yes
  equal "enhance: there is no skill in the project or the global scope; name a folder." "$stderr"
}

@test "enhance: on a terminal it asks which of several, by number" {
  fake_gateway
  skill another
  skill demo-skill
  run -0 on_terminal '[1-2]' 7 '[1-2]' 2 -- enhance.sh --yes
  [[ "$output" == *"  1  another (project)"*"  2  demo-skill (project)"*"[1-2] 7
Answer with a number from 1 to 2.
Enhance which skill? [1-2] 2"* ]]
  installed project
}

@test "enhance: on a terminal it shows what is ready and asks for the scope" {
  fake_gateway
  skill demo-skill
  run -0 on_terminal '[n]o:' maybe '[n]o:' g -- enhance.sh demo-skill
  [[ "$output" == *"ROI: +67%"*"Install demo-skill into project or global scope?"*"[n]o: maybe
Answer with p, g or n.
Install demo-skill into"*"Installed at $HOME/"* ]]
  installed global
  run ! installed project
}

@test "enhance: with --scope the question is yes or no, and no leaves everything as it is" {
  fake_gateway
  skill demo-skill
  run -0 on_terminal '[y/N]' '' -- enhance.sh demo-skill --scope project
  [[ "$output" == *"enhance: not installed."*"To install: "* ]]
  run ! installed project
  run -0 on_terminal '[y/N]' maybe '[y/N]' y -- enhance.sh demo-skill --scope project
  [[ "$output" == *"[y/N] maybe
Answer with y or n.
Install demo-skill into project scope?"* ]]
  installed project
}

@test "enhance: Ctrl+C at the question installs nothing and says how to" {
  fake_gateway
  skill demo-skill
  run -130 on_terminal '[n]o:' '^C' -- enhance.sh demo-skill
  [[ "$output" == *"enhance: not installed."*"To install: "* ]]
  run ! installed project
}

@test "enhance: without a terminal and without --yes it does not install, and the command that it shows does" {
  fake_gateway
  skill demo-skill
  run -0 --separate-stderr enhance.sh demo-skill
  [[ "$output" == "Succeeded: an enhanced version is ready to install."* && "$stderr" == *"enhance: not installed." ]]
  line="$(grep '^To install: ' <<<"$output")"
  equal 1 "$(grep -c install.sh <<<"$output$stderr")"
  run ! installed project
  printf '%s\n' "${line#To install: }" >"$ROOM/command"
  cd /
  run -0 bash "$ROOM/command"
  installed project
}

@test "enhance: a conflict resumes the job there is, and says so" {
  fake_gateway duplicate
  skill demo-skill
  run -0 --separate-stderr enhance.sh demo-skill --yes
  [[ "$stderr" == *"enhance: this content was submitted before; resuming job $JOB."* ]]
  installed project
}

@test "enhance: content that was submitted from elsewhere goes where it was asked for now" {
  fake_gateway duplicate
  skill demo-skill
  run -2 submit.sh --skill-name demo-skill
  skill demo-skill global
  mkdir "$ROOM/other"
  cd "$ROOM/other"
  run -0 --separate-stderr enhance.sh demo-skill --yes
  equal "Installed at $HOME/.claude/skills/demo-skill." "${lines[0]}"
  cp -R "$PROJECT/.claude/skills/demo-skill" "$HOME/.claude/skills/renamed"
  cd "$PROJECT"
  run -0 --separate-stderr enhance.sh renamed --yes
  equal "Installed at $HOME/.claude/skills/renamed." "${lines[0]}"
  run ! installed project
  run -0 --separate-stderr enhance.sh --poll-existing "$JOB" --yes
  equal "Installed at $HOME/.claude/skills/renamed." "${lines[0]}"
}

@test "enhance: a folder that is a global skill's goes back there" {
  fake_gateway
  skill demo-skill global
  run -0 --separate-stderr enhance.sh ~/.claude/skills/demo-skill --yes
  installed global
  run ! installed project
  mv ~/.claude/skills "$ROOM/dotfiles"
  ln -s "$ROOM/dotfiles" ~/.claude/skills
  run -0 --separate-stderr enhance.sh "$ROOM/dotfiles/demo-skill" --yes
  equal "Installed at $HOME/.claude/skills/demo-skill." "${lines[0]}"
}

@test "enhance: a job of before goes into the project that it came from, unless another one is named" {
  fake_gateway
  skill demo-skill
  run -0 submit.sh --skill-name demo-skill
  mkdir "$ROOM/other"
  cd "$ROOM/other"
  run -0 --separate-stderr enhance.sh --poll-existing "$JOB"
  [[ "$output" == *"To install: "*" --scope project --project-dir '$PROJECT'"* ]]
  run -0 --separate-stderr enhance.sh --poll-existing "$JOB" --yes
  equal "Installed at $PROJECT/.claude/skills/demo-skill." "${lines[0]}"
  run -0 --separate-stderr enhance.sh --poll-existing "$JOB" --yes --project-dir "$ROOM/other"
  equal "Installed at $ROOM/other/.claude/skills/demo-skill." "${lines[0]}"
}

@test "enhance: a job of before is waited for by its id" {
  fake_gateway
  run -0 enhance.sh --poll-existing "$JOB" --yes
  installed project
}

@test "enhance: a job that goes on is cancelled by its id" {
  fake_gateway running cancels
  run -0 --separate-stderr enhance.sh --cancel "$JOB"
  equal "Job $JOB is cancelled: it ends with its next step.
To see how it ended: $(as_typed "$SCRIPTS/enhance.sh" --poll-existing "$JOB")" "$output"
  equal '' "$stderr"
  for words in demo-skill --dry-run "--poll-existing $JOB" '--scope project'; do
    read -ra words <<<"$words"
    run -4 --separate-stderr enhance.sh --cancel "$JOB" "${words[@]}"
    equal "enhance: --cancel names a job, and takes nothing else." "$stderr"
  done
}

@test "enhance: a job that has ended, or a server that cannot, is not cancelled, and that is said" {
  skill demo-skill
  gateway.sh start >/dev/null 3>&-
  run -0 --separate-stderr enhance.sh demo-skill
  job="$(sed -n 's/.*submitted as job //p' <<<"$stderr")"
  run -4 --separate-stderr enhance.sh --cancel "$job"
  [[ "$output" == "The job has ended already: "*"[already_terminal]"* ]]
  gateway.sh stop
  fake_gateway running
  run -4 --separate-stderr enhance.sh --cancel "$JOB"
  [[ "$output" == *"[not_found]"* ]]
}

@test "enhance: a job that nobody knows is no reason to submit one" {
  fake_gateway running
  skill demo-skill
  unknown=12345678-1234-1234-1234-123456789abc
  for words in '--cancel nonsense' "--cancel $unknown" '--poll-existing nonsense' "--poll-existing $unknown"; do
    IFS=' ' read -ra arguments <<<"$words"
    run -4 --separate-stderr enhance.sh "${arguments[@]}" --yes
    equal 'Copy the id from the output of the submission.' "${lines[1]}"
    equal 2 "${#lines[@]}"
  done
}

@test "enhance: a job that takes longer is status 3, with the command that resumes" {
  fake_gateway running
  skill demo-skill
  run -3 --separate-stderr enhance.sh demo-skill --yes --poll-timeout 1
  [[ "$output" == *enhance.sh*" --poll-existing $JOB"* ]]
}

@test "enhance: Ctrl+C while it waits is status 130, with the command that resumes" {
  fake_gateway running
  skill demo-skill
  run -130 --separate-stderr interrupted SIGINT iterating enhance.sh demo-skill --yes
  [[ "$output" == *enhance.sh*" --poll-existing $JOB"* ]]
}

@test "enhance: what Ctrl+C broke off goes on where it was asked to go, with the command that is shown, from anywhere" {
  fake_gateway soon
  skill demo-skill
  mkdir "$ROOM/elsewhere"
  mv .claude/skills/demo-skill "$ROOM/elsewhere"
  cd "$ROOM"
  run -130 --separate-stderr interrupted SIGINT iterating enhance.sh elsewhere/demo-skill --yes --scope project \
    --project-dir "$PROJECT" --poll-timeout 60
  resume="$(sed -n 's/^To resume: //p' <<<"$output")"
  equal "$(as_typed "$SCRIPTS/enhance.sh" --poll-existing "$JOB" --scope project --poll-timeout 60 --yes)" "$resume"
  cd elsewhere
  run -0 --separate-stderr bash -c "$resume"
  equal "Installed at $PROJECT/.claude/skills/demo-skill." "${lines[0]}"
}

@test "enhance: the project and scope that a job was asked for count where it is taken up by its id alone" {
  fake_gateway
  skill demo-skill
  run -0 submit.sh --skill-name demo-skill --scope global
  cd "$ROOM"
  run -0 --separate-stderr enhance.sh --poll-existing "$JOB"
  [[ "$output" == *"To install: "*" --scope global"* ]]
  run -0 --separate-stderr enhance.sh --poll-existing "$JOB" --yes
  equal "Installed at $HOME/.claude/skills/demo-skill." "${lines[0]}"
  mkdir elsewhere
  cp -R "$HOME/.claude/skills/demo-skill" elsewhere
  run -0 submit.sh --skill-dir elsewhere/demo-skill --project-dir "$PROJECT"
  cd elsewhere
  run -0 --separate-stderr enhance.sh --poll-existing "$JOB"
  [[ "$output" == *"To install: "*" --scope project --project-dir '$PROJECT'"* ]]
  run -0 --separate-stderr enhance.sh --poll-existing "$JOB" --yes
  equal "Installed at $PROJECT/.claude/skills/demo-skill." "${lines[0]}"
  run -4 --separate-stderr submit.sh --skill-name demo-skill --scope team
  equal "submit: the scope is project or global, not 'team'." "$stderr"
}

@test "enhance: nothing to install is status 0 and a report with the job and the log" {
  fake_gateway source
  skill demo-skill
  run -0 --separate-stderr enhance.sh demo-skill --yes
  [[ "$output" == *"Reason: no better"*"Job: $JOB"*"Log: $TRANSCRIPT.log"* ]]
  run ! installed project
}

@test "enhance: one transcript holds every step" {
  fake_gateway
  skill demo-skill
  run -0 enhance.sh demo-skill --yes
  [[ "$(cat "$TRANSCRIPT.log")" == *'{"submitted"'*'"needs_install_location"'*'"installed": true'* ]]
  equal "$(printf '%s\n' "$TRANSCRIPT"{-2.result.json,.install.json,.log,.result.json})" "$(printf '%s\n' "$TRANSCRIPT"*)"
}

@test "enhance: a refused skill is status 4, a server that is away 5, and the report says why" {
  fake_gateway
  run -4 --separate-stderr enhance.sh nobody --yes
  [[ "${lines[0]}" == *"[skill_not_found]" && "${#lines[@]}" -eq 2 ]]
  equal 'Pick a name from scripts/skills.sh list --all.' "${lines[1]}"
  skill demo-skill
  MEGA_CODE_SERVER_URL=http://127.0.0.1:9 run -5 --separate-stderr enhance.sh demo-skill --yes
  [[ "$stderr" == "setup: "* ]]
}

# bats test_tags=slow
@test "enhance: with nothing configured it starts the embedded gateway, says so, and goes all the way" {
  run -0 --separate-stderr enhance.sh "$REPOSITORY/examples/commit-message" --yes 3>&-
  [[ "$stderr" == "enhance: no server is configured; starting the embedded gateway."*"enhance: it runs at http://127.0.0.1:"*", until gateway.sh stop."* ]]
  equal "Installed at $PROJECT/.claude/skills/commit-message." "${lines[0]}"
  [[ "${lines[1]}" == "ROI: "*"model=static-checks" ]]
  [ -f .claude/skills/commit-message/SKILL.md ]
  run -0 --separate-stderr enhance.sh "$REPOSITORY/examples/commit-message" --yes 3>&-
  [[ "$stderr" != *"starting the embedded gateway"* && "$stderr" == *"submitted before; resuming job"* ]]
}

@test "enhance: of half a server it says the way out, starts nothing for it, and that way leads on" {
  skill demo-skill
  run -0 --separate-stderr configure.sh --mode remote
  equal "warning: a server needs MEGA_CODE_SERVER_URL and MEGA_CODE_API_KEY too; the embedded gateway works where none of the three is set" "$stderr"
  run -5 --separate-stderr enhance.sh demo-skill --yes
  equal '' "$output"
  [[ "$stderr" == "setup: Of a server only MEGA_CODE_CLIENT_MODE is set. To name the rest: "*/configure.sh*" --unset MEGA_CODE_CLIENT_MODE [network_failure]" ]]
  [ ! -e "$DATA/gateway" ]
  run -0 configure.sh --unset MEGA_CODE_CLIENT_MODE
  equal "MEGA_CODE_CLIENT_MODE=" "${lines[0]}"
  equal '' "$(cat "$DATA/.env")"
  MEGA_CODE_API_KEY=mk-0123456789abcdef MEGA_CODE_CLIENT_MODE=local run -4 --separate-stderr enhance.sh demo-skill --yes
  [[ "$stderr" == *"is 'local'."*"where no server, key or mode is set: unset MEGA_CODE_API_KEY MEGA_CODE_CLIENT_MODE. "*--hitl* ]]
  [ ! -e "$DATA/gateway" ]
}

@test "enhance: a server in .env is used, and no gateway started" {
  fake_gateway
  skill demo-skill
  mkdir -p "$DATA"
  printf "export MEGA_CODE_SERVER_URL='%s'\nMEGA_CODE_API_KEY=%s\nMEGA_CODE_CLIENT_MODE=remote\n" \
    "$MEGA_CODE_SERVER_URL" "$MEGA_CODE_API_KEY" >"$DATA/.env"
  unset MEGA_CODE_SERVER_URL MEGA_CODE_API_KEY MEGA_CODE_CLIENT_MODE
  run -0 --separate-stderr enhance.sh demo-skill --yes
  [[ "$stderr" != *"starting the embedded gateway"* ]]
  installed project
}

@test "enhance: a model that only this shell knows is said not to reach a server elsewhere" {
  fake_gateway
  skill demo-skill
  MEGA_CODE_MODEL=openai:small run -0 --separate-stderr enhance.sh demo-skill --yes
  [[ "$stderr" == "The configured server does the work, with a model of its own, and MEGA_CODE_MODEL of this shell does not count."* ]]
  run -0 --separate-stderr enhance.sh demo-skill --yes
  [[ "$stderr" != *"model of its own"* ]]
  run -0 --separate-stderr enhance.sh demo-skill --dry-run
  equal "The configured server does the work, with a model of its own. The embedded gateway would take:
Model: static, which is no language model: 0 calls, 0 tokens." "$output"
}

@test "enhance: where the gateway that runs measures with another model than this shell names, nothing is paid unasked" {
  skill demo-skill
  MEGA_CODE_MODEL=openai:small MEGA_CODE_MODEL_URL=http://127.0.0.1:9/v1 gateway.sh start >/dev/null 3>&-
  note="The gateway that runs measures with openai:small, and not with static, which MEGA_CODE_MODEL of this shell names."
  mends="To measure with static, stop it and run this again: $(as_typed "$SCRIPTS/gateway.sh" stop)
To measure with openai:small, run this again after: unset MEGA_CODE_MODEL"
  MEGA_CODE_MODEL=static run -0 --separate-stderr enhance.sh demo-skill --dry-run
  equal "$note" "${lines[0]}"
  equal "Model: small." "${lines[1]}"
  [[ "$output" == *"At most "*" calls and "*" tokens"* ]]
  for words in '' --yes; do
    MEGA_CODE_MODEL=static run -4 --separate-stderr enhance.sh demo-skill ${words:+"$words"}
    equal "$output|$stderr" "|$note
$mends"
  done
  MEGA_CODE_MODEL=static run -4 on_terminal 'y/N]' n -- enhance.sh demo-skill
  [[ "$output" == "$note"*"Go on with the settings of the gateway that runs? [y/N] n" ]]
  run -0 --separate-stderr enhance.sh demo-skill --dry-run # of this shell nothing is asked
  equal "Model: small." "${lines[0]}"
  gateway.sh stop
  MEGA_CODE_MODEL=static run -0 --separate-stderr enhance.sh demo-skill --dry-run
  equal "Model: static, which is no language model: 0 calls, 0 tokens." "$output"
}

@test "enhance: where the gateway that runs knows nothing of a cap of this shell, nothing is paid unasked" {
  skill demo-skill
  configure.sh --model openai:small --model-url http://127.0.0.1:9/v1
  gateway.sh start >/dev/null 3>&-
  export MEGA_CODE_MAX_CALLS=10 MEGA_CODE_MAX_COST_USD=0.5
  run -4 --separate-stderr enhance.sh demo-skill --yes
  equal "|The gateway that runs does not work with MEGA_CODE_MAX_CALLS=10 and MEGA_CODE_MAX_COST_USD=0.5 of this shell.
To work with it, stop the gateway and run this again: $(as_typed "$SCRIPTS/gateway.sh" stop)
To work without, run this again after: unset MEGA_CODE_MAX_CALLS MEGA_CODE_MAX_COST_USD" "$output|$stderr"
  run -0 --separate-stderr enhance.sh demo-skill --dry-run
  [[ "${lines[0]}" == "The gateway that runs does not work with "* && "$output" == *"never more than 400 calls"* ]]
  MEGA_CODE_MAX_COST_USD='' MEGA_CODE_MAX_CALLS=400 run -0 --separate-stderr enhance.sh demo-skill --dry-run # as it is
  [[ "${lines[0]}" == "Model: small." ]]
  configure.sh --max-calls 10 --max-cost-usd .5
  run -0 --separate-stderr enhance.sh demo-skill --dry-run
  [[ "${lines[0]}" == "Model: small." ]]
  MEGA_CODE_MAX_CALLS=ten run -4 --separate-stderr enhance.sh demo-skill --yes
  equal "MEGA_CODE_MAX_CALLS is 'ten', not a number from 0. [invalid_arguments]" "$stderr"
}

@test "enhance: what configure.sh sets is what a gateway that runs measures with, and then nothing is asked" {
  skill demo-skill
  gateway.sh start >/dev/null 3>&-
  configure.sh --model openai:small --model-url http://127.0.0.1:9/v1
  MEGA_CODE_MODEL=static run -4 --separate-stderr enhance.sh demo-skill
  [[ "$stderr" == "The gateway that runs measures with openai:small, and not with static,"* ]]
  configure.sh --model static
  MEGA_CODE_MODEL=static run -0 on_terminal ']o: ' n -- enhance.sh demo-skill
  [[ "$output" != *"that runs"* ]]
}

@test "enhance: --hitl, in any case of letters, points at the commands of the local flow" {
  for words in 'demo-skill --hitl' '--HITL demo-skill' 'demo-skill --yes --Hitl'; do
    IFS=' ' read -ra arguments <<<"$words"
    run -4 --separate-stderr enhance.sh "${arguments[@]}"
    equal "|enhance: the local flow has commands of its own: scripts/hitl.sh start --skill demo-skill; in Claude Code: /mega-code:skill-enhance demo-skill --hitl" "$output|$stderr"
  done
  run -4 --separate-stderr enhance.sh --hitl
  [[ "$stderr" == *"hitl.sh start --skill NAME;"* ]]
}

@test "enhance: bad arguments are one sentence and status 4" {
  for words in '--scope team' '--force' 'one two' '--poll-timeout' 'one --poll-existing 12345678-1234-1234-1234-123456789abc'; do
    IFS=' ' read -ra arguments <<<"$words"
    run -4 --separate-stderr enhance.sh "${arguments[@]}"
    [[ "$output" == '' && "$stderr" == "enhance: "* && "${#stderr_lines[@]}" -eq 1 ]]
  done
}
