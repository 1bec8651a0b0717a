"""The process that serves a review: one for an iteration, found again, ended, killed and followed."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional
from urllib.parse import urlsplit

import pytest

from mega_code.errors import MegaCodeError
from mega_code.hitl.review_server import review, stop_review, wait_review
from support.review import feedback, iteration
from support.room import REPOSITORY, Room

SECONDS = 60.0


class Page:
    """A visitor of a review's server."""

    def __init__(self, url: str, cookie: str = "") -> None:
        self.parts = urlsplit(url)
        self.origin = f"{self.parts.scheme}://{self.parts.netloc}"
        self.cookie = cookie
        status, headers, _ = self.ask("GET", f"?{self.parts.query}" if self.parts.query else "")
        self.status = status
        self.cookie = headers.get("Set-Cookie", cookie).partition(";")[0]

    def ask(self, method: str, name: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.parts.hostname or "", self.parts.port, timeout=SECONDS)
        headers = {"Origin": self.origin, "Content-Type": "application/json", "Cookie": self.cookie}
        try:
            connection.request(method, self.parts.path + name, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def save(self, text: str) -> int:
        state = json.loads(self.ask("GET", "state")[2])
        body = {"case": "leap-second", "text": text, "base": state["cases"][0]["version"]}
        return self.ask("POST", "save", body)[0]


@pytest.fixture
def folder(room: Room) -> Iterator[Path]:
    made = iteration(room.root)
    yield made
    for other in room.root.glob("iteration-*"):
        stop_review(other)


def gone(pid: int) -> bool:
    """Whether the process ends in time; it is nobody's child any more, or ours to reap."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_a_review_is_served_found_again_and_stopped(folder: Path) -> None:
    first = review(folder)
    about = json.loads((folder / "review.json").read_text())
    assert first["url"].startswith(about["url"] + "?token=") and about["pid"] == first["pid"]
    assert first["url"].partition("token=")[2] not in (folder / "review.json").read_text()
    assert stat.S_IMODE((folder / "review.json").stat().st_mode) == 0o600
    assert urlsplit(first["url"]).hostname == "127.0.0.1"
    again = review(folder)
    assert again["pid"] == first["pid"] and again["url"] != first["url"]
    assert Page(first["url"]).status == 403, "the address that was given out last is the one that works"
    page = Page(again["url"])
    assert page.status == 200
    assert Page(again["url"]).status == 403
    assert page.save("good") == 200
    third = Page(review(folder)["url"])
    assert third.status == 200 and page.save("better") == 200, "who is in stays in"
    assert stop_review(folder) == {"stopped": True, "pid": first["pid"]}
    assert gone(first["pid"])
    assert stop_review(folder) == {"stopped": False, "pid": None}
    assert not (folder / "review.json").exists() and not (folder / "review.pid").exists()
    assert feedback(folder)["cases"]["leap-second"]["text"] == "better"


def test_two_calls_at_once_end_with_one_server(folder: Path, room: Room) -> None:
    code = "import sys, json, pathlib; from mega_code.hitl.review_server import review; "
    code += "print(json.dumps(review(pathlib.Path(sys.argv[1]))))"
    command = [sys.executable, "-c", code, str(folder)]
    calls = [subprocess.Popen(command, cwd=REPOSITORY, env=room.env, stdout=subprocess.PIPE) for _ in range(3)]
    found = [json.loads(call.communicate(timeout=60)[0]) for call in calls]
    assert len({one["pid"] for one in found}) == 1
    assert [Page(one["url"]).status for one in found].count(200) == 1


def test_two_iterations_are_reviewed_at_once_and_do_not_meet(folder: Path) -> None:
    other = iteration(folder.parent, 2)
    pages = [Page(review(one)["url"]) for one in (folder, other)]
    assert [page.save(f"of {number}") for number, page in enumerate(pages)] == [200, 200]
    assert [feedback(one)["cases"]["leap-second"]["text"] for one in (folder, other)] == ["of 0", "of 1"]
    crossed = Page(f"{pages[1].origin}{pages[1].parts.path}", cookie=pages[0].cookie)
    assert crossed.status == 403
    stop_review(folder)
    assert pages[1].save("still here") == 200


def test_a_killed_server_loses_nothing_and_its_page_goes_on_with_the_next(folder: Path) -> None:
    first = review(folder)
    page = Page(first["url"])
    assert page.save("before") == 200
    os.kill(first["pid"], signal.SIGKILL)
    assert gone(first["pid"])
    assert not wait_review(folder, SECONDS)
    second = review(folder)
    assert second["pid"] != first["pid"]
    assert urlsplit(second["url"])[:3] == urlsplit(first["url"])[:3]
    assert json.loads(page.ask("GET", "state")[2])["cases"][0]["text"] == "before"
    assert page.save("after") == 200
    assert feedback(folder)["cases"]["leap-second"]["text"] == "after"


def test_a_port_that_somebody_else_has_taken_is_left_to_them(folder: Path) -> None:
    first = review(folder)
    os.kill(first["pid"], signal.SIGKILL)
    assert gone(first["pid"])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", urlsplit(first["url"]).port or 0))
        other.listen()
        second = review(folder)
        assert urlsplit(second["url"]).port != urlsplit(first["url"]).port
        assert Page(second["url"]).status == 200


def test_a_process_that_merely_has_the_recorded_number_is_left_alone(folder: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (folder / "review.pid").write_text(f"{stranger.pid}\n")
        (folder / "review.json").write_text(json.dumps({"pid": stranger.pid, "url": "http://127.0.0.1:1/x/"}))
        assert stop_review(folder) == {"stopped": False, "pid": None}
        assert stranger.poll() is None
        stranger.terminate()


def test_submitting_ends_the_server_and_whoever_waits_for_it(folder: Path) -> None:
    started = review(folder)
    page = Page(started["url"])
    assert not wait_review(folder, 0.3)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(wait_review(folder, 60)))
    waiting.start()
    assert page.ask("POST", "submit", {})[0] == 200
    waiting.join(SECONDS)
    assert answers == [True]
    assert b'"ended": true' in page.ask("GET", "")[2]
    assert gone(started["pid"])
    assert not (folder / "review.json").exists()
    assert wait_review(folder, 0)


def test_a_review_that_is_opened_while_the_last_server_ends_gets_one_that_stays(folder: Path) -> None:
    first = review(folder)
    page = Page(first["url"])
    assert page.ask("POST", "submit", {})[0] == 200
    assert not (folder / "review.json").exists(), "it lingers for its own page alone"
    assert page.ask("GET", "")[0] == 200
    second = review(folder)
    assert second["pid"] != first["pid"] and gone(first["pid"])
    page = Page(second["url"])
    assert page.status == 200 and page.save("an afterthought") == 200
    assert feedback(folder)["state"] == "submitted" and wait_review(folder, 0)


def test_an_idle_server_ends_but_not_before_who_was_sent_there_had_as_long_to_come(folder: Path, room: Room) -> None:
    idle_s = 5.0  # in which `review` gets there on a busy machine too
    command = [sys.executable, "-m", "mega_code.hitl.review_server", str(folder), "--idle-s", str(idle_s)]
    born = time.monotonic()
    with subprocess.Popen(command, cwd=REPOSITORY, env=room.env, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + SECONDS
        while not (folder / "review.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert review(folder)["pid"] == process.pid
        assert process.communicate(timeout=SECONDS)[1] == b""
        # It was idle once, found that somebody was sent there, and was idle for as long again.
        assert process.returncode == 0 and time.monotonic() - born >= 2 * idle_s
    assert not (folder / "review.pid").exists()
    assert json.loads((folder / "review.json").read_text())["pid"] is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST {path}save HTTP/1.1\r\nContent-Length: 262145\r\n\r\n", b"413"),
        (b"POST {path}save HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"POST {path}save HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"411"),
        (b"PUT {path} HTTP/1.1\r\n\r\n", b"501"),
        (b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET {path} HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"431"),
    ],
)
def test_what_is_too_much_is_refused_unread(folder: Path, head: bytes, status: bytes) -> None:
    url = urlsplit(review(folder)["url"])
    with socket.create_connection(("127.0.0.1", url.port or 0), timeout=SECONDS) as connection:
        connection.sendall(head.replace(b"{path}", url.path.encode()))
        assert connection.recv(64).split()[1] == status


def test_a_static_page_needs_no_server_and_cannot_be_blind(folder: Path) -> None:
    path = folder.parent / "review of it.html"
    assert review(folder, static=path) == {"static": str(path)}
    page = path.read_text("utf-8")
    assert "http-equiv" in page and "default-src &#x27;none&#x27;" in page and "with_skill" in page
    assert not (folder / "review.json").exists() and not (folder / "feedback.json").exists()
    with pytest.raises(MegaCodeError) as caught:
        review(folder, blind=True, static=path)
    assert caught.value.code == "invalid_arguments"
    with pytest.raises(MegaCodeError) as caught:
        review(folder, static=folder / "no" / "such" / "page.html")
    assert caught.value.code == "invalid_path"


class Disk(NamedTuple):
    """A file system of one MiB."""

    path: Path

    def fill(self) -> Path:
        """Take all that is left; the file to remove again."""
        ballast = self.path / "ballast"
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as stream:
            while True:
                stream.write(b"\0" * 4096)
        return ballast


@pytest.fixture
def disk(room: Room) -> Iterator[Disk]:
    path = room.root / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    done: Optional[subprocess.CompletedProcess[bytes]] = None
    with contextlib.suppress(OSError):
        done = subprocess.run(command, capture_output=True, check=False)
    if done is None or done.returncode:
        pytest.skip("a small file system cannot be mounted here; that takes root")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_loses_nothing_that_was_saved(disk: Disk) -> None:
    folder = iteration(disk.path)
    page = Page(review(folder)["url"])
    try:
        assert page.save("before") == 200
        url = review(folder)["url"]
        ballast = disk.fill()
        assert [Page(url).status, Page(url).status] == [200, 403], "an address works once on a full disk too"
        assert page.save("x" * 9000) == 507
        assert page.ask("POST", "submit", {})[0] == 507
        assert feedback(folder)["cases"]["leap-second"]["text"] == "before"
        with pytest.raises(MegaCodeError, match="cannot be written: No space left on device"):
            review(folder)
        ballast.unlink()
        assert page.save("x" * 9000) == 200
        assert feedback(folder)["cases"]["leap-second"]["text"] == "x" * 9000
    finally:
        stop_review(folder)
