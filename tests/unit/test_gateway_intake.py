"""What an uploaded archive must be, and which code says that it is not."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Callable, Optional, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mega_code.bundle import CHUNK, MIB, Entry, content_hash, pack
from mega_code.gateway.api_error import ApiError
from mega_code.gateway.intake import Limits, Package, examine

SKILL = "---\nname: demo\ndescription: Shows things.\n---\n# Demo\n"
Content = Union[str, bytes]


def zipped(*files: tuple[str, Content], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of the files in this order; a name that ends with / is a folder."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in files:
            archive.writestr(member(name, compression=compression), content)
    return out.getvalue()


def member(
    name: str, mode: int = stat.S_IFREG | 0o644, system: int = 3, compression: int = zipfile.ZIP_DEFLATED
) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system = system
    info.compress_type = compression
    info.external_attr = ((stat.S_IFDIR | 0o755) if name.endswith("/") else mode) << 16
    return info


def with_members(*members: tuple[zipfile.ZipInfo, Content]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in members:
            archive.writestr(info, content)
    return out.getvalue()


def skill(*more: tuple[str, Content]) -> bytes:
    return zipped(("SKILL.md", SKILL), *more)


def patched(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """`data` with `value` written at `offset` behind every record of that signature."""
    out, at = bytearray(data), data.find(signature)
    while at >= 0:
        out[at + offset : at + offset + len(value)] = value
        at = data.find(signature, at + 1)
    return bytes(out)


def flagged(data: bytes, flags: int) -> bytes:
    return patched(
        patched(data, b"PK\x03\x04", 6, struct.pack("<H", flags)), b"PK\x01\x02", 8, struct.pack("<H", flags)
    )


def renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    return data.replace(old, new)


class Kept:
    """A sink that keeps all in memory, and looks at how much it is handed at once."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.modes: dict[str, int] = {}
        self.largest_write = 0

    @contextlib.contextmanager
    def __call__(self, relpath: str, mode: int) -> Iterator[io.BytesIO]:
        kept = self

        class Stream(io.BytesIO):
            def write(self, data: bytes, /) -> int:  # type: ignore[override]
                kept.largest_write = max(kept.largest_write, len(data))
                return super().write(data)

        stream = Stream()
        yield stream
        self.files[relpath], self.modes[relpath] = stream.getvalue(), mode


def code_of(data: bytes, limits: Limits = Limits()) -> str:
    with pytest.raises(ApiError) as caught:
        examine(io.BytesIO(data), limits=limits)
    assert caught.value.status == 400
    assert 10 < len(caught.value.message) < 400
    return caught.value.code


def test_a_good_archive_gives_its_files_modes_and_hash() -> None:
    kept = Kept()
    package = examine(
        io.BytesIO(
            with_members(
                (member("SKILL.md"), SKILL),
                (member("scripts/"), b""),
                (member("scripts/run.sh", stat.S_IFREG | 0o755), "#!/bin/sh\n"),
                (member("räum/ a b.txt"), b""),
            )
        ),
        kept,
    )
    contents = {"SKILL.md": SKILL.encode(), "scripts/run.sh": b"#!/bin/sh\n", "räum/ a b.txt": b""}
    entries = sorted(
        Entry(path, len(data), hashlib.sha256(data).hexdigest(), 0o755 if path.endswith(".sh") else 0o644)
        for path, data in contents.items()
    )
    assert package == Package(tuple(entries), content_hash(entries))
    assert kept.files == contents
    assert kept.modes == {"SKILL.md": 0o644, "scripts/run.sh": 0o755, "räum/ a b.txt": 0o644}


def test_the_hash_is_the_packagers_own(tmp_path: Path) -> None:
    root = tmp_path / "a skill"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "SKILL.md").write_text(SKILL)
    (root / "deep" / "er" / "ünï.bin").write_bytes(bytes(range(256)) * 999)
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    out = io.BytesIO()
    packed = pack(root, out)
    assert examine(out).content_hash == packed.content_hash


TRAVERSAL = {
    "dot-dot": "../SKILL.md",
    "dot-dot-inside": "a/../../b",
    "absolute": "/etc/passwd",
    "backslash": "a\\..\\b",
    "drive": "C:/b",
    "dot": "./a",
    "empty-part": "a//b",
    "newline": "a\nb",
    "del": "a\x7fb",
    "long": "x" * 256,
    "only-slash": "/",
    "folder-dot-dot": "../x/",
    "double-slash-folder": "x//",
}


@pytest.mark.parametrize("name", TRAVERSAL.values(), ids=TRAVERSAL.keys())
def test_an_unsafe_name_is_path_traversal(name: str) -> None:
    assert code_of(skill((name, b""))) == "path_traversal"


