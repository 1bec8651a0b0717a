"""Reading a result that anybody may have written: every look gives a value of the type that was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Optional, Union

Number = Union[int, float]
LARGEST = 10**15  # past it a figure is no measurement, and its picture no picture

_PERCENT = re.compile(r"\s*([+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*%?\s*")


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def listing(value: Any) -> list[Any]:
    """The entries of a list or tuple; of anything else none."""
    return list(value) if isinstance(value, (list, tuple)) else []


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The entries that are mappings."""
    return [entry for entry in listing(value) if isinstance(entry, Mapping)]


def number(value: Any) -> Optional[Number]:
    """`value` where it is a number that can be drawn."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) <= LARGEST else None  # neither infinity nor NaN is


def index(value: Any) -> Optional[int]:
    """`value` where it is a whole number, such as that of a candidate."""
    return value if isinstance(number(value), int) else None


def interval(value: Any) -> Optional[tuple[Number, Number]]:
    """Both ends of an interval, the lower first."""
    ends = [number(end) for end in listing(value)]
    if len(ends) != 2 or ends[0] is None or ends[1] is None or ends[0] > ends[1]:
        return None
    return ends[0], ends[1]


def percent(value: Any) -> Optional[float]:
    """The number in a figure such as "-4%"; None where it is none."""
    if isinstance(value, str):
        found = _PERCENT.fullmatch(value)
        return float(found[1]) if found else None
    given = number(value)
    return None if given is None else float(given)


def digits(value: Number, shift: int = 0) -> str:
    """A number with every digit that it has, times ten to the `shift`: 0.703125 and 2 are "70.3125"."""
    moved = Decimal(repr(value)).scaleb(shift)
    whole = format(moved.normalize() if moved else Decimal(0), ",f")
    return whole.replace("-", "\N{MINUS SIGN}")


def words(value: Any) -> str:
    """Any value as one text: a string as it is, the rest as JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return f"({type(value).__name__}, not to be written out)"
