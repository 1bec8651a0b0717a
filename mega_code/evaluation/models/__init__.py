"""The language models that `MEGA_CODE_MODEL` can name.

| variable | default | meaning |
|---|---|---|
| `MEGA_CODE_MODEL_URL` | | base URL of the endpoint of `openai:MODEL`; `/chat/completions` lies under it |
| `MEGA_CODE_MODEL_KEY` | none | its key; on a cluster it stands in the environment of every worker |
| `MEGA_CODE_MODEL_TIMEOUT_S` | 300 | seconds for one answer |
"""

from __future__ import annotations

from collections.abc import Mapping

from mega_code.errors import MegaCodeError
from mega_code.evaluation.models.base import ROLES, Completion, Model, ModelError, Request
from mega_code.evaluation.models.claude import Claude
from mega_code.evaluation.models.codex import Codex
from mega_code.evaluation.models.openai import OpenAI

__all__ = ["ROLES", "Completion", "Model", "ModelError", "Request", "choose"]


def choose(spec: str, env: Mapping[str, str]) -> list[Model]:
    """The models of a comma-separated list such as `claude:haiku,openai:gpt-5`, each once.

    Raises MegaCodeError: `invalid_arguments` for what is no model or lacks a setting, `insecure_server_url`.
    """
    names = list(dict.fromkeys(name.strip() for name in spec.split(",") if name.strip()))
    if not names:
        raise MegaCodeError("invalid_arguments", "MEGA_CODE_MODEL names no model.")
    return [_model(name, env) for name in names]


def _model(name: str, env: Mapping[str, str]) -> Model:
    kind, colon, model = name.partition(":")
    if kind == "openai" and model:
        return OpenAI.from_env(model, env)
    if kind == "claude" and bool(colon) == bool(model):
        return Claude.from_env(model, env)
    if kind == "codex" and bool(colon) == bool(model):
        return Codex.from_env(model, env)
    raise MegaCodeError(
        "invalid_arguments",
        f"MEGA_CODE_MODEL names {name[:80]!r}; known are claude, claude:MODEL, codex, codex:MODEL, openai:MODEL, "
        "and static on its own.",
    )
