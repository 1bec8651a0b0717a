"""Patience with a model in trouble: when it is asked again, and when no longer."""

from __future__ import annotations

import random

from mega_code.evaluation.models.base import ModelError

ATTEMPTS = 6
BACKOFF_S = 2.0


class ModelUnavailable(ModelError):
    """The model gave no answer for as long as patience lasts."""


class Patience:
    """What the calls of one model know of its trouble, by their clock.

    Trouble is the model's and not a question's. From a call that failed until one that was sent after it is answered,
    nothing is sent but one call at a time, after pauses that grow: a model that is away for a while costs a few calls,
    however many wait for it. Calls that were in the air together fail together, and count as one attempt.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.trouble = ""
        """What the last call failed of; empty where all is well."""
        self._rounds = 0
        self._since = 0.0
        self._probing = False
        self._quiet_until = 0.0
        self._asked_until = 0.0

    def may_send(self, now: float) -> bool:
        """Whether a call may be sent."""
        return now >= self._quiet_until and not (self._rounds and self._probing)

    def sent(self) -> int:
        """A call is about to be sent; what tells `answered` and `failed` when that was."""
        self._probing = self._rounds > 0
        return self._rounds

    def answered(self, sent: int) -> None:
        """The model has answered, be it that it wants to be asked in another way."""
        if sent == self._rounds:
            self.trouble, self._rounds, self._quiet_until = "", 0, self._asked_until

    def failed(self, error: ModelError, sent: int, attempts: int, first_sent: float, now: float) -> float:
        """The time at which the question may be asked again that was asked `attempts` times since `first_sent`.

        Raises the error where trying again is no use, ModelUnavailable where it has been tried for long enough.
        """
        if not error.transient:
            raise error
        if sent == self._rounds or not self._rounds:
            self._since = self._since if self._rounds else first_sent
            self._rounds, self._probing = self._rounds + 1, False
        self.trouble = str(error)
        again_at = now + self._pause(error, max(attempts, self._rounds), now - min(first_sent, self._since))
        if error.retry_after_s is not None:
            self._asked_until = max(self._asked_until, again_at)
        # A question that fails time and again is not what the others have to wait for.
        quiet = min(again_at, now + BACKOFF_S * 2.0 ** (self._rounds - 1))
        self._quiet_until = max(self._quiet_until, self._asked_until, quiet)
        return again_at

    def lost(self) -> None:
        """Nobody will hear of the calls that are in the air."""
        self._probing = False

    def _pause(self, error: ModelError, attempts: int, waited_s: float) -> float:
        backoff = BACKOFF_S * 2.0 ** (attempts - 1) * random.uniform(0.75, 1.0)
        pause = max(backoff, error.retry_after_s or 0.0)
        tried = f"{attempts} attempt{'s' if attempts > 1 else ''}"
        if attempts >= ATTEMPTS:
            raise ModelUnavailable(f"{error} That was the last of {tried}.") from error
        if waited_s + pause > self.seconds:
            raise ModelUnavailable(
                f"{error} After {tried} another one would come later than MEGA_CODE_MODEL_PATIENCE_S"
                f" ({self.seconds:g} s) allows."
            ) from error
        return pause
