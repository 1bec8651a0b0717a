"""What spans may cost at the end of a command, whatever answers for the collector."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mega_code import telemetry

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the telemetry extra is not installed")


class Endless:
    """An exporter whose export does not return before the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def export(self, spans: Any) -> Any:
        self.over.wait()
        raise OSError("never sent")


@pytest.fixture
def endless() -> Iterator[Endless]:
    exporter = Endless()
    yield exporter
    exporter.over.set()


def test_a_flush_ends_with_its_patience_although_the_export_never_returns(endless: Endless) -> None:
    from mega_code.telemetry_sdk import Tracing

    patience = iter((True, True, False))
    answers: list[str] = []

    def work() -> None:  # in a thread of its own, whose context ends with it
        tracing = Tracing(telemetry.CLIENT, {})
        tracing.exporter.inner = endless
        tracing.begun("setup").end()
        answers.append(tracing.flush(lambda: next(patience)))

    flushing = threading.Thread(target=work, daemon=True)
    flushing.start()
    flushing.join(60)
    assert not flushing.is_alive() and answers == ["there was no time for it"] and list(patience) == []


def test_a_dead_collector_costs_a_command_two_seconds_at_most_signal_or_not() -> None:
    assert telemetry.FLUSH_S + telemetry.INTERRUPTED_FLUSH_S <= 2
    assert telemetry.EXPORT_S < telemetry.FLUSH_S
