"""Settings: the process environment, then `<DATA_DIR>/.env`, then a running embedded gateway."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Optional

from mega_code.console import warn_once
from mega_code.errors import MegaCodeError
from mega_code.files import read_json, write_atomic
from mega_code.paths import DataDir, data_dir

API_BASE = "/api/megacode/v1"
DEFAULT_HOST_SUFFIXES = (".amazonaws.com", ".cloudfront.net")
CONNECTION_KEYS = ("MEGA_CODE_SERVER_URL", "MEGA_CODE_API_KEY", "MEGA_CODE_CLIENT_MODE")
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)")
_QUOTED = re.compile(r"""\s*(?:'([^']*)'|"((?:[^"\\]|\\.)*)")\s*(?:#.*)?""")
_COMMENT = re.compile(r"\s#")
_ESCAPED = re.compile(r"\\([\\\"$`])")


class Settings(NamedTuple):
    """What a command works with. `server_url` (not checked yet) and `api_key` are None where nothing names them."""

    data: DataDir
    server_url: Optional[str]
    api_key: Optional[str]
    client_mode: str
    host_suffixes: tuple[str, ...]
    session_id: Optional[str]
    embedded: bool


def load(env: Mapping[str, str]) -> Settings:
    """Settings for the environment `env`; reads `.env` and `gateway/client.json`, no network."""
    data = DataDir(data_dir(env))
    merged = with_env_file(env)
    url, key, mode = (merged.get(name) or None for name in CONNECTION_KEYS)
    embedded = False
    if url is None:
        running = running_gateway(data)
        if running:
            nothing_configured = key is None and mode is None
            url, embedded = running["server_url"], True
            if nothing_configured:
                key, mode = running["api_key"], "remote"
    suffixes = tuple(s.strip().lower() for s in merged.get("MEGA_CODE_ENHANCE_DOWNLOAD_HOST_SUFFIXES", "").split(","))
    return Settings(
        data=data,
        server_url=url,
        api_key=key,
        client_mode=mode or "",
        host_suffixes=tuple(s for s in suffixes if s.strip(".")) or DEFAULT_HOST_SUFFIXES,
        session_id=merged.get("MEGA_CODE_SESSION_ID"),
        embedded=embedded,
    )


def is_key(value: str) -> bool:
    """Whether a header can hold `value` as a key."""
    return value.isascii() and value.isprintable() and " " not in value


def check_server_url(url: str) -> str:
    """The gateway's base URL without its API path and trailing slashes. Raises as `check_url` does."""
    checked = check_url(url, "MEGA_CODE_SERVER_URL")
    return checked[: -len(API_BASE)].rstrip("/") if checked.endswith(API_BASE) else checked


