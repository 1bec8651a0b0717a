"""A zip archive in which nothing depends on when, where or by which Python it was written.

What the standard library's `zipfile` would write, byte for byte, without its seeks and its two headers a file: a skill
may have thousands. Format: PKWARE APPNOTE 6.3.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterable
from typing import IO

LEVEL = 6
SMALL_WBITS = 13
SMALL = (1 << SMALL_WBITS) - 512  # bytes; zlib looks back as far as its window, but for some 262
HELD = 256 * 1024  # a file that deflates to less goes out in one piece, its header complete
VERSION, UNIX = 20, 3
UTF_8 = 0x800
DEFLATED = 8
TIME, DATE = 0, 1 << 5 | 1  # 1980-01-01 00:00, the earliest there is
MANY = 0xFFFF  # so many files and more are counted in the ZIP64 record

_SIZES = struct.Struct("<LLL")  # CRC-32, deflated, whole
_LOCAL = struct.Struct("<4sHHHHH12sHH")
_LOCAL_SIZES_AT = 14
_CENTRAL = struct.Struct("<4sBBBBHHHH12sHHHHHLL")
_END = struct.Struct("<4sHHHHLLH")
_END_64 = struct.Struct("<4sQHHLLQQQQ4sLQL")


class ZipWriter:
    """Writes to a seekable stream that stands at its start; `size` is what was written so far, in bytes."""

    def __init__(self, out: IO[bytes]) -> None:
        self.out, self.size = out, 0
        self.directory: list[bytes] = []
        # Of two compressors the later one stays, so that the memory of the earlier one lies below something that is in
        # use: each file's compressor takes it anew, where the C library would give it back to the system every time.
        below, self._above = _compressor(), _compressor()
        del below

    def add(self, path: str, mode: int, chunks: Iterable[bytes], size: int = SMALL + 1) -> None:
        """One file with its permission bits, of `size` bytes as far as is known; a small one takes less time then.

        The archive is to be thrown away where `chunks` raises.
        """
        start, name, flags = self.size, *_encoded(path)
        deflate, crc, whole, deflated = _compressor(size), 0, 0, 0
        held: list[bytes] = []
        for chunk in chunks:
            crc, whole = zlib.crc32(chunk, crc), whole + len(chunk)
            piece = deflate.compress(chunk)
            deflated += len(piece)
            held.append(piece)
            if deflated > HELD:
                if self.size == start:
                    held.insert(0, _local(name, flags, bytes(_SIZES.size)))
                self._write(held)
                held = []
        piece = deflate.flush()
        held.append(piece)
        sizes = _SIZES.pack(crc, deflated + len(piece), whole)
        if self.size == start:
            held.insert(0, _local(name, flags, sizes))
            self._write(held)
        else:
            self._write(held)
            self.out.seek(start + _LOCAL_SIZES_AT)
            self.out.write(sizes)
            self.out.seek(self.size)
        attributes = (stat.S_IFREG | mode) << 16
        central = (b"PK\1\2", VERSION, UNIX, VERSION, 0, flags, DEFLATED, TIME, DATE, sizes)
        self.directory.append(_CENTRAL.pack(*central, len(name), 0, 0, 0, 0, attributes, start) + name)

    def close(self) -> None:
        """Write the directory; without it, it is no archive."""
        start, count = self.size, len(self.directory)
        self._write(self.directory)
        length = self.size - start
        if count > MANY:
            locator = (b"PK\6\7", 0, self.size, 1)
            self._write([_END_64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, start, *locator)])
            count = MANY
        self._write([_END.pack(b"PK\5\6", 0, 0, count, count, length, start, 0)])
        self.out.flush()

    def _write(self, pieces: list[bytes]) -> None:
        self.size += self.out.write(b"".join(pieces))


def _compressor(size: int = SMALL + 1) -> zlib._Compress:
    """A window that no match in so many bytes is too far for changes nothing of what is written."""
    return zlib.compressobj(LEVEL, zlib.DEFLATED, -(SMALL_WBITS if size <= SMALL else zlib.MAX_WBITS))


def _local(name: bytes, flags: int, sizes: bytes) -> bytes:
    """The header in front of a file's content."""
    return _LOCAL.pack(b"PK\3\4", VERSION, flags, DEFLATED, TIME, DATE, sizes, len(name), 0) + name


def _encoded(path: str) -> tuple[bytes, int]:
    """A name as the archive holds it, and the flags that say so."""
    try:
        return path.encode("ascii"), 0
    except UnicodeEncodeError:
        return path.encode(), UTF_8
