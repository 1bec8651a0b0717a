"""`python -m mega_code.client.setup`: everything a slash command needs to be true before it starts, in one go."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Optional

from mega_code import LAUNCHER, MISSING_PACKAGE, settings, telemetry
from mega_code.client.check_auth import verify
from mega_code.client.configure import forget
from mega_code.client.wording import command
from mega_code.commandline import Parser, as_error, is_missing_package, leave, manual, named_path, tell
from mega_code.console import say
from mega_code.errors import MegaCodeError
from mega_code.paths import MEGA_DIR, project_dir

URL, KEY, MODE = settings.CONNECTION_KEYS


def set_up(env: Mapping[str, str], project: Optional[str]) -> list[str]:
    """The four lines of setup.sh, once project, mode, server and key have been checked.

    Raises MegaCodeError: `plugin_cache_project_dir`, `invalid_path`, `mode_not_remote`, and those of
    `check_whole` and `verify`.
    """
    folder = project_dir(project, env)
    known = settings.load(env)
    check_mode(known, env)
    check_whole(known, env)
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


def check_mode(known: settings.Settings, env: Mapping[str, str]) -> None:
    """Raises MegaCodeError `mode_not_remote` unless the client mode is `remote`."""
    if known.client_mode == "remote":
        return
    current = f"{known.client_mode[:40]!r}" if known.client_mode else "not set"
    if known.server_url and not known.embedded:
        way_out = f"For {URL}: {_set_mode(env)}"
    elif forget(env):
        way_out = f"For the embedded gateway, which works where no server, key or mode is set: {forget(env)}"
    else:
        way_out = f"For the embedded gateway: {command('gateway.sh', 'start')}"
    raise MegaCodeError(
        "mode_not_remote",
        f"{MODE} must be 'remote' and is {current}. {way_out}. For another server: {command('configure.sh')}. "
        "For the local flow: add --hitl.",
    )


def _set_mode(env: Mapping[str, str]) -> str:
    return f"export {MODE}=remote" if env.get(MODE) else command("configure.sh", "--mode", "remote")


def check_whole(known: settings.Settings, env: Mapping[str, str]) -> None:
    """Raises MegaCodeError where a server's mode or key is configured, and neither its URL nor what a gateway here needs."""
    merged = settings.with_env_file(env)
    there = [name for name in (KEY, MODE) if merged.get(name)]
    if merged.get(URL) or not there or (known.embedded and known.api_key):
        return
    raise MegaCodeError(
        "auth_failure" if known.embedded else "network_failure",
        f"Of a server only {' and '.join(there)} {'are' if len(there) > 1 else 'is'} set. To name the rest: "
        f"{command('configure.sh')}. For the embedded gateway, which works where none of it is set: {forget(env)}",
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
    parser.add_argument(
        "--project-dir", metavar="DIR", type=named_path, help="the project (default: CLAUDE_PROJECT_DIR, else here)"
    )
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
