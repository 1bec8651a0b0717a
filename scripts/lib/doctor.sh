# shellcheck shell=bash
# What enhance.sh does as a doctor: it only looks, so nothing is installed, prepared or written on the way.

doctor() { # [args...]; prints what is found and what is missing, and leaves with the status of the first thing missing
  local project='' python status
  while [ $# -gt 0 ]; do
    case "$1" in
    -h | --help) usage ;;
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
    --project-dir) needs_value "$@" && project="$2" && shift ;;
    *) die 4 "doctor takes --project-dir, and nothing else; see --help." ;;
    esac
    shift
  done
  # shellcheck disable=SC2034 # prepare_uv reads it
  look_only=yes
  export PYTHONDONTWRITEBYTECODE=1
  for python in chosen "${PYTHONS[@]}"; do
    case "$python" in
    chosen)
      has_python || continue
      choose_python
      ;;
    *) launcher=("$python") ;;
    esac
    command -v "${launcher[0]}" >/dev/null || continue
    status=0
    (trap '' INT && start_python mega_code.client.doctor --project-dir "$(project_dir "$project")") || status=$?
    [ "$status" -eq "$MISSING_PACKAGES" ] || exit "$status" # else it is too old to read it
  done
  printf 'missing  Python       none of version 3.9 or later is on PATH\n                      run: %s\n' "$(install_python)"
  printf '\nMissing: Python.\n'
  exit 5
}

has_python() {
  local python
  [[ -n "${MEGA_CODE_PYTHON:-}" || -x "$VENV/bin/python" ]] || on_path
}

install_python() {
  if command -v uv >/dev/null; then
    printf 'uv python install\n'
  elif command -v brew >/dev/null; then
    printf 'brew install python3\n'
  elif command -v apt-get >/dev/null; then
    printf 'sudo apt-get install python3 python3-venv\n'
  elif command -v dnf >/dev/null; then
    printf 'sudo dnf install python3\n'
  else
    printf "your system's installer, for Python 3.9 or later\n"
  fi
}
