"""The lock that a serving process holds for its whole life; its file holds the process id.

The kernel lets go of it however the process ends, so a stale file never looks like a running server.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Optional

RETRY_S = 0.02


class PidLock:
    """Held by the serving process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def acquire(self, patience_s: float = 1.0) -> bool:
        """Take the lock and write the process id. False where another process keeps it.

        Whoever asks whether a server runs holds the lock for an instant, hence the patience.
        """
        deadline = time.monotonic() + patience_s
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Between open and lock the file may have been removed; a lock on that would keep nobody out.
                if _same_file(descriptor, self.path):
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, f"{os.getpid()}\n".encode())
                    self._descriptor = descriptor
                    return True
            except OSError:
                pass
            os.close(descriptor)
            if time.monotonic() >= deadline:
                return False
            time.sleep(RETRY_S)

    def release(self) -> None:
        """Remove the file, then let go."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        os.close(self._descriptor)


class Holder:
    """Somebody else's lock, seen from outside."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> Holder:
        return self

    def __exit__(self, *unused: object) -> None:
        os.close(self._descriptor)

    def alive(self) -> bool:
        """Whether the lock is held."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return False

    def pid(self) -> Optional[int]:
        """The process id in the file; of use only while the lock is held."""
        text = os.pread(self._descriptor, 32, 0).strip()
        return int(text) if text.isdigit() else None

    def gone(self, timeout_s: float) -> bool:
        """Whether the holder has let go within the time."""
        deadline = time.monotonic() + timeout_s
        while self.alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(RETRY_S)
        return True


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False
