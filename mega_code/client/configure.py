"""`python -m mega_code.client.configure`: writes `<DATA_DIR>/.env`; a key comes from stdin or a prompt only."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Mapping, Sequence

from mega_code import settings
from mega_code.commandline import Parser
from mega_code.console import say
from mega_code.errors import MegaCodeError
from mega_code.paths import DataDir, data_dir

MODES = ("remote", "local")
URL, KEY, MODE = settings.CONNECTION_KEYS


def mask(key: str) -> str:
    """Enough of a key to recognise it, too little to use it."""
    return f"{key[:4]}…{key[-2:]}" if len(key) >= 12 else "…"


def main(argv: Sequence[str]) -> int:
    """Ask or read, write, and print what was set; gives the exit status."""
    parser = Parser(prog="configure", description="Set the server, the API key and the mode.")
    parser.add_argument("--server-url", metavar="URL", help="the gateway's base URL")
    parser.add_argument("--mode", choices=MODES, help="remote for the remote flow")
    parser.add_argument("--show", action="store_true", help="change nothing; print what is in force")
    parser.add_argument("--api-key-stdin", action="store_true", help="read the API key from standard input")
    path = DataDir(data_dir(os.environ)).env_file
    try:
        arguments = _parse(parser, argv)
        if arguments.show:
            return _show()
        updates = _collect(arguments)
        settings.write_env_file(path, updates)
    except MegaCodeError as error:
        say(f"configure: {error.message} [{error.code}]")
        return error.exit_status
    except OSError as error:
        say(f"configure: {str(path)!r} could not be written: {error.strerror} [invalid_path]")
        return MegaCodeError("invalid_path", "").exit_status
    except (EOFError, KeyboardInterrupt):
        say("configure: nothing was changed")
        return 130
    _print(updates)
    print(f"Written to {path}")
    return 0


def _parse(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    try:
        return parser.parse_args(argv)
    except MegaCodeError as error:
        known = ("--server-url", "--mode", "--show", "--api-key-stdin")
        if any(word.partition("=")[0] not in known and word not in MODES for word in argv[:1]):
            # What stands there may be a key; it is not repeated.
            raise MegaCodeError(
                error.code, "Unknown argument; a key is read with --api-key-stdin or asked for."
            ) from None
        raise


def _show() -> int:
    """What the client would work with now, wherever it comes from; empty values for what nothing names."""
    known = settings.load(os.environ)
    url = settings.check_server_url(known.server_url) if known.server_url else ""
    _print({URL: url, MODE: known.client_mode, KEY: known.api_key or ""})
    return 0


def _print(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        print(f"{name}={mask(value) if name == KEY and value else value}")


def _collect(arguments: argparse.Namespace) -> dict[str, str]:
    updates = {URL: arguments.server_url, MODE: arguments.mode}
    if arguments.api_key_stdin:
        updates[KEY] = sys.stdin.readline().strip() if not sys.stdin.isatty() else getpass.getpass("API key: ").strip()
        if not updates[KEY]:
            raise MegaCodeError("invalid_arguments", "There is no API key on standard input.")
    if not any(updates.values()):
        if not sys.stdin.isatty():
            raise MegaCodeError(
                "invalid_arguments",
                "Nothing to set; give --server-url, --mode or --api-key-stdin, or run it in a terminal.",
            )
        updates = _ask()
    chosen = {name: value for name, value in updates.items() if value}
    if not chosen:
        raise MegaCodeError("invalid_arguments", "Nothing was entered, so nothing was set.")
    if URL in chosen:
        chosen[URL] = settings.check_server_url(chosen[URL])
    return chosen


def _ask() -> dict[str, str]:
    """The three settings from a terminal; an empty answer leaves one as it is."""
    print("Server URL (empty: keep): ", end="", file=sys.stderr, flush=True)
    url = sys.stdin.readline().strip()
    key = getpass.getpass("API key (not shown; empty: keep): ").strip()
    return {URL: url, KEY: key, MODE: "remote" if url or key else ""}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
