"""Content encodings that nobody asked for and some send all the same, undone in bounded pieces."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Protocol

PIECE = 256 * 1024
MEMBERS = 10_000  # of a gzip body; each costs time, though nothing may come of it
GZIP = b"\x1f"
ZLIB = 8  # the low half of the first byte of zlib's header, and of no block that a compressor makes


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
    """gzip and deflate in bounded pieces, so that a bomb meets its cap before it meets the memory.

    A gzip body may have several members (RFC 1952), and one of no byte at all is empty. With `bare`, what begins as
    neither gzip nor zlib is deflate by itself, which some take `deflate` for.
    """

    def __init__(self, bare: bool) -> None:
        self.bare = bare
        self.gzip = False
        self.members = 0
        self.stream: Any = None

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        try:
            more = bool(chunk)
            while more:
                if self.stream is None or self.stream.eof:
                    self._begin(chunk)
                piece = self.stream.decompress(chunk, PIECE)
                yield piece
                chunk = self.stream.unconsumed_tail or self.stream.unused_data
                # With no trailer behind it, the end may wait for room when all of the input is taken.
                more = bool(chunk) or (len(piece) == PIECE and not self.stream.eof)
        except zlib.error as error:
            raise BadEncoding(str(error)) from None

    def _begin(self, chunk: bytes) -> None:
        gzip = chunk[:1] == GZIP
        if self.stream and not (self.gzip and gzip):
            raise BadEncoding("the compressed body has something behind its end")
        self.gzip = gzip
        self.members += 1
        if self.members > MEMBERS:
            raise BadEncoding(f"the compressed body has over {MEMBERS} members")
        by_itself = self.bare and not gzip and chunk[0] & 15 != ZLIB
        self.stream = zlib.decompressobj(-zlib.MAX_WBITS if by_itself else zlib.MAX_WBITS | 32)

    def finish(self) -> None:
        if self.stream and not self.stream.eof:
            raise BadEncoding("the compressed body is cut short")


def decoder(name: str) -> Decoder:
    """What undoes the encoding of a Content-Encoding header. Raises BadEncoding, without what the header says."""
    known = name.strip().lower()
    if known in ("", "identity"):
        return _Identity()
    if known in ("gzip", "x-gzip", "deflate"):
        return _Inflate(bare=known == "deflate")
    raise BadEncoding("its content encoding is unknown")
