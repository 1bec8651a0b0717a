"""A span for each call of a model, in the words of OpenTelemetry's conventions for generative AI."""

from __future__ import annotations

from concurrent.futures import Future

from mega_code import telemetry
from mega_code.evaluation.models.base import Completion, Model, Request
from mega_code.telemetry import Span

PROVIDERS = {"OpenAI": "openai", "Claude": "anthropic", "ClaudeTriggers": "anthropic", "Codex": "openai"}
FINISHED = {"answer": "stop", "empty": "stop", "cut": "length", "refused": "content_filter"}


def asked(model: Model, request: Request, cached: bool = False) -> Span:
    """The call begins."""
    about = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDERS.get(type(model).__name__, "other"),
        "gen_ai.request.model": model.name,
        "gen_ai.request.max_tokens": request.max_output_tokens,
    }
    return telemetry.begun(f"chat {model.name}", "client", about, role=request.role, cached=cached)


def answered(span: Span, future: Future[Completion]) -> None:
    """The call has ended, in whatever way."""
    error = future.exception()
    if error is None:
        _tell(span, future.result())
    else:
        span.fail(type(error).__name__)
    span.end()


def remembered(model: Model, request: Request, completion: Completion) -> None:
    """The answer was there already; a span that takes no time."""
    span = asked(model, request, cached=True)
    _tell(span, completion)
    span.end()


def _tell(span: Span, completion: Completion) -> None:
    span.set(
        {
            "gen_ai.response.model": completion.model,
            "gen_ai.response.finish_reasons": [FINISHED[completion.outcome]],
            "gen_ai.usage.input_tokens": completion.input_tokens,
            "gen_ai.usage.output_tokens": completion.output_tokens,
        },
        outcome=completion.outcome,
    )
