#!/usr/bin/env bash
# Usage: configure.sh [--server-url URL] [--mode remote|local] [--api-key-stdin]
#        configure.sh [--model MODEL] [--model-url URL] [--model-key-stdin]
#        configure.sh [--max-calls N] [--max-tokens N] [--max-cost-usd USD]
#        configure.sh --unset NAME
#        configure.sh --show
#
# Set the server, the mode and the API key, or the embedded gateway's model,
# which counts from its next job on, as do the caps on what a job may spend.
# They are kept in DATA_DIR/.env, mode 0600. Without a flag it asks. Prints what
# was set, a key masked.
#
# A server needs all three: URL, mode and key. The embedded gateway of this
# machine works where none of them is set.
#
# Options:
#   --server-url URL      the gateway's base URL
#   --mode remote|local   remote for work with a server; local for none
#   --api-key-stdin       read the API key from stdin; it is never taken from
#                         the command line
#   --model MODEL         static, claude, codex or openai:NAME, or several with
#                         commas
#   --model-url URL       the base URL of the endpoint of openai:NAME
#   --model-key-stdin     read the key of that endpoint from stdin
#   --max-calls N         the most requests of one job; 400 where not set
#   --max-tokens N        the most tokens of one job, in and out
#   --max-cost-usd USD    the most US dollars of one job
#   --unset NAME          take a setting away, such as MEGA_CODE_CLIENT_MODE;
#                         may be repeated
#   --show                change nothing; print what is in force
#   -h, --help            this text
#
# Exit: 0 set, 4 bad input.
#
# Environment:
#   MEGA_CODE_DATA_DIR   where data is kept, instead of ~/.local/share/mega-code
#
# Examples:
#   scripts/configure.sh --api-key-stdin <key.txt
#   scripts/configure.sh --model claude --max-calls 200 --max-cost-usd 2.50
#   scripts/configure.sh --unset MEGA_CODE_CLIENT_MODE
#   scripts/configure.sh --show
#
# See also: enhance.sh, gateway.sh
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"

args=()
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage ;;
  --api-key | --api-key=* | --model-key | --model-key=*)
    die 4 "a key on the command line can be read by everybody; use ${1%%=*}-stdin, or no flag and be asked."
    ;;
  --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
  --server-url | --mode | --model | --model-url | --max-calls | --max-tokens | --max-cost-usd | --unset) needs_value "$@" && args+=("$1" "$2") && shift ;;
  --api-key-stdin | --model-key-stdin | --show) args+=("$1") ;;
  --*) die 4 "unknown argument '$1'; see --help." ;;
  *) die 4 "unknown argument; a key is read with --api-key-stdin or --model-key-stdin, or asked for; see --help." ;;
  esac
  shift
done

run_python mega_code.client.configure ${args[@]+"${args[@]}"}
