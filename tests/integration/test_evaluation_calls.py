"""Calls: remembered, bounded, repeated, and never paid for twice; against a real endpoint, with real processes."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from mega_code.evaluation import calls as module
from mega_code.evaluation.budget import Budget, BudgetSpent, Limits, Spent
from mega_code.evaluation.calls import Calls
from mega_code.evaluation.executor import executor
from mega_code.evaluation.models import ModelError, Request, choose
from mega_code.evaluation.patience import ModelUnavailable
from mega_code.evaluation.store import SCHEMA, Store, Usage
from support.model_server import MODEL, Answer, ModelServer, Reply
from support.room import REPOSITORY, Room

JOB = "job-1"


def ask(number: int, repeat: int = 0) -> Request:
    return Request("task", "sys", f"question {number}", repeat, 10)


def echo(role: str, system: str, prompt: str) -> Answer:
    return f"answer to {prompt}"


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(echo) as running:
        yield running


@pytest.fixture
def path(room: Room) -> Path:
    return room.root / "completions.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store(path)
    yield opened
    opened.close()


Make = Callable[..., Calls]


@pytest.fixture
def make(server: ModelServer, store: Store) -> Make:
    def made(job: str = JOB, limits: Limits = Limits(), env: Optional[dict[str, str]] = None, **options: Any) -> Calls:
        clock = Clock()
        model = choose(f"openai:{MODEL}", {**server.env, **(env or {})})[0]
        options = {"concurrency": limits.concurrency, "clock": clock, "sleep": clock.sleep, **options}
        return Calls(model, store, job, Budget(limits, store.spent(job)), executor({}), **options)

    return made


def test_answers_come_in_order_and_one_question_is_asked_once(make: Make, server: ModelServer, store: Store) -> None:
    wanted = [ask(2), ask(1), ask(2), ask(1, repeat=1), ask(2)._replace(role="judge")]
    answers = make().complete_all(wanted)
    assert [answer.text for answer in answers] == [f"answer to question {n}" for n in (2, 1, 2, 1, 2)]
    assert server.count() == 3 and make().complete_all([]) == []
    assert store.usage(JOB) == Usage(calls=3, cached_calls=0, input_tokens=9, output_tokens=12, cost_usd=0.0)


def test_a_job_that_asks_again_pays_nothing_and_another_job_counts_what_it_was_spared(
    make: Make, server: ModelServer, store: Store
) -> None:
    first = make().complete_all([ask(1), ask(2)])
    assert make().complete_all([ask(1), ask(2)]) == first
    assert store.usage(JOB) == Usage(2, 0, 6, 8, 0.0)
    for _ in range(2):
        assert make("job-2").complete_all([ask(2), ask(2), ask(3)])[0] == first[1]
    assert store.usage("job-2") == Usage(1, 1, 3, 4, 0.0) and server.count() == 3


def test_a_store_of_an_earlier_version_keeps_what_it_knows(server: ModelServer, path: Path, make: Make) -> None:
    old = path.with_name("old.sqlite")
    with closing(sqlite3.connect(old)) as before:
        for statement in SCHEMA[0]:
            before.execute(statement)
        before.execute("PRAGMA user_version = 1")
        key = make().key(ask(1))
        before.execute("INSERT INTO completions VALUES (?, 'kept', 'm', 1, 1, 0, 'answer')", (key,))
        before.commit()
    for _ in range(2):
        with closing(Store(old)) as opened:
            opened.lived(opened.live(JOB), 1.5)
            known = opened.get(JOB, key)
            assert known and known.text == "kept"
            usage = opened.usage(JOB)
    assert usage == Usage(0, 1, 0, 0, 0.0, 3.0)


@pytest.mark.parametrize("without", [Reply(None, refusal="I cannot."), Reply("  ")], ids=["refused", "empty"])
def test_an_answer_without_text_is_kept_for_its_own_job_and_asked_for_again_by_another(
    make: Make, server: ModelServer, store: Store, without: Reply
) -> None:
    server.answer = lambda *_: without
    first = make().complete(ask(1))
    assert make().complete(ask(1)) == first and server.count() == 1
    known = [store.knows(job, make().key(ask(1))) for job in (JOB, "job-2")]
    assert (known, make("job-2").complete(ask(1)).outcome, server.count()) == ([True, False], first.outcome, 2)
    server.answer = echo
    mended = make("job-3").complete(ask(1))
    assert (mended.text, server.count()) == ("answer to question 1", 3)
    server.answer = lambda *_: without
    assert [make(f"job-{number}").complete(ask(1)) for number in (1, 2, 3, 4)] == [mended] * 4
    assert server.count() == 3 and store.usage("job-3").cached_calls == 0
    assert store.usage("job-4").cached_calls == 1


def test_other_parameters_are_another_question(make: Make, server: ModelServer) -> None:
    calls = make()
    base = ask(1)
    other = [base._replace(max_output_tokens=11), base._replace(system="other"), base._replace(repeat=3)]
    calls.complete_all([base, *other])
    assert server.count() == 4 and len({calls.key(request) for request in [base, *other]}) == 4


def test_no_more_calls_are_in_flight_than_allowed(make: Make, server: ModelServer) -> None:
    def slow(role: str, system: str, prompt: str) -> str:
        time.sleep(0.02)
        return "x"

    server.answer = slow
    calls = make(limits=Limits(concurrency=3))
    threads = [threading.Thread(target=calls.complete_all, args=([ask(n + 10 * k) for n in range(9)],)) for k in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert server.count() == 18 and 2 <= server.most_at_once <= 3


def test_trouble_is_waited_out_with_growing_pauses_and_every_attempt_counts(
    make: Make, server: ModelServer, store: Store
) -> None:
    answers: Iterator[Answer] = iter(
        [Reply(status=500), Reply(status=429, headers={"Retry-After": "40"}), Reply(drop=True), "fine"]
    )
    server.answer = lambda *_: next(answers)
    calls = make()
    clock = calls.clock
    assert isinstance(clock, Clock)
    assert calls.complete(ask(1)).text == "fine"
    assert 1.5 + 40 + 6 <= clock.now - 1000 <= 2 + 41 + 9
    assert store.usage(JOB) == Usage(4, 0, 3, 1, 0.0)
    # The connection that broke off may have been paid for.
    assert store.spent(JOB) == Spent(4, 4 + sum(len(text) for text in ("sys", "question 1")) + 64 + 10, 0.0)


def test_a_server_that_asks_for_silence_gets_it_from_all_calls(make: Make, server: ModelServer) -> None:
    times = []

    def answer(role: str, system: str, prompt: str) -> Answer:
        times.append(calls.clock())
        return Reply(status=429, headers={"Retry-After": "30"}) if len(times) == 1 else "x"

    server.answer = answer
    calls = make(concurrency=1)
    calls.complete_all([ask(1), ask(2), ask(3)])
    assert len(times) == 4 and times[1] >= 1030


@pytest.mark.parametrize(
    ("reply", "options", "sent", "says"),
    [
        (Reply(status=503), {}, 6, "That was the last of 6 attempts"),
        (Reply(status=503), {"patience_s": 4.0}, 2, "MEGA_CODE_MODEL_PATIENCE_S"),
        (Reply(status=429, headers={"Retry-After": "3600"}), {}, 1, "After 1 attempt another one"),
    ],
)
def test_patience_ends(
    make: Make, server: ModelServer, store: Store, reply: Reply, options: dict[str, Any], sent: int, says: str
) -> None:
    server.answer = lambda *_: reply
    with pytest.raises(ModelUnavailable, match=says):
        make(**options).complete(ask(1))
    assert server.count() == sent and store.spent(JOB) == Spent(sent, 0, 0.0)


def test_an_outage_is_waited_out_by_all_calls_together_and_costs_few_of_them(
    make: Make, server: ModelServer, store: Store
) -> None:
    def answer(role: str, system: str, prompt: str) -> Answer:
        return Reply(status=503) if calls.clock() < 1010 else echo(role, system, prompt)

    server.answer = answer
    calls = make(limits=Limits(calls=32, concurrency=8))
    answers = calls.complete_all([ask(n) for n in range(20)])
    assert [answer.text for answer in answers] == [f"answer to question {n}" for n in range(20)]
    # Eight were in the air when it began; then one at a time, after 2, 6 and 14 seconds or somewhat less.
    assert server.count() == store.spent(JOB).calls == 8 + 2 + 20


def test_an_outage_that_lasts_is_given_up_after_six_attempts_of_all_calls_together(
    make: Make, server: ModelServer, store: Store
) -> None:
    server.answer = lambda *_: Reply(status=503)
    with pytest.raises(ModelUnavailable, match=r"HTTP 503: said by the endpoint\. That was the last of 6 attempts\."):
        make(limits=Limits(concurrency=8)).complete_all([ask(n) for n in range(20)])
    assert server.count() == 8 + 5 == store.spent(JOB).calls


def test_calls_that_never_left_count_for_nothing_and_the_model_is_what_cannot_be_reached(
    make: Make, store: Store
) -> None:
    nobody = {"MEGA_CODE_MODEL_URL": "http://127.0.0.1:9/v1"}
    calls = make(limits=Limits(calls=3, concurrency=2), env=nobody)
    with pytest.raises(ModelUnavailable, match=r"cannot be reached\. That was the last of 6 attempts\."):
        calls.complete_all([ask(n) for n in range(20)])
    assert store.usage(JOB) == Usage(0, 0, 0, 0, 0.0) and store.spent(JOB) == Spent()
    assert calls.budget.lacks(3) == ""


def test_a_budget_that_failed_calls_have_used_up_names_the_trouble(make: Make, server: ModelServer) -> None:
    server.answer = lambda *_: Reply(status=503)
    with pytest.raises(BudgetSpent) as caught:
        make(limits=Limits(calls=4, concurrency=2)).complete_all([ask(n) for n in range(20)])
    assert str(caught.value) == (
        "MEGA_CODE_MAX_CALLS is 4, and 4 calls are made. The last one failed: The model's endpoint answers HTTP 503: said"
        " by the endpoint."
    )


def test_one_question_that_fails_holds_nobody_up_for_longer_than_it_takes_to_ask_another(
    make: Make, server: ModelServer
) -> None:
    def answer(role: str, system: str, prompt: str) -> Answer:
        first = prompt == "question 0" and server.count() == 1
        return Reply(status=500) if first else echo(role, system, prompt)

    server.answer = answer
    calls = make(limits=Limits(concurrency=1))
    assert len(calls.complete_all([ask(n) for n in range(20)])) == 20
    assert server.count() == 21 and calls.clock() < 1003


def test_a_question_that_is_never_answered_ends_the_asking_and_all_others_are_answered_first(
    make: Make, server: ModelServer, store: Store
) -> None:
    server.answer = lambda role, system, prompt: (
        Reply(status=500) if prompt == "question 0" else echo(role, system, prompt)
    )
    calls = make(limits=Limits(concurrency=2))
    with pytest.raises(ModelUnavailable, match=r"HTTP 500.*That was the last of 6 attempts\."):
        calls.complete_all([ask(n) for n in range(20)])
    assert server.count() == store.spent(JOB).calls == 19 + 6
    assert [store.knows(JOB, calls.key(ask(n))) for n in range(20)] == [False] + [True] * 19


def test_every_request_counts_where_the_endpoint_wants_to_be_asked_in_another_way(
    make: Make, server: ModelServer, store: Store
) -> None:
    together = threading.Barrier(4)

    def answer(role: str, system: str, prompt: str) -> Answer:
        body = next(one.body for one in reversed(server.requests) if one.prompt == prompt)
        if "max_tokens" not in body:
            return echo(role, system, prompt)
        together.wait(20)
        return Reply(status=400, body={"error": {"message": "Use 'max_completion_tokens'."}})

    server.answer = answer
    calls = make(limits=Limits(calls=14, concurrency=4))
    assert len(calls.complete_all([ask(n) for n in range(10)])) == 10
    assert server.count() == store.spent(JOB).calls == 14 and calls.clock() == 1000


def test_a_wrong_key_is_not_tried_again(make: Make, server: ModelServer) -> None:
    with pytest.raises(ModelError, match="does not accept") as caught:
        make(env={"MEGA_CODE_MODEL_KEY": "wrong"}, concurrency=1).complete_all([ask(n) for n in range(5)])
    assert not isinstance(caught.value, ModelUnavailable) and server.count() == 1


def test_refused_empty_and_cut_answers_are_answers_and_are_kept(make: Make, server: ModelServer) -> None:
    replies = {
        "question 1": Reply(refusal="no"), "question 2": Reply(""), "question 3": Reply("half", finish="length"),
    }  # fmt: skip
    server.answer = lambda role, system, prompt: replies[prompt]
    for _ in range(2):
        answers = make().complete_all([ask(1), ask(2), ask(3)])
        assert [(answer.outcome, answer.text) for answer in answers] == [
            ("refused", ""), ("empty", ""), ("cut", "half"),
        ]  # fmt: skip
    assert server.count() == 3


def test_a_job_stops_before_a_limit_and_goes_on_where_it_was_under_a_higher_one(
    make: Make, server: ModelServer, store: Store
) -> None:
    wanted = [ask(n) for n in range(10)]
    with pytest.raises(BudgetSpent, match="MEGA_CODE_MAX_CALLS is 4, and 4 calls are made"):
        make(limits=Limits(calls=4)).complete_all(wanted)
    assert server.count() == 4 and store.usage(JOB).calls == 4
    with pytest.raises(BudgetSpent):
        make(limits=Limits(calls=4)).complete_all(wanted)
    assert len(make(limits=Limits(calls=10)).complete_all(wanted)) == 10 and server.count() == 10


def test_tokens_never_pass_their_limit_however_many_calls_fly(make: Make, server: ModelServer, store: Store) -> None:
    server.answer = lambda *_: Reply("x", usage={"prompt_tokens": 60, "completion_tokens": 10})
    with pytest.raises(BudgetSpent, match="MEGA_CODE_MAX_TOKENS"):
        make(limits=Limits(tokens=1000)).complete_all([ask(n) for n in range(50)])
    # Another call could take 3 + 11 bytes, 64 of wrapping and 10 of answer.
    assert store.spent(JOB).tokens == 70 * server.count() and 1000 - 88 <= store.spent(JOB).tokens <= 1000


def test_a_cancelled_job_begins_nothing_and_keeps_what_still_comes(
    make: Make, server: ModelServer, store: Store
) -> None:
    class Cancelled(BaseException):
        pass

    both = threading.Barrier(3)

    def answer(role: str, system: str, prompt: str) -> Answer:
        if prompt == "question 0":
            both.wait(20)
            return "late, but here"
        both.wait(20)
        return Reply(hang=True)

    def check() -> None:
        if server.count() == 2:
            both.wait(20)
            raise Cancelled

    server.answer = answer
    began = time.monotonic()
    with pytest.raises(Cancelled):
        make(concurrency=2, check=check).complete_all([ask(n) for n in range(6)])
    assert time.monotonic() - began < module.GRACE_S + 5 and server.count() == 2
    assert store.usage(JOB) == Usage(2, 0, 3, 3, 0.0)
    assert store.spent(JOB).tokens == 6 + (3 + 10 + 64 + 10)
    server.answer = echo
    assert make().complete(ask(0)).text == "late, but here"


def test_an_error_of_our_own_is_not_taken_for_trouble_of_the_model(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = make()
    monkeypatch.setattr(calls.model, "complete", lambda request: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        calls.complete(ask(1))


PROCESS = """
import sys
from pathlib import Path
from mega_code.evaluation.budget import Budget, Limits
from mega_code.evaluation.calls import Calls
from mega_code.evaluation.executor import executor
from mega_code.evaluation.models import Request, choose
from mega_code.evaluation.store import Store
job, path, url, key, concurrency, *numbers = sys.argv[1:]
store = Store(Path(path))
model = choose("openai:scripted-1", {"MEGA_CODE_MODEL_URL": url, "MEGA_CODE_MODEL_KEY": key})[0]
calls = Calls(model, store, job, Budget(Limits(), store.spent(job)), executor({}), int(concurrency))
answers = calls.complete_all([Request("task", "sys", f"question {number}", 0, 10) for number in numbers])
print("|".join(answer.text for answer in answers))
"""


def start(server: ModelServer, path: Path, job: str, concurrency: int, numbers: range) -> subprocess.Popen[str]:
    given = [job, path, server.url, server.key, concurrency, *numbers]
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, *map(str, given)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("kill_at", [1, 2, 5])
def test_a_killed_job_resumes_and_pays_for_one_call_more_at_most(server: ModelServer, path: Path, kill_at: int) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def answer(role: str, system: str, prompt: str) -> str:
        if server.count() == kill_at and not go_on.is_set():
            reached.set()
            go_on.wait(30)
        return f"answer to {prompt}"

    server.answer = answer
    process = start(server, path, JOB, 1, range(5))
    assert reached.wait(30)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    go_on.set()
    out, err = start(server, path, JOB, 1, range(5)).communicate(timeout=60)
    assert err == "" and out.strip() == "|".join(f"answer to question {n}" for n in range(5))
    assert [server.count(), Store(path).usage(JOB)] == [6, Usage(6, 0, 15, 20, 0.0)]


def test_two_processes_share_a_store_that_neither_has_made_before(server: ModelServer, path: Path) -> None:
    def slow(role: str, system: str, prompt: str) -> str:
        time.sleep(0.01)
        return f"answer {server.count()} to {prompt}"

    server.answer = slow
    processes = [start(server, path, f"job-{n}", 4, range(30)) for n in (1, 2)]
    outs = [process.communicate(timeout=60) for process in processes]
    assert [err for _, err in outs] == ["", ""] and outs[0][0] == outs[1][0]
    store = Store(path)
    one, two = store.usage("job-1"), store.usage("job-2")
    assert (
        one.calls + two.calls == server.count() and one.calls + one.cached_calls >= 30 <= two.calls + two.cached_calls
    )
    third, err = start(server, path, "job-3", 4, range(30)).communicate(timeout=60)
    assert (third, err) == outs[0] and store.usage("job-3") == Usage(0, 30, 0, 0, 0.0)
