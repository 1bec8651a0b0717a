"""Arguments of the command, and which mode they mean."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from mega_code import settings, telemetry
from mega_code.client.remote_enhance import modes, records
from mega_code.commandline import Parser, answer, manual, named_file, named_path, seconds
from mega_code.envelope import Envelope
from mega_code.errors import MegaCodeError
from mega_code.paths import SCOPES, check_job_id, check_skill_name, is_job_id, project_dir, skills_root

DEFAULT_TIMEOUT_S = 1200.0
MODES = (
    "no_wait",
    "poll_existing",
    "cancel",
    "install_existing",
    "list_cached",
    "cleanup_original",
    "restore_backup",
    "list_backups",
)


def parser() -> Parser:
    """The command line of `python -m mega_code.client.remote_enhance`."""
    prog = "python -m mega_code.client.remote_enhance"
    own = Parser(
        prog=prog,
        description="Enhance a skill on a gateway: package, upload, poll, download and verify. "
        "Without a mode it does all of that and stops before installing. The last line on stdout is one JSON object.",
        epilog=manual(
            prog,
            (0, 2, 3, 4, 5, 130),
            ("MEGA_CODE_SERVER_URL", "CLAUDE_PROJECT_DIR", "MEGA_CODE_DATA_DIR", "NO_COLOR"),
            (
                "--skill-name commit-message",
                "--poll-existing 3f2504e0-4f89-11d3-9a0c-0305e82c3301",
                "--list-cached --skill-name commit-message",
            ),
            "scripts/enhance.sh, references/architecture.md",
        ),
    )
    mode = own.add_argument_group("modes, one at a time")
    mode.add_argument("--no-wait", action="store_true", help="submit only")
    mode.add_argument(
        "--poll-existing", metavar="JOB_ID", type=str.lower, help="wait for a job that was submitted before"
    )
    mode.add_argument("--cancel", metavar="JOB_ID", type=str.lower, help="ask the server to end a job")
    mode.add_argument("--install-existing", metavar="JOB_ID", type=str.lower, help="install what is staged for a job")
    mode.add_argument("--list-cached", action="store_true", help="list the results of a skill that are staged")
    mode.add_argument("--cleanup-original", metavar="PATH", help="move a superseded copy of a skill into a backup")
    mode.add_argument("--restore-backup", metavar="BACKUP_DIR", help="undo an install; 'latest' with --skill-name")
    mode.add_argument("--list-backups", action="store_true", help="list what was replaced or removed")
    own.add_argument("--skill-name", metavar="NAME", help="the skill")
    own.add_argument("--skill-dir", metavar="DIR", help="a skill folder anywhere")
    own.add_argument("--install-location", choices=SCOPES, help="where to install")
    own.add_argument(
        "--allow-secret", metavar="RELPATH", action="append", default=[], help="pack this file all the same"
    )
    own.add_argument(
        "--project-dir", metavar="DIR", type=named_path, help="the project (default: CLAUDE_PROJECT_DIR, else here)"
    )
    own.add_argument(
        "--poll-timeout",
        metavar="SECONDS",
        type=seconds,
        default=DEFAULT_TIMEOUT_S,
        help="how long to wait for the job; 0 waits for ever (default: %(default)g)",
    )
    own.add_argument("--result-json", metavar="PATH", help="write the JSON object there too")
    return own


def main(argv: Sequence[str]) -> int:
    """Run the command; gives its exit status."""
    run: Optional[modes.Run] = None
    again: list[str] = []
    usable: Sequence[str] = argv

    def work() -> Envelope:
        nonlocal run, again, usable
        try:
            arguments = parser().parse_args(argv)
            again = _again(arguments)
            _check_modes(arguments)
        except MegaCodeError:
            usable = ()
            raise
        run = modes.Run(settings.load(os.environ))
        return _dispatch(arguments, run)

    def job_id() -> Optional[str]:
        # A signal may come before anything is done about the job, or read of the arguments, which name it all the same.
        named = (run.job_id if run else None) or named_file(usable, "--poll-existing")
        return named.lower() if named and is_job_id(named) else None

    def once_more() -> list[str]:
        return again or (_again_of(usable) if usable else [])

    return answer("remote_enhance", work, job_id, named_file(argv), once_more)


def _again_of(argv: Sequence[str]) -> list[str]:
    """`_again`, of arguments that nobody has read; nothing where they cannot be."""
    try:
        return [] if {"-h", "--help"} & {*argv} else _again(parser().parse_args(argv))
    except MegaCodeError:
        return []


def _again(arguments: argparse.Namespace) -> list[str]:
    """The script, and its words, that do the same again; none for what a job's id resumes."""
    name = ["--skill-name", arguments.skill_name] if arguments.skill_name else []
    project = ["--project-dir", arguments.project_dir] if arguments.project_dir else []
    if arguments.poll_existing is not None or arguments.cancel is not None or arguments.list_backups:
        return []
    if arguments.list_cached:
        return ["skills.sh", "cached", *name[1:]]
    if arguments.cleanup_original is not None:
        return ["install.sh", "--cleanup-original", arguments.cleanup_original, *project]
    if arguments.restore_backup is not None:
        what = name if arguments.restore_backup == "latest" else [arguments.restore_backup]
        return ["install.sh", "--undo", *what, *project]
    scope = ["--scope", arguments.install_location] if arguments.install_location else []
    if arguments.install_existing is not None:
        return ["install.sh", "--job-id", arguments.install_existing, *name, *scope, *project]
    allowed = [word for relpath in arguments.allow_secret for word in ("--allow-secret", relpath)]
    skill = [os.path.abspath(arguments.skill_dir)] if arguments.skill_dir else name[1:]
    return ["enhance.sh", *skill, *allowed, *scope, *project]


