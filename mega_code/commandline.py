"""argparse as the contract wants it: bad usage is an error with a code, and one place turns errors into envelopes."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Optional

from mega_code import LAUNCHER, MISSING_PACKAGE, interrupt, telemetry
from mega_code.console import clear, concealed, say, warn
from mega_code.envelope import Envelope, emit, exit_status
from mega_code.errors import FINISHED, NETWORK, MegaCodeError

PACKAGES = ("requests", "urllib3", "yaml")


COLUMNS = 96
ENVIRONMENT = {
    "MEGA_CODE_SERVER_URL": "the server; MEGA_CODE_API_KEY is its key",
    "MEGA_CODE_MODEL": "the model to measure with",
    "MEGA_CODE_DATA_DIR": "where data is kept",
    "CLAUDE_PROJECT_DIR": "the project, where --project-dir does not name it",
    "NO_COLOR": "no colours on a terminal",
}
STATUSES = {
    0: "done",
    2: "submitted before",
    3: "not done in time",
    4: "bad input or refused",
    5: "authentication, network, or no answer",
    130: "interrupted",
}


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Headings as the scripts write them, and the same width everywhere."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=COLUMNS)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Optional[str] = None) -> None:
        super().add_usage(usage, actions, groups, "Usage: " if prefix is None else prefix)


def manual(prog: str, statuses: Sequence[int], environment: Sequence[str], examples: Sequence[str], see: str) -> str:
    """What stands below the options; `examples` are the arguments behind `prog`, and `see` what to read beside it."""
    ends = textwrap.fill(
        "Exit: " + ", ".join(f"{status} {STATUSES[status]}" for status in statuses) + ".",
        COLUMNS,
        subsequent_indent="      ",
    )
    parts = [ends]
    if environment:
        parts.append("Environment:\n" + "\n".join(f"  {name:22}{ENVIRONMENT[name]}" for name in environment))
    parts.append("Examples:\n" + "\n".join(f"  {prog} {example}".rstrip() for example in examples))
    return "\n\n".join([*parts, f"See also: {see}"])


def shaped(parser: argparse.ArgumentParser) -> None:
    """Give the help of any parser the shape that all have."""
    parser.formatter_class = _Formatter
    parser._optionals.title, parser._positionals.title = "Options", "Arguments"
    if parser.description:
        parser.description = textwrap.fill(parser.description, COLUMNS)


class Parser(argparse.ArgumentParser):
    """Raises MegaCodeError `invalid_arguments` instead of leaving the process."""

    def __init__(self, **options: object) -> None:
        # Named from the start: for its own --help argparse would import a library of archives to find out a width.
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **options)  # type: ignore[arg-type]
        shaped(self)

    def print_help(self, file: Any = None) -> None:
        """The help, as `tell` prints an answer; leaves the process where it could not be written."""
        if file is not None:
            super().print_help(file)
        elif status := tell(self.format_help().rstrip("\n")):
            self.exit(status)

    def error(self, message: str) -> NoReturn:
        raise MegaCodeError("invalid_arguments", f"{message[:1].upper()}{message[1:]}; --help shows the usage.")


def seconds(value: str) -> float:
    """A number of seconds, 0 or more, as an argparse type."""
    try:
        number = float(value) if value.isascii() and "_" not in value else -1.0
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{value!r} is no number of seconds, 0 or more")
    return number


def named_path(value: str) -> str:
    """A path, as an argparse type: none is empty, which would mean the working directory."""
    if not value:
        raise argparse.ArgumentTypeError("an empty path names nothing")
    return value


def named_file(argv: Sequence[str], flag: str = "--result-json") -> Optional[str]:
    """The value of `flag` as far as it can be read from arguments that may not parse."""
    value = None
    for index, argument in enumerate(argv):
        if argument == flag and index + 1 < len(argv) and not argv[index + 1].startswith("--"):
            value = argv[index + 1]
        elif argument.startswith(f"{flag}="):
            value = argument.partition("=")[2]
    return value or None


def without_result(argv: Sequence[str]) -> list[str]:
    """Arguments without `--result-json`, which names the file of one run."""
    kept = [word for word in argv if not word.startswith("--result-json=")]
    for index in [index for index, word in enumerate(kept) if word == "--result-json"]:
        kept[index : index + 2] = []
    return kept


def answer(
    name: str,
    work: Callable[[], Envelope],
    job_id: Callable[[], Optional[str]],
    result_json: Optional[str] = None,
    again: Callable[[], Sequence[str]] = tuple,
) -> int:
    """Run `work` and end with exactly one envelope, whatever happens; gives the exit status.

    `job_id` and `again` are asked at the end, so that an error or a signal names the job that exists by then, and the
    script, with its words, that does the same again. `name` is the command's in a trace.
    """
    started = time.monotonic()
    open_streams()
    interrupt.listen()
    try:
        interrupt.release()
        with telemetry.command(name) as span:
            envelope = _attempt(work, job_id)
            interrupt.hold()  # the outcome is known; a signal changes it no more
            _tell(span, envelope or {}, job_id())
    except interrupt.Interrupted as signal:
        elapsed = round(time.monotonic() - started, 1)
        envelope = {"interrupted": {"job_id": job_id(), "elapsed_s": elapsed, "signal": signal.name}}
    clear()
    if envelope is None:
        return MISSING_PACKAGE
    unfinished = envelope.get("error") or envelope.get("interrupted")
    if isinstance(unfinished, dict) and again():
        unfinished["again"] = list(again())
    return emit(concealed(envelope), result_json)


def _tell(span: telemetry.Span, envelope: Envelope, job_id: Optional[str]) -> None:
    """How a command ends, in its span."""
    span.set(job_id=job_id, exit_status=exit_status(envelope))
    if "error" in envelope:
        span.fail(envelope["error"]["code"])


def _attempt(work: Callable[[], Envelope], job_id: Callable[[], Optional[str]]) -> Optional[Envelope]:
    """What `work` gives, or the error it ends in; None where our launcher is to bring a package first."""
    try:
        return work()
    except Exception as error:
        if is_missing_package(error) and LAUNCHER in os.environ:
            return None
        told = error if isinstance(error, MegaCodeError) else as_error(error)
        say(f"error: {told.message} [{told.code}]")
        return told.envelope(job_id())


def is_missing_package(error: Exception) -> bool:
    """Whether one of the two packages of the base install is not there."""
    return isinstance(error, ImportError) and (error.name or "").partition(".")[0] in PACKAGES


def as_error(error: Exception) -> MegaCodeError:
    """What nobody foresaw, as an error with a code: the command still ends with its envelope."""
    if is_missing_package(error):
        return MegaCodeError(
            "invalid_arguments", "The packages requests and PyYAML are missing: python3 -m pip install requests PyYAML"
        )
    if isinstance(error, OSError):
        return MegaCodeError("invalid_path", f"{error}.")
    return MegaCodeError("invalid_arguments", f"This could not be done: {type(error).__name__}: {str(error)[:200]}.")


def open_streams() -> None:
    """Where a standard stream is closed, nothing is read or written in its stead."""
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115 - as long as the process
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def tell(text: str, status: int = FINISHED) -> int:
    """Print an answer on stdout; gives `status`, or that of an answer that could not be written.

    Where stdout is closed, or its reader has seen enough, nobody asks for the rest of it.
    """
    open_streams()
    try:
        print(text, flush=True)
    except OSError as error:
        # Without this the interpreter would try, and complain, once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            say(f"The answer could not be written: {error.strerror}.")
            return NETWORK
    return status


def leave(status: int) -> NoReturn:
    """End the process without waiting for transfers that were given up."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    if status != MISSING_PACKAGE:  # else it is run again
        with contextlib.suppress(Exception, KeyboardInterrupt):
            telemetry.flush(warn)
    os._exit(status)
