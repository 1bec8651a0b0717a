"""What is asked of a language model, what comes back, and what can go wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional, Protocol

from mega_code.errors import MegaCodeError
from mega_code.variables import decimal

ROLES = ("task", "judge", "propose", "generate")
PER_MILLION = 1_000_000
CUT = "\n[cut here]"


class Request(NamedTuple):
    """One question. No system message at all where `system` is empty; `repeat` tells draws of one question apart."""

    role: str
    system: str
    prompt: str
    repeat: int = 0
    max_output_tokens: int = 2048


class Completion(NamedTuple):
    """One answer; tokens as the model's own usage says, `cost_usd` 0.0 where unknown.

    `outcome` is `answer`, `refused` or `empty` (no text), or `cut` (`max_output_tokens` was reached; the text is what
    there is).
    """

    text: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    outcome: str = "answer"


class Model(Protocol):
    """A language model. Goes by pickle to where `complete` runs, so a copy must do what the original does."""

    name: str
    """What the result calls it."""
    overhead_tokens: int
    """The most input tokens of its own that it puts around the text of a request."""

    def key(self) -> str:
        """Identifies model and parameters in the cache; holds no secret."""
        ...

    def complete(self, request: Request) -> Completion:
        """One attempt, which sends one request. Raises ModelError; a refusal or an empty answer is a completion like
        any other."""
        ...

    def learn(self, lesson: str) -> None:
        """Ask in another way from now on, as a ModelError has said, be it one of a copy."""
        ...

    def close(self) -> None:
        """End what is in flight, where that can be ended; nothing may be asked from then on."""
        ...


class Completer(Protocol):
    """Gives the completions of requests, in their order; `calls.Calls` is one."""

    def complete_all(self, requests: Sequence[Request]) -> list[Completion]: ...


class ModelError(Exception):
    """No answer; the message is a sentence for a person and holds no secret.

    `transient`: trying again may help, after `retry_after_s` seconds where the model says so. `charged`: what the
    attempt has cost is not known, and may be as much as an answer costs. Not `sent`: nothing of it has left this
    machine. `lesson`: once the model has been told this with `learn`, trying again at once helps.
    """

    def __init__(
        self,
        message: str,
        transient: bool = False,
        retry_after_s: Optional[float] = None,
        charged: bool = False,
        sent: bool = True,
        lesson: str = "",
    ) -> None:
        super().__init__(message)
        self.transient = transient
        self.retry_after_s = retry_after_s
        self.charged = charged
        self.sent = sent
        self.lesson = lesson


class Prices(NamedTuple):
    """US dollars a million tokens."""

    input: float
    output: float

    def cost_usd(self, input_tokens: int, output_tokens: int) -> float:
        return (self.input * input_tokens + self.output * output_tokens) / PER_MILLION


def prices(env: Mapping[str, str]) -> Optional[Prices]:
    """`MEGA_CODE_PRICE_INPUT` and `MEGA_CODE_PRICE_OUTPUT`; None where neither is set, `invalid_arguments` for one."""
    found = [decimal(env, f"MEGA_CODE_PRICE_{side}") for side in ("INPUT", "OUTPUT")]
    if found == [None, None]:
        return None
    if None in found:
        raise MegaCodeError("invalid_arguments", "MEGA_CODE_PRICE_INPUT and MEGA_CODE_PRICE_OUTPUT go together.")
    return Prices(*(price for price in found if price is not None))


def size(text: str) -> int:
    """Bytes in UTF-8: no tokenizer makes more tokens of a text."""
    return len(text.encode("utf-8", "replace"))


def estimated_tokens(text: str) -> int:
    """Tokens of a text whose model says nothing of them: four bytes each."""
    return -(-size(text) // 4)


def storable(text: str) -> str:
    """`text` with unpaired surrogates replaced, which neither a database nor a pipe takes."""
    return text.encode("utf-8", "replace").decode()


def clipped(text: str, limit: int) -> str:
    """`text` itself, or as much of it as `limit` bytes hold and a line that says so."""
    if size(text) <= limit:
        return text
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore") + CUT


def paired(text: str) -> bool:
    """Whether no surrogate stands alone in `text`, as escapes in JSON can put it there."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def marked(kind: str, text: str) -> str:
    """`text` between two marks that it cannot hold, since they are made from it."""
    mark = f"{kind}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"
    return f"<{mark}>\n{text}\n</{mark}>"
