"""Waiting for a job, with a clock that a test turns."""

from __future__ import annotations

import random
from typing import Any, Optional

import pytest

from mega_code.client.remote_enhance.api import Poll
from mega_code.client.remote_enhance.polling import NotTerminal, Poller
from mega_code.client.remote_enhance.progress import Progress, age, describe
from mega_code.errors import MegaCodeError
from mega_code.job import PHASES, TERMINAL

JOB = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
AWAY = MegaCodeError("network_failure", "The server cannot be reached: no connection.")
BUSY = MegaCodeError("network_failure", "The server answered 429; it may be busy or broken.")
NO_JSON = MegaCodeError("invalid_response", "The server's answer is no JSON.")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


class Server:
    """Answers looks from a script (the last answer for good); a held answer takes the time it is held."""

    def __init__(self, clock: Clock, *answers: Any, held_s: Optional[float] = None) -> None:
        self.clock, self.answers, self.held_s = clock, answers, held_s
        self.looks: list[tuple[float, int, float]] = []

    def look(self, job_id: str, wait_s: int, limit_s: float, tick: Any = None) -> Poll:
        assert job_id == JOB
        self.looks.append((self.clock.now, wait_s, limit_s))
        answer = self.answers[min(len(self.looks), len(self.answers)) - 1]
        if isinstance(answer, MegaCodeError):
            if answer in (AWAY, NO_JSON, BUSY):
                return Poll(None, answer, False, 30.0 if answer is BUSY else 0.0)
            raise answer
        if self.held_s is not None and answer["status"] not in TERMINAL:
            self.clock.now += min(self.held_s, wait_s)
            tick()
        return Poll(answer, None, self.held_s is not None)


def job(status: str, phase: Optional[str] = None, **more: Any) -> dict[str, Any]:
    return {"job_id": JOB, "status": status, "phase_public": phase, **more}


def poll(clock: Clock, server: Server, timeout_s: float = 0) -> dict[str, Any]:
    random.seed(1)
    poller = Poller(server, JOB, timeout_s=timeout_s, clock=clock, sleep=clock.sleep, wall=clock)  # type: ignore[arg-type]
    return poller.wait()


@pytest.mark.parametrize("status", TERMINAL)
def test_every_terminal_status_ends_the_wait(status: str) -> None:
    clock = Clock()
    assert poll(clock, Server(clock, job("running"), job(status))) == job(status)


def pauses_of(age_s: float, looks: int) -> list[tuple[float, float]]:
    """How old the job was before each pause between looks, and how long that pause was."""
    clock = Clock()
    server = Server(clock, *[job("running")] * looks, job("succeeded"))
    random.seed(1)
    Poller(server, JOB, timeout_s=0, age_s=age_s, clock=clock, sleep=clock.sleep, wall=clock).wait()  # type: ignore[arg-type]
    at = [look[0] for look in server.looks]
    return [(age_s + earlier, later - earlier) for earlier, later in zip(at, at[1:])]


def test_a_pause_is_a_sixth_of_the_jobs_age_from_one_second_to_fifteen_with_jitter() -> None:
    pauses = pauses_of(0, 60)
    for old, pause in pauses:
        whole = min(15.0, max(1.0, old / 6))
        assert 0.75 * whole - 0.001 <= pause <= whole + 0.001
    assert pauses[0][1] <= 1 and pauses[-1][1] >= 11 and len({round(pause, 6) for _, pause in pauses}) == len(pauses)


def test_a_wait_that_is_resumed_goes_on_as_slowly_as_the_job_is_old() -> None:
    assert all(pause >= 11 for _, pause in pauses_of(540, 5))


class Ending(Server):
    """Its job ends at `done` seconds; it ignores the wish to wait."""

    def __init__(self, clock: Clock, done: float) -> None:
        super().__init__(clock)
        self.done = done

    def look(self, job_id: str, wait_s: int, limit_s: float, tick: Any = None) -> Poll:
        self.looks.append((self.clock.now, wait_s, limit_s))
        return Poll(job("running" if self.clock.now < self.done else "succeeded"), None, False)


def test_a_job_under_a_minute_is_seen_sooner_than_every_ten_seconds_and_a_long_one_costs_no_more_looks() -> None:
    random.seed(3)
    waits, fixed = [], []
    for _ in range(300):
        clock, done = Clock(), random.uniform(0, 60)
        Poller(Ending(clock, done), JOB, timeout_s=0, clock=clock, sleep=clock.sleep, wall=clock).wait()  # type: ignore[arg-type]
        waits.append(clock.now - done)
        fixed.append(-done % 10)
    assert sum(waits) <= 0.6 * sum(fixed)
    assert len([old for old, _ in pauses_of(0, 200) if old <= 1200]) <= 1200 / 10


def test_a_server_that_holds_its_answers_is_asked_again_at_once() -> None:
    clock = Clock()
    server = Server(clock, *[job("running")] * 3, job("succeeded"), held_s=20)
    poll(clock, server)
    assert clock.sleeps == [] and [wait for _, wait, _ in server.looks] == [20] * 4


def test_a_server_that_says_it_holds_but_does_not_is_not_hammered() -> None:
    clock = Clock()
    server = Server(clock, *[job("running")] * 20, job("succeeded"), held_s=0)
    poll(clock, server)
    assert len(server.looks) == 21 and clock.now > 21.0


