"""Which model answers the tasks: the one that was asked for, or the agent that hosts the session."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Optional

from mega_code.console import say
from mega_code.errors import MegaCodeError
from mega_code.evaluation.models import Model, choose
from mega_code.model_settings import MODEL, STATIC

# What an agent sets in the environment of the commands that it runs.
HOSTS = {"CLAUDECODE": "claude", "CODEX_SANDBOX": "codex", "CODEX_THREAD_ID": "codex"}


def model(asked: Optional[str], env: Mapping[str, str]) -> Model:
    """The model of `--model`, else of `MEGA_CODE_MODEL`, else the host agent's own, else an agent that is on PATH.

    Raises MegaCodeError: `invalid_arguments`, `insecure_server_url`.
    """
    set_to = env.get(MODEL, "").strip()
    spec = asked or (set_to if set_to != STATIC else "") or _host(env)
    first, *others = choose(spec, env)
    if others:
        say(f"the local flow runs one model; it is {first.name}")
    return first


def _host(env: Mapping[str, str]) -> str:
    hosting = [agent for variable, agent in HOSTS.items() if env.get(variable)]
    installed = [agent for agent in ("claude", "codex") if shutil.which(agent, path=env.get("PATH"))]
    for agent in (*hosting, *installed):
        return agent
    raise MegaCodeError(
        "invalid_arguments",
        f"Neither claude nor codex is on PATH; name a model with --model or {MODEL}: claude, codex or openai:MODEL.",
    )
