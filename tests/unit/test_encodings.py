"""Bodies in a content encoding come out whole and in bounded pieces, however they are cut on their way."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from mega_code.client.remote_enhance.encodings import MEMBERS, PIECE, BadEncoding, decoder

TEXT = random.Random(3).randbytes(1000) + bytes(2 * PIECE + 77) + b"the end"


def bare(text: bytes, level: int = 6) -> bytes:
    """Deflate without the header and the check sum of zlib."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush()


def decoded(name: str, body: bytes, size: int) -> bytes:
    """What comes out of a body that arrives in chunks of `size` bytes."""
    decoding = decoder(name)
    pieces = [piece for at in range(0, len(body), size) for piece in decoding.feed(body[at : at + size])]
    decoding.finish()
    assert all(len(piece) <= PIECE for piece in pieces) or name == "identity"
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, 7, 1000, 10_000_000])
@pytest.mark.parametrize(
    ("name", "body", "text"),
    [
        ("gzip", gzip.compress(TEXT), TEXT),
        ("x-gzip", gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(b"more"), TEXT + b"more"),
        ("gzip", b"", b""),
        ("deflate", zlib.compress(TEXT), TEXT),
        ("Deflate", bare(TEXT), TEXT),
        ("deflate", bare(TEXT[: PIECE + 1000]), TEXT[: PIECE + 1000]),
        ("deflate", bare(bytes(PIECE)), bytes(PIECE)),
        ("deflate", bare(bytes(PIECE + 60), 9), bytes(PIECE + 60)),
        ("deflate", bare(TEXT[:1000], 0), TEXT[:1000]),
        ("identity", TEXT, TEXT),
    ],
    ids=[
        "gzip",
        "gzip of three members",
        "gzip of no byte",
        "zlib",
        "bare deflate",
        "bare deflate of a piece and more",
        "bare deflate of one piece",
        "bare deflate whose end is in the last byte of a piece",
        "bare deflate, stored",
        "as it is",
    ],
)
def test_a_body_comes_out_whole_wherever_it_is_cut(name: str, body: bytes, text: bytes, size: int) -> None:
    assert decoded(name, body, size) == text


@pytest.mark.parametrize("size", [1, 10_000_000])
@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gzip", gzip.compress(TEXT)[:-1]),
        ("gzip", gzip.compress(TEXT) + b"rubbish"),
        ("gzip", gzip.compress(TEXT) + gzip.compress(TEXT)[:20]),
        ("gzip", gzip.compress(b"") * (MEMBERS + 1)),
        ("gzip", bare(TEXT)),
        ("deflate", zlib.compress(TEXT) + zlib.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)[:-1]),
        ("deflate", bare(TEXT) + b"rubbish"),
        ("deflate", bare(TEXT)[:-1]),
        ("br", b"x"),
    ],
    ids=[
        "cut short",
        "something behind its end",
        "a second member cut short",
        "too many members",
        "no gzip",
        "zlib twice",
        "zlib cut short",
        "something behind bare deflate",
        "bare deflate cut short",
        "unknown",
    ],
)
def test_a_body_that_is_broken_is_refused(name: str, body: bytes, size: int) -> None:
    with pytest.raises(BadEncoding):
        decoded(name, body, size)
