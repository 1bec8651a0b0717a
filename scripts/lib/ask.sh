# shellcheck shell=bash
# What enhance.sh finds out or asks on its way: the questions on stderr, the answer on stdout.

on_terminal() { # whether there is somebody to ask
  [[ -t 0 && -t 2 ]]
}

needs_gateway() { # whether nothing of a server is configured and the embedded gateway does not run
  local shown
  shown="$(run_python mega_code.client.configure --show)" || return 1 # setup.sh says what is wrong, as of half a server
  [ -z "$(headline MEGA_CODE_SERVER_URL <<<"$shown")$(headline MEGA_CODE_API_KEY <<<"$shown")$(headline MEGA_CODE_CLIENT_MODE <<<"$shown")" ]
}

skill_names() { # <project>; one `name (scope)` a line
  run_python mega_code.client.skill_enhance_helper list-skills --all --project-dir "$1" | run_python scripts.lib.skill_names
}

pick_skill() { # <project>; the only skill there is, or the one that is chosen
  local listed names=() name number=0 answer=''
  listed="$(skill_names "$1")" || exit
  [ -n "$listed" ] || die 4 "there is no skill in the project or the global scope; name a folder."
  while IFS= read -r name; do names+=("$name"); done <<<"$listed"
  if [ "${#names[@]}" -gt 1 ]; then
    on_terminal || die 4 "name one of the skills: $(printf '%s, ' "${names[@]}" | sed 's/, $//')."
    for name in "${names[@]}"; do
      number=$((number + 1))
      printf '%3d  %s\n' "$number" "$name" >&2
    done
    until [[ "$answer" =~ ^[1-9][0-9]{0,4}$ && "$answer" -le "${#names[@]}" ]]; do
      printf 'Enhance which skill? [1-%d] ' "${#names[@]}" >&2
      IFS= read -r answer || die 4 "no skill was chosen."
      [[ "$answer" =~ ^[1-9][0-9]{0,4}$ && "$answer" -le "${#names[@]}" ]] ||
        printf 'Answer with a number from 1 to %d.\n' "${#names[@]}" >&2
    done
    names=("${names[answer - 1]}")
  fi
  printf '%s\n' "${names[0]%% *}"
}

agree() { # <yes, where nobody is to be asked>; leaves before anything is paid where another model or cap would count than this shell names
  local told status=0 answer=''
  told="$(run_python mega_code.evaluation --agree)" || status=$?
  [ -z "$told" ] || printf '%s\n' "$told" >&2
  [ "$status" -ne 0 ] || return 0
  if [[ -n "$told" && -z "$1" ]] && on_terminal; then
    printf 'Go on with the settings of the gateway that runs? [y/N] ' >&2
    IFS= read -r answer || :
  fi
  [[ "$answer" == [yY] || "$answer" == [yY]es ]] || exit "$status"
}

is_folder() { # <skill or folder>; which of them is meant
  [[ "$1" == */* || -f "$1/SKILL.md" ]]
}

is_there() { # <skill> <project>; whether there is a skill of exactly that name
  [[ -f "$2/.claude/skills/$1/SKILL.md" || -f ~/.claude/skills/"$1"/SKILL.md || -f "$DATA_DIR/data/pending-skills/$1/SKILL.md" ]]
}

whole_name() { # <skill, or the beginning of its name> <project>; the name, or the envelope that says why there is none
  local resolved found status=0
  if is_there "$@"; then
    printf '%s\n' "$1"
    return
  fi
  resolved="$(run_python mega_code.client.skill_enhance_helper resolve-skill --name "$1" --project-dir "$2")" || status=$?
  if [ "$status" -ne 0 ]; then
    printf '%s' "$resolved"
    return "$status"
  fi
  found="$(run_python scripts.lib.skill_names <<<"$resolved")"
  say "'$1' is taken for the skill $found."
  printf '%s\n' "${found%% *}"
}

preview_skill() { # <skill or folder> <project> [--allow-secret RELPATH]...; what enhancing it would cost at most
  local resolved
  if is_folder "$1"; then
    run_python mega_code.evaluation --skill-dir "$(absolute "$1")" ${2:+--project-dir "$2"} "${@:3}"
  else
    resolved="$("$MEGA_DIR/scripts/skills.sh" resolve "$1" --project-dir "$2")" || return
    run_python mega_code.evaluation ${2:+--project-dir "$2"} "${@:3}" <<<"$resolved"
  fi
}

pick_scope() { # <skill> <scope that was asked for, or ''>; project, global, or nothing for no
  local answer
  while :; do
    if [ -n "$2" ]; then
      printf 'Install %s into %s scope? [y/N] ' "$1" "$2" >&2
    else
      printf 'Install %s into project or global scope? [p]roject, [g]lobal, [n]o: ' "$1" >&2
    fi
    IFS= read -r answer || answer=no
    case "$2:$answer" in
    *:[nN] | *:[nN]o | ?*:) return ;;
    :p | :P | :project) printf 'project\n' && return ;;
    :g | :G | :global) printf 'global\n' && return ;;
    ?*:[yY] | ?*:[yY]es) printf '%s\n' "$2" && return ;;
    :*) printf 'Answer with p, g or n.\n' >&2 ;;
    *) printf 'Answer with y or n.\n' >&2 ;;
    esac
  done
}
