"""The gateway's command line as it is understood and explained, before anything is needed to run it."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from mega_code.commandline import manual, shaped
from mega_code.errors import BAD_INPUT

PROG = "python -m mega_code.gateway"


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        shaped(self)

    def error(self, message: str) -> NoReturn:
        print(f"gateway: {message}; try --help", file=sys.stderr)
        sys.exit(BAD_INPUT)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no port")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    own = _Parser(
        prog=PROG,
        description="The embedded gateway of mega-code.",
        epilog=manual(
            PROG,
            (0, 3, 4, 5),
            ("MEGA_CODE_MODEL", "MEGA_CODE_DATA_DIR"),
            ("start --port 8000", "status", "stop"),
            "scripts/gateway.sh, references/gateway.md",
        ),
    )
    commands = own.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    for name, says in (
        ("start", "start it in the background, unless it runs, and print its URL"),
        ("stop", "stop it"),
        ("status", "say whether it runs"),
        ("url", "print its URL"),
        ("serve", "run it in the foreground"),
        ("add-key", "make an API key for a user and print it, this once"),
    ):
        command = commands.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.")
        if name in ("start", "serve"):
            command.add_argument("--port", type=_port, metavar="N", help="default: the last one, else any free one")
        if name == "serve":
            command.add_argument("--ready-fd", type=int, metavar="FD", help="where to write a line once it answers")
        if name == "add-key":
            command.add_argument("--user", required=True, metavar="NAME")
    return own