def check_url(url: str, variable: str) -> str:
    """The URL in `variable`, of a server that is sent a key, without trailing slashes.

    Raises MegaCodeError: `invalid_arguments` for no http(s) URL, `insecure_server_url` for plain http to a host
    that is not loopback, since the bearer token would travel in the clear.
    """
    from urllib.parse import urlsplit  # takes as long as all the rest of listing skills

    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    labels = host.rstrip(".").split(".") if host and ":" not in host else ["x"]
    plain = (
        all(0 < len(label) < 64 for label in labels)
        and url.isascii()
        and url.isprintable()
        and not set(url) & set(" \\")
    )
    if parts.scheme not in ("http", "https") or not host or not plain or "@" in parts.netloc or parts.query:
        raise MegaCodeError(
            "invalid_arguments",
            f"{variable} is no server URL; it looks like https://host or http://127.0.0.1:8000.",
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise MegaCodeError(
            "insecure_server_url",
            f"{host!r} would get the API key unencrypted; use https (plain http is for this machine only).",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    if host.lower() == "localhost":
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def running_gateway(data: DataDir) -> Optional[dict[str, str]]:
    """`{"server_url", "api_key"}` of the embedded gateway, or None where none runs.

    A gateway holds a lock on its pid file for as long as it lives. Where there is no pid file, the address decides.
    """
    client = read_json(data.client_json)
    if not isinstance(client, dict):
        return None
    url, key = client.get("server_url"), client.get("api_key")
    if not (isinstance(url, str) and isinstance(key, str) and url.startswith("http://")):
        return None
    alive = _locked(data.gateway / "pid")
    if alive is None:
        alive = _answers(url)
    return {"server_url": url, "api_key": key} if alive else None


def _locked(path: Path) -> Optional[bool]:
    """Whether another process holds the lock on `path`; None where there is no such file."""
    try:
        with open(path, "rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
            return False
    except OSError:
        return None


def _answers(url: str) -> bool:
    """Whether something on this machine listens at `url`."""
    import socket
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        if not is_loopback(host):
            return False
        socket.create_connection((host, port), timeout=0.5).close()
        return True
    except (OSError, ValueError):
        return False


def parse_env(text: str) -> dict[str, str]:
    """`KEY=value` lines with optional quotes, `export` and comments; nothing is expanded, other lines do not count."""
    matches = [_LINE.fullmatch(line.strip()) for line in text.splitlines()]
    return {match[1]: _value(match[2]) for match in matches if match}


def strange_lines(text: str) -> list[int]:
    """The numbers, from 1, of the lines of a `.env` file that are neither settings nor comments nor empty."""
    lines = enumerate((line.strip() for line in text.splitlines()), 1)
    return [number for number, line in lines if line and line[0] != "#" and not _LINE.fullmatch(line)]


def open_quotes(text: str) -> list[int]:
    """The numbers, from 1, of the lines of a `.env` file whose value begins with a quote that does not end it."""
    matches = ((number, _LINE.fullmatch(line.strip())) for number, line in enumerate(text.splitlines(), 1))
    return [
        number
        for number, match in matches
        if match and match[2].lstrip()[:1] in ("'", '"') and not _QUOTED.fullmatch(match[2])
    ]


def _value(text: str) -> str:
    """What stands behind the `=`. A backslash counts where a shell's would: in double quotes, before one of `"\\$` and a
    backtick; a `#` begins a comment behind a space, or behind the closing quote."""
    quoted = _QUOTED.fullmatch(text)
    if not quoted:
        return _COMMENT.split(text, maxsplit=1)[0].strip()
    single, double = quoted.groups()
    return _ESCAPED.sub(r"\1", double) if single is None else single


def read_env_file(path: Path) -> dict[str, str]:
    """The settings in a `.env` file; none where it is missing or, which is warned of, unreadable."""
    try:
        return parse_env(path.read_text("utf-8-sig", "replace"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        warn_once(f"{str(path)!r} cannot be read and does not count: {error.strerror}")
        return {}


def with_env_file(env: Mapping[str, str]) -> dict[str, str]:
    """Every setting of `<DATA_DIR>/.env` and of the environment `env`, which wins; an empty one there does not count."""
    kept = read_env_file(DataDir(data_dir(env)).env_file)
    return {**kept, **{key: value for key, value in env.items() if value}}


def write_env_file(path: Path, updates: Mapping[str, Optional[str]]) -> None:
    """Set `updates` in a `.env` file, atomically and mode 0600; every other line stays as it is. None takes one away.

    Raises MegaCodeError `invalid_arguments` for a value that no line can hold, OSError where nothing can be written.
    """
    try:
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
    except FileNotFoundError:
        lines = []
    kept = [line for line in lines if not any(key in updates for key in parse_env(line))]
    added = [assignment(key, value) for key, value in updates.items() if value is not None]
    os.makedirs(path.parent, mode=0o700, exist_ok=True)
    write_atomic(path, "\n".join([*kept, *added, ""]).encode("utf-8", "surrogateescape"), 0o600)


def assignment(key: str, value: str) -> str:
    """A line that `parse_env` reads as `key` and `value`. Raises MegaCodeError `invalid_arguments` where none can."""
    if value.isascii() and value.isprintable():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        for written in (value, f"'{value}'", f'"{value}"', f'"{escaped}"'):
            if parse_env(f"{key}={written}") == {key: value}:
                return f"{key}={written}"
    raise MegaCodeError("invalid_arguments", f"The value of {key} holds characters that no setting can.")
