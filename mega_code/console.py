"""What people see while a command runs: one place, stderr only, no control characters, no token.

On a terminal a line on how far it is lives: it is rewritten in place. Elsewhere, and in the transcript of a script,
it is a plain line now and then.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import stat
import sys
from typing import Any, NamedTuple, Optional

from mega_code import terminal
from mega_code.plain import plain

# Set by scripts/lib, whose pipe is our stderr: two descriptors, of the person's terminal and of the transcript.
HANDED = "MEGA_CODE_TERMINAL"
# Every text holds a shorter one by chance: without those places it could not be read, and would tell the secret itself.
_SHORTEST_SECRET = 4
# A shorter one may be a part of what we say, such as `token_savings`, and counts where it is a word of its own.
_SHORTEST_PART = 8
_secrets: set[str] = set()
_words: dict[str, re.Pattern[str]] = {}


class _Screen(NamedTuple):
    """A terminal that we write to ourselves; `transcript` is a descriptor of a file that gets every plain line."""

    live: terminal.Live
    transcript: Optional[int]


_screens: dict[int, _Screen] = {}


def conceal(secret: str) -> None:
    """From now on `secret` is shown nowhere, whoever repeats it."""
    if secret:
        _secrets.add(f"Bearer {secret}")  # how a server is likely to repeat one that is short
    if len(secret) >= _SHORTEST_PART:
        _secrets.add(secret)
    elif len(secret) >= _SHORTEST_SECRET:
        _words[secret] = re.compile(rf"(?<!\w){re.escape(secret)}(?!\w)")


def concealed(value: Any) -> Any:
    """A JSON value without what is to be concealed, in keys as in strings.

    A short secret stays: a name or a path that holds it as a word would be another one without it.
    """
    if isinstance(value, str):
        for secret in _secrets:
            value = value.replace(secret, "***")
        return value
    if isinstance(value, list):
        return [concealed(inner) for inner in value]
    if isinstance(value, dict):
        return {concealed(key): concealed(inner) for key, inner in value.items()}
    return value


def readable(text: str) -> str:
    """A sentence for a person, safe to show: without what is to be concealed, a short secret included."""
    text = str(concealed(plain(text)))
    for word in _words.values():
        text = word.sub("***", text)
    return text


def say(message: str) -> None:
    """A line that stays; where nobody can read it (stderr on a full disk) the work goes on."""
    line, screen = readable(message), _screen()
    with contextlib.suppress(OSError, ValueError):
        if screen is None:
            print(line, file=sys.stderr, flush=True)
            return
        screen.live.say(line)
    _note(screen, line)


def warn(message: str) -> None:
    """Something a person should know; the command goes on."""
    say(f"warning: {message}")


@functools.cache
def warn_once(message: str) -> None:
    """`warn`, and never again in this process."""
    warn(message)


def progress(message: str, due: bool, last: bool = False) -> None:
    """How far it is. On a terminal it takes the place of what it was, and stays where it is the `last`.

    Elsewhere, and in the transcript, it is a line where it is `due`.
    """
    screen = _screen()
    if last or (screen is None and due):
        say(message)
    elif screen is not None:
        line = readable(message)
        with contextlib.suppress(OSError, ValueError):
            screen.live.show(line)
        if due:
            _note(screen, line)


def clear() -> None:
    """Nothing is under way any more: whoever comes next finds an empty line."""
    screen = _screen()
    if screen is not None:
        with contextlib.suppress(OSError):
            screen.live.clear()


def _note(screen: Optional[_Screen], line: str) -> None:
    if screen is not None and screen.transcript is not None:
        with contextlib.suppress(OSError):
            os.write(screen.transcript, f"{line}\n".encode(screen.live.encoding, "backslashreplace"))


def _screen() -> Optional[_Screen]:
    """The terminal that was handed on, else stderr, if that is one; None where neither obeys."""
    handed = re.fullmatch(r"(\d{1,4}) (\d{1,4})", os.environ.get(HANDED, ""))
    if handed and terminal.obeys(int(handed[1]), os.environ):
        return _opened(int(handed[1]), int(handed[2]))
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or no file at all
        if terminal.obeys(sys.stderr.fileno(), os.environ):
            return _opened(sys.stderr.fileno(), None)
    return None


def _opened(descriptor: int, transcript: Optional[int]) -> _Screen:
    if descriptor not in _screens:
        if transcript is not None:
            with contextlib.suppress(OSError):
                transcript = transcript if stat.S_ISREG(os.fstat(transcript).st_mode) else None
        live = terminal.Live(descriptor, sys.stderr.encoding or "utf-8", os.environ)
        _screens[descriptor] = _Screen(live, transcript)
    return _screens[descriptor]