def test_a_name_hidden_behind_a_nul_is_path_traversal() -> None:
    assert code_of(renamed(skill(("good.txtXevil", b"x")), b"good.txtXevil", b"good.txt\0evil")) == "path_traversal"


COLLISIONS = {
    "case": ("a/Read.md", "a/read.md"),
    "sharp-s": ("straße", "STRASSE"),
    "unicode-form": ("caf\u00e9", "cafe\u0301"),
    "file-under-file": ("a", "a/b"),
    "file-under-file-by-case": ("A", "a/b"),
    "folder-is-file": ("a", "a/"),
}


@pytest.mark.parametrize("names", COLLISIONS.values(), ids=COLLISIONS.keys())
@pytest.mark.parametrize("order", [1, -1], ids=["forward", "backward"])
def test_names_that_cannot_stand_side_by_side_are_path_traversal(names: tuple[str, str], order: int) -> None:
    assert code_of(skill(*((name, b"") for name in names[::order]))) == "path_traversal"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["SKILL.md", "x", "deep/file"])
def test_a_name_twice_is_an_invalid_archive(name: str) -> None:
    assert code_of(zipped(("SKILL.md", SKILL), (name, SKILL), (name, SKILL))) == "invalid_archive"


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    at = data.find(b"payload ")
    return data[:at] + b"PAYLOAD " + data[at + 8 :]


PLAIN = zipped(("SKILL.md", SKILL), ("data", b"payload " * 100), compression=zipfile.ZIP_STORED)
INVALID: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"this is no zip",
    "tar": lambda: b"\0" * 10240,
    "truncated": lambda: truncated(skill(("data", random.Random(1).randbytes(4000)))),
    "headless": lambda: skill()[30:],
    "crc": lambda: flipped(PLAIN),
    "encrypted": lambda: flagged(skill(), 0x1),
    "strongly-encrypted": lambda: flagged(skill(), 0x41),
    "patch-data": lambda: flagged(skill(), 0x20),
    "bzip2": lambda: zipped(("SKILL.md", SKILL), ("x", b"x"), compression=zipfile.ZIP_BZIP2),
    "lzma": lambda: zipped(("SKILL.md", SKILL), ("x", b"x"), compression=zipfile.ZIP_LZMA),
    "unknown-method": lambda: patched(skill(), b"PK\x01\x02", 10, struct.pack("<H", 99)),
    "link": lambda: with_members((member("SKILL.md"), SKILL), (member("l", stat.S_IFLNK | 0o777), "SKILL.md")),
    "skill-md-is-a-link": lambda: with_members((member("SKILL.md", stat.S_IFLNK | 0o777), "/etc/passwd")),
    "device": lambda: with_members((member("SKILL.md"), SKILL), (member("d", stat.S_IFCHR | 0o666), "")),
    "pipe": lambda: with_members((member("SKILL.md"), SKILL), (member("p", stat.S_IFIFO | 0o666), "")),
    "socket": lambda: with_members((member("SKILL.md"), SKILL), (member("s", stat.S_IFSOCK | 0o666), "")),
    "folder-that-is-a-link": lambda: patched(
        skill(("d/", b"")), b"PK\x01\x02", 38, struct.pack("<L", (stat.S_IFLNK | 0o777) << 16)
    ),
    "says-longer": lambda: patched(PLAIN, b"PK\x01\x02", 24, struct.pack("<L", 5000)),
    "says-shorter": lambda: patched(PLAIN, b"PK\x01\x02", 24, struct.pack("<L", 5)),
    "offset-outside": lambda: patched(PLAIN, b"PK\x01\x02", 42, struct.pack("<L", 2**31)),
}


@pytest.mark.parametrize("build", INVALID.values(), ids=INVALID.keys())
def test_what_is_no_sound_zip_is_an_invalid_archive(build: Callable[[], bytes]) -> None:
    assert code_of(build()) == "invalid_archive"


SHAPES: dict[str, tuple[bytes, str]] = {
    "no-entry": (zipped(), "empty_archive"),
    "folders-only": (zipped(("a/", b""), ("a/b/", b"")), "empty_archive"),
    "no-skill-md": (zipped(("README.md", SKILL)), "missing_skill_md"),
    "other-case": (zipped(("skill.md", SKILL)), "missing_skill_md"),
    "in-a-folder": (zipped(("demo/SKILL.md", SKILL), ("demo/x", b"")), "skill_md_not_at_root"),
    "two": (skill(("other/SKILL.md", SKILL)), "nested_package_not_supported"),
    "deep": (skill(("a/b/c/SKILL.md", SKILL)), "nested_package_not_supported"),
}


@pytest.mark.parametrize(("data", "code"), SHAPES.values(), ids=SHAPES.keys())
def test_an_archive_is_one_skill_with_skill_md_at_its_root(data: bytes, code: str) -> None:
    assert code_of(data) == code


