#!/usr/bin/env bash
# Usage: fetch_claude.sh DIR
#
# Put the Claude Code client that the end-to-end tests use into DIR, unless it is there, and print its path.
# No install script of any package runs.
#
# Exit: 0 there it is, 4 bad input, 5 npm is missing or cannot fetch it.
set -euo pipefail
version=2.1.330

die() { # <code> <message...>
  local code="$1"
  shift
  printf 'fetch_claude: %s\n' "$*" >&2
  exit "$code"
}

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

find_binary() { # <folder>; nothing where there is none; the platform's package holds it
  [ ! -d "$1/node_modules" ] || find "$1/node_modules/@anthropic-ai" -type f -path '*/claude-code-*/claude' -perm -u+x | sed -n 1p
}

case "${1:-}" in
-h | --help)
  usage
  exit
  ;;
'' | -*) die 4 "name a folder; see --help." ;;
esac
target="$1/claude-code-$version"
binary="$(find_binary "$target")"
if [ -z "$binary" ]; then
  command -v npm >/dev/null || die 5 "npm is not on PATH."
  mkdir -p -- "$1"
  part="$(mktemp -d "$1/.claude-code.XXXXXX")"
  trap 'rm -rf -- "$part"' EXIT
  npm install --prefix "$part" --ignore-scripts --no-audit --no-fund --no-save --loglevel=error \
    "@anthropic-ai/claude-code@$version" >&2 || die 5 "npm could not fetch Claude Code $version."
  [ -n "$(find_binary "$part")" ] || die 5 "there is no Claude Code $version for this platform."
  # Whoever comes second finds the folder there, and its own copy inside it: harmless, and never half a client.
  mv -- "$part" "$target"
  binary="$(find_binary "$target")"
fi
printf '%s\n' "$binary"
