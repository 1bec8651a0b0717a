"""`python -m mega_code.client.configure`: writes `<DATA_DIR>/.env`; a key comes from stdin or a prompt only.

The model is the embedded gateway's, which reads the file anew for every job.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Optional

from mega_code import model_settings, settings, variables
from mega_code.client.wording import command
from mega_code.commandline import Parser, manual
from mega_code.console import say, warn
from mega_code.errors import MegaCodeError
from mega_code.paths import DataDir, data_dir

MODES = ("remote", "local")
URL, KEY, MODE = settings.CONNECTION_KEYS
KEYS = (KEY, model_settings.KEY)
NAMES = (*settings.CONNECTION_KEYS, model_settings.MODEL, model_settings.URL, model_settings.KEY, *variables.CAPS)
CAPS = dict(zip(("--max-calls", "--max-tokens", "--max-cost-usd"), variables.CAPS))
FLAGS = (
    "--server-url",
    "--mode",
    "--model",
    "--model-url",
    *CAPS,
    "--unset",
    "--show",
    "--api-key-stdin",
    "--model-key-stdin",
)


def mask(key: str) -> str:
    """Enough of a key to recognise it, too little to use it."""
    return f"{key[:4]}…{key[-2:]}" if len(key) >= 12 else "…"


def forget(env: Mapping[str, str]) -> str:
    """The command that takes away whatever names a server, so that the embedded gateway counts."""
    kept = settings.read_env_file(DataDir(data_dir(env)).env_file)
    here = [name for name in settings.CONNECTION_KEYS if env.get(name)]
    flags = [word for name in settings.CONNECTION_KEYS if kept.get(name) for word in ("--unset", name)]
    commands = [f"unset {' '.join(here)}"] if here else []
    return " && ".join([*commands, command("configure.sh", *flags)] if flags else commands)


def main(argv: Sequence[str]) -> int:
    """Ask or read, write, and print what was set; gives the exit status."""
    prog = "python -m mega_code.client.configure"
    parser = Parser(
        prog=prog,
        description="Set the server, the API key, the mode, the model and what a job may spend on it.",
        epilog=manual(
            prog,
            (0, 4, 130),
            ("MEGA_CODE_DATA_DIR",),
            (
                "--server-url https://gateway.example --mode remote",
                "--api-key-stdin <key.txt",
                "--model claude --max-calls 200 --max-cost-usd 2.50",
                "--unset MEGA_CODE_CLIENT_MODE",
                "--show",
            ),
            "scripts/configure.sh",
        ),
    )
    parser.add_argument("--server-url", metavar="URL", help="the gateway's base URL")
    parser.add_argument("--mode", choices=MODES, help="remote for the remote flow")
    parser.add_argument("--model", metavar="MODEL", help="what the embedded gateway measures with")
    parser.add_argument("--model-url", metavar="URL", help="the base URL of the endpoint of openai:MODEL")
    for flag, unit in zip(CAPS, ("N", "N", "USD")):
        parser.add_argument(flag, metavar=unit, dest=CAPS[flag], help="the most that one job may spend on its model")
    parser.add_argument(
        "--unset", metavar="NAME", action="append", default=[], choices=NAMES, help="take a setting away"
    )
    parser.add_argument("--show", action="store_true", help="change nothing; print what is in force")
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument("--api-key-stdin", action="store_true", help="read the API key from standard input")
    keys.add_argument("--model-key-stdin", action="store_true", help="read the model's key from standard input")
    path = DataDir(data_dir(os.environ)).env_file
    try:
        arguments = _parse(parser, argv)
        if arguments.show:
            return _show()
        # A prompt that hides what is typed has to be left in order.
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
    _print({name: value or "" for name, value in updates.items()})
    _warn_of(updates)
    print(f"Written to {path}")
    return 0


def _parse(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    try:
        return parser.parse_args(argv)
    except MegaCodeError as error:
        if error.message.startswith("Unrecognized"):  # what stands there may be a key; it is not repeated
            raise MegaCodeError(
                error.code, "Unknown argument; a key is read with --api-key-stdin or --model-key-stdin, or asked for."
            ) from None
        raise


def _show() -> int:
    """What would be worked with now, wherever it comes from; empty values for what nothing names."""
    known = settings.load(os.environ)
    url = settings.check_server_url(known.server_url) if known.server_url else ""
    merged = settings.with_env_file(os.environ)
    model = {name: merged.get(name, "") for name in (model_settings.MODEL, model_settings.URL, model_settings.KEY)}
    model[model_settings.MODEL] = model[model_settings.MODEL] or model_settings.STATIC
    caps = {name: merged.get(name, "") for name in variables.CAPS}
    _print({URL: url, MODE: known.client_mode, KEY: known.api_key or "", **model, **caps})
    return 0


def _print(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        print(f"{name}={mask(value) if name in KEYS and value else value}")


def _warn_of(updates: Mapping[str, Optional[str]]) -> None:
    """What stands in the way of the settings that were just written."""
    for name, value in updates.items():
        if os.environ.get(name) not in (None, "", value):
            warn(f"{name} of this shell's environment counts, and not what was written; unset {name}")
    merged = settings.with_env_file(os.environ)
    there = [name for name in settings.CONNECTION_KEYS if merged.get(name)]
    if there and len(there) < len(settings.CONNECTION_KEYS) and set(there) & set(updates):
        lacking = " and ".join(name for name in settings.CONNECTION_KEYS if name not in there)
        warn(f"a server needs {lacking} too; the embedded gateway works where none of the three is set")


def _collect(arguments: argparse.Namespace) -> dict[str, Optional[str]]:
    updates = {
        URL: arguments.server_url,
        MODE: arguments.mode,
        model_settings.MODEL: arguments.model,
        model_settings.URL: arguments.model_url,
        **{name: getattr(arguments, name) for name in variables.CAPS},
    }
    if arguments.api_key_stdin:
        updates[KEY] = _read_key("API key")
    if arguments.model_key_stdin:
        updates[model_settings.KEY] = _read_key("model's key")
    removed: dict[str, Optional[str]] = dict.fromkeys(arguments.unset)
    if not any(updates.values()) and not removed:
        if not sys.stdin.isatty():
            raise MegaCodeError(
                "invalid_arguments", f"Nothing to set; give one of {', '.join(FLAGS)}, or run it in a terminal."
            )
        updates = _ask()
    chosen = {name: value for name, value in updates.items() if value}
    if not chosen and not removed:
        raise MegaCodeError("invalid_arguments", "Nothing was entered, so nothing was set.")
    return {**removed, **_checked(chosen)}


def _read_key(what: str) -> str:
    key = sys.stdin.readline() if not sys.stdin.isatty() else getpass.getpass(f"{what[0].upper()}{what[1:]}: ")
    if not key.strip():
        raise MegaCodeError("invalid_arguments", f"There is no {what} on standard input.")
    return key.strip()


def _checked(chosen: Mapping[str, str]) -> dict[str, str]:
    """The settings as they are written. Raises MegaCodeError for those that could not be worked with."""
    checked = dict(chosen)
    for name in variables.CAPS:
        variables.decimal(chosen, name)
    if not settings.is_key(checked.get(KEY, "")):
        raise MegaCodeError("invalid_arguments", "An API key is one word without spaces and special characters.")
    if URL in checked:
        checked[URL] = settings.check_server_url(checked[URL])
    if model_settings.URL in checked:
        checked[model_settings.URL] = settings.check_url(checked[model_settings.URL], model_settings.URL)
    if model_settings.MODEL in checked:
        model_settings.check({**settings.with_env_file(os.environ), **checked})
        for program in model_settings.programs(checked[model_settings.MODEL]):
            if shutil.which(program) is None:
                warn(f"{program} is not on this PATH; the gateway must find it on its own")
    return checked


def _ask() -> dict[str, str]:
    """The settings from a terminal; an empty answer leaves one as it is."""
    url = _line("Server URL (empty: keep)")
    key = getpass.getpass("API key (not shown; empty: keep): ").strip()
    model = _line("Model: static, claude, codex or openai:NAME (empty: keep)")
    answers = {URL: url, KEY: key, MODE: "remote" if url or key else "", model_settings.MODEL: model}
    if model_settings.ENDPOINT in model:
        answers[model_settings.URL] = _line("Model URL (empty: keep)")
        answers[model_settings.KEY] = getpass.getpass("Model key (not shown; empty: keep): ").strip()
    return answers


def _line(question: str) -> str:
    print(f"{question}: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
