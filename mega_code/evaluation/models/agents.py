"""What the agents' own command lines have in common, used as plain models: no tools, no settings, nothing kept."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from mega_code.evaluation.models.base import (
    Completion,
    Prices,
    Request,
    estimated_tokens,
    prices,
    storable,
)
from mega_code.evaluation.models.program import Programs, find
from mega_code.variables import decimal

TIMEOUT_S = 300.0
# What a session leaves in the environment of its commands must not reach a session that these start; a login must.
LOGIN = ("CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_", "CLAUDE_CODE_SKIP_", "CLAUDE_CODE_CLIENT_")


class Agent:
    """What the agents have in common. `model` is empty for the agent's own choice."""

    program = ""
    overhead_tokens = 0

    def __init__(self, model: str = "", timeout_s: float = TIMEOUT_S, price: Optional[Prices] = None) -> None:
        self.name = f"{self.program}:{model}" if model else self.program
        self.model, self.timeout_s, self.price = model, timeout_s, price
        self._programs = Programs()

    @classmethod
    def from_env(cls, model: str, env: Mapping[str, str]) -> Agent:
        """Raises MegaCodeError `invalid_arguments`."""
        return cls(model, decimal(env, "MEGA_CODE_MODEL_TIMEOUT_S") or TIMEOUT_S, prices(env))

    def key(self) -> str:
        return f"{self.name} {self._wrapping()}"

    def learn(self, lesson: str) -> None:
        """There is nothing that an agent wants to be asked differently."""

    def close(self) -> None:
        self._programs.close()

    def complete(self, request: Request) -> Completion:
        command = find(self.program)
        room = Path(tempfile.mkdtemp(prefix="mega-code-model-"))
        try:
            (room / "work").mkdir()
            (room / "tmp").mkdir()
            own = {"MEGA_CODE_ROLE": request.role, "TMPDIR": str(room / "tmp")}
            env = {**environment(), **own, **self._variables(request)}
            return self._ask(command, request, room, env)
        finally:
            shutil.rmtree(room, ignore_errors=True)

    def _wrapping(self) -> str:
        """Identifies what is put around a request."""
        raise NotImplementedError

    def _variables(self, request: Request) -> dict[str, str]:
        """What the program's environment needs."""
        return {}

    def _ask(self, command: str, request: Request, room: Path, env: dict[str, str]) -> Completion:
        raise NotImplementedError

    def _completion(
        self, request: Request, text: str, outcome: str, usage: tuple[int, int], cost: float, model: str
    ) -> Completion:
        text = "" if outcome == "refused" else storable(text)
        if outcome == "answer" and not text.strip():
            text, outcome = "", "empty"
        given, got = usage
        if not given:
            given = estimated_tokens(request.system) + estimated_tokens(request.prompt)
            got = got or estimated_tokens(text)
        if not cost and self.price:
            cost = self.price.cost_usd(given, got)
        return Completion(text, storable(model) or self.name, given, got, cost, outcome)


def environment() -> dict[str, str]:
    """This process's environment without our own settings, those of our spans, and what a session leaves in it."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MEGA_CODE_", "OTEL_", "TRACEPARENT", "CLAUDE")) or name.startswith(LOGIN)
    }


def number(value: object) -> float:
    """A figure of a report, 0.0 where it is none."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12
    return float(value) if known else 0.0  # type: ignore[arg-type]
