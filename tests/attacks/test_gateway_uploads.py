"""Hostile archives and forms, over real HTTP: each is refused with a code of the contract, and nothing is left behind."""

from __future__ import annotations

import io
import os
import random
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Union

import pytest

from mega_code.bundle import MIB
from mega_code.gateway.server import Gateway
from support.gateway import SKILL, Client, Evaluator, client_of, error, running, skill_zip
from support.tally import tally

PROMPT_S = 20.0  # on a busy machine; what is meant is that none takes minutes


@pytest.fixture
def held() -> Evaluator:
    return Evaluator(held=True)


@pytest.fixture
def gateway(tmp_path: Path, held: Evaluator) -> Iterator[Gateway]:
    with running(tmp_path / "data dir", held) as started:
        yield started
        held.step(1000)


@pytest.fixture
def alice(gateway: Gateway) -> Client:
    return client_of(gateway)


class Zip:
    """A zip made by hand, so that it can say anything."""

    def __init__(self) -> None:
        self.data, self.directory, self.count = b"", b"", 0
        self.add("SKILL.md", SKILL.encode())

    def add(
        self, name: Union[str, bytes], content: bytes = b"", *, at: int = -1, mode: int = 0o100644, **says: Any
    ) -> Zip:
        """One file; `says` are headers that differ from the truth: method, flags, crc, packed, size, local, extra."""
        raw = name.encode() if isinstance(name, str) else name
        local = says.get("local", raw)
        method, flags = says.get("method", 0), says.get("flags", 0x800)
        crc, packed = says.get("crc", zlib.crc32(content)), says.get("packed", len(content))
        size, extra = says.get("size", len(content)), says.get("extra", b"")
        shared = struct.pack("<HHHHHLLLHH", 20, flags, method, 0, 33, crc, packed, size, len(raw), len(extra))
        offset = len(self.data) if at < 0 else at
        if at < 0:
            own = struct.pack("<HHHHHLLLHH", 20, flags, method, 0, 33, crc, packed, size, len(local), 0)
            self.data += b"PK\x03\x04" + own + local + content
        self.directory += (
            b"PK\x01\x02\x14\x03" + shared + struct.pack("<HHHLL", 0, 0, 0, mode << 16, offset) + raw + extra
        )
        self.count += 1
        return self

    def bytes(self, start: int = -1) -> bytes:
        """The archive, which says that its directory is at `start`."""
        offset = len(self.data) if start < 0 else start
        end = struct.pack("<HHHHLLH", 0, 0, self.count, self.count, len(self.directory), offset, 0)
        return self.data + self.directory + b"PK\x05\x06" + end


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def unicode_path(name: bytes, shown: bytes) -> bytes:
    """The extra field (Info-ZIP) by which a second name hides behind the first."""
    value = struct.pack("<BL", 1, zlib.crc32(name)) + shown
    return struct.pack("<HH", 0x7075, len(value)) + value


def overlapping(files: int) -> bytes:
    """Many files that are all the same megabytes of zeros."""
    made = Zip()
    kernel = deflated(b"\0" * MIB)
    at = len(made.data)
    made.add("f0", kernel, method=8, size=MIB, crc=zlib.crc32(b"\0" * MIB))
    for number in range(1, files):
        made.add(f"f{number}", kernel, at=at, method=8, size=MIB, crc=zlib.crc32(b"\0" * MIB), local=b"f0")
    return made.bytes()


def quine_like() -> bytes:
    """Files that each begin within the one before: its bytes are the headers and the bytes of all that follow."""
    made = Zip()
    inner = b"x" * 100
    at = len(made.data)
    second = (
        b"PK\x03\x04"
        + struct.pack("<HHHHHLLLHH", 20, 0x800, 0, 0, 33, zlib.crc32(inner), 100, 100, 1, 0)
        + b"b"
        + inner
    )
    made.add("a", second)
    made.add("b", inner, at=at + 31)
    return made.bytes()


def bomb(size: int, says: int) -> bytes:
    """So many zeros, deflated, that are said to be so many."""
    zeros = b"\0" * size
    return Zip().add("zeros", deflated(zeros), method=8, size=says, crc=zlib.crc32(zeros)).bytes()


