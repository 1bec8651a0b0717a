"""A multipart body that is read from the bundle's file as it leaves, so that no bundle is held in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import IO

from urllib3.filepost import choose_boundary, encode_multipart_formdata


class Form:
    """Text fields and, behind them, an archive: a file on disk that is written and flushed. `size` in bytes."""

    def __init__(self, fields: Mapping[str, str], archive: IO[bytes]) -> None:
        boundary = choose_boundary()
        tail = f"\r\n--{boundary}--\r\n".encode()
        around, self.content_type = encode_multipart_formdata(
            {**fields, "archive": ("archive.zip", b"", "application/zip")}, boundary
        )
        self.head, self.tail = around[: -len(tail)], tail
        self.archive, self.archive_size = archive.fileno(), os.fstat(archive.fileno()).st_size
        self.size = len(self.head) + self.archive_size + len(self.tail)

    def open(self) -> Reading:
        """The body from its start: every attempt to send it has a place in it of its own."""
        return Reading(self)


class Reading:
    """One pass over a form, as much of a file as `requests` needs to send it in blocks."""

    def __init__(self, form: Form) -> None:
        self.form, self.at = form, 0

    def __len__(self) -> int:
        return self.form.size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(64 * 1024), b"")

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end."""
        form, size = self.form, size if size >= 0 else self.form.size
        behind = self.at - len(form.head)
        if behind < 0:
            piece = form.head[self.at : self.at + size]
        elif behind < form.archive_size:
            piece = os.pread(form.archive, min(size, form.archive_size - behind), behind)
        else:
            behind -= form.archive_size
            piece = form.tail[behind : behind + size]
        self.at += len(piece)
        return piece
