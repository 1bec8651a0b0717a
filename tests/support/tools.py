"""The tools of other machines: BusyBox's, Toybox's with the BSD awk, or those of this one held to what BSD's take too."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

NEEDED = "awk cat date dirname find id mkdir mkfifo mktemp readlink rm sed sleep tee".split()
# What the manual pages of FreeBSD, macOS and POSIX agree on, as getopts takes it; `find` reads its options by itself.
FLAGS = {
    "awk": "F:v:f:",
    "cat": "benstuv",
    "date": "u",
    "dirname": "",
    "find": "HLXdsx",
    "id": "Ggnru",
    "mkdir": "pm:",
    "mkfifo": "m:",
    "mktemp": "dqu",
    "readlink": "n",
    "rm": "dfiPRrv",
    "sed": "Enae:f:l",
    "sleep": "",
    "tee": "ai",
}
CHECKED = """#!/bin/sh
refuse() {{
  printf 'strict {name}: %s\\n' "$1" >&2
  exit 64
}}
check() {{
  while getopts :{flags} flag; do
    case "$flag" in [:?]) refuse "$*" ;; esac
  done
  shift $((OPTIND - 1))
  for operand; do
    case "{name}:$operand" in
    sleep:*[!0-9]*) refuse "a time that is no whole number: $operand" ;;
    find:* | awk:* | date:+*) ;;
    *:-?*) refuse "a flag behind an operand: $operand" ;;
    esac
  done
  case "{name}:$#" in
  mktemp:0) refuse "no template" ;;
  esac
}}
check "$@"
exec {real} "$@"
"""


def tools(family: str, folder: Path) -> Path:
    """A folder with the tools that our scripts use and no other; skips the test where the machine has not that family."""
    folder.mkdir(parents=True)
    for name in NEEDED:
        if family == "strict":
            program = shutil.which("original-awk" if name == "awk" else name) or shutil.which(name)
            write(folder / name, CHECKED.format(name=name, flags=FLAGS[name], real=program))
        else:
            (folder / name).symlink_to(found("original-awk" if (family, name) == ("toybox", "awk") else family))
    return folder


def found(program: str) -> str:
    path = shutil.which(program)
    if not path:
        pytest.skip(f"no {program} on PATH; scripts/test.sh --all fetches it")
    return path


def shell_and_python(folder: Path) -> Path:
    """A folder with Bash, which lies nowhere else on the search path, and with this Python."""
    folder.mkdir(parents=True)
    shutil.copy2(found("bash"), folder / "bash")
    write(folder / "python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    return folder


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
