"""Searching with regular expressions that somebody else wrote: a bad one costs two seconds and not the worker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Optional

DEADLINE_S = 2.0
_REPEATED = re.compile(r"[*+{]")
_CHILD = """
import json, re, sys
pattern, text = json.load(sys.stdin)
match = re.search(pattern, text)
print(json.dumps(match and match.group()))
"""


class TooSlow(Exception):
    """The search did not end within `DEADLINE_S`."""


def search(pattern: str, text: str) -> Optional[str]:
    """What a pattern matches first in `text`, or None. Raises TooSlow.

    `re` cannot be interrupted, and a pattern with nested repeats can take for ever; so one that repeats anything runs
    in a process of its own.
    """
    if not _REPEATED.search(pattern):
        match = re.search(pattern, text)
        return match.group() if match else None
    try:
        child = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _CHILD],
            input=json.dumps([pattern, text]),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise TooSlow from None
    found = json.loads(child.stdout)
    return found if isinstance(found, str) else None
