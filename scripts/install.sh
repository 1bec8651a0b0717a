#!/usr/bin/env bash
# Usage: install.sh --job-id ID --skill-name NAME --scope project|global
#                   [--project-dir DIR] [--log PATH] [--session-id ID]
#        install.sh --undo (BACKUP_DIR | --skill-name NAME)
#                   [--project-dir DIR] [--log PATH]
#        install.sh --cleanup-original PATH [--project-dir DIR] [--log PATH]
#
# Install what poll.sh fetched, undo an install, or remove a copy that is in the
# way; what was there goes to a backup.
# Prints LOG=, RESULT_JSON= and what came of it: OUTCOME=, INSTALLED_PATH=,
# BACKUP_PATH=, ACTIVE=, SHADOWED_BY=, …
#
# Options:
#   --job-id ID              the job whose result to install
#   --skill-name NAME        the name to install it under
#   --scope SCOPE            project: DIR/.claude/skills/NAME; global:
#                            ~/.claude/skills/NAME
#   --undo                   put the backup BACKUP_DIR back, or what the newest
#                            install of NAME replaced, of those that are not
#                            undone yet
#   --cleanup-original PATH  the skill to move into a backup: its folder or its
#                            SKILL.md
#   --project-dir DIR        the project (default: $CLAUDE_PROJECT_DIR, else the
#                            working directory)
#   --log PATH               go on with the transcript of an earlier step
#   --session-id ID          the MEGA_CODE_SESSION_ID that setup.sh printed
#   -h, --help               this text
#
# Exit: 0 done, 4 bad input or nothing changed, 5 authentication or network, 130
#       interrupted.
#
# Environment:
#   CLAUDE_PROJECT_DIR   the project, where --project-dir does not name it
#   MEGA_CODE_DATA_DIR   where data is kept, instead of ~/.local/share/mega-code
#
# Examples:
#   scripts/install.sh --job-id 3f2504e0-4f89-11d3-9a0c-0305e82c3301 \
#       --skill-name commit-message --scope project
#   scripts/install.sh --undo --skill-name commit-message
#   scripts/install.sh --cleanup-original ~/.claude/skills/commit-message
#
# See also: poll.sh, report.sh, references/architecture.md
set -euo pipefail
self="$0"
while [ -L "$self" ]; do
  link="$(readlink "$self")"
  [[ "$link" == /* ]] || link="$(dirname "$self")/$link"
  self="$link"
done
# shellcheck source=scripts/lib/common.sh
. "$(dirname "$self")/lib/common.sh"

job='' name='' scope='' project='' log='' undo='' backup='' cleanup=''
while [ $# -gt 0 ]; do
  case "$1" in
  -h | --help) usage ;;
  --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
  --job-id) needs_value "$@" && job="$2" && shift ;;
  --skill-name) needs_value "$@" && name="$2" && shift ;;
  --scope) needs_value "$@" && scope="$2" && shift ;;
  --project-dir) needs_value "$@" && project="$2" && shift ;;
  --log) needs_value "$@" && log="$2" && shift ;;
  --session-id) needs_value "$@" && export MEGA_CODE_SESSION_ID="$2" && shift ;;
  --cleanup-original) needs_value "$@" && cleanup="$2" && shift ;;
  --undo) undo=yes ;;
  -* | '') die 4 "unknown argument '$1'; see --help." ;;
  *) [[ -n "$undo" && -z "$backup" ]] || die 4 "unknown argument '$1'; see --help." && backup="$(absolute "$1")" ;;
  esac
  shift
done
project="$(project_dir "$project")"

if [ -n "$cleanup" ]; then
  [ -z "$job$name$scope$undo" ] || die 4 "--cleanup-original takes a path, and nothing else."
  remote_step install.json "$log" --cleanup-original "$(absolute "$cleanup")" --project-dir "$project"
fi
if [ -n "$undo" ]; then
  [[ -z "$job$scope" && ! (-n "$backup" && -n "$name") ]] || die 4 "--undo takes a backup folder or --skill-name, and nothing else."
  [ -n "$backup$name" ] || die 4 "say what to undo: a backup folder, or --skill-name NAME."
  set -- --restore-backup "${backup:-latest}" --project-dir "$project"
  [ -z "$name" ] || set -- "$@" --skill-name "$name"
  remote_step install.json "$log" "$@"
fi
[ -n "$job" ] || die 4 "name the job with --job-id."
[ -n "$name" ] || die 4 "name the skill with --skill-name."
[[ "$scope" == project || "$scope" == global ]] || die 4 "say where to install with --scope project or --scope global."

remote_step install.json "$log" --install-existing "$job" --install-location "$scope" --skill-name "$name" --project-dir "$project"
