#!/usr/bin/env bash
# Usage: complete.sh INDEX WORD...
#
# What may stand at the word INDEX of a command line that begins with one of our scripts, or with mega-code and a
# command, one a line. All of it comes from the script's own header, which its --help prints. Prints nothing where it is
# no script of ours, or where a path is meant: the shell completes that by itself.
#
# Exit: 0.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
scripts="$MEGA_DIR/scripts"

plain() { # <word as it was typed>; without quotes and backslashes, and with a home for a tilde
  local word="$1" home=~
  word="${word//[\"\'\\]/}"
  case "$word" in '~'*) word="$home${word:1}" ;; esac
  printf '%s\n' "$word"
}

ours() { # <command>; the script of ours that it is, through any link; fails for another
  local found name="${1##*/}"
  found="$(command -v -- "$1")" || return
  [[ -f "$scripts/$name" && "$found" -ef "$scripts/$name" ]] || return
  printf '%s\n' "$scripts/$name"
}

header() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$script"; }

entry() { # <command>; what its table of commands says of it
  header | sed -n '/^Commands:/,/^$/p' | awk -v name="$1" '/^  [a-z]/ { on = $1 == name } on'
}

flags() { # those of the command that is typed, where it is one, else all
  local own=''
  [ "$index" -lt 2 ] || own="$(entry "${words[1]}")"
  if [ -n "$own" ]; then
    printf '%s\n' "$own" && header | sed -n '/^Options:/,/^$/p'
  else
    header | sed -n '/^Examples:/q;p'
  fi | grep -oE -- '--[a-z][a-z-]*' | sort -u
}

value_of() { # <flag>; what the header puts behind it, the first time that is something
  header | grep -oE -- "$1 [A-Za-z][A-Za-z._|-]*" | sed -n "s/^$1 //p" | grep -E '^[A-Z_.]+$|\|' | sed -n 1p
}

commands() { # of a script that has some: the names in its table, or behind its own name
  header | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p'
  [ "${script##*/}" != enhance.sh ] || printf 'doctor\n'
}

skills() { # of the project that is named, else of the one we are in, and of the person
  local project="${CLAUDE_PROJECT_DIR:-$PWD}" index path
  for ((index = 1; index < ${#words[@]}; index++)); do
    [ "${words[index - 1]}" != --project-dir ] || project="$(plain "${words[index]}")"
  done
  for path in "$project"/.claude/skills/*/SKILL.md ~/.claude/skills/*/SKILL.md; do
    [ ! -f "$path" ] || printf '%s\n' "$path"
  done | sed 's|/SKILL.md$||; s|.*/||' | grep -E '^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$' | sort -u
}

jobs_known() {
  local path
  for path in "$DATA_DIR"/enhancements/*.job.json; do
    [ ! -f "$path" ] || printf '%s\n' "$path"
  done | sed 's|\.job\.json$||; s|.*/||'
}

values() { # <flag>
  local value
  value="$(value_of "$1")"
  case "$1 $value" in
  '--job-id '* | '--poll-existing '* | '--cancel '*) jobs_known ;;
  *' NAME' | *' SKILL') skills ;;
  '--model '*) printf '%s\n' static claude codex openai: ;;
  *'|'*) tr '|' '\n' <<<"$value" ;;
  esac
}

positional() { # what stands where no flag is asked for
  case "${script##*/} $index ${words[1]-}" in
  enhance.sh\ 1\ *) commands && skills ;;
  enhance.sh\ *\ doctor | gateway.sh\ [2-9]*) ;;
  enhance.sh\ * | skills.sh\ 2\ resolve | skills.sh\ 2\ cached) skills ;;
  *\ 1\ *) commands ;;
  esac
}

programs() { # what mega-code takes for a command
  local script
  for script in "$scripts"/*.sh; do printf '%s\n' "$script"; done | sed 's|.*/||; s|\.sh$||'
  printf '%s\n' path --help --version
}

index="$1" script=''
shift
words=("$@")
if [[ "${words[0]##*/}" == mega-code && "$index" -gt 1 ]]; then
  words=("$scripts/${words[1]}.sh" "${@:3}") index=$((index - 1))
fi
[ "${words[0]##*/}" = mega-code ] || script="$(ours "$(plain "${words[0]-}")")" || exit 0
current="${words[index]-}" previous="${words[index - 1]-}" prefix=''
case "$current" in
--*=*) prefix="${current%%=*}=" previous="${current%%=*}" current="${current#*=}" ;;
esac
{
  if [ -z "$script" ]; then
    programs
  elif [[ "$previous" == --* && -n "$(value_of "$previous")" ]]; then
    values "$previous"
  elif [[ "$current" == -* ]]; then
    flags
  else
    positional
  fi || :
} | while IFS= read -r candidate; do
  [[ "$candidate" != "$current"* ]] || printf '%s%s\n' "$prefix" "$candidate"
done
