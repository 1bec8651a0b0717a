#!/usr/bin/env bash
# Usage: report.sh ENVELOPE.json [--log PATH] [--scope project|global]
#                  [--project-dir DIR] [--poll-timeout S] [--yes]
#
# Say in words what an envelope (the RESULT_JSON of another script) means, and
# what to do next.
# Prints those words.
#
# Options:
#   --log PATH               the transcript to point at
#   --scope project|global   the scope of the command that installs, or that
#                            goes on with the job, where there is one to show
#   --project-dir DIR        the project of that command
#   --poll-timeout S         how long that command would wait for the job
#   --yes                    that command would not ask
#   -h, --help               this text
#
# Exit: 0 said, 4 no envelope.
#
# Examples:
#   scripts/report.sh result.json --log transcript.log
#
# See also: poll.sh, install.sh
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"

envelope='' args=()
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage ;;
  --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
  --log | --project-dir) needs_value "$@" && args+=("$1" "$(absolute "$2")") && shift ;;
  --scope | --poll-timeout) needs_value "$@" && args+=("$1" "$2") && shift ;;
  --yes) args+=("$1") ;;
  -* | '') die 4 "unknown argument '$1'; see --help." ;;
  *) [ -z "$envelope" ] || die 4 "one envelope at a time; see --help." && envelope="$(absolute "$1")" ;;
  esac
  shift
done
[ -n "$envelope" ] || die 4 "name the envelope; see --help."

run_python mega_code.client.report "$envelope" ${args[@]+"${args[@]}"}
