"""What a hostile or careless result body may say, and what becomes of it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mega_code.client.remote_enhance import manifest
from mega_code.errors import MegaCodeError
from mega_code.paths import check_relpath

SOURCE = manifest.Source("http://127.0.0.1:8000", (".amazonaws.com", "cdn.example"))
SKILL_MD = {"relpath": "SKILL.md", "url": "https://x.amazonaws.com/a", "sha256": "0" * 64, "size": 1}


def result(*files: Any) -> dict[str, Any]:
    return {"artifact": {"files": [SKILL_MD, *files]}}


def entry(**values: Any) -> dict[str, Any]:
    return {**SKILL_MD, "relpath": "a.md", **values}


def refusal(body: Any) -> str:
    with pytest.raises(MegaCodeError) as caught:
        manifest.read(body)
    return caught.value.code


def test_a_manifest_is_read_whole() -> None:
    assert manifest.read(result(entry(mode="0755", sha256=None, size=None, extra=1))) == [
        manifest.File("SKILL.md", "https://x.amazonaws.com/a", "0" * 64, 1, None),
        manifest.File("a.md", "https://x.amazonaws.com/a", None, None, 0o755),
    ]


@pytest.mark.parametrize(
    "relpath",
    ["", "/a", "../a", "a/../b", "a/./b", "a//b", "a/", "a\\b", "C:a", "c:/a", "a\0b", "a\nb", "a\x7fb", "a\x85b",
     "\ud800", "x" * 256, "y/" * 600 + "z", None, 1, ["a"]],
)  # fmt: skip
def test_an_unsafe_path_is_refused(relpath: Any) -> None:
    assert refusal(result(entry(relpath=relpath))) == "invalid_path"


@pytest.mark.parametrize(
    "others",
    [["a.md", "A.md"], ["a.md", "a.md"], ["é.md", "e\u0301.md"], ["ﬁ.md", "fi.md"], ["ß", "SS"], ["a", "a/b"],
     ["b/c", "B"], ["D/x", "d/y"], ["skill.md"]],
)  # fmt: skip
def test_paths_that_are_one_somewhere_are_refused(others: list[str]) -> None:
    assert refusal(result(*[entry(relpath=relpath) for relpath in others])) == "invalid_path"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing_artifact"),
        ({"artifact": None}, "missing_artifact"),
        ({"artifact": []}, "missing_artifact"),
        ({"artifact": {"files": {}}}, "missing_artifact"),
        ({"artifact": {"files": []}}, "missing_artifact"),
        ({"artifact": {"files": ["x"]}}, "invalid_response"),
        ({"artifact": {"files": [entry()]}}, "missing_skill_md"),
        (result(entry(url=None)), "invalid_response"),
        (result(entry(sha256="zz")), "invalid_response"),
        (result(entry(sha256=1)), "invalid_response"),
        (result(entry(size=-1)), "invalid_response"),
        (result(entry(size=True)), "invalid_response"),
        (result(entry(size="1")), "invalid_response"),
        (result(entry(mode=755)), "invalid_response"),
        (result(entry(mode="rwx")), "invalid_response"),
        (result(entry(size=25 * manifest.MIB + 1)), "size_exceeded"),
        (result(*[entry(relpath=f"{n}", size=25 * manifest.MIB) for n in range(4)]), "size_exceeded"),
        (result(*[entry(relpath=f"{n}") for n in range(2000)]), "size_exceeded"),
    ],
)
def test_a_manifest_of_the_wrong_shape_or_size_is_refused(body: Any, code: str) -> None:
    assert refusal(body) == code


@pytest.mark.parametrize(
    "url",
    ["https://bucket.s3.amazonaws.com/key?sig=1", "https://x.amazonaws.com:443/a", "https://cdn.example/a",
     "https://a.cdn.example/b", "http://127.0.0.1:8000/files/a", "HTTPS://X.AMAZONAWS.COM/a"],
)  # fmt: skip
def test_an_address_that_is_allowed(url: str) -> None:
    assert manifest.check_url(url, SOURCE) == url


@pytest.mark.parametrize(
    "url",
    ["http://x.amazonaws.com/a", "ftp://x.amazonaws.com/a", "file:///etc/passwd", "//x.amazonaws.com/a", "a",
     "https://evil-amazonaws.com/a", "https://amazonaws.com/a", "https://evilcdn.example/a",
     "https://x.amazonaws.com.evil.example/a", "https://x.amazonaws.com@evil.example/", "https://evil.example#.amazonaws.com",
     "https://u:p@x.amazonaws.com/a", "https://evil.example\\.amazonaws.com/", "https://x.amazonaws.com./a",
     "https://127.0.0.1/a", "https://[::1]/a", "https://[::ffff:127.0.0.1]/", "https://2130706433/", "https://0x7f.1/",
     "https://localhost/a", "https://localhost.amazonaws.com@x/", "https://metadata.google.internal/",
     "http://127.0.0.1:8001/a", "http://localhost:8000/a", "https://127.0.0.1:8000/a", "http://127.0.0.1:8000@evil.example/",
     "https://x..amazonaws.com/", "https://.amazonaws.com/", "https://x.amazonaws.com:99999/", "https://x.amazon\u0430ws.com/",
     "https://x.amazonaws.com/ a", "https://x.amazonaws.com/\n"],
)  # fmt: skip
def test_an_address_that_is_not(url: str) -> None:
    with pytest.raises(MegaCodeError) as caught:
        manifest.check_url(url, SOURCE)
    assert caught.value.code == "invalid_path"


def test_what_the_gateway_serves_itself_may_be_spelt_as_the_file_is() -> None:
    url = manifest.check_url("http://127.0.0.1:8000/files/a b/r\u00e9f%20x.md?v=1&w=2", SOURCE)
    assert url == "http://127.0.0.1:8000/files/a%20b/r%C3%A9f%20x.md?v=1&w=2"


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "0x7f000001", "1.2", "localhost", "a.localhost", "metadata.google.internal"]
)
def test_not_even_a_suffix_lets_an_address_or_an_inner_name_through(host: str) -> None:
    with pytest.raises(MegaCodeError):
        manifest.check_url(f"https://{host}/", manifest.Source("http://127.0.0.1:1", (host, f".{host.split('.')[-1]}")))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["files", "relpath", "url", "size", "artifact"]), inner)
    ),
)


@given(json_values)
def test_whatever_the_artifact_is_it_is_read_or_refused_with_a_code(value: Any) -> None:
    with contextlib.suppress(MegaCodeError):
        assert manifest.read({"artifact": value})


@given(st.text())
def test_an_accepted_path_stays_below_its_root(relpath: str) -> None:
    try:
        check_relpath(relpath)
    except MegaCodeError:
        return
    assert not relpath.startswith("/") and ".." not in relpath.split("/") and "\\" not in relpath


@given(st.text())
def test_an_accepted_address_has_an_allowed_host(url: str) -> None:
    try:
        manifest.check_url(url, SOURCE)
    except MegaCodeError:
        return
    assert url.startswith(("http://127.0.0.1:8000", "https://", "HTTPS://"))
