#!/usr/bin/env bash
# Usage: submit.sh (--skill-name NAME | --skill-dir DIR) [--project-dir DIR]
#                  [--scope project|global] [--allow-secret RELPATH]...
#                  [--session-id ID]
#
# Package a skill and upload it; poll.sh waits for the job.
# Prints LOG=, RESULT_JSON= and what came of it: OUTCOME=, JOB_ID=, SKILL_NAME=,
# STATUS=, ERROR_CODE=, …
#
# Options:
#   --skill-name NAME        a skill of the project or the global scope
#   --skill-dir DIR          a skill folder anywhere
#   --project-dir DIR        the project (default: $CLAUDE_PROJECT_DIR, else the
#                            working directory)
#   --scope SCOPE            where the result is to go; the job's record keeps
#                            that, and the project, for enhance.sh
#   --allow-secret RELPATH   pack this file of the skill although it looks like
#                            a secret; may be repeated
#   --session-id ID          the MEGA_CODE_SESSION_ID that setup.sh printed
#   -h, --help               this text
#
# Exit: 0 submitted, 2 submitted before (EXISTING_JOB_ID names that job), 4 bad
#       input, 5 authentication or network, 130 interrupted.
#
# Environment:
#   MEGA_CODE_SERVER_URL   the server, MEGA_CODE_API_KEY its key; what
#                          configure.sh wrote counts else
#   CLAUDE_PROJECT_DIR     the project, where --project-dir does not name it
#   MEGA_CODE_DATA_DIR     where data is kept, instead of
#                          ~/.local/share/mega-code
#
# Examples:
#   scripts/submit.sh --skill-name commit-message
#   scripts/submit.sh --skill-dir examples/commit-message
#
# See also: poll.sh, skills.sh, references/architecture.md
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"

project='' args=()
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage ;;
  --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
  --project-dir) needs_value "$@" && project="$2" && shift ;;
  --session-id) needs_value "$@" && export MEGA_CODE_SESSION_ID="$2" && shift ;;
  --skill-name | --allow-secret) needs_value "$@" && args+=("$1" "$2") && shift ;;
  --scope)
    needs_value "$@"
    [[ "$2" == project || "$2" == global ]] || die 4 "the scope is project or global, not '$2'."
    args+=(--install-location "$2") && shift
    ;;
  --skill-dir) needs_value "$@" && args+=("$1" "$(absolute "$2")") && shift ;;
  *) die 4 "unknown argument '$1'; see --help." ;;
  esac
  shift
done
[[ " ${args[*]-} " == *' --skill-'* ]] || die 4 "name the skill with --skill-name or --skill-dir."

remote_step result.json '' --no-wait --project-dir "$(project_dir "$project")" "${args[@]}"
