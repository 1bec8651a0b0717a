"""Searching with regular expressions that somebody else wrote: a bad one costs two seconds and not the worker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Optional

CPU_S = 2
DEADLINE_S = 30.0
_HARMLESS = re.compile(r"[^*+?{|]*")
_CHILD = f"""
import json, re, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, ({CPU_S}, {CPU_S + 1}))
except (ImportError, OSError, ValueError):
    pass
pattern, text = json.load(sys.stdin)
match = re.search(pattern, text)
print(json.dumps(match and match.group()))
"""


class TooSlow(Exception):
    """The search did not end within `CPU_S` seconds of computing, or could not be done at all."""


def search(pattern: str, text: str) -> Optional[str]:
    """What a pattern matches first in `text`, or None. Raises TooSlow.

    `re` cannot be interrupted, and a pattern that repeats, or leaves anything to choose, can take for ever; so it runs
    in a process of its own. Computing time counts, since a machine that is busy must not change a grade.
    """
    if _HARMLESS.fullmatch(pattern):
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
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        raise TooSlow from None
    found = json.loads(child.stdout)
    return found if isinstance(found, str) else None
