"""Counts what an attack did (kills, cases, requests), so that a command can print the figures a document quotes."""

from __future__ import annotations

import os

FILE = os.environ.get("MEGA_CODE_TALLY")  # read on import: later, a test's environment is a clean room


def tally(name: str, count: int) -> None:
    """Append the line `name | count` to the file that MEGA_CODE_TALLY named at the start; without one, do nothing.

    One `write` on a descriptor opened for appending: processes that count at the same time do not cut each other's lines.
    """
    if not FILE:
        return
    descriptor = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, f"{name} | {count}\n".encode())
    finally:
        os.close(descriptor)
