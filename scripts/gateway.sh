#!/usr/bin/env bash
# Usage: gateway.sh start|stop|status|url
#
# The embedded gateway: a server on this machine that runs enhancement jobs.
# Prints one line.
#
# Exit: 0 done or running, else the gateway's own.
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
-h | --help) usage && exit ;;
start | stop | status | url) [ $# -eq 1 ] || die 4 "unknown argument '$2'; see --help." ;;
*) die 4 "say start, stop, status or url; see --help." ;;
esac

run_python mega_code.gateway "$1"
