"""What people see while a command runs: one place, stderr only, no control characters."""

from __future__ import annotations

import sys
import unicodedata


def plain(text: object, keep: str = "") -> str:
    """`text` without control and formatting characters (other than those in `keep`): no terminal obeys a server."""
    return "".join(
        char if char in keep or unicodedata.category(char) not in ("Cc", "Cf", "Cs") else "\N{REPLACEMENT CHARACTER}"
        for char in str(text)
    )


def say(message: str) -> None:
    """A progress line."""
    print(plain(message), file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Something a person should know; the command goes on."""
    say(f"warning: {message}")
