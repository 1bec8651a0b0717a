"""`python -m mega_code.client.skill_enhance_helper`: which skills there are, and what stands in one. Reads only."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from mega_code import LAUNCHER, MISSING_PACKAGE, skills, telemetry
from mega_code.commandline import (
    Parser,
    as_error,
    is_missing_package,
    leave,
    manual,
    named_path,
    open_streams,
    tell,
)
from mega_code.console import say, warn
from mega_code.envelope import print_line, render
from mega_code.errors import MegaCodeError
from mega_code.paths import DataDir, data_dir, project_dir
from mega_code.skill import other_name


def list_skills(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """`{"name","description","state","scope","path"}` of every skill, or of those this product made."""
    project = project_dir(arguments.project_dir, os.environ)
    found = skills.discover(project, DataDir(data_dir(os.environ)), None if arguments.all else skills.is_ours)
    for folder in skills.misnamed(project):
        warn(
            f"{str(folder)!r} is left out: a skill's folder has a name of lower-case letters, digits and inner hyphens"
        )
    return [
        {
            "name": skill.name,
            "description": str(skill.frontmatter.get("description") or ""),
            "state": skill.state,
            "scope": skill.scope,
            "path": str(skill.path),
        }
        for skill in found
    ]


def resolve_skill(arguments: argparse.Namespace) -> dict[str, Any]:
    """`{"name","path","scope","content"}` of one skill. Raises MegaCodeError as `skills.resolve` does."""
    if not arguments.name:
        raise MegaCodeError("missing_skill_name", "Name the skill: --name NAME.")
    project = project_dir(arguments.project_dir, os.environ)
    skill = skills.resolve(arguments.name, project, DataDir(data_dir(os.environ)), prefix=True)
    own = other_name(skill.frontmatter, skill.name)
    if own:
        warn(f"the skill calls itself {own!r}; its folder's name {skill.name!r} counts")
    try:
        content = skill.path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise MegaCodeError("invalid_path", f"{str(skill.path)!r} cannot be read: {error.strerror}.") from None
    return {"name": skill.name, "path": str(skill.path), "scope": skill.scope, "content": content}


def parser() -> Parser:
    """The command line."""
    prog = "python -m mega_code.client.skill_enhance_helper"
    own = Parser(
        prog=prog,
        description="List skills, or read one. Prints one JSON line.",
        epilog=manual(
            prog,
            (0, 4),
            ("CLAUDE_PROJECT_DIR", "MEGA_CODE_DATA_DIR"),
            ("list-skills --all", "resolve-skill --name commit-message"),
            "scripts/skills.sh",
        ),
    )
    commands = own.add_subparsers(dest="command", metavar="COMMAND", required=True)
    listing = commands.add_parser("list-skills", help="the skills of the project, the person, and pending ones")
    listing.add_argument("--all", action="store_true", help="those of other authors too")
    listing.set_defaults(work=list_skills)
    resolving = commands.add_parser("resolve-skill", help="one skill, by name or by the start of its name")
    resolving.add_argument("--name", metavar="NAME", help="the skill")
    resolving.set_defaults(work=resolve_skill)
    for command in (listing, resolving):
        command.add_argument(
            "--project-dir", metavar="DIR", type=named_path, help="the project (default: CLAUDE_PROJECT_DIR, else here)"
        )
    return own


def main(argv: Sequence[str]) -> int:
    """Print the answer or the error envelope; gives the exit status."""
    open_streams()
    try:
        with telemetry.command("skill_enhance_helper") as span:
            status = _answer(argv, span)
            span.set(exit_status=status)
        return status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _answer(argv: Sequence[str], span: telemetry.Span) -> int:
    try:
        arguments = parser().parse_args(argv)
        span.set(mode=arguments.command)
        return tell(render(arguments.work(arguments)))
    except Exception as error:
        if is_missing_package(error) and LAUNCHER in os.environ:
            return MISSING_PACKAGE
        told = error if isinstance(error, MegaCodeError) else as_error(error)
        print_line(render(told.envelope()))
        say(told.message)
        span.fail(told.code)
        return told.exit_status


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
