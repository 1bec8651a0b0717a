"""Choosing models, their settings, and what importing the evaluation costs."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest

from mega_code.errors import MegaCodeError
from mega_code.evaluation.budget import Limits, most_tokens
from mega_code.evaluation.models import Request, choose
from mega_code.evaluation.models.agents import environment
from mega_code.evaluation.models.base import ModelError, Prices, estimated_tokens, storable
from mega_code.evaluation.models.claude_triggers import trigger_request, triggers
from support.room import REPOSITORY

URL = {"MEGA_CODE_MODEL_URL": "https://models.example/v1/"}
SECRET = "sk-never-to-be-seen"


def test_every_model_of_a_list_is_chosen_once_and_called_by_its_name() -> None:
    models = choose(" claude, codex:gpt-5,openai:org/some:free ,claude:haiku,claude", URL)
    assert [model.name for model in models] == ["claude", "codex:gpt-5", "org/some:free", "claude:haiku"]
    assert len({model.key() for model in models}) == 4


@pytest.mark.parametrize(
    ("spec", "env", "code", "says"),
    [
        ("", {}, "invalid_arguments", "names no model"),
        (" , ", {}, "invalid_arguments", "names no model"),
        ("gpt-5", URL, "invalid_arguments", "'gpt-5'; known are claude"),
        ("claude,static", {}, "invalid_arguments", "static on its own"),
        ("openai:", URL, "invalid_arguments", "'openai:'"),
        ("claude:", {}, "invalid_arguments", "'claude:'"),
        ("openai:m", {}, "invalid_arguments", "MEGA_CODE_MODEL_URL"),
        ("openai:m", {"MEGA_CODE_MODEL_URL": "models.example"}, "invalid_arguments", "MEGA_CODE_MODEL_URL"),
        ("openai:m", {"MEGA_CODE_MODEL_URL": f"https://me:{SECRET}@h"}, "invalid_arguments", "MEGA_CODE_MODEL_URL"),
        ("openai:m", {"MEGA_CODE_MODEL_URL": "http://192.0.2.1/v1"}, "insecure_server_url", "192.0.2.1"),
        ("openai:m", {**URL, "MEGA_CODE_MODEL_KEY": f"{SECRET}\n"}, "invalid_arguments", "MEGA_CODE_MODEL_KEY"),
        ("openai:m", {**URL, "MEGA_CODE_MODEL_TIMEOUT_S": "0"}, "invalid_arguments", "MEGA_CODE_MODEL_TIMEOUT_S"),
        ("codex", {"MEGA_CODE_MODEL_TIMEOUT_S": "soon"}, "invalid_arguments", "MEGA_CODE_MODEL_TIMEOUT_S"),
        ("openai:m", {**URL, "MEGA_CODE_PRICE_INPUT": "1"}, "invalid_arguments", "go together"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_by_name(spec: str, env: dict[str, str], code: str, says: str) -> None:
    with pytest.raises(MegaCodeError) as caught:
        choose(spec, env)
    assert caught.value.code == code and says in caught.value.message and SECRET not in caught.value.message


def test_two_models_that_results_could_not_tell_apart_are_refused() -> None:
    env = {"MEGA_CODE_MODEL_URL": "http://127.0.0.1:1/v1"}
    with pytest.raises(MegaCodeError, match="names two models that are both called 'codex'") as caught:
        choose("claude,codex,openai:codex", env)
    assert caught.value.code == "invalid_arguments"


def test_the_key_stands_in_no_repr_and_in_no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    model = choose("openai:m", {**URL, "MEGA_CODE_MODEL_KEY": SECRET})[0]
    pickled = pickle.dumps(model)
    assert SECRET.encode() not in pickled and SECRET not in repr(model) + str(vars(pickle.loads(pickled)))
    with pytest.raises(ModelError, match="MEGA_CODE_MODEL_KEY is not set where the call runs"):
        pickle.loads(pickled).complete(Request("task", "", "hello"))
    monkeypatch.setenv("MEGA_CODE_MODEL_KEY", SECRET)
    assert pickle.loads(pickled).key() == model.key()


def test_an_error_of_a_model_comes_whole_through_a_pickle() -> None:
    error = pickle.loads(pickle.dumps(ModelError("Busy.", True, 3.5, charged=True, sent=False, lesson="otherwise")))
    assert (str(error), error.transient, error.retry_after_s, error.charged) == ("Busy.", True, 3.5, True)
    assert (error.sent, error.lesson) == (False, "otherwise")


def test_limits_have_their_defaults_and_take_what_the_environment_says() -> None:
    assert Limits.from_env({"MEGA_CODE_MAX_TOKENS": " "}) == Limits(400, None, None, 8, 2048, 300.0, None)
    env = {
        "MEGA_CODE_MAX_CALLS": "0", "MEGA_CODE_MAX_TOKENS": "1e6", "MEGA_CODE_MAX_COST_USD": "0.5",
        "MEGA_CODE_CONCURRENCY": "2", "MEGA_CODE_MAX_OUTPUT_TOKENS": "100", "MEGA_CODE_MODEL_PATIENCE_S": "7",
        "MEGA_CODE_PRICE_INPUT": "3", "MEGA_CODE_PRICE_OUTPUT": "15",
    }  # fmt: skip
    assert Limits.from_env(env) == Limits(0, 1_000_000, 0.5, 2, 100, 7.0, Prices(3.0, 15.0))


@pytest.mark.parametrize("value", ["-1", "many", "nan", "inf", "1e99", "0x10", "1.5"])
@pytest.mark.parametrize("name", ["MAX_CALLS", "MAX_TOKENS", "CONCURRENCY", "MAX_OUTPUT_TOKENS"])
def test_a_limit_that_is_no_whole_number_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(MegaCodeError, match=f"MEGA_CODE_{name} is ") as caught:
        Limits.from_env({f"MEGA_CODE_{name}": value})
    assert caught.value.code == "invalid_arguments"


def test_tokens_are_bounded_by_bytes_and_estimated_by_a_quarter_of_them() -> None:
    assert most_tokens(Request("task", "é", "abc", 0, 10), 5) == (5 + 2 + 3, 10)
    assert [estimated_tokens(text) for text in ("", "a", "abcd", "abcde", "é" * 3)] == [0, 1, 1, 2, 2]
    assert storable("a\ud800b") == "a?b" and most_tokens(Request("task", "", "\ud800")) == (1, 2048)


def test_only_the_claude_code_client_measures_triggers_and_only_of_names_that_are_safe_in_a_path() -> None:
    claude, codex = choose("claude:haiku,codex", {"MEGA_CODE_MODEL_TIMEOUT_S": "9"})
    measuring = triggers(claude)
    assert measuring and (measuring.model, measuring.timeout_s, measuring.name) == ("haiku", 9.0, "claude:haiku")
    assert measuring.key() != claude.key() and triggers(codex) is None
    assert trigger_request("q", [("b", "B"), ("a", "A")], 2) == trigger_request("q", [("a", "A"), ("b", "B")], 2)
    with pytest.raises(MegaCodeError, match="no skill name"):
        trigger_request("q", [("../x", "A")])


def test_importing_the_evaluation_brings_in_no_library_before_it_is_used() -> None:
    code = (
        "import sys, mega_code.evaluation, mega_code.evaluation.models, mega_code.evaluation.executor\n"
        "print(sorted({'requests', 'urllib3', 'sqlite3', 'gepa', 'distributed', 'dask'} & set(sys.modules)))"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}  # it needs sqlite3
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_program_is_started_without_settings_of_ours_or_of_our_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEGA_CODE_API_KEY", "OTEL_EXPORTER_OTLP_HEADERS", "TRACEPARENT", "CLAUDECODE", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "x")
    known = environment()
    assert known["HTTPS_PROXY"] == "x" and known["PATH"]
    assert not any(name.startswith(("MEGA_CODE_", "OTEL_", "TRACE", "CLAUDECODE")) for name in known)
