"""The gateway's command line: parse, do, say."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Sequence
from typing import NoReturn

from mega_code.errors import BAD_INPUT, NETWORK, MegaCodeError, exit_status
from mega_code.evaluation import check
from mega_code.gateway import lifecycle
from mega_code.gateway.auth import Keys
from mega_code.gateway.config import from_env, utc_now
from mega_code.gateway.database import Database
from mega_code.gateway.folders import Folders
from mega_code.gateway.lifecycle import Said
from mega_code.gateway.server import serve
from mega_code.paths import DataDir, data_dir
from mega_code.settings import with_env_file


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"gateway: {message}; try --help", file=sys.stderr)
        sys.exit(BAD_INPUT)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no port")
    return int(text)


def _parser() -> _Parser:
    parser = _Parser(prog="python -m mega_code.gateway", description="The embedded gateway of mega-code.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
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
    return parser


def _add_key(data: DataDir, user: str) -> Said:
    folders = Folders(data.gateway)
    folders.make()
    database = Database(folders.database)
    try:
        return Said(0, Keys(database, utc_now).issue(user))
    finally:
        database.close()


def _run(arguments: argparse.Namespace) -> Said:
    data = DataDir(data_dir(os.environ))
    if arguments.command in ("start", "serve"):
        check(with_env_file(os.environ))
    if arguments.command == "start":
        return lifecycle.start(data, os.environ, arguments.port)
    if arguments.command == "stop":
        return lifecycle.stop(data)
    if arguments.command == "status":
        return lifecycle.status(data)
    if arguments.command == "url":
        return lifecycle.url(data)
    if arguments.command == "add-key":
        return _add_key(data, arguments.user)
    config = from_env(with_env_file(os.environ))
    serve(data, config, port=arguments.port, ready=arguments.ready_fd)
    return Said(0)


def main(argv: Sequence[str]) -> int:
    """Run one command; its exit status."""
    arguments = _parser().parse_args(argv)
    os.umask(0o077)
    try:
        said = _run(arguments)
    except MegaCodeError as error:
        said = Said(exit_status(error.code), trouble=error.message)
    except (OSError, sqlite3.Error) as error:
        said = Said(NETWORK, trouble=f"{error}.")
    if said.trouble:
        print(f"gateway: {said.trouble}", file=sys.stderr)
    if said.line:
        print(said.line)
    return said.exit_status
