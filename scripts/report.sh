#!/usr/bin/env bash
# Usage: report.sh ENVELOPE.json [--log PATH]
#
# Say in words what an envelope (the RESULT_JSON of another script) means, and what to do next.
# Prints those words.
#
#   --log PATH   the transcript to point at
#
# Exit: 0 said, 4 no envelope.
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"

envelope='' log=()
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage && exit ;;
  --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
  --log) needs_value "$@" && log=(--log "$(absolute "$2")") && shift ;;
  -* | '') die 4 "unknown argument '$1'; see --help." ;;
  *) [ -z "$envelope" ] || die 4 "one envelope at a time; see --help." && envelope="$(absolute "$1")" ;;
  esac
  shift
done
[ -n "$envelope" ] || die 4 "name the envelope; see --help."

run_python mega_code.client.report "$envelope" ${log[@]+"${log[@]}"}