def one_file(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, content)
    return out.getvalue()


NAMES: dict[str, Union[str, bytes]] = {
    "parent": "../x",
    "parents": "../../../../../../tmp/mega-code-slip",
    "inner parent": "a/../../x",
    "absolute": "/tmp/mega-code-slip",
    "two slashes": "//tmp/mega-code-slip",
    "dot": "./x",
    "empty part": "a//x",
    "backslash": "..\\x",
    "drive": "C:/x",
    "drive-relative": "C:x",
    "share": "\\\\server\\share\\x",
    "control": "a\x01b",
    "newline": "a\nb",
    "escape": "a\x1b[2Jb",
    "NUL": "a\0/../x",
    "long part": "a" * 256,
    "long path": "a/" * 600 + "x",
    "only dots": "..",
    "same as SKILL.md but for case": "skill.MD",
    "under a file": "SKILL.md/x",
    "folder over a file": "SKILL.md/",
}
ARCHIVES: dict[str, tuple[str, Callable[[], bytes]]] = {
    **{f"name: {key}": ("path_traversal", lambda name=name: Zip().add(name).bytes()) for key, name in NAMES.items()},  # type: ignore[misc]
    "another name in the file's own header": ("invalid_archive", lambda: Zip().add("good", local=b"evil").bytes()),
    "the same name twice": ("invalid_archive", lambda: Zip().add("x", b"1").add("x", b"2").bytes()),
    "SKILL.md twice": ("invalid_archive", lambda: Zip().add("SKILL.md", SKILL.encode()).bytes()),
    "two names that are one in Unicode": ("path_traversal", lambda: Zip().add("é").add("e\u0301").bytes()),
    "link": ("invalid_archive", lambda: Zip().add("l", b"/etc/passwd", mode=stat.S_IFLNK | 0o777).bytes()),
    "link to the parent": (
        "invalid_archive",
        lambda: Zip().add("l", b"..", mode=stat.S_IFLNK | 0o777).add("l2").bytes(),
    ),
    "character device": ("invalid_archive", lambda: Zip().add("d", mode=stat.S_IFCHR | 0o666).bytes()),
    "block device": ("invalid_archive", lambda: Zip().add("d", mode=stat.S_IFBLK | 0o666).bytes()),
    "pipe": ("invalid_archive", lambda: Zip().add("p", mode=stat.S_IFIFO | 0o666).bytes()),
    "socket": ("invalid_archive", lambda: Zip().add("s", mode=stat.S_IFSOCK | 0o666).bytes()),
    "encrypted": ("invalid_archive", lambda: Zip().add("x", b"0123456789abcdef", flags=0x801).bytes()),
    "strongly encrypted": ("invalid_archive", lambda: Zip().add("x", b"0123456789abcdef", flags=0x841).bytes()),
    "LZMA, whose header asks for 4 GiB": (
        "invalid_archive",
        lambda: Zip().add("x", b"\x09\x04\x05\0\x5d\xff\xff\xff\xff" + b"\0" * 20, method=14, size=9).bytes(),
    ),
    "bzip2": ("invalid_archive", lambda: Zip().add("x", b"BZh9", method=12, size=9).bytes()),
    "unknown method": ("invalid_archive", lambda: Zip().add("x", b"x", method=99).bytes()),
    "bomb": ("size_exceeded", lambda: bomb(26 * MIB, 26 * MIB)),
    "bomb of many": (
        "size_exceeded",
        lambda: skill_zip(files={f"z{number}": b"\0" * (24 * MIB) for number in range(5)}),
    ),
    "bomb that says it is small": ("invalid_archive", lambda: bomb(26 * MIB, 10)),
    "bomb that says it is huge": ("size_exceeded", lambda: bomb(MIB, 2**32 - 2)),
    "bomb of overlapping files": ("invalid_archive", lambda: overlapping(50)),
    "files within files": ("invalid_archive", quine_like),
    "says longer": ("invalid_archive", lambda: Zip().add("x", b"abc", size=9, packed=9).bytes()),
    "says shorter": ("invalid_archive", lambda: Zip().add("x", b"abcdef", size=3, packed=3).bytes()),
    "wrong checksum": ("invalid_archive", lambda: Zip().add("x", b"abc", crc=1).bytes()),
    "not what deflate writes": ("invalid_archive", lambda: Zip().add("x", b"\xff" * 50, method=8, size=99).bytes()),
    "header outside": ("invalid_archive", lambda: Zip().add("x", at=2**31).bytes()),
    "directory outside": ("invalid_archive", lambda: Zip().bytes(start=2**31)),
    "20,001 folders": (
        "size_exceeded",
        lambda: b"".join([skill_zip()[:-22], b"PK\x01\x02" * 20_001, skill_zip()[-22:]]),
    ),
    "2,001 files": ("size_exceeded", lambda: skill_zip(files={f"f{number}": b"" for number in range(2000)})),
    "tar": ("invalid_archive", lambda: b"SKILL.md".ljust(100, b"\0").ljust(10240, b"\0")),
    "gzip": ("invalid_archive", lambda: b"\x1f\x8b\x08" + zlib.compress(SKILL.encode())),
    "nothing": ("invalid_archive", lambda: b""),
    "YAML bomb": (
        "invalid_skill_md",
        lambda: skill_zip("---\nname: x\na: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\ndescription: x\n---\n"),
    ),
    "deep YAML": ("invalid_skill_md", lambda: skill_zip(f"---\nname: {'[' * 5000}\ndescription: x\n---\n")),
    "YAML that makes objects": (
        "invalid_skill_md",
        lambda: skill_zip('---\nname: !!python/object/apply:os.system ["exit"]\ndescription: x\n---\n'),
    ),
    "frontmatter of 20 MiB": ("invalid_skill_md", lambda: skill_zip(f"---\nname: {'x ' * 10 * MIB}\n---\n")),
    "SKILL.md of 20 MiB that is no text": (
        "invalid_skill_md",
        lambda: one_file("SKILL.md", random.Random(3).randbytes(20 * MIB)),
    ),
}


