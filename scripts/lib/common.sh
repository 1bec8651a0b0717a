# shellcheck shell=bash
# What the scripts share: where everything lies, usage, errors, transcripts. Sourced with `self` naming the script.

# Where a standard stream is closed, whatever is opened next would take its place.
: 3>&2 || exec 2>/dev/null
: 2>/dev/null 3>&1 || exec >/dev/null
: 2>/dev/null 3<&0 || exec </dev/null

self="${self:-$0}"
MEGA_DIR="$(CDPATH='' cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)"
[ -d "$MEGA_DIR/mega_code" ] || MEGA_DIR="${MEGA_DIR%/skills/*}" # a skill's own copy of the scripts, where links are none

say() { # <message...>
  local name="${self##*/}"
  printf '%s: %s\n' "${name%.sh}" "$*" >&2
}

die() { # <code> <message...>; silent where a signal is behind it
  local code="$1"
  shift
  [ -z "$signal" ] || exit "$(signal_status)"
  say "$*"
  exit "$code"
}

usage() { # prints the header and leaves, whether it could be written or not; a reader who has seen enough is no failure
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$self" || exit $(($? > 128 ? 0 : 5))
  exit
}

needs_value() { # <flag> [<value>...]
  [[ $# -ge 2 && -n "$2" && "$2" != --* ]] || die 4 "$1 needs a value; see --help."
}

absolute() { # <path>
  case "$1" in
  /*) printf '%s\n' "$1" ;;
  *) printf '%s\n' "$PWD/$1" ;;
  esac
}

data_dir() {
  local own="${MEGA_CODE_DATA_DIR:-}" xdg="${XDG_DATA_HOME:-}" home=~
  if [[ "${own%%/*}" == '~' ]]; then
    printf '%s\n' "$home${own:1}"
  elif [ -n "$own" ]; then
    absolute "$own"
  elif [ "${xdg:0:1}" = / ]; then
    printf '%s\n' "$xdg/mega-code"
  else
    printf '%s\n' "$home/.local/share/mega-code"
  fi
}

project_dir() { # [<given>]
  absolute "${1:-${CLAUDE_PROJECT_DIR:-$PWD}}"
}

scratch() { # [-d]; a new private file, or folder, where there may be one
  mktemp "$@" "${TMPDIR:-/tmp}/mega-code.XXXXXX" 2>/dev/null || mktemp "$@" /tmp/mega-code.XXXXXX 2>/dev/null ||
    die 4 "nothing can be written in /tmp; set TMPDIR to a folder of yours."
}

headline() { # <key>; reads KEY=value lines, prints the value of the first that fits
  sed -n "s/^$1=//p" | sed -n 1p
}

is_free() { # <path>
  [[ ! -e "$1" && ! -L "$1" ]]
}

claim() { # <path>; makes it, empty and private, or fails where anything bears that name
  is_free "$1" || return 1
  (umask 077 && set -o noclobber && : >"$1") 2>/dev/null || return 1
  [[ -f "$1" && ! -L "$1" ]]
}

open_transcript() { # <result.json|install.json> [<log to go on with>]; sets LOG and RESULT_JSON
  local stem number=1
  if [ -n "${2:-}" ]; then
    LOG="$(absolute "$2")"
    [[ "$LOG" == *.log && -f "$LOG" && ! -L "$LOG" && -O "$LOG" ]] ||
      die 4 "--log needs a .log file of yours that an earlier step printed."
    RESULT_JSON="${LOG%.log}.$1"
    until claim "$RESULT_JSON"; do # an earlier step of that kind has its own
      number=$((number + 1))
      [ "$number" -le 1000 ] || die 4 "${LOG%.log}.$1 cannot be created."
      RESULT_JSON="${LOG%.log}-$number.$1"
    done
    return
  fi
  stem="/tmp/mega-code-enhance-$(date +%Y%m%d-%H%M%S)"
  LOG="$stem.log"
  until is_free "${LOG%.log}.result.json" && is_free "${LOG%.log}.install.json" && claim "$LOG"; do
    number=$((number + 1))
    [ "$number" -le 1000 ] || die 4 "$stem.log cannot be created."
    LOG="$stem-$number.log"
  done
  RESULT_JSON="${LOG%.log}.$1"
  claim "$RESULT_JSON" || die 4 "$RESULT_JSON cannot be written."
}

STEP=mega_code.client.remote_enhance          # what a step runs
HEADLINE=(mega_code.client.report --headline) # what tells its envelope

remote_step() { # <result.json|install.json> <log to go on with, or ''> [args...]; runs the step, tells its envelope, leaves
  local status=0
  catch_signals
  open_transcript "$1" "$2"
  shift 2
  run_logged "$LOG" "$STEP" "$@" --result-json "$RESULT_JSON" || status=$?
  trap '' INT TERM # the outcome is known, and has to be said
  hears=self
  printf 'LOG=%s\nRESULT_JSON=%s\n' "$LOG" "$RESULT_JSON"
  if [ -s "$RESULT_JSON" ]; then
    run_python "${HEADLINE[@]}" "$RESULT_JSON" || say "the result cannot be read; see $LOG."
  else
    say "the command ended with status $status and no result; see $LOG."
  fi
  exit "$status"
}

DATA_DIR="$(data_dir)"
# shellcheck source=scripts/lib/python.sh
. "$MEGA_DIR/scripts/lib/python.sh"
