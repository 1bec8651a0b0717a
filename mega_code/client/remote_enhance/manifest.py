"""What a result says about its files, checked before anything is fetched or installed. Pure: no file, no socket."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional
from urllib.parse import quote, urlsplit

from mega_code.collisions import collision
from mega_code.errors import MegaCodeError
from mega_code.paths import check_relpath
from mega_code.skill import SKILL_MD

MIB = 1024 * 1024
_OF_URLS = ":/?#[]@!$&'()*+,;=%"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_MODE = re.compile(r"(?:0o)?[0-7]{3,6}")
# What a numeric host looks like in any notation a resolver takes: 127.1, 0x7f000001, 2130706433, 0177.0.0.1.
_NUMERIC_LABEL = re.compile(r"0x[0-9a-f]*|[0-9]+")
_PLAIN_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


class Caps(NamedTuple):
    """Limits of one job's files; sizes in bytes."""

    file: int = 25 * MIB
    job: int = 100 * MIB
    files: int = 2000


CAPS = Caps()


class File(NamedTuple):
    """One file of a result. `size` and `sha256` are None where the gateway does not say; `mode` likewise."""

    relpath: str
    url: str
    sha256: Optional[str]
    size: Optional[int]
    mode: Optional[int]


class Source(NamedTuple):
    """Where artifacts may come from: the gateway's own origin, and https hosts under these suffixes."""

    server_url: str
    host_suffixes: Sequence[str]


def read(result: dict[str, Any], caps: Caps = CAPS) -> list[File]:
    """The files of a result body, in its order; their URLs are not judged yet.

    Raises MegaCodeError: `missing_artifact`, `missing_skill_md`, `invalid_response` (wrong types), `invalid_path`
    (unsafe or colliding paths), `size_exceeded` (as declared).
    """
    artifact = result.get("artifact")
    entries = artifact.get("files") if isinstance(artifact, dict) else None
    if not isinstance(entries, list) or not entries:
        raise MegaCodeError("missing_artifact", "The result names no files to install.")
    if len(entries) > caps.files:
        raise MegaCodeError("size_exceeded", f"The result has {len(entries)} files; {caps.files} is the most.")
    files = [_file(index, entry, caps) for index, entry in enumerate(entries)]
    if sum(file.size or 0 for file in files) > caps.job:
        raise MegaCodeError("size_exceeded", f"The result's files are over {caps.job // MIB} MiB together.")
    both = collision(file.relpath for file in files)
    if both:
        raise MegaCodeError("invalid_path", f"The artifact paths {both[0]!r} and {both[1]!r} collide.")
    if not any(file.relpath == SKILL_MD for file in files):
        raise MegaCodeError("missing_skill_md", f"The result has no {SKILL_MD} at its root.")
    return files


def _file(index: int, entry: Any, caps: Caps) -> File:
    def refuse(key: str, wanted: str) -> MegaCodeError:
        return MegaCodeError("invalid_response", f"artifact.files[{index}].{key} is no {wanted}.")

    if not isinstance(entry, dict):
        raise MegaCodeError("invalid_response", f"artifact.files[{index}] is no object.")
    relpath = check_relpath(entry.get("relpath"), "artifact path")
    url, sha256, size, mode = (entry.get(key) for key in ("url", "sha256", "size", "mode"))
    if not isinstance(url, str):
        raise refuse("url", "string")
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise refuse("sha256", "SHA-256 in hex")
    if size is not None and not (isinstance(size, int) and not isinstance(size, bool) and size >= 0):
        raise refuse("size", "number of bytes")
    if mode is not None and not (isinstance(mode, str) and _MODE.fullmatch(mode)):
        raise refuse("mode", "octal string")
    if size is not None and size > caps.file:
        raise MegaCodeError("size_exceeded", f"{relpath!r} is over {caps.file // MIB} MiB.")
    return File(relpath, url, sha256.lower() if sha256 else None, size, int(mode, 8) if mode else None)


def check_url(url: str, source: Source) -> str:
    """`url`, if an artifact may come from there; a gateway's own is percent-encoded where it was not.

    Raises MegaCodeError `invalid_path`.
    """
    refused = MegaCodeError("invalid_path", f"An artifact address is not allowed: {url[:120]!r}.")
    if not url.isprintable() or "\\" in url:
        raise refused
    try:
        parts = urlsplit(url)
        own = urlsplit(source.server_url)
        origin, own_origin = _origin(parts), _origin(own)
    except ValueError:
        raise refused from None
    host = parts.hostname or ""
    if "@" in parts.netloc or not host:
        raise refused
    if origin == own_origin:
        return quote(url, safe=_OF_URLS)
    if not url.isascii() or " " in url:
        raise refused
    if parts.scheme != "https" or not _is_name(host) or not any(_under(host, s) for s in source.host_suffixes):
        raise refused
    return url


def _origin(parts: Any) -> tuple[str, str, Optional[int]]:
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _is_name(host: str) -> bool:
    """Whether `host` is a public DNS name: no address in any notation, no name that means this machine or network."""
    labels = host.split(".")
    if len(labels) < 2 or not all(_PLAIN_LABEL.fullmatch(label) for label in labels):
        return False
    if all(_NUMERIC_LABEL.fullmatch(label) for label in labels):
        return False
    return labels[-1] != "localhost" and host != "metadata.google.internal"


def _under(host: str, suffix: str) -> bool:
    bare = suffix.lstrip(".")
    return host.endswith(f".{bare}") or (host == suffix and not suffix.startswith("."))
