#!/usr/bin/env bats
# What every script keeps to. shellcheck and shfmt, which scripts/test.sh runs, do the rest.

load test_helper

public() { # our scripts, one a line
  find "$SCRIPTS" -maxdepth 1 -name '*.sh' | sort
}

everything() { # <grep pattern>; where it occurs in anything we have in Bash
  find "$SCRIPTS" "$REPOSITORY/benchmarks" "$REPOSITORY/tests" "$REPOSITORY/.ci" -type f \
    \( -name '*.sh' -o -path '*/scripts/*.bash' -o -path '*/.ci/run' \) -exec grep -nE -e "$1" {} +
}

keep_to() { # reads `why | pattern | line that it catches | another…` with tabs; each is proved, and occurs nowhere
  local why pattern samples sample
  while IFS=$'\t' read -r why pattern samples; do
    [[ -n "$why" && -n "$pattern" && -n "$samples" ]]
    while IFS= read -r sample; do
      grep -qE -e "$pattern" <<<"$sample" || { printf 'not caught as %s: %s\n' "$why" "$sample" && return 1; }
    done < <(tr '\t' '\n' <<<"$samples")
    if everything "$pattern"; then
      printf 'banned: %s\n' "$why"
      return 1
    fi
  done
}

@test "house rules: every script is executable, strict, and starts with its usage" {
  while IFS= read -r script; do
    [ -x "$script" ]
    equal '#!/usr/bin/env bash' "$(sed -n 1p "$script")"
    [[ "$(sed -n 2p "$script")" == "# Usage: ${script##*/}"* ]]
    equal 'set -euo pipefail' "$(grep -m 1 -v '^#' "$script")"
  done < <(public)
}

@test "house rules: a header, which is the help, fits a terminal of 80 columns" {
  while IFS= read -r script; do
    equal '' "$(sed -n '/^#/!q; /.\{81\}/p' "$script")"
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

@test "house rules: --help ends the script where it cannot be written, and where nobody reads it to the end" {
  skill demo-skill
  mkfifo "$ROOM/pipe"
  for out in /dev/full "$ROOM/closed" "$ROOM/pipe"; do
    while IFS= read -r script; do
      words=("$script" --help)
      [ "${script##*/}" != enhance.sh ] || words=("$script" demo-skill --yes --help)
      status=0
      case "$out" in
      */closed) "${words[@]}" 2>"$ROOM/said" >&- || status=$? ;;
      */pipe)
        # shellcheck disable=SC2094
        exec 7<>"$ROOM/pipe" 8>"$ROOM/pipe" 7<&-
        "${words[@]}" 2>"$ROOM/said" >&8 8>&- || status=$?
        exec 8>&-
        ;;
      *) "${words[@]}" 2>"$ROOM/said" >"$out" || status=$? ;;
      esac
      if [ "$out" = /dev/full ]; then equal 5 "$status"; else equal 0 "$status"; fi
      run ! grep -v '^sed: ' "$ROOM/said"
    done < <(public)
  done
}

@test "house rules: every script has tests" {
  while IFS= read -r script; do
    name="${script##*/}"
    [ -f "$REPOSITORY/tests/bats/${name%.sh}.bats" ]
  done < <(public)
}

