"""OpenAI-compatible endpoints: a real HTTP server that answers as the test says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Callable

import pytest

from mega_code.evaluation.models import Completion, ModelError, Request, choose
from mega_code.evaluation.models import openai as module
from support.model_server import KEY, MODEL, Answer, Asked, ModelServer, Reply
from support.room import Room

ASK = Request("task", "You are a skill.", "Do the thing.", 0, 321)
Ask = Callable[..., Completion]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer("a b c") as running:
        yield running


@pytest.fixture
def ask(server: ModelServer, room: Room) -> Ask:
    def asked(answer: Answer = "a b c", request: Request = ASK, **env: str) -> Completion:
        server.answer = lambda role, system, prompt: answer
        return choose(f"openai:{MODEL}", {**server.env, **env})[0].complete(request)

    return asked


def test_a_request_goes_out_as_it_is_with_role_and_key(ask: Ask, server: ModelServer) -> None:
    assert ask() == Completion("a b c", MODEL, 7, 3, 0.0, "answer")
    ask(request=ASK._replace(role="judge", system=""))
    first, second = server.requests
    assert first.body == {
        "model": MODEL,
        "messages": [{"role": "system", "content": ASK.system}, {"role": "user", "content": ASK.prompt}],
        "max_tokens": 321,
    }
    assert (first.role, first.headers["authorization"]) == ("task", f"Bearer {KEY}")
    assert (second.role, second.body["messages"]) == ("judge", [{"role": "user", "content": ASK.prompt}])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Reply("half a", finish="length"), Completion("half a", MODEL, 7, 2, 0.0, "cut")),
        (Reply("", finish="length", usage=None), Completion("", MODEL, 8, 0, 0.0, "cut")),
        (Reply("no", finish="content_filter"), Completion("", MODEL, 7, 1, 0.0, "refused")),
        (Reply(None, refusal="I cannot."), Completion("", MODEL, 7, 0, 0.0, "refused")),
        (Reply(" \n"), Completion("", MODEL, 7, 0, 0.0, "empty")),
        (Reply(None), Completion("", MODEL, 7, 0, 0.0, "empty")),
        (Reply("12345", usage=None), Completion("12345", MODEL, 8, 2, 0.0)),
        (Reply("x", usage={"prompt_tokens": True, "completion_tokens": -4}), Completion("x", MODEL, 8, 1, 0.0)),
        (Reply("x", usage={"cost": 0.25}), Completion("x", MODEL, 7, 1, 0.25)),
        (Reply("x", usage={"cost": "free"}), Completion("x", MODEL, 7, 1, 0.0)),
        (Reply("a\ud800b"), Completion("a?b", MODEL, 7, 1, 0.0)),
        (
            Reply(status=400, body={"error": {"code": "content_filter", "message": "blocked"}}),
            Completion("", MODEL, 8, 0, 0.0, "refused"),
        ),
    ],
)
def test_an_answer_is_read_as_what_it_is(ask: Ask, answer: Reply, expected: Completion) -> None:
    assert ask(answer) == expected


def test_parts_of_an_answer_are_one_text_and_the_endpoints_model_is_named(ask: Ask) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    body = {"model": "other-2", "choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}
    assert ask(Reply(body=body)) == Completion("ab", "other-2", 8, 1, 0.0)


def test_prices_count_where_the_endpoint_says_no_cost(ask: Ask) -> None:
    prices = {"MEGA_CODE_PRICE_INPUT": "1000000", "MEGA_CODE_PRICE_OUTPUT": "2000000"}
    assert ask("a b c", **prices).cost_usd == 7 + 6
    assert ask(Reply("a b c", usage={"cost": 0}), **prices).cost_usd == 7 + 6
    assert ask(Reply("a b c", usage={"cost": 0.5}), **prices).cost_usd == 0.5


@pytest.mark.parametrize(
    ("answer", "transient", "charged", "wait", "says"),
    [
        (Reply(status=429, headers={"Retry-After": "7"}), True, False, 7.0, "HTTP 429: said by the endpoint"),
        (Reply(status=429, headers={"Retry-After": "soon"}), True, False, None, "HTTP 429"),
        (Reply(status=429, body={"error": {"code": "insufficient_quota"}}), False, False, None, "HTTP 429."),
        (Reply(status=500), True, False, None, "HTTP 500"),
        (Reply(status=529, body=b"<html>"), True, False, None, "HTTP 529."),
        (Reply(status=400, body={"error": "odd"}), False, False, None, "HTTP 400: odd"),
        (Reply(status=401, body={"message": f"bad {KEY}"}), False, False, None, "does not accept MEGA_CODE_MODEL_KEY"),
        (Reply(status=404), False, False, None, "HTTP 404"),
        (Reply(status=302, headers={"Location": "http://192.0.2.1/"}), False, False, None, "MEGA_CODE_MODEL_URL"),
        (Reply(body=b"{"), True, True, None, "no chat completion"),
        (Reply(body=[1]), True, True, None, "no chat completion"),
        (Reply(body={"choices": [{}]}), True, True, None, "no chat completion"),
        (Reply(body={"error": {"code": 502, "message": "upstream"}}), True, False, None, "HTTP 502: upstream"),
        (Reply(body={"error": {"code": 403, "message": "no"}}), False, False, None, "HTTP 403"),
        (Reply(drop=True), True, True, None, "broke off"),
    ],
)
def test_trouble_says_whether_trying_again_helps(
    ask: Ask, answer: Reply, transient: bool, charged: bool, wait: Any, says: str
) -> None:
    with pytest.raises(ModelError) as caught:
        ask(answer)
    error = caught.value
    assert (error.transient, error.charged, error.retry_after_s) == (transient, charged, wait)
    assert says in str(error) and KEY not in str(error)


def test_a_date_in_retry_after_is_seconds_from_now(ask: Ask) -> None:
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    with pytest.raises(ModelError) as caught:
        ask(Reply(status=503, headers={"Retry-After": date}))
    assert caught.value.retry_after_s == pytest.approx(100, abs=30)


def test_an_endpoint_that_does_not_answer_is_given_up_in_time(ask: Ask) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError, match="in time") as caught:
        ask(Reply(hang=True), MEGA_CODE_MODEL_TIMEOUT_S="0.5")
    assert caught.value.transient and caught.value.charged and time.monotonic() - began < 10


def test_an_endpoint_that_is_not_there_has_cost_nothing(ask: Ask) -> None:
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        ask(MEGA_CODE_MODEL_URL="http://127.0.0.1:9/v1")
    assert caught.value.transient and not caught.value.charged and not caught.value.sent


def test_an_answer_that_never_ends_is_cut_off(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_BYTES", 100_000)
    with pytest.raises(ModelError, match="MiB"):
        ask(Reply(body=b" " * 200_000))


def test_the_other_name_of_the_token_limit_is_said_once_and_asked_with_from_then_on(
    server: ModelServer, room: Room
) -> None:
    refusal = {"error": {"message": "Unsupported parameter: use 'max_completion_tokens' instead of 'max_tokens'."}}
    server.answer = lambda *_: (
        Reply(status=400, body=refusal) if "max_tokens" in server.requests[-1].body else Reply("fine")
    )
    model = choose(f"openai:{MODEL}", server.env)[0]
    with pytest.raises(ModelError, match="Unsupported parameter") as caught:
        model.complete(ASK)
    assert (caught.value.transient, caught.value.lesson) == (False, "max_completion_tokens")
    model.learn(caught.value.lesson)
    assert [model.complete(ASK).text for _ in range(2)] == ["fine", "fine"]
    server.answer = lambda *_: Reply(status=400, body=refusal)
    with pytest.raises(ModelError, match="Unsupported parameter") as caught:
        model.complete(ASK)
    assert caught.value.lesson == ""
    limits: list[Mapping[str, Any]] = [asked.body for asked in server.requests]
    assert [body.get("max_tokens") or -body["max_completion_tokens"] for body in limits] == [321, -321, -321, -321]


def test_neither_netrc_nor_a_proxy_comes_between_this_machine_and_itself(
    ask: Ask, server: ModelServer, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    (room.home / ".netrc").write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    server.key = ""
    ask(MEGA_CODE_MODEL_KEY="")
    seen: Asked = server.requests[0]
    assert "authorization" not in seen.headers
