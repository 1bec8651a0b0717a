"""argparse as the contract wants it: bad usage is an error with a code, and one place turns errors into envelopes."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import NoReturn, Optional

from mega_code.client import interrupt
from mega_code.client.console import say
from mega_code.envelope import Envelope, emit
from mega_code.errors import MegaCodeError

MISSING_PACKAGE = 97  # read by scripts/lib: set up a runtime and run again


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


def answer(work: Callable[[], Envelope], job_id: Callable[[], Optional[str]], result_json: Optional[str] = None) -> int:
    """Run `work` and end with exactly one envelope, whatever happens; gives the exit status.

    `job_id` is asked at the end, so that an error or a signal names the job that exists by then.
    """
    started = time.monotonic()
    interrupt.listen()
    try:
        envelope = work()
    except interrupt.Interrupted as signal:
        elapsed = round(time.monotonic() - started, 1)
        envelope = {"interrupted": {"job_id": job_id(), "elapsed_s": elapsed, "signal": signal.name}}
    except MegaCodeError as error:
        envelope = error.envelope(job_id())
        say(f"error: {error.message} [{error.code}]")
    except ImportError as error:
        if error.name and error.name.partition(".")[0] in ("requests", "yaml", "urllib3"):
            return MISSING_PACKAGE
        raise
    status = emit(envelope, result_json)
    sys.stderr.flush()
    return status


def leave(status: int) -> NoReturn:
    """End the process without waiting for transfers that were given up."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
