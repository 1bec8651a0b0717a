"""What the API answers when it refuses: a code, a sentence, and the HTTP status that belongs to the code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from mega_code.errors import MegaCodeError

BAD_REQUEST = 400
STATUS: dict[str, int] = {
    "unauthorized": 401,
    "invalid_signature": 403,
    "expired_url": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "duplicate_content_hash": 409,
    "prefix_exists": 409,
    "idempotency_key_reused": 409,
    "not_terminal": 409,
    "already_terminal": 409,
    "missing_artifact": 410,
    "body_too_large": 413,
    "queue_full": 429,
    "header_too_large": 431,
    "internal_error": 500,
    "not_implemented": 501,
    "storage_full": 507,
    # Everything else says what is wrong with the request itself and is a 400.
    "invalid_request": BAD_REQUEST,
}
# What the HTTP layer itself comes up with.
CODE_OF_STATUS: dict[int, str] = {
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    431: "header_too_large",
    501: "not_implemented",
}


class ApiError(MegaCodeError):
    """A refusal. `answer_details` becomes `error.details`; `headers` go with the answer."""

    def __init__(
        self,
        code: str,
        message: str,
        answer_details: Optional[Mapping[str, Any]] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> None:
        super().__init__(code, message)
        self.status = STATUS.get(code, BAD_REQUEST)
        self.answer_details = answer_details
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The JSON of the answer."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.answer_details is not None:
            error["details"] = dict(self.answer_details)
        return json.dumps({"error": error}).encode()


def error_of_status(status: int, message: str) -> ApiError:
    """The refusal for a bare HTTP status that the HTTP layer came up with."""
    fallback = "invalid_request" if status < 500 else "internal_error"
    return ApiError(CODE_OF_STATUS.get(status, fallback), message)
