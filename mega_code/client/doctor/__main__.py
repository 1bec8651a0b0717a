"""`python -m mega_code.client.doctor`: what is found and what is missing, on one screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Optional

from mega_code import model_settings, settings
from mega_code.client.doctor import connection, folders, machine, values
from mega_code.client.doctor.facts import Fact, exit_status, screen
from mega_code.commandline import Parser, leave, manual, named_path, open_streams, tell
from mega_code.console import say
from mega_code.errors import MegaCodeError


def examine(env: Mapping[str, str], given: Optional[str]) -> Iterator[Fact]:
    """Every fact, for the environment `env` and the project that was `given`."""
    known = settings.load(env)
    embedded = connection.is_embedded(known)
    about_project, project = folders.project(given, env)
    yield machine.python()
    merged = settings.with_env_file(env)
    searches = not model_settings.is_static(merged)
    yield from machine.packages(merged, embedded, searches, known.data)
    yield machine.uv()
    yield from machine.claude_code(env, project)
    yield folders.data_folder(known.data)
    yield from folders.env_file(known.data)
    yield from values.values(env, known.data.env_file, {"gateway": embedded, "model": embedded and searches})
    yield from connection.connection(known, env)
    yield connection.gateway(known)
    yield from connection.model(known, env)
    yield about_project
    if project:
        yield from folders.skills_here(project, known.data)
        yield from folders.leftovers(project)


def parser() -> Parser:
    """The command line."""
    prog = "python -m mega_code.client.doctor"
    own = Parser(
        prog=prog,
        description="Say what is found and what is missing for an enhancement, and the command that mends it.",
        epilog=manual(
            prog,
            (0, 4, 5, 130),
            ("MEGA_CODE_SERVER_URL", "MEGA_CODE_MODEL", "CLAUDE_PROJECT_DIR", "MEGA_CODE_DATA_DIR", "NO_COLOR"),
            ("", "--project-dir ."),
            "scripts/enhance.sh, scripts/configure.sh",
        ),
    )
    own.add_argument(
        "--project-dir", metavar="DIR", type=named_path, help="the project (default: CLAUDE_PROJECT_DIR, else here)"
    )
    return own


def main(argv: Sequence[str]) -> int:
    """Print the screen; gives the exit status of the first thing that is missing."""
    try:
        facts = list(examine(os.environ, parser().parse_args(argv).project_dir))
    except MegaCodeError as error:
        say(f"doctor: {error.message} [{error.code}]")
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    open_streams()
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    return tell("\n".join(screen(facts, os.environ)), exit_status(facts))


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
