"""The gateway's command line: parse, do, say."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys

from mega_code.commandline import tell
from mega_code.errors import NETWORK, MegaCodeError, exit_status
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


def main(arguments: argparse.Namespace) -> int:
    """Run one command; its exit status."""
    os.umask(0o077)
    try:
        said = _run(arguments)
    except MegaCodeError as error:
        said = Said(exit_status(error.code), trouble=error.message)
    except (OSError, sqlite3.Error) as error:
        said = Said(NETWORK, trouble=f"{error}.")
    if said.trouble:
        print(f"gateway: {said.trouble}", file=sys.stderr)
    return tell(said.line, said.exit_status) if said.line else said.exit_status
