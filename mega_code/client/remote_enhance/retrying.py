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
RETRY_AFTER_MAX_S = 120.0

Outcome = Union[Response, requests.RequestException]


def persist(
    send: Callable[[], Response], again: Callable[[Outcome], bool], sleep: Callable[[float], object] = time.sleep
) -> Response:
    """`send` until an outcome is good enough, ATTEMPTS times at most; `again` says which is not.

    Gives the last answer; raises what the last attempt raised. An attempt that Stalled is the last one, and so is one
    whose answer asks to be left alone for more than RETRY_AFTER_MAX_S.
    """
    for tries in range(1, ATTEMPTS + 1):
        asked = None
        try:
            response = send()
        except requests.RequestException as error:
            if tries == ATTEMPTS or not again(error):
                raise
        else:
            if tries == ATTEMPTS or not again(response):
                return response
            asked = retry_after(response)
            if asked is not None and asked > RETRY_AFTER_MAX_S:
                return response
        sleep(jittered(min(BACKOFF_MAX_S, BACKOFF_S * 2 ** (tries - 1))) if asked is None else asked)
    raise Stalled("no attempt was made")


def is_dropped(outcome: Outcome) -> bool:
    """Whether the connection was refused, dropped, or not made in time, which may pass; a strange certificate will not."""
    return isinstance(outcome, requests.ConnectionError) and "CERTIFICATE_VERIFY" not in str(outcome)


def retry_after(response: Response) -> Optional[float]:
    """The seconds, 0 or more, that a Retry-After header asks for, as a number or a date; None where it says nothing."""
    header = response.headers.get("retry-after", "").strip()
    if header.isascii() and header.isdigit():
        return float(header[:300])
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def jittered(seconds: float) -> float:
    """Between three quarters of `seconds` and the whole."""
    return seconds * random.uniform(0.75, 1.0)
