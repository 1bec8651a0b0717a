#!/usr/bin/env bash
# Usage: args.sh <<'ARGS'
#        [<skill-name>] [--hitl] [--poll-timeout <s>] [--poll-existing <job-id>]
#        ARGS
#
# Read the raw arguments of the slash command on stdin and check them; no shell
# ever sees them as code.
# Prints HITL=, SKILL_NAME=, POLL_TIMEOUT=, JOB_ID= and RESIDUAL_ARGS=.
#
# Options:
#   -h, --help   this text
#
# Exit: 0 understood, 4 not.
#
# Examples:
#   scripts/args.sh <<<'commit-message --poll-timeout 60'
#
# See also: setup.sh, submit.sh
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"

while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage ;;
  *) die 4 "the arguments are read from stdin, not '$1'; see --help." ;;
  esac
done

run_python mega_code.client.arguments
