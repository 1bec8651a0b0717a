"""What a run did and how long it took, as OpenTelemetry spans; `references/telemetry.md` lists them.

Without an OTLP endpoint in the settings everything here does nothing and imports nothing. With one, `telemetry_sdk`
records and exports; trouble with that costs one line on stderr and FLUSH_S, and never more.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Callable, Optional

from mega_code import interrupt
from mega_code.files import write_atomic
from mega_code.paths import DataDir, data_dir

if TYPE_CHECKING:
    from mega_code.telemetry_sdk import Tracing

CLIENT, GATEWAY = "mega-code-client", "mega-code-gateway"
ERROR = "error.type"
HEADERS = ("traceparent", "baggage")
SESSION_ID = "MEGA_CODE_SESSION_ID"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
INSTALL = "python3 -m pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
# A collector that is dead may cost 2 s in all; what this leaves of them is for importing the SDK.
FLUSH_S = 1.2
INTERRUPTED_FLUSH_S = 0.5
# What one export of a command may take: less than the exporter's first pause between attempts, so that there is one.
# A gateway has the time that the settings give.
EXPORT_S = 0.75
GIVEN_UP_S = 600.0


Attributes = Mapping[str, Any]
NONE: Attributes = {}


class Span:
    """Something that takes time, here one that nobody records; it ends with its `with` block."""

    def set(self, about: Attributes = NONE, /, **own: Any) -> None:
        """Attributes: `about` by their full names, our `own` without their `mega_code.`; what is None is left out."""

    def fail(self, code: str) -> None:
        """It ended in an error. No message comes with it, since a message may hold what is nobody's business."""

    def end(self) -> None:
        """It is over, where there is no `with` block."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *unused: object) -> None:
        self.end()


class Phases:
    """Spans that follow each other; what is begun in the same thread belongs to the present one."""

    def enter(self, name: str) -> None:
        """The phase before is over, unless it is the same."""

    def close(self, error: Optional[BaseException] = None) -> None:
        """The last one is over."""

    def __enter__(self) -> Phases:
        return self

    def __exit__(self, kind: object, error: Optional[BaseException], traceback: object) -> None:
        self.close(error)


class _State:
    tracing: Optional[Tracing] = None
    trouble = ""
    mark = ""


_UNRECORDED = Span()


def wanted(env: Mapping[str, str]) -> bool:
    """Whether the settings name a collector, and none switches spans off."""
    exporters = [name.strip() for name in (env.get("OTEL_TRACES_EXPORTER") or "otlp").split(",")]
    disabled = env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return "otlp" in exporters and not disabled and any(env.get(name, "").strip() for name in ENDPOINTS)


def start(service: str) -> str:
    """Record spans from now on, where they are wanted; what stands in the way of that, or nothing."""
    from mega_code.settings import with_env_file  # only here: most of what starts fast needs none of it

    settings = with_env_file(os.environ)
    if not wanted(settings):
        return ""
    _State.mark = _mark(settings) if service == CLIENT else ""
    if _given_up(_State.mark):
        return ""
    protocol = next((settings[name] for name in PROTOCOLS if settings.get(name)), PROTOCOL)
    if protocol != PROTOCOL:
        return f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol[:20]!r}, and only {PROTOCOL} can be sent"
    # The SDK reads its settings from the environment, and from nowhere else.
    os.environ.update({name: value for name, value in settings.items() if name.startswith("OTEL_")})
    try:
        from mega_code.telemetry_sdk import Tracing

        _State.tracing = Tracing(service, settings)
        return ""
    except ImportError:
        return f"the telemetry extra is not installed: {INSTALL}"
    except Exception as error:
        return f"the OTEL_ settings cannot be used ({type(error).__name__})"


def command(name: str) -> AbstractContextManager[Span]:
    """The span of a whole command, at whose end stands a `flush`."""
    _State.trouble = start(CLIENT)
    return span(name)


def _mark(settings: Mapping[str, str]) -> str:
    """What stands for a session and its collector, whose address may hold a secret; empty without a session."""
    from hashlib import sha256

    session = settings.get(SESSION_ID, "")
    collector = [settings.get(name, "") for name in ENDPOINTS]
    return sha256("\n".join([session, *collector]).encode("utf-8", "replace")).hexdigest() if session else ""


def _given_up(mark: str) -> bool:
    """Whether a command of that session could not send that collector its spans: what that costs is paid once."""
    path = DataDir(data_dir(os.environ)).given_up
    with contextlib.suppress(OSError, ValueError):
        return bool(mark) and path.read_text() == mark and time.time() - path.stat().st_mtime < GIVEN_UP_S
    return False


def _give_up(mark: str) -> None:
    path = DataDir(data_dir(os.environ)).given_up
    with contextlib.suppress(OSError, ValueError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, mark.encode())


def span(name: str, kind: str = "internal", about: Attributes = NONE, /, **own: Any) -> AbstractContextManager[Span]:
    """A span that lasts as long as its `with` block, and fails where an exception leaves that.

    `kind` is `internal`, `client` (it asks another process) or `server`; attributes are as in `Span.set`.
    """
    return _State.tracing.span(name, kind, about, own) if _State.tracing else _UNRECORDED


def begun(name: str, kind: str = "internal", about: Attributes = NONE, /, **own: Any) -> Span:
    """As `span`, but it lasts until its `end`, which may come in any thread, and nothing is part of it."""
    return _State.tracing.begun(name, kind, about, own) if _State.tracing else _UNRECORDED


def current() -> Span:
    """The span that this is part of."""
    return _State.tracing.current() if _State.tracing else _UNRECORDED


def phases() -> Phases:
    """For what goes through phases, within the span that is the current one now."""
    return _State.tracing.phases() if _State.tracing else Phases()


def headers() -> dict[str, str]:
    """What tells whoever gets it which span this is part of (W3C `traceparent`, the session in `baggage`)."""
    return _State.tracing.headers() if _State.tracing else {}


def part_of(headers: Mapping[str, str]) -> AbstractContextManager[object]:
    """What is begun in this `with` block is part of what `headers` tell of. Anything may stand in them."""
    return _State.tracing.part_of(headers) if _State.tracing else contextlib.nullcontext()


def flush(say: Callable[[str], object], at_most_s: float = FLUSH_S) -> None:
    """Send what is not sent yet, for `at_most_s` seconds, less after a signal and no longer than until one."""
    signalled = interrupt.came()
    trouble = _State.trouble
    if _State.tracing:
        until = time.monotonic() + (INTERRUPTED_FLUSH_S if signalled else at_most_s)
        trouble = _State.tracing.flush(lambda: time.monotonic() < until and (signalled or not interrupt.came()))
    if trouble:
        say(f"spans are not sent: {trouble}")
        # A machine that is too slow to ask the collector says nothing about the next command.
        asked = _State.tracing is None or _State.tracing.exporter.asked
        if _State.mark and asked and not interrupt.came():
            _give_up(_State.mark)
