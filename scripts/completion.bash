# shellcheck shell=bash
# Completion of the flags, values and commands of our scripts and of mega-code, for bash and zsh. In ~/.bashrc or ~/.zshrc:
#
#   source "/path/to/scripts/completion.bash"
#
# Whatever can be completed comes from the scripts' own headers; see lib/complete.sh.

# With an empty CDPATH an interactive zsh prints where it goes.
MEGA_CODE_SCRIPTS="$(unset CDPATH && cd -P -- "$(dirname -- "${BASH_SOURCE[0]:-$0}")" >/dev/null && pwd -P)"

_mega_code_candidates() { # <index> <word...>
  "$MEGA_CODE_SCRIPTS/lib/complete.sh" "$@" 2>/dev/null
}

_mega_code_bash() { # bash splits at `=`, so a value may stand behind one
  local candidate words=("${COMP_WORDS[@]}") index="$COMP_CWORD" current
  current="${words[index]}"
  [ "$current" != = ] || current=''
  if [[ "${words[index]}" == = || "${words[index - 1]}" == = ]]; then
    [ "${words[index]}" == = ] && index=$((index + 1))
    words=("${words[@]:0:index-1}" "$current") index=$((index - 1))
  fi
  COMPREPLY=()
  while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(_mega_code_candidates "$index" "${words[@]}")
}

_mega_code_zsh() {
  local candidate found=()
  # shellcheck disable=SC2153,SC2154 # set by zsh
  while IFS= read -r candidate; do found+=("$candidate"); done < <(_mega_code_candidates "$((CURRENT - 1))" "${words[@]}")
  if [ "${#found[@]}" -gt 0 ]; then compadd -- "${found[@]}"; else _files; fi
}

_mega_code_names=(mega-code)
while IFS= read -r _mega_code_name; do
  _mega_code_names+=("$_mega_code_name")
done < <(unset CDPATH && cd -- "$MEGA_CODE_SCRIPTS" >/dev/null && ls -- *.sh)
if [ -n "${ZSH_VERSION:-}" ]; then
  type compdef >/dev/null 2>&1 || { autoload -Uz compinit && compinit -i; }
  compdef _mega_code_zsh "${_mega_code_names[@]}"
else
  complete -o bashdefault -o default -F _mega_code_bash "${_mega_code_names[@]}"
fi
unset _mega_code_name _mega_code_names