SKILL_MDS: dict[str, Content] = {
    "empty": b"",
    "no-frontmatter": "# Demo\n",
    "unclosed": "---\nname: demo\n",
    "list": "---\n- name\n- description\n---\n",
    "broken-yaml": "---\nname: [demo\n---\n",
    "no-name": "---\ndescription: x\n---\n",
    "no-description": "---\nname: demo\n---\n",
    "blank-description": "---\nname: demo\ndescription: '  '\n---\n",
    "null-name": "---\nname:\ndescription: x\n---\n",
    "number-name": "---\nname: 7\ndescription: x\n---\n",
    "not-utf8": b"---\nname: demo\ndescription: caf\xe9\n---\n",
    "utf16": "---\nname: demo\ndescription: x\n---\n".encode("utf-16"),
    "aliases": "---\nname: &a demo\ndescription: *a\n---\n",
}


@pytest.mark.parametrize("text", SKILL_MDS.values(), ids=SKILL_MDS.keys())
def test_a_skill_md_that_is_none_is_invalid_skill_md(text: Content) -> None:
    assert code_of(zipped(("SKILL.md", text))) == "invalid_skill_md"


@pytest.mark.parametrize("text", [SKILL.replace("\n", "\r\n"), "\ufeff" + SKILL, SKILL.replace("demo", "dämo")])
def test_line_ends_a_byte_order_mark_and_other_letters_are_fine(text: str) -> None:
    assert len(examine(io.BytesIO(zipped(("SKILL.md", text)))).entries) == 1


def test_two_thousand_files_are_taken_and_one_more_is_not() -> None:
    files = [(f"f{n}", b"") for n in range(1999)]
    assert len(examine(io.BytesIO(skill(*files))).entries) == 2000
    assert code_of(skill(*files, ("one-more", b""))) == "size_exceeded"


def test_more_entries_than_anybody_needs_are_refused_before_the_library_lists_them() -> None:
    limits = Limits(central_entries=50)
    assert code_of(skill(*((f"d{n}/", b"") for n in range(50))), limits) == "size_exceeded"


SIZES: dict[str, tuple[bytes, Limits]] = {
    "sum": (skill(*((f"f{n}", b"\0" * MIB) for n in range(4))), Limits(unpacked=4 * MIB)),
    "one-file": (skill(("f", b"\0" * (2 * MIB + 1))), Limits(file=2 * MIB)),
}


@pytest.mark.parametrize(("data", "limits"), SIZES.values(), ids=SIZES.keys())
def test_a_cap_passed_is_size_exceeded(data: bytes, limits: Limits) -> None:
    assert code_of(data, limits) == "size_exceeded"


def test_a_bomb_is_refused_by_what_it_says_or_by_its_crc_and_never_whole_in_memory() -> None:
    honest = zipped(("SKILL.md", SKILL), *((f"zeros{n}", b"\0" * (21 * MIB)) for n in range(5)))
    assert len(honest) < 200_000
    assert code_of(honest) == "size_exceeded"
    kept = Kept()
    liar = patched(honest, b"PK\x01\x02", 24, struct.pack("<L", len(SKILL)))
    with pytest.raises(ApiError) as caught:
        examine(io.BytesIO(liar), kept)
    assert caught.value.code == "invalid_archive"
    assert kept.largest_write <= CHUNK


def test_a_full_disk_is_not_the_archives_fault() -> None:
    def sink(relpath: str, mode: int) -> contextlib.AbstractContextManager[IO[bytes]]:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        examine(io.BytesIO(skill()), sink)


def examined(data: bytes) -> Optional[Package]:
    try:
        return examine(io.BytesIO(data), limits=Limits(unpacked=MIB, file=MIB))
    except ApiError:
        return None


GOOD = skill(("scripts/run.sh", "#!/bin/sh\necho hi\n" * 20), ("a/b/c.txt", b"c" * 100))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_archive_is_refused_or_is_still_a_sound_one(damage: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for at, value in damage:
        data[at] = value
    package = examined(bytes(data))
    if package is not None:
        assert package.content_hash == content_hash(package.entries)
        assert "SKILL.md" in [entry.path for entry in package.entries]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_with_a_code(data: bytes) -> None:
    assert examined(data) is None


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=6))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_accepted_stays_below_its_root_whatever_the_names(files: dict[str, bytes]) -> None:
    kept = Kept()
    try:
        package = examine(io.BytesIO(skill(*files.items())), kept)
    except ApiError:
        return
    for entry in package.entries:
        parts = entry.path.split("/")
        assert not {"", ".", ".."} & set(parts)
        assert not entry.path.startswith("/")
    assert kept.files == {"SKILL.md": SKILL.encode(), **{k: v for k, v in files.items() if not k.endswith("/")}}
