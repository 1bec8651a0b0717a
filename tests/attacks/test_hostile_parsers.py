"""Properties of every parser and every path function: whatever comes in, a value that keeps a promise or a code."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import posixpath
import shlex
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mega_code import envelope, settings, skill
from mega_code.client import arguments
from mega_code.client.remote_enhance import answers, encodings, manifest
from mega_code.errors import CODES, MegaCodeError
from mega_code.gateway.api_error import ApiError
from mega_code.gateway.intake import check_collisions
from mega_code.paths import JOB_ID, SKILL_NAME, check_relpath
from mega_code.plain import plain
from support.tally import tally

SOURCE = manifest.Source("http://127.0.0.1:8000", (".amazonaws.com", "cdn.example"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
KEYS = st.sampled_from(
    "files relpath url sha256 size mode artifact status error code conflict timeout interrupted signal installed".split()
)
OURS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
)
SEGMENTS = st.sampled_from(
    ["a", "A", "b", "..", ".", "", "\\", "C:", "\0", "\n", "e\u0301", "\u00e9", "\u00df", "ss", "~", "x" * 300]
)
PATHS = st.lists(SEGMENTS, max_size=5).map("/".join) | st.text(max_size=30)


@pytest.fixture(autouse=True, scope="module")
def counted() -> Iterator[None]:
    """How many inputs all of these tried."""
    yield
    tally("property-based inputs", _tried[0])


_tried = [0]


@contextlib.contextmanager
def refused_with(codes: Collection[str]) -> Iterator[None]:
    _tried[0] += 1
    try:
        yield
    except (MegaCodeError, ApiError) as error:
        refusal = error.code
    else:
        return
    assert refusal in codes


@given(PATHS)
def test_an_accepted_path_stays_below_its_root_on_every_platform(relpath: str) -> None:
    with refused_with(("invalid_path",)):
        assert check_relpath(relpath) == relpath
        joined = posixpath.normpath(posixpath.join("/root/of it", relpath))
        assert joined == f"/root/of it/{relpath}" and relpath == posixpath.normpath(relpath)
        assert not set(relpath) & set("\\\0\r\n\t\x1b\x7f") and relpath[1:2] != ":"
        assert all(part not in ("", ".", "..") and len(os.fsencode(part)) <= 255 for part in relpath.split("/"))


@given(JSON)
def test_what_is_no_path_at_all_is_refused(value: Any) -> None:
    with refused_with(("invalid_path",)):
        assert check_relpath(value) == value and isinstance(value, str)


def are_apart(paths: Sequence[str]) -> bool:
    """Whether a file system that knows neither case nor Unicode forms can hold all of these files."""
    folded = [unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold()) for path in paths]
    folders = {"/".join(path.split("/")[:depth]) for path in folded for depth in range(1, path.count("/") + 1)}
    return len(set(folded)) == len(folded) and not folders & set(folded)


@given(st.lists(PATHS, max_size=6))
@example(["a", "a/b"])
@example(["A/x", "a"])
def test_accepted_paths_can_all_be_written_side_by_side(paths: list[str]) -> None:
    with refused_with(("invalid_archive", "path_traversal")):
        check_collisions(paths)
        assert are_apart(paths)
    files = [{"relpath": path, "url": "https://x.amazonaws.com/a"} for path in ("SKILL.md", *paths)]
    with refused_with(("invalid_path",)):
        accepted = [file.relpath for file in manifest.read({"artifact": {"files": files}})]
        assert accepted == ["SKILL.md", *paths] and are_apart(accepted)


@given(OURS)
def test_a_manifest_is_read_or_refused(value: Any) -> None:
    with refused_with(CODES):
        files = manifest.read({"artifact": value})
        assert all(isinstance(file.url, str) and check_relpath(file.relpath) for file in files)
    with refused_with(CODES):
        entry = {"relpath": "SKILL.md", "url": "x", **(value if isinstance(value, dict) else {})}
        (file,) = manifest.read({"artifact": {"files": [entry]}})
        assert file.size is None or 0 <= file.size <= manifest.CAPS.file


HOSTS = st.lists(
    st.sampled_from(
        ["x", "amazonaws", "com", "cdn", "example", "127", "0", "1", "0x7f", "localhost", "2130706433", "", "xn--a"]
    ),
    max_size=5,
).map(".".join)
URLS = st.builds(
    lambda scheme, user, host, tail: f"{scheme}{user}{host}{tail}",
    st.sampled_from(["https://", "http://", "HTTPS://", "ftp://", "//", "https:/", "file://", ""]),
    st.sampled_from(["", "u@", "u:p@", "x.amazonaws.com@", "\\", "@"]),
    HOSTS
    | st.sampled_from(["127.0.0.1:8000", "[::1]", "[::ffff:127.0.0.1]", "x.amazonaws.com", "x.amazonaws.com:443"]),
    st.sampled_from(
        ["", "/", "/a?b", ".", "./", ":0/", ":99999/", "#x", "?x", "\\x", "/\r\nx", "%2f.amazonaws.com/", "\u3002com"]
    ),
)


def is_address(host: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return host.replace(".", "").replace("x", "").isdigit()


@given(URLS | st.text(max_size=40))
@example("https://x.amazonaws.com/a")
def test_an_accepted_artifact_address_is_our_own_or_under_an_allowed_name(url: str) -> None:
    with refused_with(("invalid_path",)):
        assert manifest.check_url(url, SOURCE) == url
        parts = urlsplit(url)
        host = parts.hostname or ""
        assert "@" not in parts.netloc and "\\" not in url and url.isascii() and url.isprintable()
        if (parts.scheme, parts.netloc) != ("http", "127.0.0.1:8000"):
            assert parts.scheme == "https" and not is_address(host)
            assert host == "cdn.example" or host.endswith((".amazonaws.com", ".cdn.example"))


@given(URLS | st.text(max_size=40))
def test_an_accepted_server_url_gets_the_token_over_https_or_on_this_machine_only(url: str) -> None:
    with refused_with(("invalid_arguments", "insecure_server_url")):
        clean = settings.check_server_url(url)
        parts = urlsplit(clean)
        assert settings.check_server_url(clean) == clean and not clean.endswith("/") and "@" not in parts.netloc
        if parts.scheme != "https":
            host = parts.hostname or ""
            assert host == "localhost" or ipaddress.ip_address(host).is_loopback


@given(
    st.text()
    | st.lists(st.sampled_from(["A=", "export ", "'", '"', "\\", "#", " ", "x", "\n", "\r", "$B"])).map("".join)
)
def test_an_env_file_is_read_and_what_was_read_can_be_written(text: str) -> None:
    _tried[0] += 1
    for key, value in settings.parse_env(text).items():
        assert key.isascii() and key.isidentifier() and "\n" not in value
        with refused_with(("invalid_arguments",)):
            assert settings.parse_env(settings.assignment(key, value)) == {key: value}


YAML_PARTS = st.sampled_from(
    ["---\n", "a: ", "- ", "&a ", "*a", "[", "]", "{", "}", "!!python/name:os.system ", "!x ", "\n", "  ", "'", '"', "|\n", ">", "? ",
     ": ", "<<: ", "0x", "1:30", "2001-01-01", "\ufeff", "\t", "#", "%YAML 1.1\n", "...\n", "metadata", "tags", "roi", "~", "\x00"]
)  # fmt: skip


@given(st.lists(YAML_PARTS, max_size=30).map(lambda parts: "---\n" + "".join(parts) + "\n---\nbody\n") | st.text())
def test_frontmatter_is_a_mapping_that_can_be_shown_or_refused(text: str) -> None:
    with refused_with(("invalid_frontmatter",)):
        parts = skill.split(text)
        assert text.endswith(parts.body) and parts.frontmatter in text
        frontmatter = skill.parse_frontmatter(text)
        assert isinstance(frontmatter, dict) and str(frontmatter) and skill.authors_of(frontmatter)
        skill.check_enhanced(frontmatter)
        assert frontmatter["metadata"]["tags"] and frontmatter["metadata"]["roi"]


@given(JSON)
def test_an_envelope_is_one_line_of_ascii_that_says_the_same(value: Any) -> None:
    _tried[0] += 1
    line = envelope.render(value)
    assert line.isascii() and line.isprintable() and json.loads(line) == value


@given(st.sampled_from(sorted(CODES)) | st.text(), st.text())
def test_an_error_ends_in_the_status_of_its_code(code: str, message: str) -> None:
    _tried[0] += 1
    error = MegaCodeError(code, message)
    assert envelope.exit_status(error.envelope()) == error.exit_status in (4, 5)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
@example(b'{"a": 1e999}')
@example(b'{"a": -1e999}')
@example(b'{"a": NaN}')
@example('{"a": 1}'.encode("utf-16"))
def test_an_answer_is_an_object_that_can_be_written_again_or_refused(body: bytes) -> None:
    with refused_with(("invalid_response",)):
        answer = answers.parse_object(body)
        assert isinstance(answer, dict) and json.loads(json.dumps(answer, allow_nan=False)) == answer


@given(JSON.filter(lambda value: isinstance(value, dict)))
def test_an_honest_answer_is_read_as_it_is(value: Any) -> None:
    _tried[0] += 1
    assert answers.parse_object(json.dumps(value).encode()) == value
    assert answers.parse_object(json.dumps(value, ensure_ascii=True, indent=3).encode("utf-8-sig")) == value


@hypothesis.settings(max_examples=20)
@given(st.integers(0, 3), st.lists(st.sampled_from(['"', "\\", "\\\\", '\\"', "[", ",", "{", "x"])).map("".join))
def test_parts_are_counted_outside_of_strings_only(spare: int, text: str) -> None:
    _tried[0] += 1
    entries = ["[]"] * ((answers.PARTS - 2) // 2 - spare) + [json.dumps(text + "," * 9)]
    value = f'{{"a": [{",".join(entries)}]}}'
    assert answers.parse_object(value.encode())["a"][-1] == text + "," * 9


WORDS = st.sampled_from(
    ["demo", "Demo", "--hitl", "--HITL", "--poll-timeout", "--poll-existing", "30", "-1", "nan", "1e400", "inf", "a-b", "-", "--", "$(id)",
     "`id`", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "--poll-timeout=5", "../x", "'", '"', "\\", "\n", ";", "&&", "--help", "@file"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=6).map(" ".join) | st.text())
def test_what_the_slash_command_was_typed_becomes_five_checked_lines_or_a_code(raw: str) -> None:
    with refused_with(("invalid_arguments", "invalid_skill_name", "invalid_job_id")):
        lines = arguments.parse(raw).lines()
        values = dict(line.split("=", 1) for line in lines)
        assert list(values) == ["HITL", "SKILL_NAME", "POLL_TIMEOUT", "JOB_ID", "RESIDUAL_ARGS"]
        assert values["HITL"] in "01" and float(values["POLL_TIMEOUT"]) >= 0 and "e" not in values["POLL_TIMEOUT"]
        assert not values["SKILL_NAME"] or SKILL_NAME.fullmatch(values["SKILL_NAME"])
        assert not values["JOB_ID"] or JOB_ID.fullmatch(values["JOB_ID"])
        residual = values["RESIDUAL_ARGS"].split()
        assert shlex.join(residual) == values["RESIDUAL_ARGS"]  # nothing in it means anything to a shell
        assert arguments.parse(values["RESIDUAL_ARGS"]).lines()[1:] == lines[1:]


@given(
    st.sampled_from(["", "identity", "gzip", "deflate", "x-gzip", "br", "gzip, gzip", "GZIP "]) | st.text(),
    st.lists(st.binary()),
)
def test_an_encoded_body_is_undone_in_bounded_pieces_or_refused(name: str, chunks: list[bytes]) -> None:
    _tried[0] += 1
    with contextlib.suppress(encodings.BadEncoding):
        decoding = encodings.decoder(name)
        pieces = [piece for chunk in chunks for piece in decoding.feed(chunk)]
        decoding.finish()
        assert all(len(piece) <= encodings.PIECE for piece in pieces) or name.strip().lower() in ("", "identity")


@given(st.text())
def test_what_is_shown_steers_no_terminal(text: str) -> None:
    _tried[0] += 1
    assert not {unicodedata.category(char) for char in plain(text)} & {"Cc", "Cf", "Cs"}
