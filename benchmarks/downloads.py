"""Fetching the 200 files of a job from a server that answers each after 50 ms, against one file after another.

Both are our own download, verification and flushes included; the second has one worker. Of a manifest of which no file
is there the first is named as missing, although the server answers each sooner than the one before.

Usage: python benchmarks/downloads.py
Exit: 0 every bar is kept, 1 one is missed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import PREFIX, faster, holds, interleaved, report, takes_no_arguments, timed

FILES = 200
LATENCY_S = 0.05
MISSING = 40
ROUNDS = 2
BAR = 6
FIRST = "'0.md' could not be fetched: 404."
SKILL_MD = b"---\nname: demo\ndescription: d\nmetadata:\n  tags: [a]\n  roi:\n    - model: m\n---\n# Demo\n"
CONTENT = {"SKILL.md": SKILL_MD, **{f"references/{n}.md": b"%d\n" % n * 300 for n in range(FILES - 1)}}


class Slow(BaseHTTPRequestHandler):
    """Serves the files, late."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        time.sleep(LATENCY_S * (1 - int(self.path[1:]) / MISSING) if self.path[1:].isdigit() else LATENCY_S)
        body = CONTENT.get(self.path[1:], b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *unused: object) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    """Takes all connections at once."""

    daemon_threads = True
    request_queue_size = 128


def fetched(url: str, workers: int) -> float:
    """Seconds to have every file verified and in place."""
    from mega_code.client.remote_enhance import download
    from mega_code.client.remote_enhance.manifest import File, Source

    files = [
        File(relpath=path, url=f"{url}/{path}", sha256=hashlib.sha256(body).hexdigest(), size=len(body), mode=None)
        for path, body in CONTENT.items()
    ]
    download.WORKERS = workers
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder, contextlib.redirect_stderr(io.StringIO()):
        target, rejected = Path(folder) / "target", Path(folder) / "rejected"
        return timed(lambda: download.fetch(files, Source(url, ()), target, rejected))


def failures(url: str, workers: int) -> list[str]:
    """What is said of files that are all missing, five times."""
    from mega_code.client.remote_enhance import download
    from mega_code.client.remote_enhance.manifest import File, Source
    from mega_code.errors import MegaCodeError

    broken = [File(relpath=f"{n}.md", url=f"{url}/{n}", sha256=None, size=None, mode=None) for n in range(MISSING)]
    download.WORKERS, said = workers, []
    for _ in range(5):
        with tempfile.TemporaryDirectory(prefix=PREFIX) as folder, contextlib.redirect_stderr(io.StringIO()):
            try:
                download.fetch(broken, Source(url, ()), Path(folder) / "target", Path(folder) / "rejected")
            except MegaCodeError as error:
                said.append(error.message)
    return said


def main() -> int:
    """Print the rows; gives the exit status."""
    takes_no_arguments(__doc__)
    from mega_code.client.remote_enhance.download import WORKERS

    server = Server(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    ours, alone = interleaved(ROUNDS, lambda: fetched(url, WORKERS), lambda: fetched(url, 1), warm_up=0)
    errors = failures(url, WORKERS)
    server.shutdown()
    what = f"download {FILES} files at {1000 * LATENCY_S:.0f} ms each"
    return report(
        [
            faster(what, ours, "one after another", alone, BAR),
            holds("download of 40 missing files: the first is named, five times", errors == 5 * [FIRST]),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