@test "house rules: nothing is run as code that is not code" {
  keep_to <<'RULES'
eval	(^|[;&|({[:space:]])eval[[:space:]]	eval "$line"	x && eval y
sourcing what is not named in full	(^|[;&|({[:space:]])(source|\.)[[:space:]]+[^"]	. lib.sh	source <(made)
echo, which reads flags and escapes; printf does not	(^|[;&|({[:space:]])echo[[:space:]]	echo "$x"	if x; then echo y; fi
code in a string	(bash|sh) -c	bash -c "$x"	sh -c y
an address of something outside	https?://	curl https://host
RULES
}

@test "house rules: macOS, BSD and BusyBox have no such tool or flag" {
  keep_to <<'RULES'
readlink with flags	readlink +-	readlink -f "$x"	readlink -e y
GNU or Linux only	(^|[^-./[:alnum:]])(realpath|tac|timeout|setsid|flock|nproc|shuf|numfmt|stdbuf|pidof|md5sum|sha[0-9]*sum)[[:space:]]	realpath x	a | tac -	timeout 5 x	sha256sum x
long options of GNU	(^|[;&|(`[:space:]])(awk|cat|chmod|cksum|cp|cut|date|df|dirname|du|find|grep|head|id|kill|ln|ls|mkdir|mktemp|mv|ps|rm|sed|sleep|sort|stat|tail|tee|touch|tr|wc|xargs) ([^|;&]* )?--[a-z]	rm --recursive x	x | sort -u --reverse	ls --color
sed beyond POSIX	sed -[a-zA-Z]*[irsz]|sed [^|]*\\[+?|sSwWbt]	sed -i x y	sed -r s	sed -n 's/a\+//p'	sed 's/\t//'	sed 's/a\|b//'
grep beyond BSD	grep -[a-zA-Z]*[PZz]|grep [^|]*\\[sSwWbd<>+?|]	grep -P x	grep '\bx'	grep 'a\|b'
awk of gawk	awk.*(gensub|strftime|systime|asorti?|length\([a-z]+\[|\\y|--re-interval|PROCINFO|BEGINFILE|\*\*)	awk '{ print gensub(a, b, c) }'	awk 'BEGIN { print systime() }'
date beyond POSIX	date [^|]*(-[dIR]|-v|-r|%N|%s)	date -d yesterday	date +%s%N	date -I
stat, in which no two agree	(^|[;&|({[:space:]])stat[[:space:]]	stat -c %s x	x=y stat -f %z
find of GNU	find [^|]*(-printf|-regextype|-readable|-executable|-perm /|-newermt)	find x -printf %p	find . -perm /111
sort, xargs, cp, ln, du, wc, touch, head of GNU	sort -[a-zA-Z]*[VhRz]|xargs -[a-zA-Z]*[rd]|cp -[a-zA-Z]*[atu]|ln -[a-zA-Z]*[rTt]|du -[a-zA-Z]*b|wc -L|touch -d|head -n? ?-[0-9]*-|head -n -	sort -V	xargs -r x	cp -a x y	ln -sr x y	du -sb	wc -L	touch -d x	head -n -1
mktemp without a template	mktemp( -d)?( -[tpu].*)?($|[)|;])|mktemp -[tpu]	x="$(mktemp)"	y="$(mktemp -d)"	mktemp -t x	mktemp -p x
sleep with a unit	sleep +([0-9.]+[smhd]|infinity)	sleep 1s	sleep infinity
base64, tar, ps, kill of GNU	base64 -w|(^|[;&|({[:space:]])(tar|ps) [^|;]*--|ps aux|kill -l	base64 -w0	tar x --strip-components 1	ps aux	kill -l
RULES
}

@test "house rules: Bash 3.2 has no such syntax" {
  keep_to <<'RULES'
associative arrays, references, -g, case (4.0, 4.2, 4.3)	(declare|local|typeset|readonly|export) +-[a-zA-Z]*[AngluI]	declare -A map	local -n it=x	declare -gx y	typeset -u z	local -I w
case conversion (4.0)	\$\{!?[A-Za-z_0-9@*]+(\[[^]]*\])?[,^~]	"${x,,}"	${x^}	${names[@]^^}	${1,}	${x~~}
parameter transformation (4.4)	\$\{[^}]*@[A-Za-z]\}	${x@Q}	"${a[@]@A}"
negative subscripts (4.2, 4.3)	\[ *-[0-9]+ *\](=|\})	${a[-1]}	a[-1]=x
negative lengths (4.2)	\$\{[^}:]+:[^}:]*: *-[0-9]	${x:0:-1}	${x: 1: -2}
mapfile, readarray, coproc (4.0)	(^|[^[:alnum:]_./-])(mapfile|readarray|coproc)([^[:alnum:]_]|$)	mapfile -t x	coproc y
pipes, redirections and cases of Bash 4	\|&|&>>|;;?&[^&]	x |& y	x &>>y	a) b ;;& c	a) b ;& c
descriptors that Bash numbers (4.1)	\{[A-Za-z_]+\}[<>]	exec {fd}>x	exec {fd}<&-
wait -n, -p, -f (4.3, 5.0, 5.1)	(^|[;&|({[:space:]])wait +-	wait -n	wait -p x
read -i, -N, fractions (4.0)	read +(-[a-z]+ +)*-[a-z]*[iN]|read [^|;]*-[a-z]*t *[0-9]*\.	read -e -i x y	read -N 1 x	read -t 0.5 x	read -rt .1 x
test of a variable or reference (4.2, 4.3)	(\[\[?|test) (! )?-[vR] 	[[ -v x ]]	[ ! -v x ]	test -v y
printf of times and of code points, into arrays (4.1, 4.2)	printf [^|;]*%[-0-9]*\(|printf -v [A-Za-z_]+\[|\\[uU][0-9a-fA-F]	printf '%(%s)T' -1	printf -v 'x[0]' y printf -v x[1] y	x=$'\u2014'
variables that came later	BASHPID|BASH_ARGV0|BASH_COMPAT|BASH_XTRACEFD|EPOCH(REALTIME|SECONDS)|SRANDOM|DIRTRIM|BASH_LOADABLES|\$\{?FUNCNEST	kill "$BASHPID"	x=$EPOCHSECONDS	${EPOCHREALTIME}
options that came later	shopt +-[a-z]+ +(globstar|lastpipe|inherit_errexit|localvar_|assoc_|autocd|dirspell|checkjobs|compat4|globasciiranges|direxpand|complete_fullquote|progcomp_alias|patsub|nullglob_)	shopt -s globstar	shopt -s lastpipe	shopt -qs inherit_errexit
padded or stepping ranges (4.0)	\{0[0-9]+\.\.|\{-?[0-9a-zA-Z]+\.\.-?[0-9a-zA-Z]+\.\.	{01..10}	{1..9..2}	{a..z..3}
sourcing a process substitution, which reads nothing (4.0)	(^|[;&|({[:space:]])(source|\.) +"?<\(	. <(made)	source <(x)
a case in $( ), whose ) ends it (4.0)	\$\([^)]*[^[:alnum:]_-]?case .* in( |$)	x="$(case $y in a) b ;; esac)"	$( case "$1" in
a quote in a default in quotes, which changed (4.3)	"[^"]*\$\{[A-Za-z_0-9]+:?[-=+?]"[^"]	"${x:-"a b"}"	"y ${x:+"z"}"
all names with a prefix, one word when quoted	"\$\{![A-Za-z_]+[@*]\}"	unset "${!MY_@}"	for x in "${!MY_*}"; do
the sign for the rest of a select, bind -x, ulimit, compopt (4.0)	(^|[;&|({[:space:]])(compopt|ulimit -[bkPRT]|bind -[xX])	compopt -o nospace	bind -x y
local -, which keeps the options (4.4)	(^|[;&|({[:space:]])local -([[:space:]]|$)	local -	local - x
RULES
}

@test "house rules: an array that may be empty is not expanded bare, which is an unbound variable until Bash 4.4" {
  local filled=' PYTHONS _mega_code_names args extras failed folders found install launcher log missing names place reports shell targets wanted words COMP_WORDS HEADLINE ' name found=''
  bare='(^|[^+])"\$\{[A-Za-z_]+\[[@*]\]\}'
  # shellcheck disable=SC2016
  {
    grep -qE "$bare" <<<'run "${args[@]}"'
    run -1 grep -E "$bare" <<<'run ${args[@]+"${args[@]}"}'
  }
  while IFS= read -r name; do
    [[ "$filled" == *" $name "* ]] || found="$found $name"
  done < <(everything "$bare" | grep -oE "$bare" | tr -cd '[:alnum:]_\n')
  equal '' "$found"
}
