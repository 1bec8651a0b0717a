"""`python -m mega_code.hitl.lines ENVELOPE.json`: an envelope of the local flow as `KEY=value` lines for a script."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mega_code.commandline import Parser, tell
from mega_code.console import say
from mega_code.envelope import Envelope
from mega_code.errors import MegaCodeError
from mega_code.files import read_json
from mega_code.plain import plain

CHARACTERS = 1000
AGAIN = "again"  # the words of a command, for the report


def lines(envelope: Envelope) -> list[str]:
    """`OUTCOME` first, which is the envelope's key; then what stands there, lists by their length, nulls left out."""
    outcome, inner = next(iter(envelope.items()))
    values = inner if isinstance(inner, dict) else {"entries": inner}
    prefix = "ERROR_" if outcome == "error" else ""
    return [f"OUTCOME={outcome}"] + [
        f"{prefix}{key.upper()}={_line(value)}"
        for key, value in values.items()
        if value is not None and not isinstance(value, dict) and key != AGAIN
    ]


def _line(value: object) -> str:
    if isinstance(value, list):
        return str(len(value))
    shown = str(int(value)) if isinstance(value, bool) else str(value)
    return " ".join(plain(shown, keep="\n").split("\n"))[:CHARACTERS]


def main(argv: Sequence[str]) -> int:
    """Print the lines; gives the exit status of reading."""
    own = Parser(prog="lines", description="Print an envelope of the local flow as KEY=value lines.")
    own.add_argument("envelope", metavar="ENVELOPE.json", help="what --result-json wrote")
    try:
        path = own.parse_args(argv).envelope
        envelope = read_json(path)
        if not (isinstance(envelope, dict) and envelope):
            raise MegaCodeError("invalid_arguments", f"{path!r} holds no envelope.")
    except MegaCodeError as error:
        say(f"lines: {error.message} [{error.code}]")
        return error.exit_status
    return tell("\n".join(lines(envelope)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
