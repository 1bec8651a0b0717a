#!/usr/bin/env bash
# Usage: gateway.sh start|stop|status|url
#
# The embedded gateway: a server on this machine that runs enhancement jobs.
# Prints one line.
#
# Commands:
#   start    start it in the background, unless it runs, and print its URL
#   stop     stop it
#   status   say whether it runs
#   url      print its URL
#
# Options:
#   -h, --help   this text
#
# Exit: 0 done or running, 3 with status and url: none runs, 4 bad input, 5 it
#       cannot be started or does not answer.
#
# Environment:
#   MEGA_CODE_MODEL      what a gateway that is started measures with, instead
#                        of what configure.sh set
#   MEGA_CODE_DATA_DIR   where data is kept, instead of ~/.local/share/mega-code
#
# Examples:
#   scripts/gateway.sh start
#   scripts/gateway.sh status
#   scripts/gateway.sh stop
#
# See also: configure.sh, enhance.sh
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"

case "${1:-}" in
-h | --help) usage ;;
start | stop | status | url) [ $# -eq 1 ] || die 4 "unknown argument '$2'; see --help." ;;
*) die 4 "say start, stop, status or url; see --help." ;;
esac

run_python mega_code.gateway "$1"
