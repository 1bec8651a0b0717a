"""A span for each request of the API, part of whatever trace its headers tell of."""

from __future__ import annotations

from typing import Any, Callable, Optional

import bottle  # type: ignore[import-untyped,unused-ignore]

from mega_code import telemetry
from mega_code.gateway.api_error import ApiError
from mega_code.paths import is_job_id

# The client has a span for each file; what serves one would add nothing to it.
UNTRACED = "/artifacts/"
STATUS = "http.response.status_code"


def traced(method: str, route: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` with a span around it, named by the pattern of the path. A refusal is no fault of the gateway's."""
    if UNTRACED in route:
        return call
    route = route.replace("<", "{").replace(">", "}")
    about = {"http.request.method": method, "http.route": route}

    def answer(**arguments: str) -> Any:
        environ = bottle.request.environ
        told = {name: environ.get(f"HTTP_{name.upper()}", "") for name in telemetry.HEADERS}
        refusal: Optional[ApiError] = None
        with telemetry.part_of(told), telemetry.span(f"{method} {route}", "server", about) as span:
            job_id = arguments.get("job_id", "")
            span.set(job_id=job_id if is_job_id(job_id) else None)
            try:
                done = call(**arguments)
                span.set({STATUS: done.status_code})
            except ApiError as error:
                refusal = error
                span.set({STATUS: error.status, telemetry.ERROR: error.code})
        if refusal:
            raise refusal
        return done

    return answer
