"""Unpacking: whatever is uploaded is refused with a code of the contract, or every file of it is safe and counted."""

from __future__ import annotations

import contextlib
import hashlib
import io
import posixpath
import unicodedata
import warnings
import zipfile
from collections.abc import Iterator

from fuzz.refusal import refused_with
from mega_code.bundle import content_hash
from mega_code.errors import CODES
from mega_code.gateway.intake import Limits, Writer, examine

LIMITS = Limits(unpacked=200_000, file=100_000, files=20, central_entries=50)
SKILL_MD = b"---\nname: demo\ndescription: Does a thing.\n---\n# Demo\n"
RECORD, FIELD = b"\xfe\xfe", b"\xff"


def described(data: bytes) -> bytes:
    """An archive with whole checksums from a description: records of a name, a content and what the entry claims."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for record in data.split(RECORD)[:40]:
            name, content, claims, *_ = [*record.split(FIELD), b"", b""]
            info = zipfile.ZipInfo(name.decode("utf-8", "replace") or "x")
            info.compress_type = zipfile.ZIP_DEFLATED if claims[:1] > b"@" else zipfile.ZIP_STORED
            info.external_attr = int.from_bytes(claims[1:3], "big") << 16
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of names that come twice, which is what is wanted
                archive.writestr(info, content * (1 + int.from_bytes(claims[3:5], "big")))
    return out.getvalue()


def check(data: bytes) -> None:
    """`data` is an archive, or what `described` makes one of."""
    raw = data if data.startswith(b"PK") else described(data)
    written: dict[str, _Buffer] = {}

    @contextlib.contextmanager
    def sink(relpath: str, mode: int) -> Iterator[Writer]:
        assert mode in (0o644, 0o755)
        yield written.setdefault(relpath, _Buffer())

    package = None
    with refused_with(CODES):
        package = examine(io.BytesIO(raw), sink, LIMITS)
    if package is None:
        return
    for relpath in written:
        assert posixpath.normpath(relpath) == relpath and relpath.split("/")[0] not in ("", ".."), relpath
        assert relpath.isprintable() or not set(map(ord, relpath)) & set(range(32)), relpath
        assert "\\" not in relpath and relpath[1:2] != ":", relpath
    assert len({unicodedata.normalize("NFC", path.casefold()) for path in written}) == len(written) <= LIMITS.files
    assert sum(map(len, written.values())) <= LIMITS.unpacked
    assert {entry.path: entry.sha256 for entry in package.entries} == {
        path: hashlib.sha256(content).hexdigest() for path, content in written.items()
    }
    assert package.content_hash == content_hash(package.entries)


class _Buffer(bytearray):
    def write(self, data: bytes, /) -> int:
        self += data
        return len(data)


def _seeds() -> Iterator[bytes]:
    yield described(b"SKILL.md" + FIELD + SKILL_MD + FIELD + b"A")
    skill = b"SKILL.md" + FIELD + SKILL_MD + FIELD + b"A\x81\xa4\0\0"
    for other in (b"a/b", b"../x", b"/x", b"a\\b", b"C:x", b"skill.md", "e\u0301".encode(), b"a/", b"a/SKILL.md"):
        yield skill + RECORD + other + FIELD + b"text" + FIELD + b"a\x81\xed\0\1"
    yield skill + RECORD + b"bomb" + FIELD + bytes(20) + FIELD + b"A\x81\xa4\xff\xff"
    yield skill + RECORD + b"link" + FIELD + b"/etc" + FIELD + b"A\xa1\xff\0\0"


SEEDS = tuple(_seeds())
