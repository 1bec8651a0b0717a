"""The archive is the one that the standard library writes, byte for byte."""

from __future__ import annotations

import io
import os
import stat
import zipfile

import pytest

from mega_code.zip_writer import HELD, MANY, SMALL, ZipWriter

FAR = os.urandom(200)
Files = list[tuple[str, int, list[bytes]]]


def ours(files: Files) -> bytes:
    out = io.BytesIO()
    writer = ZipWriter(out)
    for path, mode, chunks in files:
        writer.add(path, mode, chunks, sum(map(len, chunks)))
    writer.close()
    assert writer.size == len(out.getvalue())
    return out.getvalue()


def theirs(files: Files) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path, mode, chunks in files:
            info = zipfile.ZipInfo(path, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
            info.external_attr = (stat.S_IFREG | mode) << 16
            with archive.open(info, "w") as member:
                for chunk in chunks:
                    member.write(chunk)
    return out.getvalue()


@pytest.mark.parametrize(
    "files",
    [
        [],
        [("SKILL.md", 0o644, [b"# Demo\n"])],
        [
            ("empty", 0o600, []),
            ("a/b/c.sh", 0o755, [b"#!/bin/sh\n", b"true\n"]),
            ("ünï/名.md", 0o644, [b"x" * 100_000]),
        ],
        # What is over HELD gets its sizes into a header that is written already; what comes after stands right.
        [("large", 0o644, [os.urandom(HELD), os.urandom(HELD), b"end"]), ("after", 0o644, [b"x"])],
        [("just", 0o644, [os.urandom(HELD - 100)]), ("after", 0o644, [b"x"])],
        # The same again as far behind as it can be in a file whose compressor looks back less far, and beyond that.
        [(f"far-{size}", 0o644, [FAR, bytes(size - 2 * len(FAR)), FAR]) for size in (SMALL - 1, SMALL, SMALL + 1)],
    ],
    ids=["none", "one", "names and modes", "large", "held", "far"],
)
def test_the_archive_is_the_one_that_zipfile_writes(files: Files) -> None:
    assert ours(files) == theirs(files)
    assert zipfile.ZipFile(io.BytesIO(ours(files))).testzip() is None


def test_so_many_files_that_the_short_record_cannot_count_them_are_an_archive_too() -> None:
    # The directory alone, since a file takes its time: `zipfile` reads the count from the record behind it.
    for count in (MANY, MANY + 1):
        out = io.BytesIO()
        writer = ZipWriter(out)
        writer.add("x", 0o644, [])
        writer.directory *= count
        writer.close()
        with zipfile.ZipFile(out) as archive:
            assert archive.namelist() == ["x"] * count
