"""The form of an upload (multipart/form-data, RFC 7578): a few short fields and one file, read where it lies.

Written for this one form, since a general reader takes any number of parts and of header lines into memory.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from email.message import Message
from email.parser import BytesHeaderParser
from typing import IO, TYPE_CHECKING, NamedTuple, Optional

from mega_code.gateway.api_error import ApiError
from mega_code.gateway.config import KIB

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

NAMES = ("archive", "source", "skill_id", "user_id")
PARTS = 16
HEADER_BYTES = 4 * KIB
FIELD_BYTES = KIB
BOUNDARY_BYTES = 70  # RFC 2046, section 5.1.1
BLOCK = 64 * KIB


class Form(NamedTuple):
    """The text fields and the files, by name; a file is good for one reading while the body is open."""

    fields: Mapping[str, str]
    files: Mapping[str, IO[bytes]]


class _Part(NamedTuple):
    head: Message
    start: int
    end: int


def read_form(content_type: str, body: IO[bytes]) -> Form:
    """The form in the seekable `body`; fields that are not among NAMES are left out.

    Raises ApiError `invalid_request`.
    """
    fields: dict[str, str] = {}
    files: dict[str, IO[bytes]] = {}
    for part in _parts(body, _boundary(content_type)):
        name = _param(part.head, "content-disposition", "name")
        if part.head.get_content_disposition() != "form-data" or name is None:
            raise _refusal("a part has no name")
        if name not in NAMES:
            continue
        if name in fields or name in files:
            raise _refusal(f"it has {name!r} twice")
        if _param(part.head, "content-disposition", "filename") is None:
            fields[name] = _text(name, body, part)
        else:
            files[name] = io.BufferedReader(_Window(body, part.start, part.end))
    return Form(fields, files)


def _refusal(why: str) -> ApiError:
    return ApiError("invalid_request", f"The form cannot be read: {why}.")


def _param(head: Message, header: str, name: str) -> Optional[str]:
    """One parameter of a header; RFC 7578 forbids the encoded spelling, which comes as a tuple."""
    try:
        value = head.get_param(name, header=header)
    except ValueError as error:
        raise _refusal(f"a header makes no sense ({error})") from None
    if isinstance(value, tuple):
        raise _refusal("a header is encoded")
    return value


def _boundary(content_type: str) -> bytes:
    header = Message()
    header["content-type"] = content_type
    if header.get_content_type() != "multipart/form-data":
        raise _refusal("it is no multipart/form-data")
    if (_param(header, "content-type", "charset") or "utf-8").lower() not in ("utf-8", "utf8"):
        raise _refusal("its character set is not UTF-8")
    boundary = _param(header, "content-type", "boundary")
    if not (boundary and boundary.isascii() and boundary.isprintable() and len(boundary) <= BOUNDARY_BYTES):
        raise _refusal("its boundary is missing or odd")
    return b"--" + boundary.encode()


def _parts(body: IO[bytes], boundary: bytes) -> list[_Part]:
    """Where each part lies. The first boundary starts the body; what follows the last is of no interest."""
    parts: list[_Part] = []
    body.seek(0)
    if body.read(len(boundary)) != boundary:
        raise _refusal("it does not begin with its boundary")
    while True:
        at = body.tell()
        block = body.read(HEADER_BYTES)
        if block.startswith(b"--") and not parts:
            raise _refusal("it has no part")
        if block.startswith(b"--"):
            return parts
        end_of_head = block.find(b"\r\n\r\n")
        if not block.startswith(b"\r\n") or end_of_head < 0:
            raise _refusal("a part's headers do not end, or are too long")
        if len(parts) == PARTS:
            raise _refusal(f"it has over {PARTS} parts")
        start = at + end_of_head + 4
        end = _find(body, b"\r\n" + boundary, start)
        parts.append(_Part(BytesHeaderParser().parsebytes(block[2 : end_of_head + 2]), start, end))
        body.seek(end + 2 + len(boundary))


def _find(body: IO[bytes], wanted: bytes, start: int) -> int:
    body.seek(start)
    tail = b""
    for chunk in iter(lambda: body.read(BLOCK), b""):
        window = tail + chunk
        found = window.find(wanted)
        if found >= 0:
            return start - len(tail) + found
        start += len(chunk)
        tail = window[1 - len(wanted) :]
    raise _refusal("a part does not end")


def _text(name: str, body: IO[bytes], part: _Part) -> str:
    if part.end - part.start > FIELD_BYTES:
        raise _refusal(f"{name!r} is too long")
    body.seek(part.start)
    try:
        return body.read(part.end - part.start).decode("utf-8")
    except UnicodeDecodeError:
        raise _refusal(f"{name!r} is not UTF-8") from None


class _Window(io.RawIOBase):
    """The bytes of `body` from `start` to `end`."""

    def __init__(self, body: IO[bytes], start: int, end: int) -> None:
        self.body, self.at, self.end = body, start, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self.body.seek(self.at)
        view = memoryview(buffer)
        data = self.body.read(min(len(view), self.end - self.at))
        view[: len(data)] = data
        self.at += len(data)
        return len(data)
