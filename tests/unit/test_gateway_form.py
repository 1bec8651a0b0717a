"""Reading the form of an upload."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.filepost import encode_multipart_formdata

from mega_code.gateway.api_error import ApiError
from mega_code.gateway.form import BLOCK, FIELD_BYTES, PARTS, read_form

BOUNDARY = "0123456789abcdef"


def form(*fields: tuple[str, object]) -> tuple[str, io.BytesIO]:
    """A form as the client's own library writes it."""
    body, content_type = encode_multipart_formdata(list(fields), BOUNDARY)  # type: ignore[arg-type]
    return content_type, io.BytesIO(body)


@pytest.mark.parametrize("around", [BLOCK, 2 * BLOCK])
def test_a_boundary_is_found_wherever_the_blocks_that_are_read_end(around: int) -> None:
    for size in range(around - 400, around + 20):
        content = b"x" * size
        read = read_form(*form(("archive", ("a.zip", content)), ("source", "api")))
        assert read.files["archive"].read() == content
        assert read.fields == {"source": "api"}


@given(
    st.text(max_size=200),
    st.binary(max_size=300) | st.sampled_from([b"\r\n", b"\r\n--", b"--", b"\r\n--0123456789abcde"]),
)
def test_what_was_written_is_read(text: str, content: bytes) -> None:
    read = read_form(*form(("skill_id", text), ("archive", ("a.zip", content)), ("source", "")))
    assert (read.fields, read.files["archive"].read()) == ({"skill_id": text, "source": ""}, content)


@given(st.binary(max_size=400))
@example(b"--")  # a form that ends before its first part
def test_anything_else_is_refused(data: bytes) -> None:
    for body in (data, b"--b" + data, b"--b\r\n" + data, b"--b\r\n" + data + b"\r\n\r\nx\r\n--b--"):
        with pytest.raises(ApiError) as caught:
            read_form("multipart/form-data; boundary=b", io.BytesIO(body))
        assert caught.value.code == "invalid_request"


@given(st.text(max_size=100))
def test_an_odd_content_type_is_refused(content_type: str) -> None:
    for value in (content_type, f"multipart/form-data; boundary{content_type}"):
        with pytest.raises(ApiError) as caught:
            read_form(value, io.BytesIO(b""))
        assert caught.value.code == "invalid_request"


def test_limits_are_to_the_byte_and_the_part() -> None:
    most = "x" * FIELD_BYTES
    assert read_form(*form(("source", most))).fields == {"source": most}
    with pytest.raises(ApiError, match="too long"):
        read_form(*form(("source", most + "x")))
    fields = [(f"f{number}", "") for number in range(PARTS)]
    assert read_form(*form(*fields)).fields == {}
    with pytest.raises(ApiError, match="over 16 parts"):
        read_form(*form(*fields, ("source", "api")))
