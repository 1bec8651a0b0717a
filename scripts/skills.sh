#!/usr/bin/env bash
# Usage: skills.sh list [--all] [--project-dir DIR] [--session-id ID]
#        skills.sh resolve NAME [--project-dir DIR] [--session-id ID]
#        skills.sh cached NAME [--session-id ID]
#        skills.sh backups [NAME] [--session-id ID]
#
# Which skills there are, what stands in one, which enhanced versions of one are
# staged here, and what was replaced or removed.
# Prints one JSON line.
#
# Commands:
#   list      the skills of the project, the person, and pending ones; --all:
#             those of other authors too
#   resolve   one skill, by its name or by the start of it
#   cached    what can be installed without asking a server
#   backups   what was replaced or removed, newest first; install.sh puts one
#             back
#
# Options:
#   --all               with list: skills of other authors too
#   --project-dir DIR   the project (default: $CLAUDE_PROJECT_DIR, else the
#                       working directory)
#   --session-id ID     the MEGA_CODE_SESSION_ID that setup.sh printed
#   -h, --help          this text
#
# Exit: 0 found, 4 bad input or no such skill.
#
# Environment:
#   CLAUDE_PROJECT_DIR   the project, where --project-dir does not name it
#   MEGA_CODE_DATA_DIR   where data is kept, instead of ~/.local/share/mega-code
#
# Examples:
#   scripts/skills.sh list --all
#   scripts/skills.sh resolve commit
#   scripts/skills.sh cached commit-message
#
# See also: submit.sh, install.sh
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"

what="${1:-}" name='' project='' all=()
case "$what" in
-h | --help) usage ;;
list | resolve | cached | backups) shift ;;
*) die 4 "say list, resolve, cached or backups; see --help." ;;
esac
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage ;;
  --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
  --project-dir) needs_value "$@" && project="$2" && shift ;;
  --session-id) needs_value "$@" && export MEGA_CODE_SESSION_ID="$2" && shift ;;
  --all) all=(--all) ;;
  -* | '') die 4 "unknown argument '$1'; see --help." ;;
  *) [[ -z "$name" && "$what" != list ]] || die 4 "unknown argument '$1'; see --help." && name="$1" ;;
  esac
  shift
done
[[ -n "$name" || "$what" == list || "$what" == backups ]] || die 4 "name the skill: skills.sh $what NAME."
project="$(project_dir "$project")"

case "$what" in
list) run_python mega_code.client.skill_enhance_helper list-skills ${all[@]+"${all[@]}"} --project-dir "$project" ;;
resolve) run_python mega_code.client.skill_enhance_helper resolve-skill --name "$name" --project-dir "$project" ;;
cached) run_python mega_code.client.remote_enhance --list-cached --skill-name "$name" ;;
backups) run_python mega_code.client.remote_enhance --list-backups ${name:+--skill-name "$name"} --project-dir "$project" ;;
esac
