#!/usr/bin/env bash
# Usage: poll.sh --job-id ID [--max-wait S] [--poll-timeout S]
#                [--project-dir DIR] [--log PATH] [--session-id ID]
#
# Wait for a job; when it is done, download and verify what it made.
# Prints LOG=, RESULT_JSON= and what came of it: OUTCOME=, JOB_ID=, SKILL_NAME=,
# STATUS=, ARTIFACT_KIND=, …
#
# Options:
#   --job-id ID         the job, as submit.sh printed it
#   --max-wait S        seconds to wait in this call (default 540); 0 looks once
#   --poll-timeout S    seconds that are left to wait in all calls together; 0:
#                       no limit. Where the job is not done, one more line says
#                       what is left for the next call: TIME_LEFT=S, or
#                       TIME_LEFT=none
#   --project-dir DIR   the project (default: $CLAUDE_PROJECT_DIR, else the
#                       working directory)
#   --log PATH          go on with the transcript of an earlier step
#   --session-id ID     the MEGA_CODE_SESSION_ID that setup.sh printed
#   -h, --help          this text
#
# Exit: 0 finished, 3 not yet (run it again), 4 bad input, 5 authentication or
#       network, 130 interrupted.
#
# Environment:
#   MEGA_CODE_SERVER_URL   the server, MEGA_CODE_API_KEY its key; what
#                          configure.sh wrote counts else
#   CLAUDE_PROJECT_DIR     the project, where --project-dir does not name it
#   MEGA_CODE_DATA_DIR     where data is kept, instead of
#                          ~/.local/share/mega-code
#   NO_COLOR               no colours on a terminal
#
# Examples:
#   scripts/poll.sh --job-id 3f2504e0-4f89-11d3-9a0c-0305e82c3301 --max-wait 60
#
# See also: submit.sh, install.sh, references/architecture.md
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"

job='' max_wait=540 timeout='' project='' log=''
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage ;;
  --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
  --job-id) needs_value "$@" && job="$2" && shift ;;
  --max-wait) needs_value "$@" && max_wait="$2" && shift ;;
  --project-dir) needs_value "$@" && project="$2" && shift ;;
  --poll-timeout) needs_value "$@" && timeout="$2" && shift ;;
  --log) needs_value "$@" && log="$2" && shift ;;
  --session-id) needs_value "$@" && export MEGA_CODE_SESSION_ID="$2" && shift ;;
  *) die 4 "unknown argument '$1'; see --help." ;;
  esac
  shift
done
[ -n "$job" ] || die 4 "name the job with --job-id."
number='^[0-9]+([.][0-9]+)?$'
[[ "$max_wait" =~ $number ]] || die 4 "--max-wait takes seconds, like 90 or 0.5; not '$max_wait'."
if [ -n "$timeout" ]; then
  [[ "$timeout" =~ $number ]] || die 4 "--poll-timeout takes seconds, like 90 or 0.5; not '$timeout'."
  slice='BEGIN { if (all == 0) print here, 0; else if (all > here) printf "%s %.10g\n", here, all - here; else print all, "none" }'
  read -r max_wait left < <(LC_ALL=C awk -v all="$timeout" -v here="$max_wait" "$slice")
  trap '[ $? -ne 3 ] || printf "TIME_LEFT=%s\n" "$left"' EXIT
fi
zero='^0+[.]?0*$'
[[ ! "$max_wait" =~ $zero ]] || max_wait=0.001 # the module's own 0 waits for ever

remote_step result.json "$log" --poll-existing "$job" --poll-timeout "$max_wait" --project-dir "$(project_dir "$project")"
