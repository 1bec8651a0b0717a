"""`mega-code COMMAND …`, for who installed the package: runs scripts/COMMAND.sh of this bundle with this Python.

Exit: the script's own; 4 where there is no such command, 5 where there is no Bash.
"""

from __future__ import annotations

import configparser
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mega_code.errors import BAD_INPUT, NETWORK
from mega_code.paths import MEGA_DIR

COLUMNS = 80
SCRIPTS = MEGA_DIR / "scripts"
HELP = """\
Usage: mega-code COMMAND [ARGUMENT...]

Measure a Claude Code skill, improve it, and install the version that is
measurably better.

Commands:
{}
  path      The folder of this bundle: /plugin marketplace add takes it.

Options:
  -h, --help      this text; behind a command: that command's
  -V, --version   the version

Exit: 0 done, 4 no such command, 5 no Bash; else as the command says.

Examples:
  mega-code enhance "$(mega-code path)/examples/commit-message" --dry-run
  mega-code enhance doctor

See also: README.md, references/scripts.md"""


def main() -> NoReturn:
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Answer by itself, or become the script; the exit status otherwise."""
    command = argv[0] if argv else ""
    if command in ("-h", "--help"):
        print(usage())
    elif command in ("-V", "--version"):
        print(f"mega-code {version()}")
    elif command == "path":
        print(MEGA_DIR)
    elif command in commands():
        return become(SCRIPTS / f"{command}.sh", argv[1:])
    else:
        what = f"there is no command {command!r}" if command else "say which command"
        print(f"mega-code: {what}; see mega-code --help.", file=sys.stderr)
        return BAD_INPUT
    return 0


def become(script: Path, arguments: Sequence[str]) -> int:
    """Go on as the script, which runs our modules with this Python; returns only where there is no Bash."""
    sys.stdout.flush()
    try:
        os.execvpe("bash", ["bash", str(script), *arguments], {**os.environ, "MEGA_CODE_PYTHON": sys.executable})
    except FileNotFoundError:
        print("mega-code: there is no Bash on PATH; install Bash 3.2 or later.", file=sys.stderr)
        return NETWORK


def usage() -> str:
    """The commands, each with the sentence that its script starts with."""
    indent = " " * 12
    rows = (
        textwrap.fill(purpose, COLUMNS, initial_indent=f"  {name:<10}", subsequent_indent=indent)
        for name, purpose in commands().items()
    )
    return HELP.format("\n".join(rows))


def commands() -> dict[str, str]:
    """Every script by its name, and the first sentence below its usage."""
    return {path.stem: purpose(path.read_text("utf-8")) for path in sorted(SCRIPTS.glob("*.sh"))}


def purpose(script: str) -> str:
    """The first sentence of the second paragraph of a script's header."""
    paragraph = script.split("\n#\n")[1]
    words = " ".join(line[2:] for line in paragraph.splitlines())
    return words.partition(". ")[0].rstrip(".") + "."


def version() -> str:
    config = configparser.ConfigParser(interpolation=None)
    config.read(MEGA_DIR / "setup.cfg", encoding="utf-8")
    return config["metadata"]["version"]


if __name__ == "__main__":
    main()