def test_the_deadline_is_never_passed() -> None:
    clock = Clock()
    server = Server(clock, job("running"))
    with pytest.raises(NotTerminal):
        poll(clock, server, timeout_s=30)
    assert clock.now == pytest.approx(30) and max(at for at, _, _ in server.looks) < 30
    assert all(wait <= max(0, 30 - at) and limit <= max(2.0, 30 - at) for at, wait, limit in server.looks)


def test_the_shortest_timeout_still_takes_one_look() -> None:
    clock = Clock()
    assert poll(clock, Server(clock, job("succeeded")), timeout_s=0.001)["status"] == "succeeded"
    with pytest.raises(NotTerminal):
        poll(clock, Server(clock, job("running")), timeout_s=0.001)


def test_a_gateway_that_is_away_for_minutes_is_outlived(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    poll(clock, Server(clock, job("running"), *[AWAY] * 50, job("running"), job("succeeded")))
    assert clock.now > 300
    err = capsys.readouterr().err
    assert err.count("Trying on.") == 1 and err.count("the gateway answers again") == 1


def test_a_gateway_that_never_answered_is_waited_for_with_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    server = Server(clock, *[AWAY] * 30, job("succeeded"))
    assert poll(clock, server)["status"] == "succeeded"
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("Trying on.") and "no answer yet [" in lines[1]
    assert lines[-2:] == ["the gateway answers again", lines[-1]] and lines[-1].startswith("succeeded [")


def test_a_look_waits_as_long_as_the_server_asks() -> None:
    clock = Clock()
    server = Server(clock, BUSY, job("succeeded"))
    assert poll(clock, server)["status"] == "succeeded"
    assert server.looks[1][0] == pytest.approx(30)


def test_five_answers_in_a_row_that_are_no_json_end_it_and_four_do_not() -> None:
    clock = Clock()
    assert (
        poll(clock, Server(clock, *[NO_JSON] * 4, job("running"), *[NO_JSON] * 4, job("failed")))["status"] == "failed"
    )
    with pytest.raises(MegaCodeError) as caught:
        poll(clock, Server(clock, NO_JSON))
    assert caught.value.code == "invalid_response"


def test_what_time_cannot_mend_ends_it_at_once() -> None:
    clock = Clock()
    with pytest.raises(MegaCodeError) as caught:
        poll(clock, Server(clock, MegaCodeError("http_404", "gone")))
    assert caught.value.code == "http_404" and clock.sleeps == []


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (job("queued"), "queued — waiting for worker"),
        *[(job("running", phase), phase) for phase in PHASES if phase != "iterating"],
        (job("processing", "intake"), "intake"),
        (job("running", "iterating", current_iteration=2, total_iterations=5), "iterating [2/5]"),
        (job("running", "iterating", current_iteration=None), "iterating"),
        (job("running", "dreaming"), "running"),
        (job("running"), "running"),
        (job("running", phase="intake"), "intake"),
        *[(job(status, "iterating"), status) for status in TERMINAL],
    ],
)
def test_the_progress_line_of_a_job(seen: dict[str, Any], line: str) -> None:
    assert describe(seen) == line


def test_progress_is_said_when_it_changes_and_every_ten_seconds() -> None:
    said: list[str] = []
    clock = Clock()
    progress = Progress(said.append, clock, clock)
    for now, seen in [
        (0, job("queued")),
        (3, job("queued")),
        (4, job("running", "intake")),
        (13.9, None),
        (14, None),
        (15, None),
    ]:
        clock.now = now
        progress.saw(seen) if seen else progress.tick()
    assert said == ["queued — waiting for worker [0s]", "intake [4s]", "intake [14s]"]


def test_a_long_held_answer_does_not_silence_the_progress(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    poll(clock, Server(clock, *[job("running", "intake")] * 3, job("succeeded"), held_s=20))
    assert capsys.readouterr().err.splitlines() == [
        "intake [20s]",
        "intake [40s]",
        "intake [1m00s]",
        "succeeded [1m00s]",
    ]


def test_progress_is_said_while_nothing_is_asked_too(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    poll(clock, Server(clock, *[job("running", "intake")] * 9, job("succeeded")))
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("intake")]
    assert len(said) == 1 + int(clock.now // 10)


def test_an_unknown_status_and_phase_are_warned_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    poll(
        clock,
        Server(
            clock,
            job("paused"),
            job("paused"),
            job("running", "dreaming"),
            job("running", "dreaming"),
            job("succeeded"),
        ),
    )
    err = capsys.readouterr().err
    assert err.count("unknown status 'paused'") == 1 and err.count("unknown phase 'dreaming'") == 1


def test_a_jobs_age_counts_from_its_creation_and_is_never_negative() -> None:
    said: list[str] = []
    progress = Progress(said.append, Clock(), lambda: 1_000_000_000.0)
    progress.saw(job("queued", created_at="2001-09-09T01:45:00Z"))
    assert said == ["queued — waiting for worker [1m40s]"]
    assert (age(-5), age(59.9), age(60), age(3599), age(7320)) == ("0s", "59s", "1m00s", "59m59s", "2h02m")
