#!/usr/bin/env bats
# What every script keeps to. shellcheck and shfmt, which scripts/test.sh runs, do the rest.

load test_helper

public() { # our scripts, one a line
  find "$SCRIPTS" -maxdepth 1 -name '*.sh' | sort
}

everything() { # <grep flags and pattern>; where it occurs in anything we have in Bash
  grep -nE "$@" "$SCRIPTS"/*.sh "$SCRIPTS"/lib/*.sh "$REPOSITORY/.ci/run"
}

banned() { # <pattern> <why>
  if everything -e "$1"; then
    printf 'banned: %s\n' "$2"
    return 1
  fi
}

@test "house rules: every script is executable, strict, and starts with its usage" {
  while IFS= read -r script; do
    [ -x "$script" ]
    equal '#!/usr/bin/env bash' "$(sed -n 1p "$script")"
    [[ "$(sed -n 2p "$script")" == "# Usage: ${script##*/}"* ]]
    equal 'set -euo pipefail' "$(grep -m 1 -v '^#' "$script")"
  done < <(public)
}

@test "house rules: --help prints the header and nothing else, from anywhere and through a link" {
  cd /
  while IFS= read -r script; do
    ln -s "$script" "$ROOM/link"
    run -0 --separate-stderr "$ROOM/link" --help
    [[ "${lines[0]}" == "Usage: ${script##*/}"* && "$output" == *"Exit: 0"* && "$output" != *'#!'* ]]
    equal '' "$stderr"
    rm "$ROOM/link"
  done < <(public)
}

@test "house rules: every script has tests" {
  while IFS= read -r script; do
    name="${script##*/}"
    [ -f "$REPOSITORY/tests/bats/${name%.sh}.bats" ]
  done < <(public)
}

@test "house rules: nothing is run as code that is not code" {
  banned '(^|[;&|({[:space:]])eval[[:space:]]' eval
  banned '(^|[;&|({[:space:]])(source|\.)[[:space:]]+[^"]' 'sourcing what is not named in full'
  banned '(^|[;&|({[:space:]])echo[[:space:]]' 'echo, which reads flags and escapes; printf does not'
  banned '(bash|sh) -c' 'code in a string'
}

@test "house rules: macOS has no such tool" {
  banned 'readlink -[a-z]*[fem]' 'readlink with flags'
  banned '(^|[^-[:alnum:]])(realpath|tac|timeout|setsid|flock|nproc|md5sum|sha256sum)[[:space:]]' 'GNU or Linux only'
  banned 'sed -i|grep -[a-zA-Z]*P|date -d|stat -c|sort -V|mktemp --|cp -a|xargs -r|find [^|]*-printf' 'a GNU flag'
}

@test "house rules: Bash 3.2 has no such syntax" {
  banned '(declare|local|typeset) -[a-zA-Z]*[Ang]' 'associative arrays, references, -g'
  banned '\$\{[^}]*(,|\^)[,^]?\}' 'case conversion'
  banned '\$\{[^}]*@[A-Za-z]\}' 'parameter transformation'
  banned '(^|[^[:alnum:]_])(mapfile|readarray|coproc)([^[:alnum:]_]|$)' 'mapfile, readarray, coproc'
  banned '\|&|&>>|;;?&[^&]' 'pipes and redirections of Bash 4'
  banned 'wait -[np]|read -[a-z]*[iN]|read -t *[0-9]*\.|\[\[? -v |printf .*%\(|BASHPID|EPOCH' 'flags and variables of Bash 4'
}

@test "house rules: no registry is named" {
  banned 'https?://' 'an address of something outside'
}
