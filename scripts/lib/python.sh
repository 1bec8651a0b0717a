# shellcheck shell=bash
# Which Python runs our modules, and how: sourced by common.sh.
#
# MEGA_CODE_PYTHON, which `mega-code` sets to its own; else uv where it is there; else the bundle's own virtual
# environment; else the Python on PATH. None is asked first whether it has the packages: a module that misses one ends
# with status 97 before it has read or said anything, and only then the virtual environment is made and the module
# started again in it. Where that environment itself misses one, as after an upgrade of the Python below it, it is made
# anew. Nobody else ever sees status 97.
#
# Where spans are wanted, uv's environment, or a virtual environment of its own, has the packages for them too; where
# those cannot be had, it goes on without.

MISSING_PACKAGES=97
VENV="$DATA_DIR/runtime/venv"
launcher=()      # the command that starts Python, once chosen
hears=foreground # Ctrl+C ends a command that is begun; with `self` it listens, or does not, by itself
extras=(--extra gateway --extra optimize)
spans='' # -spans where they are wanted

with_spans() { # whether a collector is named, in the environment or the settings, and spans are not switched off
  [[ "${OTEL_SDK_DISABLED:-}" != [tT][rR][uU][eE] && "${OTEL_TRACES_EXPORTER:-otlp}" == *otlp* ]] || return 1
  [[ -n "${OTEL_EXPORTER_OTLP_ENDPOINT:-}${OTEL_EXPORTER_OTLP_TRACES_ENDPOINT:-}" ]] ||
    [[ -f "$DATA_DIR/.env" && -n "$(sed -nE '/^[[:space:]]*(export[[:space:]]+)?OTEL_EXPORTER_OTLP_(TRACES_)?ENDPOINT[[:space:]]*=/p' "$DATA_DIR/.env")" ]]
}

want_spans() {
  spans=-spans VENV="$DATA_DIR/runtime/venv-spans"
  extras+=(--extra telemetry)
}

forgo_spans() { # or fails where none were wanted
  [ -n "$spans" ] || return 1
  spans='' VENV="$DATA_DIR/runtime/venv"
  extras=(--extra gateway --extra optimize)
}

lately() { # <file>; whether it was written a moment ago
  [ -n "$(find "$1" -mmin -10 2>/dev/null)" ]
}

requirements() { # what install_requires and the extras name, one a line
  awk -v names="install_requires|gateway|optimize${spans:+|telemetry}" '/^[^ \t]/ { on = 0 }
    $0 ~ "^(    )?(" names ") *=" { on = 1; next } !/^    / { on = 0 }
    on && NF { sub(/^ +/, ""); print }' "$MEGA_DIR/setup.cfg"
}

run_python() { # <module> [args...]; its stdin, stdout, stderr and status are the module's
  local status=0
  [ -n "${launcher[0]-}" ] || choose_python
  (trap '' INT && start_python "$@") || status=$?
  if [ "$status" -eq "$MISSING_PACKAGES" ]; then
    make_venv
    status=0
    (trap '' INT && start_python "$@") || status=$?
  fi
  own_status "$status"
}

own_status() { # <status>; the module's own, or leaves with 5 where the packages cannot be brought
  [ "$1" -ne "$MISSING_PACKAGES" ] || die 5 "the Python packages in $VENV cannot be used; remove that folder, and run this again."
  return "$1"
}

# `-m` looks into the working directory first: that is ours, never the person's project, and whatever PYTHONSAFEPATH says.
start_python() { # <module> [args...]; takes the place of the subshell it is called in
  cd -- "$MEGA_DIR" || exit 5
  unset PYTHONSAFEPATH
  [ -z "${MEGA_CODE_DATA_DIR:-}" ] || MEGA_CODE_DATA_DIR="$DATA_DIR"
  export MEGA_CODE_LAUNCHER="$hears" # we know what status 97 asks for
  exec "${launcher[@]}" -m "$@"
}

