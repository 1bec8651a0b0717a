"""Spans through the OpenTelemetry SDK: how they are recorded, linked and exported. Imported by `telemetry` alone."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, Optional

from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mega_code.console import concealed
from mega_code.interrupt import Interrupted
from mega_code.telemetry import CLIENT, ERROR, EXPORT_S, NONE, SESSION_ID, Attributes, Phases, Span

SESSION = "mega_code.session_id"
LONGEST = 200
UNNAMED = "unknown_service"
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_SESSION = re.compile(r"[0-9A-Za-z_-]{1,64}")
_TURN_S = 0.05
_EXPORTER = "opentelemetry.exporter.otlp.proto.http"
_trace_context, _baggage = TraceContextTextMapPropagator(), W3CBaggagePropagator()


class Recorded(Span):
    """A span that is exported."""

    def __init__(self, inner: trace.Span) -> None:
        self.inner = inner

    def set(self, about: Attributes = NONE, /, **own: Any) -> None:
        self.inner.set_attributes(_named(about, own))

    def fail(self, code: str) -> None:
        self.inner.set_attribute(ERROR, code)
        self.inner.set_status(Status(StatusCode.ERROR, code))

    def end(self) -> None:
        self.inner.end()


class Tracing:
    """The provider of one process, its exporter, and what its spans have in common."""

    def __init__(self, service: str, settings: Mapping[str, str]) -> None:
        """Raises ImportError where the exporter is not installed, ValueError for settings that make no sense."""
        if importlib.util.find_spec(_EXPORTER) is None:
            raise ImportError(_EXPORTER)
        # The SDK says on stderr what goes wrong; a command has one line for that.
        quiet = logging.getLogger("opentelemetry")
        quiet.addHandler(logging.NullHandler())
        quiet.propagate = False
        own = service == CLIENT
        session = settings.get(SESSION_ID, "") if own else ""
        session = session if _SESSION.fullmatch(session) else ""
        self.exporter = _Exporter(EXPORT_S if own else None)
        self.processor = _Processor(self.exporter)
        provider = TracerProvider(
            resource=_resource(service, session), id_generator=_Ids(session), shutdown_on_exit=False
        )
        provider.add_span_processor(self.processor)
        self.tracer = provider.get_tracer("mega_code")
        if own:
            told = {"traceparent": settings.get("TRACEPARENT", "")}
            context.attach(_context(told, session))

    @contextlib.contextmanager
    def span(self, name: str, kind: str, about: Attributes, own: Attributes) -> Iterator[Span]:
        """Errors are told by their codes only; the SDK by itself would add message and traceback."""
        recorded = self.begun(name, kind, about, own)
        token = context.attach(trace.set_span_in_context(recorded.inner))
        try:
            yield recorded
        except BaseException as error:
            recorded.fail(_code_of(error))
            raise
        finally:
            context.detach(token)
            recorded.end()

    def begun(
        self,
        name: str,
        kind: str = "internal",
        about: Attributes = NONE,
        own: Attributes = NONE,
        within: Optional[context.Context] = None,
    ) -> Recorded:
        attributes = _named(about, own)
        return Recorded(
            self.tracer.start_span(name, context=within, kind=SpanKind[kind.upper()], attributes=attributes)
        )

    def current(self) -> Recorded:
        return Recorded(trace.get_current_span())

    def phases(self) -> Phases:
        return _Phases(self)

    def headers(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        _trace_context.inject(carrier)
        _baggage.inject(carrier)
        return carrier

    @contextlib.contextmanager
    def part_of(self, headers: Mapping[str, str]) -> Iterator[None]:
        known = baggage.get_baggage(SESSION, _baggage.extract(headers, context.Context()))
        token = context.attach(_context(headers, str(known or "")))
        try:
            yield
        finally:
            context.detach(token)

    def flush(self, patient: Callable[[], bool]) -> str:
        """Export what is left, for as long as `patient` says; what went wrong, or nothing."""
        done = threading.Event()

        def work() -> None:
            self.processor.force_flush()
            done.set()

        # The SDK keeps no deadline of its own everywhere, and a peer that trickles keeps none at all.
        threading.Thread(target=work, name="spans", daemon=True).start()
        while not done.wait(_TURN_S) and patient():
            pass
        if done.is_set() and not self.exporter.failed:
            return ""
        return "the collector does not take them" if self.exporter.asked else "there was no time for it"


class _Phases(Phases):
    """No token of a context is kept: phases end in another block than they begin in, perhaps in another thread."""

    def __init__(self, tracing: Tracing) -> None:
        self.tracing, self.outer = tracing, context.get_current()
        self.name = ""
        self.span: Optional[Recorded] = None

    def enter(self, name: str) -> None:
        if name != self.name:
            self.close()
            self.name, self.span = name, self.tracing.begun(name, within=self.outer)
            context.attach(trace.set_span_in_context(self.span.inner, self.outer))

    def close(self, error: Optional[BaseException] = None) -> None:
        if self.span:
            if error:
                self.span.fail(_code_of(error))
            self.span.end()
            self.name, self.span = "", None
            context.attach(self.outer)


class _Processor(BatchSpanProcessor):  # type: ignore[misc]
    """Exports in a thread of its own. Every span says which session it belongs to, on whatever side of the wire."""

    def on_start(self, span: Any, parent_context: Optional[context.Context] = None) -> None:
        session = baggage.get_baggage(SESSION, parent_context)
        if session:
            span.set_attribute(SESSION, session)


class _Ids(RandomIdGenerator):  # type: ignore[misc]
    """The commands of a session know nothing of each other but its id; so the id names their trace."""

    def __init__(self, session: str) -> None:
        digest = hashlib.sha256(session.encode()).digest()
        self.trace_id = int.from_bytes(digest[:16], "big") if session else 0

    def generate_trace_id(self) -> int:
        return self.trace_id or int(super().generate_trace_id())

    def is_trace_id_random(self) -> bool:
        return not self.trace_id


class _Exporter(SpanExporter):  # type: ignore[misc]
    """The OTLP exporter, made in the thread that exports: importing it takes longer than a short command.

    `asked` says whether importing came to an end, `failed` whether the last one did.
    """

    def __init__(self, timeout_s: Optional[float]) -> None:
        self.timeout_s = timeout_s
        self.asked = self.failed = False
        self.inner: Optional[SpanExporter] = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            if self.inner is None:
                from mega_code.telemetry_http import exporter

                self.asked = True
                self.inner = exporter(self.timeout_s)
            result = self.inner.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self.failed:
            logging.getLogger(__name__).info("the collector does not take the spans")
        self.failed = failed
        return result

    def shutdown(self) -> None:
        if self.inner:
            self.inner.shutdown()


def _resource(service: str, session: str) -> Resource:
    """A service name that the person's own settings give comes first, as everywhere with OpenTelemetry."""
    given = str(Resource.create({}).attributes.get("service.name", UNNAMED))
    own = {"service.name": service if given.startswith(UNNAMED) else given}
    return Resource.create({**own, SESSION: session} if session else own)


def _context(headers: Mapping[str, str], session: str) -> context.Context:
    """Of all that headers may tell: which span is meant, and which session."""
    told = _trace_context.extract(headers, context.Context())
    return baggage.set_baggage(SESSION, session, told) if _SESSION.fullmatch(session) else told


def _named(about: Attributes, own: Attributes) -> dict[str, Any]:
    """Attributes as they are exported."""
    attributes = {**about, **{f"mega_code.{name}": value for name, value in own.items()}}
    return {name: _plain(value) for name, value in attributes.items() if value is not None}


def _plain(value: Any) -> Any:
    """A number, or a text of at most LONGEST characters without our token: some come from a server."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value if isinstance(value, (int, float)) else str(concealed(str(value)))[:LONGEST]


def _code_of(error: BaseException) -> str:
    """The signal, the error's code where it has one, or the kind of error: never anything from a message."""
    code = error.name if isinstance(error, Interrupted) else getattr(error, "code", None)
    return code if isinstance(code, str) and _CODE.fullmatch(code) else type(error).__name__
