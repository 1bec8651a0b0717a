"""Commands of the local flow, and which function each means."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Optional

from mega_code import skills, telemetry, workspace
from mega_code.commandline import Parser, answer, manual, named_file, named_path, seconds, without_result
from mega_code.envelope import Envelope
from mega_code.errors import MegaCodeError
from mega_code.paths import DataDir, check_skill_name, data_dir, project_dir
from mega_code.settings import with_env_file
from mega_code.workspace import Iteration

Arguments = argparse.Namespace


def parser() -> Parser:
    """The command line of `python -m mega_code.hitl`."""
    prog = "python -m mega_code.hitl"
    own = Parser(
        prog=prog,
        description="Measure and improve a skill with a person in the loop, one iteration at a time. "
        "Prints one JSON line.",
        epilog=manual(
            prog,
            (0, 3, 4, 5, 130),
            ("CLAUDE_PROJECT_DIR", "MEGA_CODE_DATA_DIR", "NO_COLOR"),
            ("start --skill commit-message", "run --skill commit-message --model claude --repeats 3"),
            "scripts/hitl.sh, references/hitl/workspace.md",
        ),
    )
    commands = own.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, work: Callable[[Arguments], Envelope], words: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=words)
        made.set_defaults(work=work)
        made.add_argument("--skill", metavar="NAME", help="the skill")
        if name not in ("start", "history"):
            made.add_argument("--iteration", metavar="N", type=_positive, help="which iteration (default: the newest)")
        made.add_argument(
            "--project-dir", metavar="DIR", type=named_path, help="the project (default: CLAUDE_PROJECT_DIR, else here)"
        )
        made.add_argument("--result-json", metavar="PATH", help="write the JSON object there too")
        return made

    starting = add("start", _start, "begin the next iteration: copy the skill")
    starting.add_argument(
        "--allow-secret", metavar="RELPATH", action="append", default=[], help="copy this file all the same"
    )
    add("check-cases", _check_cases, "check test-cases.json")
    auditing = add("audit", _audit, "look for red flags, and keep the person's answer")
    auditing.add_argument("--decision", choices=("continue", "skip"), help="what the person said to the findings")
    running = add("run", _run, "run every case in every arm")
    running.add_argument(
        "--model", metavar="MODEL", help="claude, codex or openai:MODEL (default: the session's agent)"
    )
    running.add_argument("--repeats", metavar="N", type=_positive, default=1, help="runs a case and arm (default: 1)")
    running.add_argument(
        "--max-wait", metavar="SECONDS", type=seconds, default=0.0, help="how long to wait; 0 for as long as it takes"
    )
    running.add_argument("--plan", action="store_true", help="say what it would take at most, and spend nothing")
    add("check-gradings", _check_gradings, "check gradings.json against the outputs")
    add("aggregate", _aggregate, "work out benchmark.json and benchmark.md")
    reviewing = add("review", _review, "open the review page on this machine")
    reviewing.add_argument("--blind", action="store_true", help="do not say which output is whose until the end")
    reviewing.add_argument("--static", metavar="FILE", help="write the page to a file instead")
    add("stop-review", _stop_review, "close the review page")
    accepting = add("accept", _accept, "install a new version")
    accepting.add_argument(
        "--text",
        choices=("draft", "measured"),
        default="draft",
        help="what to install: draft-skill.md, or the text that was measured, stamped with its figures (default: draft)",
    )
    add("undo", _undo, "put back what accept replaced")
    add("history", _history, "every iteration, its figures and decisions")
    return own


def main(argv: Sequence[str]) -> int:
    """Run a command; gives its exit status."""

    def work() -> Envelope:
        arguments = parser().parse_args(argv)
        telemetry.current().set(mode=arguments.command)
        done: Envelope = arguments.work(arguments)
        return done

    return answer("hitl", work, lambda: None, named_file(argv), lambda: ["hitl.sh", *without_result(argv)])


def _positive(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 1_000_000):
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number from 1")
    return int(value)


def _data() -> DataDir:
    return DataDir(data_dir(os.environ))


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _name(arguments: Arguments) -> str:
    if not arguments.skill:
        raise MegaCodeError("missing_skill_name", "Name the skill: --skill NAME.")
    return check_skill_name(arguments.skill)


def _iteration(arguments: Arguments) -> Iteration:
    return workspace.find(_data(), _name(arguments), arguments.iteration)


def _start(arguments: Arguments) -> Envelope:
    from mega_code.hitl.start import start

    skill = skills.resolve(_name(arguments), project_dir(arguments.project_dir, os.environ), _data(), prefix=True)
    return start(skill, _data(), _now(), arguments.allow_secret)


def _check_cases(arguments: Arguments) -> Envelope:
    from mega_code.hitl import testcases

    return testcases.check(_iteration(arguments))


def _audit(arguments: Arguments) -> Envelope:
    from mega_code.hitl.trust import audit

    return audit(_iteration(arguments), arguments.decision, _now())


def _run(arguments: Arguments) -> Envelope:
    from mega_code.hitl.runs import Wanted, run

    data = _data()
    env = with_env_file(os.environ)
    wanted = Wanted(arguments.model, arguments.repeats, arguments.max_wait, arguments.plan)
    return run(_iteration(arguments), data, wanted, env)


def _check_gradings(arguments: Arguments) -> Envelope:
    from mega_code.hitl import gradings

    return gradings.check(_iteration(arguments))


def _aggregate(arguments: Arguments) -> Envelope:
    from mega_code.hitl.benchmark import aggregate

    return aggregate(_iteration(arguments))


def _review(arguments: Arguments) -> Envelope:
    from mega_code.hitl.review_server import review

    static: Optional[Path] = Path(os.path.abspath(arguments.static)) if arguments.static else None
    return {"review": review(_iteration(arguments).folder, blind=arguments.blind, static=static)}


def _stop_review(arguments: Arguments) -> Envelope:
    from mega_code.hitl.review_server import stop_review

    return {"stopped": stop_review(_iteration(arguments).folder)}


def _accept(arguments: Arguments) -> Envelope:
    from mega_code.hitl.acceptance import accept

    return accept(_iteration(arguments), _data(), _now(), arguments.text == "measured")


def _undo(arguments: Arguments) -> Envelope:
    from mega_code.hitl.acceptance import undo

    return undo(_iteration(arguments), _data(), _now())


def _history(arguments: Arguments) -> Envelope:
    from mega_code.hitl.history import history

    return history(_data(), _name(arguments))
