"""The raw arguments of the slash command: understood or refused, never run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mega_code.client import arguments
from mega_code.errors import MegaCodeError

JOB = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def lines(hitl: int = 0, name: str = "", timeout: str = "1200", job: str = "", residual: str = "") -> list[str]:
    return [
        f"HITL={hitl}",
        f"SKILL_NAME={name}",
        f"POLL_TIMEOUT={timeout}",
        f"JOB_ID={job}",
        f"RESIDUAL_ARGS={residual}",
    ]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", lines()),
        (" \n\t ", lines()),
        ("foo", lines(name="foo", residual="foo")),
        ("'foo'", lines(name="foo", residual="foo")),
        ("--hitl", lines(1)),
        ("foo --HITL", lines(1, "foo", residual="foo")),
        ("--Hitl foo --poll-timeout 0", lines(1, "foo", "0", residual="foo --poll-timeout 0")),
        ("--poll-timeout 99999999999", lines(timeout="99999999999", residual="--poll-timeout 99999999999")),
        ("foo\n--poll-timeout=2.5", lines(0, "foo", "2.5", residual="foo --poll-timeout 2.5")),
        ("--poll-timeout 0.0000001", lines(timeout="0.000001", residual="--poll-timeout 0.000001")),
        (f"--poll-existing {JOB}", lines(job=JOB, residual=f"--poll-existing {JOB}")),
    ],
)
def test_what_the_person_typed_is_understood(raw: str, expected: list[str]) -> None:
    assert arguments.parse(raw).lines() == expected


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("a b", "invalid_arguments"),
        ("it's", "invalid_arguments"),
        ("-x", "invalid_arguments"),
        ("--poll-timeout", "invalid_arguments"),
        ("--poll-timeout -1", "invalid_arguments"),
        ("--poll-timeout nan", "invalid_arguments"),
        ("--poll-timeout soon", "invalid_arguments"),
        ("--poll 5", "invalid_arguments"),
        (f"--hitl --poll-existing {JOB}", "invalid_arguments"),
        ("x" * 10_000, "invalid_arguments"),
        ("$(touch pwned)", "invalid_arguments"),
        ("`id`", "invalid_skill_name"),
        ("../../etc", "invalid_skill_name"),
        ("Foo", "invalid_skill_name"),
        (";ls", "invalid_skill_name"),
        ("--poll-existing nope", "invalid_job_id"),
        (f"--poll-existing {JOB}/../x", "invalid_job_id"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_code(raw: str, code: str) -> None:
    with pytest.raises(MegaCodeError) as caught:
        arguments.parse(raw)
    assert (caught.value.code, caught.value.exit_status) == (code, 4)


@given(st.text())
def test_only_harmless_characters_ever_come_out(raw: str) -> None:
    try:
        printed = arguments.parse(raw).lines()
    except MegaCodeError:
        return
    assert len(printed) == 5
    assert all(
        char in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=. +" for char in "".join(printed)
    )
