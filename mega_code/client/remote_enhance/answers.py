"""A JSON answer of a server that may mean harm: read whole, or refused before it costs memory or time."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from mega_code.errors import MegaCodeError

LEVELS = 64
PARTS = 1_000_000  # lists, objects and their entries: some 100 MiB of memory at worst
DIGITS = 1000  # turning more into a number takes a time that grows with their square
_TOKEN = re.compile(rb'"[^"]*"?|[\[{,]')
_QUOTE = ord('"')

Json = dict[str, Any]


def parse_object(body: bytes) -> Json:
    """A JSON object in UTF-8, of at most 64 levels and a million parts. Raises MegaCodeError `invalid_response`."""
    if _has_too_many_parts(body):
        raise MegaCodeError("invalid_response", f"The server's answer has over {PARTS} parts.")
    try:
        text = body.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_refuse, parse_int=_integer, parse_float=_float)
    except (ValueError, RecursionError):
        raise MegaCodeError("invalid_response", "The server's answer is no JSON.") from None
    if not isinstance(value, dict):
        raise MegaCodeError("invalid_response", "The server's answer is no JSON object.")
    level: list[Any] = [value]
    for _ in range(LEVELS):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return value
    raise MegaCodeError("invalid_response", f"The server's answer is nested over {LEVELS} levels deep.")


def _has_too_many_parts(body: bytes) -> bool:
    """What stands in strings does not count, but is only told apart where it matters."""
    if sum(map(body.count, (b"[", b"{", b","))) <= PARTS:
        return False
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"")
    parts = 0
    for number, token in enumerate(_TOKEN.finditer(bare)):
        parts += bare[token.start()] != _QUOTE
        if parts > PARTS or number > 4 * PARTS:  # an entry has two strings at most
            return True
    return False


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits) if len(digits) <= DIGITS else math.inf
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number
