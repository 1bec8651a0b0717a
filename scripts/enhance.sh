#!/usr/bin/env bash
# Usage: enhance.sh [SKILL | FOLDER] [--scope project|global] [--yes]
#                   [--project-dir DIR] [--poll-timeout S] [--poll-existing ID]
#                   [--allow-secret RELPATH]... [--dry-run]
#        enhance.sh --cancel ID
#        enhance.sh doctor [--project-dir DIR]
#
# Enhance a skill from start to end: submit it, wait, ask, install. Prints the
# report.
# Where no server is configured, the embedded gateway is started. A job of the
# same content is resumed.
# doctor says what is found and what is missing, and the command that mends it;
# it changes nothing.
# A skill that is called doctor is named by its path, such as
# .claude/skills/doctor.
#
# Options:
#   SKILL                a skill of the project or the global scope; without
#                        one: the only one there is, or asks
#   FOLDER               a skill folder anywhere (anything with a / in it)
#   doctor               say what is found and what is missing, and what mends
#                        it; changes nothing
#   --scope SCOPE        where to install: project, or global
#   --yes                do not ask; without --scope it goes where the skill
#                        came from, else into the project
#   --project-dir DIR    the project (default: $CLAUDE_PROJECT_DIR, else the
#                        working directory)
#   --allow-secret RELPATH
#                        pack this file of the skill although it looks like a
#                        secret; may be repeated
#   --poll-timeout S     seconds to wait for the job (default 1200); 0 waits for
#                        ever
#   --poll-existing ID   wait for a job that was submitted before; --scope and
#                        --project-dir are those it was submitted with, unless
#                        given
#   --cancel ID          end a job that goes on; the gateway ends it with its
#                        next step
#   --dry-run            say how many calls and tokens the embedded gateway
#                        would spend at most, and stop
#   -h, --help           this text
#
# Exit: 0 finished, 3 not done in time, 4 bad input, 5 authentication or
#       network, 130 interrupted.
#
# Environment:
#   MEGA_CODE_SERVER_URL   the server, MEGA_CODE_API_KEY its key; what
#                          configure.sh wrote counts else
#   MEGA_CODE_MODEL        what a gateway that is started measures with, instead
#                          of what configure.sh set; where one runs with
#                          another, asks first
#   CLAUDE_PROJECT_DIR     the project, where --project-dir does not name it
#   MEGA_CODE_DATA_DIR     where data is kept, instead of
#                          ~/.local/share/mega-code
#   NO_COLOR               no colours on a terminal
#
# Examples:
#   scripts/enhance.sh doctor
#   scripts/enhance.sh examples/commit-message --dry-run
#   scripts/enhance.sh commit-message --yes --scope project
#   scripts/enhance.sh --poll-existing 3f2504e0-4f89-11d3-9a0c-0305e82c3301
#
# See also: hitl.sh (the local flow), configure.sh, gateway.sh, install.sh (to
# undo), references/architecture.md
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"
# shellcheck source=scripts/lib/ask.sh
. "$MEGA_DIR/scripts/lib/ask.sh"

if [ "${1:-}" = doctor ]; then
  # shellcheck source=scripts/lib/doctor.sh
  . "$MEGA_DIR/scripts/lib/doctor.sh"
  doctor "${@:2}"
fi

skill='' scope='' yes='' project='' timeout='' job='' cancel='' dry='' hitl='' allowed=()
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage ;;
  --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
  --scope) needs_value "$@" && scope="$2" && shift ;;
  --yes) yes=yes ;;
  --allow-secret) needs_value "$@" && allowed+=("$1" "$2") && shift ;;
  --dry-run) dry=yes ;;
  --project-dir) needs_value "$@" && project="$2" && shift ;;
  --poll-timeout) needs_value "$@" && timeout="$2" && shift ;;
  --poll-existing) needs_value "$@" && job="$2" && shift ;;
  --cancel) needs_value "$@" && cancel="$2" && shift ;;
  --[hH][iI][tT][lL]) hitl=yes ;;
  -* | '') die 4 "unknown argument '$1'; see --help." ;;
  *) [ -z "$skill" ] || die 4 "one skill at a time; see --help." && skill="$1" ;;
  esac
  shift
done
if [ -n "$hitl" ]; then
  named="${skill%/}" named="${named##*/}"
  die 4 "the local flow has commands of its own: scripts/hitl.sh start --skill ${named:-NAME}; in Claude Code: /mega-code:skill-enhance ${named:-NAME} --hitl"
fi
[[ -z "$scope" || "$scope" == project || "$scope" == global ]] || die 4 "the scope is project or global, not '$scope'."
[[ -z "$job" || -z "$dry" ]] || die 4 "--dry-run is for a job that is not there yet; leave --poll-existing out."
[[ -z "$job" || -z "$skill" ]] || die 4 "--poll-existing names a job that knows its skill; leave '$skill' out."
[[ -z "$job" || -z "${allowed[*]-}" ]] || die 4 "--allow-secret is for a skill that is packed; leave --poll-existing out."
[[ -z "$cancel" || -z "$skill$job$dry$scope${allowed[*]-}" ]] || die 4 "--cancel names a job, and takes nothing else."
number='^[0-9]+([.][0-9]+)?$' zero='^0+([.]0+)?$'
[[ -z "$timeout" || "$timeout" =~ $number ]] || die 4 "--poll-timeout takes seconds, like 90 or 0.5, and 0 for no limit; not '$timeout'."
given="$project" project="$(project_dir "$project")"
# What the command that goes on, or starts again, is to bear too.
place=(${scope:+--scope "$scope"} ${yes:+--yes} ${timeout:+--poll-timeout "$timeout"})
[[ -z "$job" || -z "$given" ]] || place+=(--project-dir "$project")
timeout="${timeout:-1200}"
[[ ! "$timeout" =~ $zero ]] || timeout=999999999

