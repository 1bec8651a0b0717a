"""Content encodings that nobody asked for and some send all the same, undone in bounded pieces."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Protocol

PIECE = 256 * 1024


class BadEncoding(Exception):
    """The body's content encoding is none we know, or is broken."""


class Decoder(Protocol):
    """Takes a body as it arrives. Both methods raise BadEncoding."""

    def feed(self, chunk: bytes) -> Iterable[bytes]: ...

    def finish(self) -> None: ...


class _Identity:
    def feed(self, chunk: bytes) -> Iterable[bytes]:
        return [chunk]

    def finish(self) -> None:
        """Nothing is held back."""


class _Inflate:
    """gzip and deflate in bounded pieces, so that a bomb meets its cap before it meets the memory."""

    def __init__(self) -> None:
        self.stream = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        try:
            while chunk:
                if self.stream.eof:
                    raise BadEncoding("the compressed body has something behind its end")
                yield self.stream.decompress(chunk, PIECE)
                chunk = self.stream.unconsumed_tail or self.stream.unused_data
        except zlib.error as error:
            raise BadEncoding(str(error)) from None

    def finish(self) -> None:
        if not self.stream.eof:
            raise BadEncoding("the compressed body is cut short")


def decoder(name: str) -> Decoder:
    """What undoes the encoding of a Content-Encoding header. Raises BadEncoding, without what the header says."""
    known = name.strip().lower()
    if known in ("", "identity"):
        return _Identity()
    if known in ("gzip", "x-gzip", "deflate"):
        return _Inflate()
    raise BadEncoding("its content encoding is unknown")
