"""The `.env` file: whatever stands in it is read, and what was read can be written and read again."""

from __future__ import annotations

from fuzz.refusal import refused_with
from mega_code import settings

SEEDS = (
    b"A=1\nexport B = 'x # y' # z\n",
    b'A="a\\"b"\nB="C:\\\\x"\n',
    b"A=a'#b\nA=a#b\nA=#b\n",
    b"\xef\xbb\xbfMEGA_CODE_SERVER_URL=https://x.example/api/megacode/v1/\n",
    b"MEGA_CODE_SERVER_URL=http://127.0.0.1:80\r\n",
    b"MEGA_CODE_SERVER_URL=http://[::1]:8080\x0cA=\xff\n",
)


def check(data: bytes) -> None:
    """`data` is a `.env` file; its values are tried as server URLs too."""
    for key, value in settings.parse_env(data.decode("utf-8-sig", "replace")).items():
        assert key.isidentifier() and key.isascii()
        if value.isascii() and value.isprintable():
            assert settings.parse_env(settings.assignment(key, value)) == {key: value}
        with refused_with(("invalid_arguments", "insecure_server_url")):
            url = settings.check_server_url(value)
            assert settings.check_server_url(url) == url and url.startswith(("https://", "http://"))
