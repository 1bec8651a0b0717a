"""SIGKILL before and after everything that an install, a restore or a clean-up does to the file system.

Whatever the moment: once the next command has run, the old skill or the new one stands there byte for byte, what was
displaced is in a backup, and nothing lies beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support import strace
from support.forked import KERNELS, Forks
from support.room import Room
from support.stage import Stage, sample
from support.tally import tally

# What strace lets the kernel answer to the exchange of two folders.
ANSWERS = {
    "exchange": (),
    "none": ("inject=?renameat2:error=EINVAL",),
    "overlay": ("inject=?renameat2:error=EXDEV",),
}
MODES = ("install", "first", "restore", "cleanup")


@pytest.fixture
def stage(room: Room) -> Stage:
    return Stage(room)


@pytest.fixture
def forks(stage: Stage) -> Iterator[Forks]:
    with Forks(stage.env, stage.room.project) as started:
        yield started


def lower_inode(stage: Stage) -> int:
    return os.lstat(stage.place).st_ino if stage.place.exists() else 0


def sweep_forks(stage: Stage, forks: Forks, mode: str, kernel: str, size: int) -> int:
    """Kill the command at a sample of its steps; gives how many kills there were."""
    arguments = stage.reset(mode)
    whole = forks.run(arguments, kernel=kernel, lower=lower_inode(stage))
    assert whole.status == 0 and whole.steps > 20
    assert (
        stage.check(mode, "not killed") == {"install": "new", "first": "new", "restore": "old", "cleanup": "gone"}[mode]
    )
    points = sample(range(1, whole.steps + 1), size)
    for number, point in enumerate(points):
        arguments = stage.reset(mode)
        where = (mode, kernel, point)
        assert forks.run(arguments, point, kernel, lower_inode(stage)).status == -9, where
        if kernel == "exchange":
            stage.state()  # whole at once, before anybody sets anything right
        following = stage.next_commands()
        forks.run(following[number % len(following)], kernel=kernel)
        stage.check(mode, where)
    return len(points)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_command_killed_at_any_step_leaves_the_old_skill_or_the_new_one_whole(
    stage: Stage, forks: Forks, mode: str, kernel: str
) -> None:
    tally(
        "install, restore or clean-up killed inside the process, before and after each step",
        sweep_forks(stage, forks, mode, kernel, 14),
    )


@pytest.mark.parametrize("mode", MODES)
def test_the_same_holds_where_backups_lie_on_another_file_system(room: Room, elsewhere: Path, mode: str) -> None:
    stage = Stage(room, elsewhere / "data")
    with Forks(stage.env, stage.room.project) as forks:
        tally(
            "install, restore or clean-up killed inside the process, before and after each step",
            sweep_forks(stage, forks, mode, "exchange", 8),
        )


def sweep_command(stage: Stage, mode: str, answer: Sequence[str], size: int) -> int:
    """Kill the real command as it enters a sample of its system calls; gives how many kills there were."""
    trace = stage.room.tmp / "trace"
    assert stage.run(stage.reset(mode), strace.wrapper(trace, *answer)).returncode == 0
    stage.check(mode, "not killed")
    points = sample(strace.calls(trace, [stage.place.parent, stage.data.root]), size)
    for number, call in enumerate(points):
        answers = [expression for expression in answer if f"?{call.name}:" not in expression]
        kill = f"inject={call.name}:signal=SIGKILL:when={call.number}"
        ended = stage.run(stage.reset(mode), strace.wrapper(trace, *answers, kill))
        assert ended.returncode == -9, (mode, call, ended.stderr)
        if not answer:
            stage.state()
        following = stage.next_commands()
        stage.run(following[number % len(following)])
        stage.check(mode, (mode, call))
    return len(points)


@pytest.mark.slow
@pytest.mark.skipif(not strace.available(), reason="strace is not there, or may not trace")
@pytest.mark.parametrize(
    ("mode", "answer"), [*((mode, "exchange") for mode in MODES), ("install", "none"), ("install", "overlay")]
)
def test_the_real_command_killed_at_any_system_call_leaves_the_old_skill_or_the_new_one_whole(
    stage: Stage, mode: str, answer: str
) -> None:
    tally("install, restore or clean-up killed at a system call", sweep_command(stage, mode, ANSWERS[answer], 5))
