"""Numbers that stand in variables of the environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Optional

from mega_code.errors import MegaCodeError


def decimal(env: Mapping[str, str], name: str, low: float) -> Optional[float]:
    """The number in `name`, None where it is unset or blank.

    Raises MegaCodeError `invalid_arguments` naming the variable for what is no finite number from `low` on.
    """
    text = env.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= 1e12:
        raise MegaCodeError("invalid_arguments", f"{name} is {text[:40]!r}, not a number from {low:g}.")
    return value


def whole(env: Mapping[str, str], name: str, low: int) -> Optional[int]:
    """As `decimal`, for a whole number."""
    value = decimal(env, name, low)
    if value is not None and value != int(value):
        raise MegaCodeError("invalid_arguments", f"{name} is {value:g}, not a whole number from {low}.")
    return None if value is None else int(value)
