"""Where settings come from, and which server addresses a token may travel to."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mega_code import settings
from mega_code.errors import MegaCodeError
from mega_code.paths import DataDir


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    root = tmp_path / "data dir"
    root.mkdir()
    return DataDir(root)


def env(data: DataDir, **values: str) -> dict[str, str]:
    return {"MEGA_CODE_DATA_DIR": str(data.root), **values}


def run_fake_gateway(data: DataDir) -> socket.socket:
    """Something that listens, and the client.json that names it."""
    server = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{server.getsockname()[1]}"
    data.gateway.mkdir()
    data.client_json.write_text(json.dumps({"server_url": url, "api_key": "embedded-key"}))
    return server


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1", {"A": "1"}),
        ("export A = 1 # note", {"A": "1"}),
        ("A='x # y' # z", {"A": "x # y"}),
        ('A="$HOME `id`"', {"A": "$HOME `id`"}),
        ("A=a#b", {"A": "a#b"}),
        ("A=#b", {"A": "#b"}),
        ("A= # b", {"A": ""}),
        ("A=a'#b", {"A": "a'#b"}),
        ("A='a'#b", {"A": "a"}),
        ('A="a\\"b" # c', {"A": 'a"b'}),
        ('A="C:\\new\\\\x"', {"A": "C:\\new\\x"}),
        ("A='a\\'b", {"A": "'a\\'b"}),
        ('A="a', {"A": '"a'}),
        ("A=", {"A": ""}),
        ("# A=1\n\nnonsense\n1A=2\nB=2", {"B": "2"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ],
)
def test_env_lines_are_parsed_and_nothing_is_expanded(text: str, values: dict[str, str]) -> None:
    assert settings.parse_env(text) == values


@given(st.text())
def test_no_text_makes_the_env_parser_fail(text: str) -> None:
    assert all(key.isidentifier() for key in settings.parse_env(text))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path = tmp_path_factory.mktemp("env dir") / ".env"
    settings.write_env_file(path, {"KEY": value})
    assert settings.read_env_file(path) == {"KEY": value}


def test_writing_keeps_other_lines_and_closes_the_file_to_others(data: DataDir) -> None:
    data.env_file.write_text("# mine\nOTHER=1\nMEGA_CODE_API_KEY=old\n")
    settings.write_env_file(data.env_file, {"MEGA_CODE_API_KEY": "new key"})
    assert data.env_file.read_text() == "# mine\nOTHER=1\nMEGA_CODE_API_KEY=new key\n"
    assert data.env_file.stat().st_mode & 0o777 == 0o600


def test_a_line_in_another_encoding_stays_as_it_is(data: DataDir) -> None:
    data.env_file.write_bytes(b"# caf\xe9\nA=1\n")
    settings.write_env_file(data.env_file, {"B": "2"})
    assert data.env_file.read_bytes() == b"# caf\xe9\nA=1\nB=2\n"


def test_a_long_line_is_read_in_no_time(data: DataDir) -> None:
    assert settings.parse_env("A=x" + " " * 200_000 + "y")["A"].endswith("y")


def test_the_process_environment_wins_over_the_file(data: DataDir) -> None:
    data.env_file.write_text("MEGA_CODE_SERVER_URL=https://file.example\nMEGA_CODE_API_KEY=from-file\n")
    known = settings.load(env(data, MEGA_CODE_API_KEY="from-env", MEGA_CODE_CLIENT_MODE="remote"))
    assert (known.server_url, known.api_key, known.client_mode) == ("https://file.example", "from-env", "remote")


def test_nothing_configured_and_nothing_running_leaves_everything_open(data: DataDir) -> None:
    known = settings.load(env(data))
    assert (known.server_url, known.api_key, known.client_mode, known.embedded) == (None, None, "", False)
    assert known.host_suffixes == (".amazonaws.com", ".cloudfront.net")


def test_a_running_embedded_gateway_stands_in_where_nothing_is_configured(data: DataDir) -> None:
    with run_fake_gateway(data):
        known = settings.load(env(data))
        assert (known.api_key, known.client_mode, known.embedded) == ("embedded-key", "remote", True)
        assert known.server_url == json.loads(data.client_json.read_text())["server_url"]


@pytest.mark.parametrize("key", ["MEGA_CODE_API_KEY", "MEGA_CODE_CLIENT_MODE"])
def test_anything_configured_wins_whole_over_the_embedded_gateways_key_and_mode(data: DataDir, key: str) -> None:
    with run_fake_gateway(data):
        known = settings.load(env(data, **{key: "own"}))
        assert known.api_key == ("own" if key == "MEGA_CODE_API_KEY" else None)
        assert known.client_mode == ("own" if key == "MEGA_CODE_CLIENT_MODE" else "")
        assert known.server_url is not None


def test_a_gateway_that_died_does_not_count_as_running(data: DataDir) -> None:
    run_fake_gateway(data).close()
    assert settings.load(env(data)).server_url is None


def test_a_stale_pid_file_decides_over_whoever_has_the_port_now(data: DataDir) -> None:
    with run_fake_gateway(data):
        (data.gateway / "pid").write_text("1")
        assert settings.load(env(data)).server_url is None


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"server_url": 1, "api_key": "x"}', '{"server_url": "http://evil.example", "api_key": "k"}'],
)
def test_a_client_json_that_makes_no_sense_is_no_gateway(data: DataDir, content: str) -> None:
    data.gateway.mkdir()
    data.client_json.write_text(content)
    assert settings.load(env(data)).server_url is None


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://x.example/", "https://x.example"),
        ("https://x.example/api/megacode/v1/", "https://x.example"),
        ("https://x.example//api/megacode/v1", "https://x.example"),
        ("https://x.example/base", "https://x.example/base"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("http://127.8.9.1:1", "http://127.8.9.1:1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost:1", "http://localhost:1"),
    ],
)
def test_https_anywhere_and_http_on_this_machine_are_fine(url: str, clean: str) -> None:
    assert settings.check_server_url(url) == clean


@pytest.mark.parametrize(
    "url",
    [
        "http://x.example",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://2130706433",
    ],
)
def test_plain_http_to_another_machine_is_refused(url: str) -> None:
    with pytest.raises(MegaCodeError) as caught:
        settings.check_server_url(url)
    assert (caught.value.code, caught.value.exit_status) == ("insecure_server_url", 4)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://x.example",
        "https://",
        "https://u:p@x.example",
        "https://x.example?q",
        "https://x .example",
        "https://x.example:port",
        "https://[::1",
        "https://x\\y.example",
    ],
)
def test_what_is_no_server_url_is_refused(url: str) -> None:
    with pytest.raises(MegaCodeError) as caught:
        settings.check_server_url(url)
    assert caught.value.code == "invalid_arguments"


def test_host_suffixes_come_from_the_environment(data: DataDir) -> None:
    known = settings.load(env(data, MEGA_CODE_ENHANCE_DOWNLOAD_HOST_SUFFIXES=" .Example.com , cdn.example.org,, ."))
    assert known.host_suffixes == (".example.com", "cdn.example.org")


def test_an_empty_setting_counts_as_not_set(data: DataDir) -> None:
    data.env_file.write_text("MEGA_CODE_API_KEY=from-file\n")
    assert settings.load(env(data, MEGA_CODE_API_KEY="")).api_key == "from-file"
