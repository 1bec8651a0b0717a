#!/usr/bin/env bash
# Usage: hitl.sh COMMAND --skill NAME [--iteration N] [--project-dir DIR]
#                [--log PATH] [option...]
#
# The local flow, with a person in the loop: measure a skill, grade, review,
# draft, accept. One command a step:
#
# Commands:
#   start            begin the next iteration with a copy of the skill;
#                    --allow-secret RELPATH: copy that file too
#   check-cases      check test-cases.json
#   audit            look for red flags; --decision continue|skip: keep what the
#                    person said to them
#   run              run every case with and without the skill: --model MODEL,
#                    --repeats N, --max-wait S (run it again to go on); --plan:
#                    only say what that takes at most
#   check-gradings   check gradings.json against the outputs
#   aggregate        work out benchmark.json and benchmark.md
#   review           open the review page: --blind; --static FILE: write it to a
#                    file instead
#   stop-review      close the review page
#   accept           install draft-skill.md; --text draft|measured: measured is
#                    the text that was measured, stamped with its figures
#   undo             put back what accept replaced
#   history          every iteration, its figures and decisions
#   publish          store what was accepted on the configured server
#
# Prints LOG=, RESULT_JSON= and what came of it: OUTCOME=, ITERATION_DIR=,
# ERROR_CODE=, …
#
# Options:
#   --skill NAME        the skill; start takes the beginning of its name too
#   --iteration N       which iteration (default: the newest)
#   --project-dir DIR   the project (default: $CLAUDE_PROJECT_DIR, else the
#                       working directory)
#   --log PATH          go on with the transcript of an earlier step
#   -h, --help          this text
#
# Exit: 0 done, 3 not done in time (run it again), 4 bad input or refused, 5 no
#       answer, 130 interrupted.
#
# Environment:
#   CLAUDE_PROJECT_DIR   the project, where --project-dir does not name it
#   MEGA_CODE_DATA_DIR   where data is kept, instead of ~/.local/share/mega-code
#   NO_COLOR             no colours on a terminal
#
# Examples:
#   scripts/hitl.sh start --skill commit-message
#   scripts/hitl.sh run --skill commit-message --plan
#   scripts/hitl.sh run --skill commit-message --model claude --repeats 3
#   scripts/hitl.sh accept --skill commit-message --text measured
#
# See also: enhance.sh, references/hitl/workspace.md
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"

what="${1:-}" project='' log='' args=()
case "$what" in
-h | --help) usage ;;
start | check-cases | audit | run | check-gradings | aggregate | review | stop-review | accept | undo | history | publish) shift ;;
*) die 4 "say which step: start, check-cases, audit, run, check-gradings, aggregate, review, stop-review, accept, undo, history or publish; see --help." ;;
esac
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage ;;
  --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
  --project-dir) needs_value "$@" && project="$2" && shift ;;
  --log) needs_value "$@" && log="$2" && shift ;;
  --static) needs_value "$@" && args+=("$1" "$(absolute "$2")") && shift ;;
  --skill | --iteration | --allow-secret | --decision | --model | --repeats | --max-wait | --text) needs_value "$@" && args+=("$1" "$2") && shift ;;
  --plan | --blind) args+=("$1") ;;
  *) die 4 "unknown argument '$1'; see --help." ;;
  esac
  shift
done
[[ " ${args[*]-} " == *' --skill '* ]] || die 4 "name the skill with --skill."

# shellcheck disable=SC2034 # remote_step reads them
STEP=mega_code.hitl HEADLINE=(mega_code.hitl.lines)
if [ "$what" = publish ]; then
  STEP=mega_code.client.publish
  remote_step result.json "$log" "${args[@]}"
fi
remote_step result.json "$log" "$what" --project-dir "$(project_dir "$project")" "${args[@]}"
