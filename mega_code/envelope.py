"""The one JSON object a command ends with: its shapes, its exit status, its writing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Any, Optional

from mega_code import errors
from mega_code.files import write_atomic

Envelope = dict[str, Any]


def exit_status(envelope: Envelope) -> int:
    """The exit status that belongs to an envelope: the one place where the two are joined."""
    if "error" in envelope:
        error = envelope["error"]
        return errors.exit_status(str(error.get("code")), error.get("http_status"))
    if "conflict" in envelope:
        return errors.CONFLICT
    if "timeout" in envelope:
        return errors.TIMEOUT
    if "interrupted" in envelope:
        number = signal.Signals[envelope["interrupted"].get("signal", "SIGINT")]
        return 128 + int(number)
    return errors.FINISHED


def render(envelope: Any) -> str:
    """One line of ASCII JSON, whatever the strings hold."""
    return json.dumps(envelope, separators=(", ", ": "))


def emit(envelope: Envelope, result_json: Optional[str] = None) -> int:
    """Print the envelope, write it to `result_json` too, and return its exit status.

    A `result_json` that cannot be written is a warning: the outcome stands all the same.
    """
    line = render(envelope)
    if result_json:
        try:
            _write(result_json, line)
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError, ValueError):
                print(
                    f"warning: {result_json!r} could not be written: {getattr(error, 'strerror', None) or error}",
                    file=sys.stderr,
                    flush=True,
                )
    print_line(line)
    return exit_status(envelope)


def _write(path: str, line: str) -> None:
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError("it is no file")  # a rename would put one in the place of a device such as /dev/null
    write_atomic(path, line.encode() + b"\n")


def print_line(line: str) -> None:
    """Print a line on stdout, where somebody reads it."""
    try:
        print(line, flush=True)
    except OSError:
        # Without this the interpreter would try, and complain, once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
