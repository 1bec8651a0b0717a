"""argparse as the contract wants it: bad usage is an error with a code, and one place turns errors into envelopes."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import NoReturn, Optional

from mega_code import interrupt, telemetry
from mega_code.console import concealed, say, warn
from mega_code.envelope import Envelope, emit, exit_status
from mega_code.errors import MegaCodeError

MISSING_PACKAGE = 97  # read by scripts/lib, which sets up a runtime and runs the command again
LAUNCHER = "MEGA_CODE_LAUNCHER"  # set by scripts/lib
PACKAGES = ("requests", "urllib3", "yaml")


class Parser(argparse.ArgumentParser):
    """Raises MegaCodeError `invalid_arguments` instead of leaving the process."""

    def __init__(self, **options: object) -> None:
        super().__init__(allow_abbrev=False, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        raise MegaCodeError("invalid_arguments", f"{message[:1].upper()}{message[1:]}; --help shows the usage.")


def seconds(value: str) -> float:
    """A number of seconds, 0 or more, as an argparse type."""
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{value!r} is no number of seconds, 0 or more")
    return number


def named_file(argv: Sequence[str], flag: str = "--result-json") -> Optional[str]:
    """The value of `flag` as far as it can be read from arguments that may not parse."""
    value = None
    for index, argument in enumerate(argv):
        if argument == flag and index + 1 < len(argv) and not argv[index + 1].startswith("--"):
            value = argv[index + 1]
        elif argument.startswith(f"{flag}="):
            value = argument.partition("=")[2]
    return value or None


def answer(
    name: str, work: Callable[[], Envelope], job_id: Callable[[], Optional[str]], result_json: Optional[str] = None
) -> int:
    """Run `work` and end with exactly one envelope, whatever happens; gives the exit status.

    `job_id` is asked at the end, so that an error or a signal names the job that exists by then. `name` is the
    command's in a trace.
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
    if envelope is None:
        return MISSING_PACKAGE
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


def leave(status: int) -> NoReturn:
    """End the process without waiting for transfers that were given up."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    if status != MISSING_PACKAGE:  # else it is run again
        with contextlib.suppress(Exception, KeyboardInterrupt):
            telemetry.flush(warn)
    os._exit(status)
