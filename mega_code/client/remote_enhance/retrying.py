"""Asking again: how often, and how long to wait in between."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Optional, Union

import requests

from mega_code.client.remote_enhance.transport import Response
from mega_code.client.remote_enhance.wire import Stalled

ATTEMPTS = 5
BACKOFF_S = 0.5
BACKOFF_MAX_S = 8.0
RETRY_AFTER_MAX_S = 60.0

Outcome = Union[Response, requests.RequestException]


def persist(
    send: Callable[[], Response], again: Callable[[Outcome], bool], sleep: Callable[[float], object] = time.sleep
) -> Response:
    """`send` until an outcome is good enough, ATTEMPTS times at most; `again` says which is not.

    Gives the last answer; raises what the last attempt raised. An attempt that Stalled is the last one.
    """
    for tries in range(1, ATTEMPTS + 1):
        retry_after = None
        try:
            response = send()
        except requests.RequestException as error:
            if tries == ATTEMPTS or not again(error):
                raise
        else:
            if tries == ATTEMPTS or not again(response):
                return response
            retry_after = response.headers.get("retry-after")
        sleep(pause(tries, retry_after))
    raise Stalled("no attempt was made")


def is_dropped(outcome: Outcome) -> bool:
    """Whether the connection was refused, dropped, or not made in time."""
    return isinstance(outcome, requests.ConnectionError)


def pause(tries: int, retry_after: Optional[str]) -> float:
    """Seconds to wait after `tries` attempts: what the server asks for, else 0.5 s to 8 s, doubling, jittered."""
    asked = _seconds(retry_after.strip()) if retry_after else None
    if asked is not None:
        return max(0.0, min(RETRY_AFTER_MAX_S, asked))
    return jittered(min(BACKOFF_MAX_S, BACKOFF_S * 2 ** (tries - 1)))


def _seconds(retry_after: str) -> Optional[float]:
    """The seconds or the date of a Retry-After header; None where it says nothing."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:300])
    try:
        return parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def jittered(seconds: float) -> float:
    """Between three quarters of `seconds` and the whole."""
    return seconds * random.uniform(0.75, 1.0)
