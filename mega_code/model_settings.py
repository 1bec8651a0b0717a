"""The settings that name a language model, and what their values can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mega_code.errors import MegaCodeError
from mega_code.settings import check_url

MODEL = "MEGA_CODE_MODEL"
URL = "MEGA_CODE_MODEL_URL"
KEY = "MEGA_CODE_MODEL_KEY"
STATIC = "static"
AGENTS = ("claude", "codex")
ENDPOINT = "openai"


class Named(NamedTuple):
    """One model: `kind` is one of `AGENTS`, or `ENDPOINT`; `model` is empty for an agent's own choice."""

    kind: str
    model: str


class Endpoint(NamedTuple):
    """Where a model of the kind `ENDPOINT` answers; the key is empty where none is set."""

    url: str
    key: str


def is_static(env: Mapping[str, str]) -> bool:
    """Whether no language model is asked for."""
    return env.get(MODEL, "").strip() in ("", STATIC)


def named(spec: str) -> list[Named]:
    """The models of a comma-separated list such as `claude:haiku,openai:gpt-5`, each once.

    Raises MegaCodeError `invalid_arguments` for what is no model.
    """
    names = list(dict.fromkeys(name.strip() for name in spec.split(",") if name.strip()))
    if not names:
        raise MegaCodeError("invalid_arguments", f"{MODEL} names no model.")
    return [_named(name) for name in names]


def _named(name: str) -> Named:
    kind, colon, model = name.partition(":")
    if (kind == ENDPOINT and model) or (kind in AGENTS and bool(colon) == bool(model)):
        return Named(kind, model)
    raise MegaCodeError(
        "invalid_arguments",
        f"{MODEL} names {name[:80]!r}; known are claude, claude:MODEL, codex, codex:MODEL, openai:MODEL, "
        "and static on its own.",
    )


def programs(spec: str) -> list[str]:
    """The agents' programs that the models of a list need, each once. Raises as `named` does."""
    if spec.strip() == STATIC:
        return []
    return list(dict.fromkeys(kind for kind, _ in named(spec) if kind in AGENTS))


def endpoint(env: Mapping[str, str], model: str) -> Endpoint:
    """Where `model` answers.

    Raises MegaCodeError `invalid_arguments`, or `insecure_server_url` for plain http to another machine.
    """
    if not env.get(URL):
        raise MegaCodeError("invalid_arguments", f"openai:{model[:80]} needs {URL}, such as https://host/v1.")
    key = env.get(KEY, "")
    if not (key.isascii() and key.isprintable()):
        raise MegaCodeError("invalid_arguments", f"{KEY} holds characters that no key has.")
    return Endpoint(check_url(env[URL], URL), key.strip())


def check(env: Mapping[str, str]) -> None:
    """Raises MegaCodeError for a model that cannot be what it is called, or lacks a setting."""
    for kind, model in () if is_static(env) else named(env[MODEL]):
        if kind == ENDPOINT:
            endpoint(env, model)