def tree(root: Path) -> dict[str, bytes]:
    """Everything on disk but the database, which notes who was refused nowhere."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b""
        for path in root.rglob("*")
        if not path.name.startswith("gateway.sqlite3")
    }


@pytest.mark.parametrize("prebuilt", [False, True], ids=["job", "prebuilt"])
def test_a_hostile_archive_is_refused_soon_and_leaves_nothing(tmp_path: Path, alice: Client, prebuilt: bool) -> None:
    before = tree(tmp_path)
    for name, (code, build) in ARCHIVES.items():
        archive = build()
        began = time.monotonic()
        answer = alice.prebuilt(archive) if prebuilt else alice.upload(archive)
        assert (name, error(answer)) == (name, (400, code))
        assert time.monotonic() - began < PROMPT_S, name
    assert tree(tmp_path) == before
    assert not os.path.lexists("/tmp/mega-code-slip")
    tally("gateway hostile archives", len(ARCHIVES))


def test_a_second_name_behind_the_first_is_not_used(alice: Client) -> None:
    answer = alice.prebuilt(Zip().add("x", extra=unicode_path(b"x", b"../y")).bytes())
    if answer.status_code != 201:  # a Python that knows such names
        assert error(answer) == (400, "path_traversal")
    else:
        assert [file["relpath"] for file in answer.json()["files"]] == ["SKILL.md", "x"]


def test_an_archive_within_an_archive_is_a_file_like_any_other(
    alice: Client, gateway: Gateway, held: Evaluator
) -> None:
    inner = Zip().add("../../slip", b"x").bytes()
    job_id = alice.submit(skill_zip(files={"inner.zip": inner}))
    held.step(6)
    alice.until_status(job_id, "succeeded")
    files = {file["relpath"]: file for file in alice.result(job_id).json()["artifact"]["files"]}
    assert sorted(files) == ["SKILL.md", "inner.zip"]
    assert alice.call("GET", files["inner.zip"]["url"][len(alice.api) :]).content == inner


def test_a_damaged_archive_is_refused_or_sound_and_never_a_fault(alice: Client, gateway: Gateway) -> None:
    chance, count = random.Random(11), 150
    good = skill_zip(files={"scripts/run.sh": b"#!/bin/sh\n" * 20, "data": bytes(range(256))})
    for number in range(count):
        damaged = bytearray(good)
        for _ in range(chance.randrange(1, 5)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        answer = alice.prebuilt(bytes(damaged), key=f"damaged-{number}")
        assert answer.status_code in (201, 400, 409), answer.text
    assert list(gateway.folders.incoming.iterdir()) == []
    tally("gateway hostile archives", count)


BOUNDARY = b"----b"


def part(name: str, content: bytes, more: bytes = b"", filename: str = "") -> bytes:
    named = f'; filename="{filename}"' if filename else ""
    return b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n%s\r\n%s\r\n' % (
        BOUNDARY,
        name.encode(),
        named.encode(),
        more,
        content,
    )


SOURCE, SKILL_ID = part("source", b"api"), part("skill_id", b"demo")
ARCHIVE, END = part("archive", skill_zip(), filename="archive.zip"), b"--%s--\r\n" % BOUNDARY
WHOLE = SOURCE + SKILL_ID + ARCHIVE + END
MULTIPART = b"multipart/form-data; boundary=" + BOUNDARY
FORMS: dict[str, tuple[str, bytes, bytes]] = {
    "empty": ("invalid_request", MULTIPART, b""),
    "no source": ("invalid_source", MULTIPART, SKILL_ID + ARCHIVE + END),
    "no skill_id": ("invalid_skill_id", MULTIPART, SOURCE + ARCHIVE + END),
    "no archive": ("invalid_archive", MULTIPART, SOURCE + SKILL_ID + END),
    "no parts": ("invalid_request", MULTIPART, END),
    "archive as text": ("invalid_archive", MULTIPART, SOURCE + SKILL_ID + part("archive", b"PK") + END),
    "source as a file": ("invalid_source", MULTIPART, part("source", b"api", filename="s") + SKILL_ID + ARCHIVE + END),
    "archive twice": ("invalid_request", MULTIPART, SOURCE + SKILL_ID + ARCHIVE + ARCHIVE + END),
    "skill_id twice": ("invalid_request", MULTIPART, SOURCE + SKILL_ID + SKILL_ID + ARCHIVE + END),
    "field and file of one name": ("invalid_request", MULTIPART, SOURCE + part("archive", b"x") + ARCHIVE + END),
    "no end": ("invalid_request", MULTIPART, WHOLE[: -len(END)]),
    "cut off": ("invalid_request", MULTIPART, WHOLE[:-100]),
    "cut off in a header": ("invalid_request", MULTIPART, WHOLE[:40]),
    "another boundary": ("invalid_request", MULTIPART + b"x", WHOLE),
    "a shorter boundary": ("invalid_request", MULTIPART[:-1], WHOLE),
    "no boundary": ("invalid_request", b"multipart/form-data", WHOLE),
    "empty boundary": ("invalid_request", b'multipart/form-data; boundary=""', WHOLE),
    "boundary of 5000": ("invalid_request", b"multipart/form-data; boundary=" + b"b" * 5000, WHOLE),
    "boundary of bytes": ("invalid_request", b"multipart/form-data; boundary=\xff\xfe", WHOLE),
    "numbered boundary": ("invalid_request", b"multipart/form-data; boundary*" + b"9" * 5000 + b"=b", WHOLE),
    "encoded boundary": ("invalid_request", b"multipart/form-data; boundary*=utf-8''----b", WHOLE),
    "another character set": ("invalid_request", MULTIPART + b"; charset=utf-7", WHOLE),
    "mixed": ("invalid_request", MULTIPART.replace(b"form-data", b"mixed"), WHOLE),
    "JSON": ("invalid_request", b"application/json", b'{"source": "api"}'),
    "no type": ("invalid_request", b"", WHOLE),
    "text before": ("invalid_request", MULTIPART, b"hello\r\n" + WHOLE),
    "a part without a name": ("invalid_request", MULTIPART, WHOLE.replace(b'; name="source"', b"")),
    "a part without headers": ("invalid_request", MULTIPART, b"--%s\r\n\r\napi\r\n" % BOUNDARY + WHOLE),
    "a part with another disposition": ("invalid_request", MULTIPART, WHOLE.replace(b"form-data; name", b"file; name")),
    "an encoded name": ("invalid_request", MULTIPART, WHOLE.replace(b'name="source"', b"name*=utf-8''source")),
    "17 parts": ("invalid_request", MULTIPART, b"".join(part(f"p{n}", b"") for n in range(14)) + WHOLE),
    "half a million parts": ("invalid_request", MULTIPART, part("p", b"") * 400_000 + WHOLE),
    "huge header": ("invalid_request", MULTIPART, part("source", b"api", b"X: " + b"x" * 20 * MIB + b"\r\n") + END),
    "millions of headers": ("invalid_request", MULTIPART, part("source", b"api", b"a: b\r\n" * 4_000_000) + END),
    "a header of millions of lines": (
        "invalid_request",
        MULTIPART,
        part("source", b"api", b"a: b\r\n" + b" c\r\n" * 5_000_000) + END,
    ),
    "a field of 20 MiB": ("invalid_request", MULTIPART, part("source", b"x" * 20 * MIB) + END),
    "a form within a form": (
        "invalid_source",
        MULTIPART,
        part("source", (SOURCE + END).replace(BOUNDARY, b"inner"), b"Content-Type: multipart/mixed; boundary=inner\r\n")
        + END,
    ),
    "NUL in skill_id": ("invalid_skill_id", MULTIPART, WHOLE.replace(b"demo\r\n", b"de\0o\r\n", 1)),
    "no UTF-8": ("invalid_request", MULTIPART, WHOLE.replace(b"api", b"\xff\xfe\xfd", 1)),
}


def test_a_malformed_form_is_refused_soon_and_leaves_nothing(tmp_path: Path, alice: Client) -> None:
    before = tree(tmp_path)
    for name, (code, content_type, body) in FORMS.items():
        began = time.monotonic()
        headers = {"Content-Type": content_type}
        answer = alice.call("POST", "/skill-enhance/uploads", data=body, headers=headers)
        assert (name, error(answer)) == (name, (400, code))
        assert time.monotonic() - began < PROMPT_S, name
    assert tree(tmp_path) == before
    tally("gateway malformed forms", len(FORMS))


def test_a_form_is_read_whatever_the_order_and_the_headers_of_its_parts(alice: Client) -> None:
    archive = part("archive", skill_zip(), b"Content-Type: application/zip\r\nX-Other: y\r\n", filename="../../x.zip")
    body = archive + part("unknown", b"\r\n--" + BOUNDARY[:-1]) * 2 + SKILL_ID + SOURCE + END + b"epilogue"
    answer = alice.call(
        "POST",
        "/skill-enhance/uploads",
        data=body,
        headers={"Content-Type": b'Multipart/Form-Data; charset=UTF-8; boundary="' + BOUNDARY + b'"'},
    )
    assert answer.status_code == 201, answer.text


def test_random_forms_never_are_a_fault_of_the_gateway(alice: Client) -> None:
    chance, count = random.Random(5), 200
    pieces = [
        *(SOURCE, SKILL_ID, ARCHIVE, END),
        b"--" + BOUNDARY,
        b"\r\n",
        b"\r\n\r\n",
        b"--",
        b"\0",
        b"name=",
        b"x" * 5000,
    ]
    pieces += [b"Content-Disposition: form-data; name=archive; filename=x", b"Content-Length: 9", b"\xff\xfe", BOUNDARY]
    for _ in range(count):
        body = b"".join(chance.choices(pieces, k=chance.randrange(1, 12)))
        answer = alice.call("POST", "/skill-enhance/uploads", data=body, headers={"Content-Type": MULTIPART})
        assert answer.status_code in (201, 400, 409), answer.text
    tally("gateway malformed forms", count)