def _check_modes(arguments: argparse.Namespace) -> None:
    chosen = [f"--{mode.replace('_', '-')}" for mode in MODES if getattr(arguments, mode) not in (None, False)]
    telemetry.current().set(mode=" ".join(chosen) or None)
    if len(chosen) > 1:
        raise MegaCodeError("invalid_arguments", f"{' and '.join(chosen)} exclude each other.")


def _dispatch(arguments: argparse.Namespace, run: modes.Run) -> Envelope:
    if arguments.list_cached:
        return {"cached": records.cached(run.data, _name(arguments))}
    if arguments.list_backups or arguments.restore_backup is not None or arguments.cleanup_original is not None:
        return _with_backups(arguments, run)
    if arguments.poll_existing is not None:
        check_job_id(arguments.poll_existing)
        _recover(arguments, run)
        return run.poll(arguments.poll_existing, arguments.poll_timeout)
    if arguments.cancel is not None:
        return run.cancel(arguments.cancel)
    if arguments.install_existing is not None:
        check_job_id(arguments.install_existing)
        name, scope = _name(arguments), arguments.install_location
        if scope is None:
            raise MegaCodeError(
                "missing_install_location", "Say where to install: --install-location project or global."
            )
        return run.install(arguments.install_existing, name, scope, _project(arguments, run))
    from mega_code.client.remote_enhance import finding  # only here: the other modes start sooner

    project = _project(arguments, run)
    skill = finding.find_skill(run.data, arguments.skill_name, arguments.skill_dir, project)
    submitted = run.submit(skill, arguments.allow_secret, project, arguments.install_location)
    if arguments.no_wait or "submitted" not in submitted:
        return submitted
    return run.poll(submitted["submitted"]["job_id"], arguments.poll_timeout)


def _with_backups(arguments: argparse.Namespace, run: modes.Run) -> Envelope:
    from mega_code.client.remote_enhance import kept

    if arguments.cleanup_original is not None:
        return kept.clean_up(run.data, arguments.cleanup_original, _project(arguments, run))
    project = _recover(arguments, run)  # what a killed install replaced is a backup too
    if arguments.list_backups:
        return kept.list_backups(run.data, arguments.skill_name)
    return kept.restore(run.data, arguments.restore_backup, arguments.skill_name, project)


def _name(arguments: argparse.Namespace) -> str:
    if not arguments.skill_name:
        raise MegaCodeError("missing_skill_name", "Name the skill: --skill-name NAME.")
    return check_skill_name(arguments.skill_name)


def _project(arguments: argparse.Namespace, run: modes.Run) -> Path:
    project = project_dir(arguments.project_dir, os.environ)
    _recover_in(project, run)
    return project


def _recover(arguments: argparse.Namespace, run: modes.Run) -> Optional[Path]:
    """What a killed install left is set right by whichever command comes next; gives the project, if there is one."""
    try:
        project: Optional[Path] = project_dir(arguments.project_dir, os.environ)
    except MegaCodeError:
        project = None
    _recover_in(project, run)
    return project


def _recover_in(project: Optional[Path], run: modes.Run) -> None:
    from mega_code import places

    for scope in SCOPES:
        if scope == "global" or project:
            places.recover(skills_root(scope, project or Path()), run.data)
