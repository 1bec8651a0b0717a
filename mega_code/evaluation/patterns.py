"""Searching with regular expressions that somebody else wrote: a bad one costs two seconds and not the worker."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import signal
import subprocess
import sys
from typing import Optional

CPU_S = 2
DEADLINE_S = 30.0
REMEMBERED = 10_000
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


_too_slow: dict[bytes, None] = {}  # hashes of what was, the oldest first


class TooSlow(Exception):
    """The search did not end within `CPU_S` seconds of computing, or could not be done at all."""


class _Endless(TooSlow):
    """It did not, however much time the machine has."""


def search(pattern: str, text: str) -> Optional[str]:
    """What a pattern matches first in `text`, or None. Raises TooSlow.

    `re` cannot be interrupted, and a pattern that repeats, or leaves anything to choose, can take for ever; so it runs
    in a process of its own. Computing time counts, since a machine that is busy must not change a grade. One that was
    too slow is not tried again on the same text, which other repeats and arms bring as well.
    """
    if _HARMLESS.fullmatch(pattern):
        match = re.search(pattern, text)
        return match.group() if match else None
    given = json.dumps([pattern, text])
    mark = hashlib.sha256(given.encode()).digest()
    if mark in _too_slow:
        raise TooSlow
    try:
        return _searched(given)
    except _Endless:
        _too_slow[mark] = None
        with contextlib.suppress(KeyError, RuntimeError):  # another thread may have done it
            while len(_too_slow) > REMEMBERED:
                del _too_slow[next(iter(_too_slow))]
        raise


def _searched(given: str) -> Optional[str]:
    """What the child finds. Raises TooSlow, and of that _Endless where its computing time was used up."""
    try:
        child = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _CHILD],
            input=given,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise TooSlow from None
    except subprocess.CalledProcessError as error:
        raise (_Endless if -error.returncode in (signal.SIGXCPU, signal.SIGKILL) else TooSlow) from None
    found = json.loads(child.stdout)
    return found if isinstance(found, str) else None
