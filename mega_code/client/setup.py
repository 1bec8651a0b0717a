"""`python -m mega_code.client.setup`: everything a slash command needs to be true before it starts, in one go."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Optional

from mega_code import LAUNCHER, MISSING_PACKAGE, settings, telemetry
from mega_code.client.check_auth import verify
from mega_code.commandline import Parser, as_error, is_missing_package, leave, manual, tell
from mega_code.console import say
from mega_code.errors import MegaCodeError
from mega_code.paths import MEGA_DIR, project_dir


def set_up(env: Mapping[str, str], project: Optional[str]) -> list[str]:
    """The four lines of setup.sh, once project, mode, server and key have been checked.

    Raises MegaCodeError: `plugin_cache_project_dir`, `invalid_path`, `mode_not_remote`, and those of `verify`.
    """
    folder = project_dir(project, env)
    known = settings.load(env)
    check_mode(known)
    verify(known)
    values = {
        "MEGA_DIR": str(MEGA_DIR),
        "DATA_DIR": str(known.data.root),
        "PROJECT_DIR": str(folder),
        "MEGA_CODE_SESSION_ID": session_id(known),
    }
    for value in values.values():
        if not value.isprintable():
            raise MegaCodeError("invalid_path", f"The folder {value!r} has a name that cannot be passed on.")
    return [f"{key}={value}" for key, value in values.items()]


def check_mode(known: settings.Settings) -> None:
    """Raises MegaCodeError `mode_not_remote` unless the client mode is `remote`."""
    if known.client_mode == "remote":
        return
    current = f"{known.client_mode[:40]!r}" if known.client_mode else "not set"
    raise MegaCodeError(
        "mode_not_remote",
        f"MEGA_CODE_CLIENT_MODE must be 'remote' and is {current}. Start the embedded gateway with "
        "scripts/gateway.sh start (where nothing else is configured it needs no mode), or name a server with "
        "scripts/configure.sh, or add --hitl for the local flow.",
    )


def session_id(known: settings.Settings) -> str:
    """The session's correlation id: the one given, if it is a UUID, else a new one."""
    try:
        return str(uuid.UUID(known.session_id or ""))
    except ValueError:
        return str(uuid.uuid4())


def main(argv: Sequence[str]) -> int:
    """Check, and print the four lines; gives the exit status."""
    prog = "python -m mega_code.client.setup"
    parser = Parser(
        prog=prog,
        description="Check project, mode, server and key; print four KEY=value lines.",
        epilog=manual(
            prog,
            (0, 4, 5, 130),
            ("MEGA_CODE_SERVER_URL", "CLAUDE_PROJECT_DIR", "MEGA_CODE_DATA_DIR"),
            ("--project-dir .",),
            "scripts/setup.sh, scripts/configure.sh",
        ),
    )
    parser.add_argument("--project-dir", metavar="DIR", help="the project (default: CLAUDE_PROJECT_DIR, else here)")
    try:
        project = parser.parse_args(argv).project_dir
        os.environ[telemetry.SESSION_ID] = session_id(settings.load(os.environ))  # the spans have it too
        with telemetry.command("setup"):
            lines = set_up(os.environ, project)
        return tell("\n".join(lines))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if is_missing_package(error) and LAUNCHER in os.environ:
            return MISSING_PACKAGE
        told = error if isinstance(error, MegaCodeError) else as_error(error)
        say(f"setup: {told.message} [{told.code}]")
        return told.exit_status


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
