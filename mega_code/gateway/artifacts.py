"""Published files: written once with their hashes, served through URLs that are signed and expire."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlencode

from mega_code.errors import MegaCodeError
from mega_code.gateway.api_error import ApiError
from mega_code.gateway.folders import FolderSink
from mega_code.gateway.intake import EXECUTABLE, PLAIN, Limits, Writer, check_collisions, discard, examine
from mega_code.gateway.result import Artifact, PublishedFile
from mega_code.paths import check_relpath
from mega_code.settings import API_BASE


class PublishError(Exception):
    """The evaluation's files are not fit to be published."""


def publish(archive: IO[bytes], content_hash: str, changed: Mapping[str, bytes], target: Path) -> Artifact:
    """Write the skill in `archive` with its `changed` files to the new folder `target`, flushed to disk.

    The files are sorted by path. An executable file stays one; a new one is executable where it starts with `#!`.
    Raises PublishError, ApiError where the archive is no longer good, OSError.
    """
    sink = FolderSink(target, durable=True)

    def original(relpath: str, mode: int) -> AbstractContextManager[Writer]:
        return discard(relpath, mode) if relpath in changed else sink(relpath, PLAIN)

    package = examine(archive, original)
    if package.content_hash != content_hash:
        raise PublishError("the stored upload is not the one that was accepted")
    modes = {entry.path: entry.mode for entry in package.entries}
    files = {entry.path: (entry.sha256, entry.size) for entry in package.entries}
    _check_changed(changed, files)
    for relpath, data in changed.items():
        with sink(relpath, PLAIN) as stream:
            stream.write(data)
        modes.setdefault(relpath, EXECUTABLE if data.startswith(b"#!") else PLAIN)
        files[relpath] = (hashlib.sha256(data).hexdigest(), len(data))
    sink.flush()
    manifest = [
        PublishedFile(relpath, sha256, size, f"{modes[relpath]:04o}")
        for relpath, (sha256, size) in sorted(files.items())
    ]
    return Artifact(target.name, manifest)


def _check_changed(changed: Mapping[str, bytes], originals: Mapping[str, tuple[str, int]]) -> None:
    """What a client will refuse must not be published: bad or colliding names, too much of anything."""
    limits = Limits()
    try:
        for path in changed:
            check_relpath(path)
        check_collisions([*(path for path in originals if path not in changed), *changed])
    except MegaCodeError as error:
        raise PublishError(error.message) from None
    sizes = {path: size for path, (_, size) in originals.items()}
    sizes.update((path, len(data)) for path, data in changed.items())
    if len(sizes) > limits.files or sum(sizes.values()) > limits.unpacked or max(sizes.values()) > limits.file:
        raise PublishError("it is too large, or of too many files, to be downloaded")


class Signer:
    """Makes and checks artifact URLs; one secret a gateway, kept, so that URLs outlive a restart."""

    def __init__(self, secret: bytes, ttl_s: int) -> None:
        self.secret = secret
        self.ttl_s = ttl_s

    def url(self, origin: str, job_id: str, relpath: str, now: float) -> str:
        """The URL of one file under `origin` (`http://host:port`), good for the time to live from `now` (epoch)."""
        expires = str(int(now) + self.ttl_s)
        query = urlencode({"expires": expires, "signature": self._signature(job_id, relpath, expires)})
        return f"{origin}{API_BASE}/artifacts/{job_id}/{quote(relpath)}?{query}"

    def check(self, job_id: str, relpath: str, expires: str, signature: str, now: float) -> None:
        """Raises ApiError `invalid_signature`, `expired_url`."""
        wanted = self._signature(job_id, relpath, expires)
        if not hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace")):
            raise ApiError("invalid_signature", "This URL was not made by this gateway.")
        if now > int(expires):
            raise ApiError("expired_url", "This URL is good no longer; ask for the job's result again.")

    def _signature(self, job_id: str, relpath: str, expires: str) -> str:
        message = f"{job_id}\n{relpath}\n{expires}".encode("utf-8", "surrogatepass")
        return hmac.new(self.secret, message, hashlib.sha256).hexdigest()