lines='' status=0
printed="$(scratch)"
trap 'rm -f -- "$printed"' EXIT

heed() { # leaves where a signal came meanwhile
  [ -z "$signal" ] || { status="$(signal_status)" && finish; }
}

step() { # <script> [args...]; sets `lines` to what it printed, and `status`; each ends in its own way when interrupted
  heed
  set -m # without, what runs in the background would be deaf to INT
  "$MEGA_DIR/scripts/$1" "${@:2}" </dev/null >"$printed" &
  running=$! group=- status=0
  set +m
  await_job || status=$?
  lines="$(cat -- "$printed")"
}

line() { # <key>; its value in `lines`
  headline "$1" <<<"$lines"
}

if [ -n "$cancel" ]; then
  run_python "$STEP" --cancel "$cancel" --result-json "$printed" >/dev/null || status=$?
  [ ! -s "$printed" ] || "$MEGA_DIR/scripts/report.sh" "$printed" || :
  exit "$status"
fi

told() { # [<sed script>]; the report on the last step, or some of it
  [ -z "$(line RESULT_JSON)" ] ||
    "$MEGA_DIR/scripts/report.sh" "$(line RESULT_JSON)" --log "$(line LOG)" ${place[@]+"${place[@]}"} | sed "${1:-}" || :
}

finish() { # [<sed script>]; the report on the last step; its status
  told "${1:-}"
  exit "$status"
}

submit() {
  local args=(--skill-name "$skill")
  ! is_folder "$skill" || args=(--skill-dir "$(absolute "$skill")")
  step submit.sh "${args[@]}" --project-dir "$project" ${scope:+--scope "$scope"} ${allowed[@]+"${allowed[@]}"}
}

choose_skill() { # sets `skill` to its whole name, or leaves with the report on why there is none, before a gateway is started
  if ! is_folder "$skill"; then
    whole_name "$skill" "$project" >"$printed" || status=$?
    heed
    if [ "$status" -ne 0 ]; then
      [[ -n "$dry" || ! -s "$printed" ]] || "$MEGA_DIR/scripts/report.sh" "$printed" || :
      exit "$status"
    fi
    skill="$(cat -- "$printed")"
  elif [[ -z "$dry" && ! -f "$skill/SKILL.md" ]]; then
    submit
    finish
  fi
}

flow() { # a function, so that it is read before a signal is listened for: Bash fails at one that comes while it reads a $(…)
  catch_signals
  if [ -z "$job" ]; then
    [ -n "$skill" ] || skill="$(pick_skill "$project")" || exit
    choose_skill
  fi
  if [ -n "$dry" ]; then
    preview_skill "$skill" "$project" ${allowed[@]+"${allowed[@]}"}
    exit
  fi
  if needs_gateway; then
    heed
    say "no server is configured; starting the embedded gateway."
    "$MEGA_DIR/scripts/gateway.sh" start >"$printed" || exit
    say "it runs at $(cat -- "$printed"), until gateway.sh stop."
  elif [[ -n "${MEGA_CODE_MODEL:-}${MEGA_CODE_MAX_CALLS:-}${MEGA_CODE_MAX_TOKENS:-}${MEGA_CODE_MAX_COST_USD:-}" && -z "$job" ]]; then
    agree "$yes"
  fi
  step setup.sh --project-dir "$project"
  [ "$status" -eq 0 ] || exit "$status"
  MEGA_CODE_SESSION_ID="$(line MEGA_CODE_SESSION_ID)"
  export MEGA_CODE_SESSION_ID

  log=() name='' origin=''
  if [ -z "$job" ]; then
    submit
    job="$(line JOB_ID)" log=(--log "$(line LOG)")
    # What was asked for now is where it goes, whoever submitted the same content from elsewhere meanwhile.
    name="$(line SKILL_NAME)" origin="$(line ORIGINAL_SCOPE)"
    if [ "$status" -eq 2 ]; then
      job="$(line EXISTING_JOB_ID)"
      say "this content was submitted before; resuming job $job."
    elif [ "$status" -ne 0 ]; then
      finish
    fi
  fi

  step poll.sh --job-id "$job" --max-wait "$timeout" --project-dir "$project" ${log[@]+"${log[@]}"}
  [[ "$status" -eq 0 && "$(line OUTCOME)" == ready ]] || finish

  log=(--log "$(line LOG)")
  if [ -z "$name" ]; then # a job of before, whose own project counts unless another one is named
    name="$(line SKILL_NAME)" origin="$(line ORIGINAL_SCOPE)" from="$(line ORIGINAL_PROJECT)"
    [[ -n "$given" || -z "$from" ]] || project="$from"
    scope="${scope:-$(line INSTALL_LOCATION)}"
  fi
  place=(--scope "${scope:-${origin:-project}}" --project-dir "$project")
  if [ -z "$yes" ]; then
    answer='' command='/^To install: /'
    if on_terminal; then
      told "${command}d" >&2
      trap - TERM
      answer="$(pick_scope "$name" "$scope")" || { status=130 && printf '\n' >&2; }
    fi
    if [ -z "$answer" ]; then
      say "not installed."
      # Where the rest of the report stands above the question, the command is all that is left to say.
      [[ ! -t 1 ]] || ! on_terminal || finish "${command}!d"
      finish
    fi
    place[1]="$answer"
  fi
  step install.sh --job-id "$job" --skill-name "$name" "${place[@]}" "${log[@]}"
  finish
}

flow
