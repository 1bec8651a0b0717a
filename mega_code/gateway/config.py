"""The gateway's settings, from the environment and `<DATA_DIR>/.env`.

| variable | default | meaning |
|---|---|---|
| `MEGA_CODE_GATEWAY_MAX_QUEUED` | 100 | jobs queued and running at once; one more is refused with `queue_full` |
| `MEGA_CODE_GATEWAY_WORKERS` | 1 | jobs evaluated at the same time |
| `MEGA_CODE_GATEWAY_LEASE_S` | 10 | seconds without a sign of life after which a job is taken up again |
| `MEGA_CODE_GATEWAY_URL_TTL_S` | 900 | seconds for which an artifact URL is good |
| `MEGA_CODE_GATEWAY_KEEP_DAYS` | 30 | days for which the result and the files of an ended job are kept |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Callable, NamedTuple

from mega_code.bundle import MIB
from mega_code.variables import decimal

Clock = Callable[[], datetime]


KIB = 1024


class Pace(NamedTuple):
    """How long a connection may take, in seconds: `head` for its headers; for a body or an answer `body`, and a second
    more for each `rate` bytes that came or are to go."""

    head: float = 10.0
    body: float = 20.0
    rate: float = 100.0 * KIB


class Config(NamedTuple):
    """Limits and times of one gateway; times in seconds, sizes in bytes."""

    max_queued: int = 100
    workers: int = 1
    lease_s: float = 10.0
    url_ttl_s: int = 900
    keep_days: float = 30.0
    max_attempts: int = 5
    threads: int = 32
    max_holds: int = 24
    max_holds_a_user: int = 8
    body: int = 25 * MIB + 64 * KIB
    # A body over `body` is read to its end all the same, or its sender, who is not yet reading, would never see the
    # answer: up to the first where its length is known, and so nothing is kept of it; else to the second.
    body_read: int = 1024 * MIB
    body_hard: int = 40 * MIB
    connections: int = 200
    pace: Pace = Pace()


def from_env(env: Mapping[str, str]) -> Config:
    """Raises MegaCodeError `invalid_arguments` for a value that is no number in range."""
    default = Config()

    def number(name: str, fallback: float) -> float:
        value = decimal(env, f"MEGA_CODE_GATEWAY_{name}")
        return fallback if value is None else value

    return default._replace(
        max_queued=int(number("MAX_QUEUED", default.max_queued)),
        workers=int(number("WORKERS", default.workers)),
        lease_s=number("LEASE_S", default.lease_s),
        url_ttl_s=int(number("URL_TTL_S", default.url_ttl_s)),
        keep_days=number("KEEP_DAYS", default.keep_days),
    )


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(timezone.utc)


def timestamp(moment: datetime) -> str:
    """ISO-8601 in UTC to the second: `2026-04-22T06:11:55Z`."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
