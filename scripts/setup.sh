#!/usr/bin/env bash
# Usage: setup.sh [--project-dir DIR]
#
# Check what a remote enhancement needs: a Python runtime, the server and its
# API key, the mode, the project folder.
# Prints exactly four lines: MEGA_DIR=, DATA_DIR=, PROJECT_DIR=,
# MEGA_CODE_SESSION_ID=.
#
# Options:
#   --project-dir DIR   the project (default: $CLAUDE_PROJECT_DIR, else the
#                       working directory)
#   -h, --help          this text
#
# Exit: 0 ready, 4 mode or project folder, 5 authentication or network.
#
# Environment:
#   MEGA_CODE_SERVER_URL   the server, MEGA_CODE_API_KEY its key; what
#                          configure.sh wrote counts else
#   CLAUDE_PROJECT_DIR     the project, where --project-dir does not name it
#   MEGA_CODE_DATA_DIR     where data is kept, instead of
#                          ~/.local/share/mega-code
#
# Examples:
#   scripts/setup.sh --project-dir .
#
# See also: configure.sh, submit.sh
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"

project=''
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage ;;
  --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
  --project-dir) needs_value "$@" && project="$2" && shift ;;
  *) die 4 "unknown argument '$1'; see --help." ;;
  esac
  shift
done

run_python mega_code.client.setup --project-dir "$(project_dir "$project")"
