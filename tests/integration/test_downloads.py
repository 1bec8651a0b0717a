"""An artifact host that lies, stalls or bombs: a contract code, in bounded time, and nothing half-written."""

from __future__ import annotations

import gzip

import pytest

from support.client import Client
from support.fake_gateway import Answer, FakeGateway, Handler, hang

MIB = 1024 * 1024


def refused(client: Client, code: str) -> None:
    outcome = client("--skill-name", "demo-skill")
    assert (outcome.status, outcome.code) == (4, code), outcome
    assert "job_id" in outcome.envelope["error"]
    assert {path.suffix for path in client.enhancements.iterdir()} == {".json", ".html"} and client.leftovers() == []


def trickle(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.fake.closing.wait(0.5):
        handler.wfile.write(b"x")


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while not handler.fake.closing.is_set():
        handler.wfile.write(bytes(MIB))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (endless, "size_exceeded"),
        (Answer(200, bytes(26 * MIB)), "size_exceeded"),
        (Answer(200, gzip.compress(bytes(64 * MIB)), (("Content-Encoding", "gzip"),)), "size_exceeded"),
        (Answer(200, gzip.compress(bytes(13 * MIB)) * 2, (("Content-Encoding", "gzip"),)), "size_exceeded"),
        (Answer(200, b"abc", (("Content-Encoding", "gzip"),)), "download_failed"),
        (Answer(200, b"abc", (("Content-Encoding", "br"),)), "download_failed"),
        (Answer(200, b"abc", (("Content-Length", "100"), ("Connection", "close"))), "download_failed"),
        (Answer(200, b"abc"), "sha256_mismatch"),
        (Answer(302, b"", (("Location", "http://127.0.0.1:9/"),)), "download_failed"),
        (Answer(403, b"expired"), "download_failed"),
    ],
    ids=[
        "endless",
        "over the cap",
        "bomb",
        "bomb of two members",
        "broken gzip",
        "unknown encoding",
        "cut short",
        "other bytes",
        "redirect",
        "403",
    ],
)
def test_a_lying_host_gains_nothing(client: Client, fake: FakeGateway, answer: object, code: str) -> None:
    client.skill()
    fake.on("GET", "^/files/SKILL.md", answer)  # type: ignore[arg-type]
    refused(client, code)


@pytest.mark.slow
@pytest.mark.parametrize("answer", [trickle, hang], ids=["a byte now and then", "no byte at all"])
def test_a_stalling_host_is_given_up(client: Client, fake: FakeGateway, answer: object) -> None:
    client.skill()
    fake.on("GET", "^/files/SKILL.md", answer)  # type: ignore[arg-type]
    refused(client, "download_failed")


@pytest.mark.parametrize("page", [b"xx", bytes(26 * MIB)], ids=["an unknown encoding", "too large"])
def test_an_error_page_that_cannot_be_read_is_no_reason_to_give_up(
    client: Client, fake: FakeGateway, page: bytes
) -> None:
    headers = (("Retry-After", "0"), *((("Content-Encoding", "br"),) if page == b"xx" else ()))
    fake.on("GET", "^/files/SKILL.md", Answer(503, page, headers), times=2)
    assert client("--poll-existing", fake.job_id).status == 0
    assert (client.enhancements / fake.job_id / "SKILL.md").read_bytes() == fake.files["SKILL.md"]
    fake.on("GET", "^/files/run.sh", Answer(403, page, headers))
    fake.files["run.sh"] = b"another"
    outcome = client("--poll-existing", fake.job_id)
    assert (outcome.status, outcome.code) == (4, "download_failed")
    assert outcome.envelope["error"]["message"] == "'run.sh' could not be fetched: 403."


@pytest.mark.parametrize("members", [1, 2])
def test_a_compressed_body_is_taken_where_a_host_insists(client: Client, fake: FakeGateway, members: int) -> None:
    client.skill()
    text = fake.files["SKILL.md"]
    packed = b"".join(gzip.compress(part) for part in ((text,) if members == 1 else (text[:9], text[9:])))
    fake.on("GET", "^/files/SKILL.md", Answer(200, packed, (("Content-Encoding", "gzip"),)))
    outcome = client("--skill-name", "demo-skill")
    assert outcome.status == 0
    assert (client.enhancements / fake.job_id / "SKILL.md").read_bytes() == fake.files["SKILL.md"]


def test_files_over_a_hundred_mib_together_are_refused_whatever_was_declared(client: Client, fake: FakeGateway) -> None:
    client.skill()
    big = bytes(21 * MIB)
    fake.files.update({f"big{number}": big for number in range(5)})
    fake.file_extra = {relpath: {"size": None} for relpath in fake.files if relpath.startswith("big")}
    refused(client, "size_exceeded")


def test_two_hundred_files_arrive_whole(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.files.update({f"d{number % 7}/f{number}": str(number).encode() for number in range(200)})
    assert client("--skill-name", "demo-skill").status == 0
    staging = client.enhancements / fake.job_id
    assert {str(p.relative_to(staging)): p.read_bytes() for p in staging.rglob("*") if p.is_file()} == fake.files
