"""What people see while a command runs: one place, stderr only, no control characters, no token."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from mega_code.plain import plain

_SHORTEST_SECRET = 8  # shorter ones are words of their own; replacing those would change what was said
_secrets: set[str] = set()


def conceal(secret: str) -> None:
    """From now on `secret` is shown nowhere, whoever repeats it."""
    if len(secret) >= _SHORTEST_SECRET:
        _secrets.add(secret)


def concealed(value: Any) -> Any:
    """A JSON value without what is to be concealed, in keys as in strings."""
    if isinstance(value, str):
        for secret in _secrets:
            value = value.replace(secret, "***")
        return value
    if isinstance(value, list):
        return [concealed(inner) for inner in value]
    if isinstance(value, dict):
        return {concealed(key): concealed(inner) for key, inner in value.items()}
    return value


def say(message: str) -> None:
    """A progress line; where nobody can read it (stderr on a full disk) the work goes on."""
    with contextlib.suppress(OSError, ValueError):
        print(concealed(plain(message)), file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Something a person should know; the command goes on."""
    say(f"warning: {message}")
