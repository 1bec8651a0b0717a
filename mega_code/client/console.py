"""What people see while a command runs: one place, stderr only, no control characters."""

from __future__ import annotations

import sys

from mega_code.plain import plain


def say(message: str) -> None:
    """A progress line."""
    print(plain(message), file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Something a person should know; the command goes on."""
    say(f"warning: {message}")
