"""What a target may raise: a refusal with one of the codes that are promised there."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator

from mega_code.errors import MegaCodeError
from mega_code.gateway.api_error import ApiError


@contextlib.contextmanager
def refused_with(codes: Collection[str]) -> Iterator[None]:
    """Swallow a refusal with one of `codes`. Raises AssertionError for one with another."""
    try:
        yield
    except (MegaCodeError, ApiError) as error:
        if error.code not in codes:
            raise AssertionError(error.code) from error
