"""Waiting for a job: patient with a gateway that is away, never past the deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mega_code import telemetry
from mega_code.client.remote_enhance.api import Gateway, Poll
from mega_code.client.remote_enhance.progress import Progress
from mega_code.client.remote_enhance.retrying import jittered
from mega_code.console import progress, say
from mega_code.errors import MegaCodeError
from mega_code.job import TERMINAL

# Where the server holds no answer back, the next look comes after a share of the time that the job has taken so far:
# what is over in seconds is seen at once, and a job of twenty minutes costs no more looks than one every ten seconds.
SHARE = 1 / 6
LEAST_DELAY_S = 1.0
MOST_DELAY_S = 15.0
HOLD_S = 20
HELD_S = 5.0
LOOK_S = 60.0
FIRST_LOOK_S = 2.0
BAD_ANSWERS = 5
TURN_S = 0.25


class NotTerminal(Exception):
    """The deadline came first."""


class Poller:
    """Looks at one job until it is terminal. `clock`, `sleep` and `wall` are in seconds; so old is the job: `age_s`."""

    def __init__(
        self,
        gateway: Gateway,
        job_id: str,
        *,
        timeout_s: float,
        age_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.gateway, self.job_id, self.clock, self.sleep = gateway, job_id, clock, sleep
        self.progress = Progress(say, clock, wall, progress)
        self.deadline = clock() + timeout_s if timeout_s else float("inf")
        self.began = clock() - age_s
        self.bad_answers = 0
        self.away = False

    def wait(self) -> dict[str, Any]:
        """The terminal job. Raises NotTerminal at the deadline, MegaCodeError for what time cannot mend."""
        # However short the timeout, one look is taken: that is what a person asks for with it.
        limit, last = FIRST_LOOK_S, None
        while True:
            left = self.deadline - self.clock()
            started = self.clock()
            wait_s = int(min(HOLD_S, max(0.0, left)))
            with telemetry.span("poll", "client", job_id=self.job_id) as span:
                poll = self.gateway.look(self.job_id, wait_s, min(LOOK_S, max(limit, left)), self.progress.tick)
                _tell(span, poll)
            if poll.job is not None:
                self._seen(poll.job)
                if poll.job["status"] in TERMINAL:
                    return poll.job
            else:
                self._failed(poll)
            changed, last = poll.job != last, poll.job
            limit = 0.1
            took = self.clock() - started
            held = was_held(took if poll.job is not None else 0.0, poll.held, changed)
            self._pause(held, poll.retry_after_s)

    def _seen(self, job: dict[str, Any]) -> None:
        if self.away:
            say("the gateway answers again")
        self.away, self.bad_answers = False, 0
        self.progress.saw(job)

    def _failed(self, poll: Poll) -> None:
        trouble = poll.trouble or MegaCodeError("network_failure", "no answer")
        if trouble.code == "invalid_response":
            self.bad_answers += 1
            if self.bad_answers >= BAD_ANSWERS:
                raise trouble
        else:
            self.bad_answers = 0
        self.progress.tick()
        if not self.away and self.clock() < self.deadline:
            self.away = True
            say(f"{trouble.message} Trying on.")
            self.progress.unanswered()

    def _pause(self, held: bool, asked_s: float) -> None:
        """Sleep until the next look, for as long as the server asked; not at all where it held the answer back."""
        left = self.deadline - self.clock()
        if left <= 0:
            raise NotTerminal
        if held:
            return
        self._sleep(min(max(jittered(delay_s(self.clock() - self.began)), asked_s), left))
        if self.clock() >= self.deadline:
            raise NotTerminal

    def _sleep(self, seconds: float) -> None:
        until = self.clock() + seconds
        while (left := until - self.clock()) > 0:
            self.sleep(min(left, TURN_S))
            self.progress.tick()


def was_held(took_s: float, said: bool, changed: bool) -> bool:
    """Whether a server held back an answer that took so long, so that the next look may come at once.

    `said`: it says that it did; `changed`: the job is not what it was a look before.
    """
    # A server that lets us wait so long holds its answers, whether it says so or not.
    return (said and (changed or took_s > LEAST_DELAY_S)) or took_s > HELD_S


def delay_s(age_s: float) -> float:
    """The seconds until the next look at a job of that age, of which chance takes some, where no answer is held."""
    return min(MOST_DELAY_S, max(LEAST_DELAY_S, SHARE * age_s))


def _tell(span: telemetry.Span, poll: Poll) -> None:
    """What a look has shown, in its span."""
    if poll.job:
        span.set(status=poll.job["status"], phase=poll.job.get("phase_public"))
    elif poll.trouble:
        span.fail(poll.trouble.code)


def wait_for(gateway: Gateway, job_id: str, timeout_s: float, age_s: float = 0.0) -> dict[str, Any]:
    """`Poller.wait` with the real clock; `timeout_s` 0 waits for ever."""
    return Poller(gateway, job_id, timeout_s=timeout_s, age_s=age_s).wait()
