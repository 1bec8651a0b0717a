"""Counts what an attack did (kills, cases, requests), so that a command can print the figures a document quotes."""

from __future__ import annotations

import os

FILE_VARIABLE = "MEGA_CODE_TALLY"  # names the file the counts are appended to


def tally(name: str, count: int) -> None:
    """Append the line `name | count` to the file that MEGA_CODE_TALLY names; do nothing where it names none.

    One `write` on a descriptor opened for appending: processes that count at the same time do not cut each other's lines.
    """
    path = os.environ.get(FILE_VARIABLE)
    if not path:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, f"{name} | {count}\n".encode())
    finally:
        os.close(descriptor)
