"""The variables that are ours: which there are, and which of them hold numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Optional

from mega_code.errors import MegaCodeError

# The least that each may be.
NUMBERS: dict[str, float] = {
    "MEGA_CODE_MAX_CALLS": 0,
    "MEGA_CODE_MAX_TOKENS": 0,
    "MEGA_CODE_MAX_COST_USD": 0,
    "MEGA_CODE_MAX_OUTPUT_TOKENS": 1,
    "MEGA_CODE_CONCURRENCY": 1,
    "MEGA_CODE_MODEL_PATIENCE_S": 0,
    "MEGA_CODE_MODEL_TIMEOUT_S": 0.1,
    "MEGA_CODE_PRICE_INPUT": 0,
    "MEGA_CODE_PRICE_OUTPUT": 0,
    "MEGA_CODE_GATEWAY_MAX_QUEUED": 0,
    "MEGA_CODE_GATEWAY_WORKERS": 1,
    "MEGA_CODE_GATEWAY_LEASE_S": 0.1,
    "MEGA_CODE_GATEWAY_URL_TTL_S": 1,
    "MEGA_CODE_GATEWAY_KEEP_DAYS": 0.01,
}
WHOLE = {
    "MEGA_CODE_MAX_CALLS",
    "MEGA_CODE_MAX_TOKENS",
    "MEGA_CODE_MAX_OUTPUT_TOKENS",
    "MEGA_CODE_CONCURRENCY",
}
# What a job may spend at most.
CAPS = ("MEGA_CODE_MAX_CALLS", "MEGA_CODE_MAX_TOKENS", "MEGA_CODE_MAX_COST_USD")
MAX_CALLS = 400  # where nothing else is said; the other two are no caps then
NAMES = {
    *NUMBERS,
    "MEGA_CODE_API_KEY",
    "MEGA_CODE_CLIENT_MODE",
    "MEGA_CODE_DATA_DIR",
    "MEGA_CODE_ENHANCE_DOWNLOAD_HOST_SUFFIXES",
    "MEGA_CODE_EXECUTOR",
    "MEGA_CODE_LAUNCHER",
    "MEGA_CODE_MODEL",
    "MEGA_CODE_MODEL_KEY",
    "MEGA_CODE_MODEL_URL",
    "MEGA_CODE_PYTHON",
    "MEGA_CODE_ROLE",
    "MEGA_CODE_SERVER_URL",
    "MEGA_CODE_SESSION_ID",
    "MEGA_CODE_TERMINAL",
}
OURS = "MEGA_CODE_"
OF_GATEWAY = "MEGA_CODE_GATEWAY_"
OF_TESTS = "MEGA_CODE_TEST_"


def decimal(env: Mapping[str, str], name: str) -> Optional[float]:
    """The number in `name`, one of NUMBERS; None where it is unset or blank.

    Raises MegaCodeError `invalid_arguments` naming the variable for what is no finite number from its least on.
    """
    text, low = env.get(name, "").strip(), NUMBERS[name]
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= (1e9 if name.startswith(OF_GATEWAY) else 1e12):
        raise MegaCodeError("invalid_arguments", f"{name} is {text[:40]!r}, not a number from {low:g}.")
    if name in WHOLE and value != int(value):
        raise MegaCodeError("invalid_arguments", f"{name} is {value:g}, not a whole number from {low:g}.")
    return value


def whole(env: Mapping[str, str], name: str) -> Optional[int]:
    """As `decimal`, for one of WHOLE."""
    value = decimal(env, name)
    return None if value is None else int(value)