look_only='' # set by a doctor, who takes what is ready and prepares nothing

PYTHONS=(python3 python python3.13 python3.12 python3.11 python3.10 python3.9)

on_path() { # whether there is any; sets `python` to it
  for python in "${PYTHONS[@]}"; do
    ! command -v "$python" >/dev/null || return 0
  done
  return 1
}

choose_python() {
  local python
  ! with_spans || want_spans
  if [ -n "${MEGA_CODE_PYTHON:-}" ]; then
    command -v "$MEGA_CODE_PYTHON" >/dev/null || [ -n "$look_only" ] ||
      die 5 "MEGA_CODE_PYTHON names $MEGA_CODE_PYTHON, which cannot be run; unset it, or name a Python 3.9 or later."
    launcher=("$MEGA_CODE_PYTHON")
  elif command -v uv >/dev/null && prepare_uv; then
    launcher=(uv run --quiet --no-sync --directory "$MEGA_DIR" "${extras[@]}" python)
  elif is_complete; then
    launcher=("$VENV/bin/python")
  elif on_path; then
    launcher=("$python")
  else
    die 5 "there is no Python on PATH; install Python 3.9 or later, or uv."
  fi
}

is_complete() { # whether VENV has what is wanted
  [[ -x "$VENV/bin/python" && "$(cat -- "$VENV/complete" 2>/dev/null)" == "$(requirements)" ]]
}

