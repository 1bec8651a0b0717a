"""An artifact host, or a manifest, that means harm: refused with a code, in bounded time, nothing staged or outside."""

from __future__ import annotations

import contextlib
import gzip
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Union

import pytest
import requests

from mega_code import settings
from mega_code.client.remote_enhance import api, manifest, retrying, transport
from mega_code.client.remote_enhance.wire import Pace, Stalled
from mega_code.errors import MegaCodeError
from support.batch import Batch
from support.client import Client
from support.fake_gateway import SKILL_MD, Answer, FakeGateway, Handler, Responder, bomb, hang
from support.room import Room
from support.tally import tally

MIB = 1024 * 1024
PATHS = (
    *("..", ".", "", "/", "../x", "a/../../x", "a/..", "./x", "a//b", "a/", "/etc/passwd", "//x", "~/../x/.."),
    *("..\\x", "a\\..\\b", "\\\\host\\share", "C:x", "c:/x", "Z:\\x", "a\0b", "a\nb", "a\rb", "a\tb", "a\x1bb", "\x7f", "a\x9bb"),
    *("x" * 256, "\u00e9" * 128, "d/" * 512 + "x", "\ud800", "a/\udfff"),
)  # fmt: skip
COLLIDING = (
    ("a", "A"), ("a/b", "A/c"), ("caf\u00e9", "cafe\u0301"), ("stra\u00dfe", "STRASSE"), ("\ufb01x", "fix"), ("\u212a", "k"),
    ("a", "a/b"), ("a/b/c", "a/b"), ("a", "a"), ("x\u200dy", "xy"), ("\u00adx", "x"), ("\u0130", "i\u0307"),
)  # fmt: skip
LOOPBACK = ("127.0.0.1", "2130706433", "017700000001", "0x7f000001", "0x7F.1", "127.1", "0177.0.0.1", "0x7f.0.0.1", "127.0.1",
            "[::1]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "[::]", "0", "0.0.0.0", "localhost", "LOCALHOST", "a.localhost")  # fmt: skip
METADATA = ("169.254.169.254", "2852039166", "0xa9fea9fe", "025177524776", "169.254.43518", "[fd00:ec2::254]",
            "[::ffff:a9fe:a9fe]", "metadata.google.internal", "METADATA.google.internal", "metadata.google.internal.")  # fmt: skip


def addresses(own: str) -> Iterator[str]:
    """Addresses that nothing may be fetched from; `own` is the gateway's."""
    port = own.rpartition(":")[2]
    for host in (*LOOPBACK, *METADATA):
        yield f"https://{host}/"
        yield f"http://{host}/"
    for host in (host for host in LOOPBACK if host != "127.0.0.1"):
        yield f"http://{host}:{port}/"
    for allowed in ("x.amazonaws.com", "x.cloudfront.net"):
        yield from (
            f"{scheme}://{allowed}/" for scheme in ("http", "ftp", "file", "gopher", "data", "javascript", "ws")
        )
        yield f"https://{allowed}@127.0.0.1/"
        yield f"https://{allowed}:443@127.0.0.1/"
        yield f"https://user:word@{allowed}/"
        yield f"https://@{allowed}/"
        yield f"https://127.0.0.1\\@{allowed}/"
        yield f"https://127.0.0.1#@{allowed}/"
        yield f"https://127.0.0.1#.{allowed}/"
        yield f"https://127.0.0.1?.{allowed}"
        yield f"https://127.0.0.1%2f.{allowed}/"
        yield f"https://{allowed}.evil.example/"
        yield f"https://evil{allowed[1:].replace('.', '-', 1)}/"
        yield f"https://{allowed}./"
        yield f"https://{allowed}:99999/"
        yield f"https://{allowed}:x/"
        yield f" https://{allowed}/"
        yield f"https://{allowed}/\r\nHost: evil.example"
        yield f"https://{allowed[1:]}/"
        yield f"https:/{allowed}/"
        yield f"https:{allowed}/"
        yield f"//{allowed}/"
        yield allowed
        yield f"https://{allowed.replace('a', chr(0x430)).replace('o', chr(0x43E))}/"
        yield f"https://{allowed.replace('.', chr(0x3002))}/"
    yield from (
        "https://amazonaws.com/",
        "https://",
        "",
        "https://[",
        "https://[::1",
        "https://]/",
        f"{own}0/",
        f"{own}@evil.example/",
    )
    yield from (
        own.replace("http:", "https:") + "/",
        own.replace("127.0.0.1", "127.0.0.2") + "/",
        f"http://u@127.0.0.1:{port}/",
    )


def poll(batch: Batch, client: Client, fake: FakeGateway) -> str:
    """Wait for the job; gives the error's code. Nothing may be staged."""
    ended = batch.run("--poll-existing", fake.job_id)
    assert ended.status in (4, 5) and "job_id" in ended.envelope["error"], ended
    kept = {f"{fake.job_id}.{ending}" for ending in ("result.json", "report.html")}
    assert {path.name for path in client.enhancements.iterdir()} == kept
    return ended.code


def test_no_path_leads_out_of_the_staging_dir(client: Client, fake: FakeGateway, batch: Batch) -> None:
    for relpath in PATHS:
        fake.file_extra = {"scripts/run.sh": {"relpath": relpath}}
        assert poll(batch, client, fake) == "invalid_path", relpath
    for first, second in COLLIDING:
        fake.files = {"SKILL.md": SKILL_MD.encode(), "1": b"", "2": b""}
        fake.file_extra = {"1": {"relpath": first}, "2": {"relpath": second}}
        assert poll(batch, client, fake) == "invalid_path", (first, second)
    assert fake.count("GET", "^/files/") == 0
    tally("hostile artifact paths", len(PATHS) + len(COLLIDING))


def test_no_address_but_an_allowed_one_is_fetched(client: Client, fake: FakeGateway, batch: Batch) -> None:
    urls = list(addresses(fake.url))
    source = manifest.Source(fake.url, settings.DEFAULT_HOST_SUFFIXES)
    for url in urls:
        with pytest.raises(MegaCodeError, match="not allowed"):
            manifest.check_url(url, source)
    for url in urls[::5]:  # through the whole command, which costs more
        fake.file_extra = {"scripts/run.sh": {"url": url}}
        assert poll(batch, client, fake) == "invalid_path", url
    assert {seen.path.split("/")[1] for seen in fake.seen} == {"api"}
    tally("hostile artifact addresses", len(urls))


def test_no_suffix_of_the_person_lets_an_address_through(client: Client, fake: FakeGateway) -> None:
    client.env["MEGA_CODE_ENHANCE_DOWNLOAD_HOST_SUFFIXES"] = (
        "1,.1,localhost,254,.169.254,google.internal,com,0x7f000001"
    )
    with Batch(client) as batch:
        for host in (*LOOPBACK, *METADATA):
            fake.file_extra = {"scripts/run.sh": {"url": f"https://{host}/"}}
            assert poll(batch, client, fake) == "invalid_path", host
    tally("hostile artifact addresses", len(LOOPBACK + METADATA))


def raw(*pieces: bytes, endless: bytes = b"") -> Callable[[Handler], None]:
    """A responder that writes to the socket itself: `pieces`, then `endless` for as long as somebody reads."""

    def respond(handler: Handler) -> None:
        handler.wfile.write(b"".join(pieces))
        while endless and not handler.fake.closing.is_set():
            handler.wfile.write(endless * (64 * 1024 // len(endless) + 1))

    return respond


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY_BLOCKS = b"\0\0\0\xff\xff" * 13107
BOMB = zlib.compress(bytes(64 * MIB))


def encoded(name: str, body: bytes) -> Answer:
    return Answer(200, body, (("Content-Encoding", name),))


LIES: dict[str, tuple[Union[Answer, Responder], str]] = {
    "gzip bomb": (encoded("gzip", gzip.compress(bytes(64 * MIB))), "size_exceeded"),
    "deflate bomb": (encoded("deflate", BOMB), "size_exceeded"),
    "bomb in a bomb": (encoded("gzip, gzip", gzip.compress(gzip.compress(bytes(64 * MIB)))), "download_failed"),
    "br": (encoded("br", b"\x0b\x02\x80"), "download_failed"),
    "zstd": (encoded("zstd", b"(\xb5/\xfd"), "download_failed"),
    "gzip in br": (encoded("gzip, br", gzip.compress(b"x")), "download_failed"),
    "no gzip": (encoded("gzip", b"text"), "download_failed"),
    "half a gzip": (encoded("gzip", gzip.compress(b"x" * 999)[:-9]), "download_failed"),
    "two gzips": (encoded("gzip", gzip.compress(b"x") * 2), "sha256_mismatch"),
    "two gzip bombs": (encoded("gzip", gzip.compress(bytes(20 * MIB)) * 2), "size_exceeded"),
    "a gzip and rubbish": (encoded("gzip", gzip.compress(b"x") + b"x"), "download_failed"),
    "gzips of nothing for ever": (
        raw(OK + b"Content-Encoding: gzip\r\n\r\n", endless=gzip.compress(b"")),
        "download_failed",
    ),
    "gzip of nothing for ever": (
        raw(OK + b"Content-Encoding: deflate\r\n\r\n\x78\x9c", endless=EMPTY_BLOCKS),
        "size_exceeded",
    ),
    "endless": (raw(OK + b"\r\n", endless=bytes(1024)), "size_exceeded"),
    "endless and said to be short": (raw(OK + b"Content-Length: 1\r\n\r\n", endless=bytes(1024)), "sha256_mismatch"),
    "endless chunks": (raw(CHUNKED, endless=b"400\r\n" + bytes(1024) + b"\r\n"), "size_exceeded"),
    "endless chunk extensions": (raw(CHUNKED, endless=b"1;" + b"x" * 60_000 + b"\r\n.\r\n"), "size_exceeded"),
    "endless trailers": (raw(CHUNKED + b"0\r\n", endless=b"x: y\r\n"), "size_exceeded"),
    "endless interim answers": (raw(endless=b"HTTP/1.1 100 Continue\r\n\r\n"), "size_exceeded"),
    "longer than said": (Answer(200, b"x" * 99, (("Content-Length", "9"),)), "sha256_mismatch"),
    "a redirect": (Answer(302, b"", (("Location", "http://127.0.0.1:9/"),)), "download_failed"),
    "a redirect to itself": (Answer(307, b"", (("Location", "/files/SKILL.md"),)), "download_failed"),
    "a redirect with a bomb": (bomb, "download_failed"),
    "no content": (Answer(204), "download_failed"),
    "a part": (Answer(206, SKILL_MD.encode(), (("Content-Range", "bytes 0-1/2"),)), "download_failed"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_body_that_lies_is_refused(client: Client, fake: FakeGateway, batch: Batch, name: str) -> None:
    answer, code = LIES[name]
    fake.on("GET", "^/files/SKILL.md", answer)
    assert poll(batch, client, fake) == code
    assert fake.count("GET", "^/files/SKILL.md") == 1
    tally("hostile bodies", 1)


BROKEN = {
    "a header line without end": raw(OK, endless=b"x"),
    "headers without end": raw(OK, endless=b"x: y\r\n"),
    "no status line": raw(b"\r\n\r\n"),
    "another protocol": raw(b"SSH-2.0-OpenSSH_9.0\r\n"),
    "a status that is no number": raw(b"HTTP/1.1 OK\r\n\r\n"),
    "a length that is none": raw(OK + b"Content-Length: ten\r\n\r\nx"),
    "two lengths": raw(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    "a chunk size that is none": raw(CHUNKED + b"zz\r\nx\r\n"),
    "a negative chunk": raw(CHUNKED + b"-5\r\nx\r\n"),
    "a body that breaks off": Answer(200, b"abc", (("Content-Length", "100"), ("Connection", "close"))),
    "no answer": lambda handler: None,
    "folded and nameless headers": raw(OK + b" folded: x\r\n: y\r\nnothing\r\n\r\n"),
}


def test_an_answer_that_is_no_http_is_given_up_after_five_attempts(room: Room) -> None:
    def attack(name: str) -> tuple[str, str, int]:
        with FakeGateway() as fake:
            client = Client(Room(room.root / name), fake.env)
            fake.on("GET", "^/files/SKILL.md", BROKEN[name])  # type: ignore[arg-type]
            with Batch(client) as batch:
                return name, poll(batch, client, fake), fake.count("GET", "^/files/SKILL.md")

    with ThreadPoolExecutor(len(BROKEN)) as pool:
        ended = list(pool.map(attack, BROKEN))
    for name, code, attempts in ended:
        assert code in ("download_failed", "sha256_mismatch") and attempts in (1, 5), (name, code, attempts)
    assert ("a body that breaks off", "download_failed", 5) in ended
    assert ("no answer", "download_failed", 5) in ended
    tally("hostile bodies", len(BROKEN))


def test_a_body_that_breaks_off_twice_is_fetched_whole(client: Client, fake: FakeGateway, batch: Batch) -> None:
    whole = fake.files["SKILL.md"]
    half = Answer(200, whole[:100], (("Content-Length", str(len(whole))), ("Connection", "close")))
    fake.on("GET", "^/files/SKILL.md", half, times=2)
    ended = batch.run("--poll-existing", fake.job_id)
    assert ended.envelope["needs_install_location"] is True and fake.count("GET", "^/files/SKILL.md") == 3
    assert (client.enhancements / fake.job_id / "SKILL.md").read_bytes() == whole


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"sha256": "0" * 64}, "sha256_mismatch"),
        ({"sha256": "0" * 63}, "invalid_response"),
        ({"sha256": ""}, "invalid_response"),
        ({"size": 1}, "download_failed"),
        ({"size": 26 * MIB}, "size_exceeded"),
        ({"size": 10**30}, "size_exceeded"),
        ({"size": -1}, "invalid_response"),
        ({"size": 1.5}, "invalid_response"),
        ({"mode": "4755x"}, "invalid_response"),
    ],
    ids=str,
)
def test_a_manifest_that_lies_is_refused(
    client: Client, fake: FakeGateway, batch: Batch, extra: dict[str, Any], code: str
) -> None:
    fake.file_extra = {"SKILL.md": extra}
    assert poll(batch, client, fake) == code


def test_special_permission_bits_do_not_arrive(client: Client, fake: FakeGateway, batch: Batch) -> None:
    fake.file_extra = {"scripts/run.sh": {"mode": "6777"}}
    assert batch.run("--poll-existing", fake.job_id).status == 0
    assert (client.enhancements / fake.job_id / "scripts/run.sh").stat().st_mode & 0o7777 == 0o755


def test_counts_and_sums_over_the_caps_are_refused(client: Client, fake: FakeGateway, batch: Batch) -> None:
    files = [{"relpath": f"f{number}", "url": fake.url, "sha256": None, "size": 0} for number in range(2001)]
    fake.result = {"artifact": {"files": files}}
    assert poll(batch, client, fake) == "size_exceeded"
    fake.result = {}
    fake.files = {"SKILL.md": SKILL_MD.encode(), **{f"big{number}": bytes(21 * MIB) for number in range(5)}}
    fake.file_extra = {relpath: {"size": None} for relpath in fake.files}
    assert poll(batch, client, fake) == "size_exceeded"


YAML = {
    "a bomb": "a: &a [x, x]\n"
    + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghijklmno", "bcdefghijklmnop")),
    "a loop": "a: &a [*a]\n",
    "a call": "a: !!python/object/apply:os.system ['touch /tmp/mega-code-was-here']\n",
    "a module": "a: !!python/module:os\n",
    "a name": "a: !!python/name:os.system\n",
    "an unknown tag": "a: !evil x\n",
    "deep": "a: " + "[" * 5000 + "]" * 5000 + "\n",
    "deep blocks": "".join(" " * n + "a:\n" for n in range(300)),
    "large": "a: " + "x" * 70_000 + "\n",
    "a number": "a: 0x" + "f" * 60_000 + "\n",
    "base 60": "a: 1" + ":59" * 20_000 + "\n",
    "no end": "a: [\n",
    "tabs": "\ta: 1\n",
    "control characters": "a: \x01\n",
    "two documents": "a: 1\n...\nb: 2\n",
    "a list": "- a\n",
    "no metadata": "a: 1\n",
    "empty lists": "metadata: {tags: [], roi: []}\n",
    "strings for lists": "metadata: {tags: x, roi: y}\n",
}


def test_frontmatter_that_means_harm_is_kept_apart_and_runs_nothing(
    client: Client, fake: FakeGateway, batch: Batch
) -> None:
    rejected = client.enhancements / f"{fake.job_id}.rejected"
    for name, text in YAML.items():
        fake.files = {"SKILL.md": f"---\n{text}---\n".encode()}
        ended = batch.run("--poll-existing", fake.job_id)
        assert ended.code == "invalid_frontmatter", (name, ended)
        assert (rejected / "SKILL.md").read_bytes() == fake.files["SKILL.md"], name
        assert not (client.enhancements / fake.job_id).exists()
    assert not Path("/tmp/mega-code-was-here").exists()
    tally("hostile frontmatter", len(YAML))


# Time. The limits are data: the same code with tenths of seconds here, and once, marked slow, as it ships.


def trickle(*first: bytes, piece: bytes = b"x", every_s: float = 0.1) -> Callable[[Handler], None]:
    """A responder that sends `first`, then a piece now and then."""

    def respond(handler: Handler) -> None:
        handler.wfile.write(b"".join(first))
        while not handler.fake.closing.wait(every_s):
            handler.wfile.write(piece)

    return respond


TRICKLES: dict[str, Callable[[Handler], None]] = {
    "the status line byte by byte": trickle(b"HTTP/1.1 20"),
    "a header byte by byte": trickle(OK),
    "a header now and then": trickle(OK, piece=b"a: b\r\n"),
    "interim answers now and then": trickle(piece=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body byte by byte": trickle(OK + b"Content-Length: 99999\r\n\r\n"),
    "chunks byte by byte": trickle(CHUNKED, piece=b"1\r\n.\r\n"),
    "a chunk size byte by byte": trickle(CHUNKED, piece=b"0"),
    "trailers now and then": trickle(CHUNKED + b"0\r\n", piece=b"a: b\r\n"),
    "a stall in the head": trickle(OK, piece=b""),
    "a stall in the body": trickle(OK + b"Content-Length: 9\r\n\r\nx", piece=b""),
    "silence": hang,
}
BRISK = Pace(connect=1.0, read=0.5, stall=0.5, transfer=1.0)
IN_TIME_S = 120.0  # on a busy machine; these peers go on for as long as they are heard


@pytest.mark.parametrize("name", TRICKLES)
def test_a_peer_that_trickles_is_given_up_in_time(fake: FakeGateway, name: str) -> None:
    fake.on("GET", "/x", TRICKLES[name])
    started = time.monotonic()
    with pytest.raises((Stalled, requests.ReadTimeout)):
        transport.Transport(BRISK).send("GET", f"{fake.url}/x", cap=MIB)
    assert time.monotonic() - started < IN_TIME_S
    tally("hostile bodies", 1)


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
@pytest.mark.parametrize("name", ["a header now and then", "a stall in the head", "silence"])
def test_a_proxy_that_trickles_is_given_up_in_time(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, name: str, method: str
) -> None:
    scheme = "https" if method == "CONNECT" else "http"
    monkeypatch.setenv(f"{scheme}_proxy", fake.url)
    fake.on(method, "host.invalid", TRICKLES[name])
    started = time.monotonic()
    with pytest.raises((Stalled, requests.RequestException)):
        transport.Transport(BRISK).send("GET", f"{scheme}://host.invalid/", cap=MIB)
    assert time.monotonic() - started < IN_TIME_S and fake.count(method, "host.invalid") == 1


def test_an_answer_that_is_held_back_for_long_is_waited_for(fake: FakeGateway) -> None:
    """As a server may that was asked to `Prefer: wait`: no byte for longer than a transfer may stall, then all."""

    def hold(handler: Handler) -> Answer:
        handler.fake.closing.wait(3.0)
        return Answer(200, b"late")

    fake.on("GET", "/x", hold)
    patient = transport.Transport(Pace(connect=60.0, read=60.0, stall=2.0, transfer=2.5))
    assert patient.send("GET", f"{fake.url}/x", cap=MIB).body == b"late"


def test_attempts_that_trickle_and_break_off_share_one_time(fake: FakeGateway) -> None:
    def respond(handler: Handler) -> None:
        handler.wfile.write(OK + b"Content-Length: 99\r\n\r\n")
        for _ in range(6):
            handler.fake.closing.wait(0.1)
            handler.wfile.write(b"x")

    fake.on("GET", "/x", respond)
    sender = transport.Transport(Pace(connect=60.0, read=60.0, stall=60.0, transfer=1.5))
    watch = sender.watch()
    with pytest.raises(Stalled):
        retrying.persist(
            lambda: sender.send("GET", f"{fake.url}/x", cap=MIB, watch=watch), retrying.is_dropped, lambda seconds: None
        )
    assert fake.count("GET", "/x") < 5  # each takes 0.6 s or more, and after five it would be a broken connection


@pytest.mark.slow
def test_every_trickle_ends_soon_as_it_ships(room: Room) -> None:
    def attack(case: tuple[str, str]) -> tuple[str, str]:
        name, path = case
        with FakeGateway() as fake:
            client = Client(Room(room.root / f"{name} {path[1]}"), fake.env)
            fake.on("GET", path, TRICKLES[name])
            with Batch(client, Pace()) as batch:  # which kills what does not end
                return name, batch.run("--poll-existing", fake.job_id).code

    cases = [(name, path) for name in TRICKLES for path in ("^/files/SKILL.md", "/result$")]
    cases.remove(("silence", "/result$"))  # an API call without a first byte is made five times
    with ThreadPoolExecutor(len(cases)) as pool:
        ended = list(pool.map(attack, cases))
    assert {code for _, code in ended} == {"download_failed", "network_failure"}, ended
    tally("hostile bodies", len(cases))


def outcomes(*given: Any) -> tuple[Callable[[], transport.Response], list[float]]:
    """A way to send whose attempts end as `given`, and where the pauses in between are noted."""
    left = iter(given)

    def send() -> transport.Response:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return transport.Response(*outcome)

    return send, []


SILENT, REFUSED = requests.ReadTimeout(), requests.ConnectionError()
BUSY: tuple[Any, ...] = (503, {}, b"")
FULL: tuple[Any, ...] = (429, {}, b'{"error": {"code": "queue_full"}}')
GOOD: tuple[Any, ...] = (200, {}, b"{}")


@pytest.mark.parametrize(
    ("given", "attempts"),
    [
        ((SILENT, GOOD), 2),
        ((SILENT,) * 5, 5),
        ((REFUSED,) * 5, 5),
        ((BUSY,) * 5, 5),
        ((FULL, FULL), 2),
        ((FULL, SILENT, BUSY, REFUSED, GOOD), 5),
        ((FULL, BUSY, FULL), 3),
        ((requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] unknown"),), 1),
        ((requests.exceptions.InvalidURL(),), 1),
        ((Stalled(),), 1),
        (((500, {}, b""),), 1),
        (((401, {}, b""),), 1),
    ],
)
def test_a_call_is_asked_again_five_times_but_of_a_full_queue_once(given: tuple[Any, ...], attempts: int) -> None:
    send, pauses = outcomes(*given)
    with contextlib.suppress(requests.RequestException, Stalled):
        retrying.persist(send, api.Patience(), pauses.append)
    assert len(pauses) == attempts - 1 == len(given) - 1


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3), ("0", 0), ("100", 100), ("Mon, 01 Jan 1990 00:00:00 GMT", 0)]
)
def test_a_retry_after_is_honoured(header: str, seconds: int) -> None:
    send, pauses = outcomes((503, {"retry-after": header}, b""), (200, {}, b"x"))
    assert retrying.persist(send, lambda outcome: getattr(outcome, "status", 0) == 503, pauses.append).body == b"x"
    assert pauses == [seconds]


@pytest.mark.parametrize(
    "header", ["121", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"], ids=["two minutes", "5000 digits", "for ever"]
)
def test_a_server_that_asks_for_more_than_two_minutes_is_not_asked_again(header: str) -> None:
    send, pauses = outcomes((503, {"retry-after": header}, b""))
    assert retrying.persist(send, api.Patience(), pauses.append).status == 503 and pauses == []


@pytest.mark.parametrize(
    "header", ["soon", "-1", "1.5", "\u0663", "Mon, 99 Foo 0000", "Mon, 01 Jan 99999 00:00:00 GMT", "1e9", ""]
)
def test_a_retry_after_that_says_nothing_leaves_the_backoff(header: str) -> None:
    send, pauses = outcomes(*[(503, {"retry-after": header}, b"")] * 5)
    assert retrying.persist(send, api.Patience(), pauses.append).status == 503
    assert [longest * 0.75 <= seconds <= longest for seconds, longest in zip(pauses, (0.5, 1, 2, 4))] == [True] * 4
