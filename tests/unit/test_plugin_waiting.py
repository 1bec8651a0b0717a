"""poll.sh shares a person's waiting time among calls that each end before Claude Code's Bash tool stops waiting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mega_code.client.remote_enhance.cli import DEFAULT_TIMEOUT_S
from support.fake_gateway import FakeGateway
from support.room import Room


@pytest.fixture
def fake(room: Room) -> Iterator[FakeGateway]:
    with FakeGateway() as gateway:
        gateway.statuses = [{"status": "running", "phase_public": "intake"}]
        room.env.update(gateway.env)
        yield gateway


def poll(room: Room, fake: FakeGateway, *flags: str) -> tuple[int, list[str]]:
    """The exit status and the lines that poll.sh printed; its transcript is removed."""
    done = room.script("poll.sh", "--job-id", fake.job_id, *flags)
    lines = done.stdout.splitlines()
    for log in (line[len("LOG=") :] for line in lines if line.startswith("LOG=")):
        for suffix in (".log", ".result.json"):
            Path(log).with_suffix(suffix).unlink(missing_ok=True)
    return done.returncode, [line for line in lines if line.startswith(("TIME_LEFT=", "OUTCOME="))]


@pytest.mark.parametrize(
    ("total", "slice_s", "left"),
    [
        ("1200", "0", "1200"),
        ("1.5", "0.25", "1.25"),
        ("0.3", "0.3", "none"),
        ("0.3", "540", "none"),
        ("0", "0.2", "0"),
    ],
)
def test_a_call_that_ends_too_early_says_what_is_left(
    room: Room, fake: FakeGateway, total: str, slice_s: str, left: str
) -> None:
    status, lines = poll(room, fake, "--poll-timeout", total, "--max-wait", slice_s)
    assert (status, lines) == (3, ["OUTCOME=timeout", f"TIME_LEFT={left}"])


def test_nothing_is_left_to_say_of_a_job_that_is_done(room: Room, fake: FakeGateway) -> None:
    fake.statuses = [{"status": "succeeded"}]
    assert poll(room, fake, "--poll-timeout", "60") == (0, ["OUTCOME=ready"])


def test_without_a_limit_nothing_is_said_of_what_is_left(room: Room, fake: FakeGateway) -> None:
    assert poll(room, fake, "--max-wait", "0") == (3, ["OUTCOME=timeout"])


@pytest.mark.parametrize("value", ["-1", "soon", "1e9", "1,5"])
def test_a_time_that_is_none_is_refused(room: Room, fake: FakeGateway, value: str) -> None:
    assert poll(room, fake, f"--poll-timeout={value}") == (4, [])
    assert fake.seen == []


def test_the_default_of_the_slash_command_takes_three_calls(room: Room, fake: FakeGateway) -> None:
    script = (Path(__file__).parents[2] / "scripts" / "poll.sh").read_text("utf-8")
    assert "max_wait=540" in script
    assert 540 * 2 < DEFAULT_TIMEOUT_S < 540 * 3
