"""The person's terminal: a line that is rewritten in place, and colour where it is wanted."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping

BOLD, RED, GREEN, YELLOW, CYAN = "1", "31", "32", "33", "36"
ERASE = "\x1b[J"  # all that follows the cursor: of a line that the terminal has wrapped since, nothing stays
COLUMNS = 80


def obeys(descriptor: int, env: Mapping[str, str]) -> bool:
    """Whether `descriptor` is open on a terminal that knows how to erase."""
    try:
        return os.isatty(descriptor) and env.get("TERM", "dumb") not in ("", "dumb")
    except OSError:
        return False


def paint(text: str, colour: str, descriptor: int, env: Mapping[str, str]) -> str:
    """`text` in a colour, plain where `NO_COLOR` says so (any value but an empty one) or no terminal shows it."""
    wanted = obeys(descriptor, env) and not env.get("NO_COLOR")
    return f"\x1b[{colour}m{text}\x1b[0m" if wanted else text


def width(char: str) -> int:
    """The columns that a character takes."""
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """As much of the beginning of `text` as fits, an ellipsis where that is not all."""
    if sum(map(width, text)) <= columns:
        return text
    kept, room = "", columns - 1
    for char in text:
        room -= width(char)
        if room < 0:
            break
        kept += char
    return f"{kept}…" if columns > 0 else ""


class Live:
    """One line on the terminal `descriptor`. Between two of its writes the cursor rests where the line begins.

    So it is found again whatever width the terminal has by then, and what others write covers it.
    """

    def __init__(self, descriptor: int, encoding: str, env: Mapping[str, str]) -> None:
        self.descriptor, self.encoding, self.env = descriptor, encoding, env
        self._shown = ""

    def show(self, line: str) -> None:
        """Put `line` in the place of the last one, cut to the terminal. Raises OSError."""
        text = cut(self._spoken(line), self._columns() - 1)
        if text != self._shown:
            self._shown = text
            self._write(f"\r{paint(text, CYAN, self.descriptor, self.env)}{ERASE}\r")

    def clear(self) -> None:
        """Leave nothing of the line. Raises OSError."""
        if self._shown:
            self._shown = ""
            self._write(f"\r{ERASE}")

    def say(self, line: str) -> None:
        """A line that stays; the one that is rewritten goes. Raises OSError."""
        before, self._shown = f"\r{ERASE}" if self._shown else "", ""
        self._write(f"{before}{line}\n")

    def _spoken(self, line: str) -> str:
        """`line` in what the terminal's encoding can say."""
        try:
            line.encode(self.encoding)
            return line
        except UnicodeEncodeError:
            return line.replace("—", "-").encode(self.encoding, "replace").decode(self.encoding)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self.descriptor).columns or COLUMNS
        except OSError:
            return COLUMNS

    def _write(self, text: str) -> None:
        data = text.encode(self.encoding, "backslashreplace")
        while data:
            data = data[os.write(self.descriptor, data) :]
