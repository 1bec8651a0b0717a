"""The language models that `MEGA_CODE_MODEL` can name.

| variable | default | meaning |
|---|---|---|
| `MEGA_CODE_MODEL_URL` | | base URL of the endpoint of `openai:MODEL`; `/chat/completions` lies under it |
| `MEGA_CODE_MODEL_KEY` | none | its key; on a cluster it stands in the environment of every worker |
| `MEGA_CODE_MODEL_TIMEOUT_S` | 300 | seconds for one answer |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mega_code.errors import MegaCodeError
from mega_code.evaluation.models.base import ROLES, Completion, Model, ModelError, Request
from mega_code.evaluation.models.claude import Claude
from mega_code.evaluation.models.codex import Codex
from mega_code.evaluation.models.openai import OpenAI
from mega_code.model_settings import ENDPOINT, MODEL, named

__all__ = ["ROLES", "Completion", "Model", "ModelError", "Request", "choose"]


def choose(spec: str, env: Mapping[str, str]) -> list[Model]:
    """The models of a comma-separated list such as `claude:haiku,openai:gpt-5`, each once.

    Raises MegaCodeError: `invalid_arguments` for what is no model or lacks a setting, or for two that results could not
    tell apart; `insecure_server_url`.
    """
    models = [_KINDS[kind](model, env) for kind, model in named(spec)]
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        raise MegaCodeError(
            "invalid_arguments", f"{MODEL} names two models that are both called {max(names, key=names.count)!r}."
        )
    return models


_KINDS: dict[str, Callable[[str, Mapping[str, str]], Model]] = {
    "claude": Claude.from_env,
    "codex": Codex.from_env,
    ENDPOINT: OpenAI.from_env,
}
