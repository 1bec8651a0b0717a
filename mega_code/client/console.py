"""What people see while a command runs: one place, stderr only, no control characters, no token."""

from __future__ import annotations

import contextlib
import sys
import unicodedata
from typing import Any

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


def plain(text: object, keep: str = "") -> str:
    """`text` without control and formatting characters (other than those in `keep`): no terminal obeys a server."""
    return "".join(
        char if char in keep or unicodedata.category(char) not in ("Cc", "Cf", "Cs") else "\N{REPLACEMENT CHARACTER}"
        for char in str(text)
    )


def say(message: str) -> None:
    """A progress line; where nobody can read it (stderr on a full disk) the work goes on."""
    with contextlib.suppress(OSError, ValueError):
        print(concealed(plain(message)), file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Something a person should know; the command goes on."""
    say(f"warning: {message}")
