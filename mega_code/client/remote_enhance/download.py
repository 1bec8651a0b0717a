"""Fetching a job's files: several at once, each bounded and verified, all or nothing."""

from __future__ import annotations

import contextvars
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from requests import RequestException

from mega_code import telemetry
from mega_code.client.remote_enhance import manifest, staging, transport
from mega_code.client.remote_enhance.encodings import BadEncoding
from mega_code.client.remote_enhance.manifest import CAPS, Caps, File, Source
from mega_code.client.remote_enhance.retrying import Outcome, is_dropped, persist
from mega_code.client.remote_enhance.wire import Stalled, TooLarge
from mega_code.console import say, warn
from mega_code.errors import MegaCodeError
from mega_code.files import flush_folder
from mega_code.skill import SKILL_MD, check_enhanced, parse_frontmatter

WORKERS = 12
RETRIED = (429, 502, 503, 504)


def fetch(files: Sequence[File], source: Source, target: Path, rejected: Path, caps: Caps = CAPS) -> dict[str, str]:
    """Download `files` and make them the staging dir `target` in one rename; the SHA-256 of those that came without.

    A bundle that breaks the frontmatter contract becomes `rejected` instead. Raises MegaCodeError: `invalid_path`,
    `size_exceeded`, `sha256_mismatch`, `download_failed`, `invalid_frontmatter`; then there is no `target`.
    """
    files = [file._replace(url=manifest.check_url(file.url, source)) for file in files]
    unverified = sum(1 for file in files if file.sha256 is None)
    if unverified:
        warn(f"{unverified} of {len(files)} files come without a SHA-256 and cannot be verified")
    try:
        with staging.building(target) as folder:
            download = _Download(files, folder, caps)
            download.run()
            with telemetry.span("verify", files=len(files)):
                _check_contract(folder, rejected)
            staging.publish(folder, target)
    except OSError as error:
        raise MegaCodeError("download_failed", f"The files could not be stored: {error.strerror}.") from None
    say(f"{len(files)} file{'s' if len(files) > 1 else ''} downloaded and verified")
    return download.digests


def _check_contract(folder: Path, rejected: Path) -> None:
    try:
        check_enhanced(parse_frontmatter((folder / SKILL_MD).read_bytes().decode()))
        return
    except UnicodeDecodeError:
        reason = "The enhanced SKILL.md is not UTF-8."
    except MegaCodeError as error:
        reason = error.message
    staging.publish(folder, rejected)
    raise MegaCodeError("invalid_frontmatter", f"{reason} The bundle is kept in {str(rejected)!r}.")


class _Received:
    """What has come of one file; `count` is told of every change of its size."""

    def __init__(self, stream: IO[bytes], count: Callable[[int], object]) -> None:
        self.stream, self.count, self.size = stream, count, 0
        self.restart()

    def restart(self) -> None:
        """Nothing of a broken attempt stays."""
        self.stream.seek(0)
        self.stream.truncate()
        self.count(-self.size)
        self.digest, self.size, self.head = hashlib.sha256(), 0, b""

    def take(self, piece: bytes) -> None:
        self.head = (self.head + piece)[:2] if len(self.head) < 2 else self.head
        self.size += len(piece)
        self.count(len(piece))
        self.digest.update(piece)
        self.stream.write(piece)


class _Download:
    def __init__(self, files: Sequence[File], folder: Path, caps: Caps) -> None:
        self.files, self.folder, self.caps = files, folder, caps
        self.transport = transport.Transport()
        self.lock = threading.Condition()
        self.next = 0
        self.finished = 0
        self.bytes = 0
        self.errors: dict[int, BaseException] = {}
        self.digests: dict[str, str] = {}

    def run(self) -> None:
        """Raises the error of the first file, in the manifest's order, that failed."""
        workers = min(WORKERS, len(self.files))
        for _ in range(workers):
            threading.Thread(target=contextvars.copy_context().run, args=(self._work,), daemon=True).start()
        with self.lock:
            try:
                while self.finished < workers:
                    self.lock.wait(1.0)
            finally:
                self.next = len(self.files)
        if self.errors:
            raise self.errors[min(self.errors)]
        for base, _, _ in os.walk(self.folder):
            flush_folder(base)

    def _work(self) -> None:
        while True:
            with self.lock:
                index = self.next
                if index >= len(self.files) or self.errors:
                    self.finished += 1
                    self.lock.notify()
                    return
                self.next += 1
            try:
                with telemetry.span("file", "client") as span:
                    span.set(bytes=self._fetch(self.files[index]))
            except BaseException as error:
                with self.lock:
                    self.errors[index] = error

    def _fetch(self, file: File) -> int:
        """Bring one file, whole and verified; its size."""
        path = self.folder / file.relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as stream:
            received = self._transfer(file, stream)
            mode = file.mode if file.mode is not None else (0o111 if received.head == b"#!" else 0)
            os.fchmod(stream.fileno(), 0o644 | mode & 0o111)
            stream.flush()
            os.fsync(stream.fileno())
        if not file.sha256:
            self.digests[file.relpath] = received.digest.hexdigest()
        if file.sha256 and received.digest.hexdigest() != file.sha256:
            raise MegaCodeError("sha256_mismatch", f"{file.relpath!r} is not the file that was published.")
        if file.size is not None and received.size != file.size:
            raise MegaCodeError("download_failed", f"{file.relpath!r} has {received.size} bytes and not {file.size}.")
        return received.size

    def _transfer(self, file: File, stream: IO[bytes]) -> _Received:
        """Bring a file into `stream`, which starts anew where an attempt breaks off."""
        received = _Received(stream, self._count)
        watch = self.transport.watch()

        def attempt() -> transport.Response:
            received.restart()
            return self.transport.send("GET", file.url, cap=self.caps.file, watch=watch, sink=received.take)

        try:
            response = persist(attempt, self._again)
        except TooLarge:
            raise MegaCodeError(
                "size_exceeded", f"{file.relpath!r} is over {self.caps.file // manifest.MIB} MiB."
            ) from None
        except BadEncoding as error:
            raise MegaCodeError("download_failed", f"{file.relpath!r} cannot be decoded: {error}.") from None
        except (RequestException, Stalled) as error:
            reason = transport.failure(error).message
            raise MegaCodeError("download_failed", f"{file.relpath!r} could not be fetched. {reason}") from None
        if response.status != 200:
            raise MegaCodeError("download_failed", f"{file.relpath!r} could not be fetched: {response.status}.")
        return received

    def _again(self, outcome: Outcome) -> bool:
        """Whoever serves files and says nothing for a whole timeout has failed; another failure ends all of them."""
        if self.errors:
            return False
        return outcome.status in RETRIED if isinstance(outcome, transport.Response) else is_dropped(outcome)

    def _count(self, size: int) -> None:
        with self.lock:
            self.bytes += size
            if self.bytes > self.caps.job:
                raise MegaCodeError(
                    "size_exceeded", f"The files are over {self.caps.job // manifest.MIB} MiB together."
                )