prepare_uv() { # whether uv's environment is ready; uv's own failures share status 2 with the contract, hence a marker
  local environment="${UV_PROJECT_ENVIRONMENT:-.venv}" failed="$DATA_DIR/runtime/uv-failed$spans" ready without=uv
  [ -z "$spans" ] || without='those for spans'
  [[ "$environment" == /* ]] || environment="$MEGA_DIR/$environment"
  ready="$environment/mega-code-ready$spans"
  [[ ! -e "$ready" || "$MEGA_DIR/setup.cfg" -nt "$ready" ]] || return 0
  if [ -z "$look_only" ] && ! lately "$failed"; then
    mkdir -p -- "$DATA_DIR/runtime" 2>/dev/null || die 5 "'$DATA_DIR/runtime' cannot be made; MEGA_CODE_DATA_DIR can name another folder."
    if uv sync --quiet --inexact --no-install-project "${extras[@]}" --directory "$MEGA_DIR" >"$failed" 2>&1; then
      rm -f -- "$failed"
      : >"$ready"
      return 0
    fi
    say "uv could not install the Python packages ($failed says why); going on without $without."
  fi
  forgo_spans && prepare_uv
}

make_venv() { # builds VENV where it is not complete or does not work, or leaves with 5; from then on it is what runs
  local python requirement wanted=() status=0
  if [ "${launcher[0]}" != "$VENV/bin/python" ] && is_complete; then # else it is what misses them, whatever it says
    launcher=("$VENV/bin/python") && return
  fi
  if lately "$VENV.failed" && forgo_spans && is_complete; then
    launcher=("$VENV/bin/python") && return
  fi
  for python in "${MEGA_CODE_PYTHON:-python3}" "${PYTHONS[@]}" ''; do
    ! "${python:-false}" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null || break
  done
  [ -n "$python" ] || die 5 "no Python 3.9 or later with the venv module is on PATH; install one (Debian: python3-venv), or uv."
  while IFS= read -r requirement; do wanted+=("$requirement"); done < <(requirements)
  "$python" -I "$MEGA_DIR/scripts/lib/make_venv.py" "$VENV" "${wanted[@]}" || status=$?
  [ "$status" -lt 128 ] || exit "$status"
  [ "$status" -ne 5 ] || exit 5 # which is said
  if [[ "$status" -ne 0 && -n "$spans" ]]; then
    say "the Python packages for spans could not be installed; going on without."
    : >"$VENV.failed"
    make_venv
    return
  fi
  [ "$status" -eq 0 ] || die 5 "the Python packages could not be installed; is there a network? By hand: python3 -m pip install requests PyYAML bottle waitress"
  launcher=("$VENV/bin/python")
}

# Where stderr is a terminal, the module is handed it, and the transcript, as open descriptors: it rewrites a line in place
# on the one, and writes plain lines to the other. What comes through the pipe still goes to both.
run_logged() { # <log> <module> [args...]; stderr to the log and the terminal, stdout to the log's end; the module's status
  local log="$1" pipe tee status=0
  shift
  exec 5>&2 6>>"$log"
  unset MEGA_CODE_TERMINAL
  [ ! -t 2 ] || export MEGA_CODE_TERMINAL='5 6'
  [ -n "${launcher[0]-}" ] || choose_python
  # Said out, since `set -e` does not count where the status is asked for.
  pipe="$(scratch -d)" || exit
  mkfifo "$pipe/stderr" || die 4 "no pipe can be made in $pipe."
  # shellcheck disable=SC2094
  exec 3<>"$pipe/stderr" 4<"$pipe/stderr" 7>"$pipe/stdout" 8<"$pipe/stdout"
  rm -r -- "$pipe"
  (trap '' INT TERM && exec tee -i -a "$log" <&4 >&2 3>&- 4<&- 5>&- 6>&- 7>&- 8<&-) &
  tee=$!
  exec 4<&-
  supervise "$@" >&7 2>&3 || status=$?
  if [ "$status" -eq "$MISSING_PACKAGES" ]; then
    trap - INT TERM
    make_venv 2>&3
    status=0
    supervise "$@" >&7 2>&3 || status=$?
  fi
  exec 3>&- 5>&- 6>&- 7>&-
  while kill -0 "$tee" 2>/dev/null; do nap 0.02; done
  cat <&8 >>"$log" # behind all that tee had yet to write
  exec 8<&-
  # A module that was killed has left its line.
  [[ ! -t 2 || "$status" -le 128 || "${TERM:-dumb}" == dumb ]] || printf '\r\033[J' >&2
  unset MEGA_CODE_TERMINAL
  own_status "$status"
}

# Ignored around the start, so that the module is never ended before it listens by itself.
supervise() { # <module> [args...]; its status, with INT and TERM passed on to it
  local hears=self
  trap '' INT TERM
  (start_python "$@") </dev/null 3>&- &
  running=$!
  await_job
}

running='' group='' signal='' # what is waited for, a minus where its whole group is meant, and which of INT and TERM came

catch_signals() { # INT and TERM, however they arrive, are noted, and passed on to what is waited for
  trap 'pass_on INT' INT
  trap 'pass_on TERM' TERM
}

signal_status() {
  case "$signal" in
  INT) printf '130\n' ;;
  TERM) printf '143\n' ;;
  esac
}

pass_on() { # <signal>
  signal="$1"
  [ -z "$running" ] || kill -s "$1" -- "$group$running" 2>/dev/null || :
}

nap() { # <seconds>; a whole one where sleep knows no fractions; a signal may cut it short
  sleep "$1" 2>/dev/null || [ $? -gt 128 ] || sleep 1 || :
}

# Bash can wait for ever for what dies just as it begins to wait, so nothing is waited for before it is gone. A signal is
# said again until it is heard, since what is only starting does not listen yet.
await_job() { # waits for the own end of what runs; its status
  local rounds=0 pause=0.05 status=0
  catch_signals
  while kill -0 "$running" 2>/dev/null; do
    [ -z "$signal" ] || kill -s "$signal" -- "$group$running" 2>/dev/null || :
    [[ -z "$signal" && "$rounds" -lt 40 ]] || pause=0.2
    rounds=$((rounds + 1))
    nap "$pause"
  done
  wait "$running" 2>/dev/null || status=$?
  running=''
  return "$status"
}
