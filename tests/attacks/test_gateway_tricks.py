"""Other people's ids, URLs with forged signatures, and text that would like to be SQL, a path or a header."""

from __future__ import annotations

import http.client
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from mega_code.gateway.server import Gateway
from mega_code.settings import API_BASE
from support.gateway import ENHANCED, Client, client_of, error, running, skill_zip, unique_skill
from support.tally import tally

NOW = datetime(2026, 4, 22, 6, 11, 55, tzinfo=timezone.utc)
TEXTS = [
    "' OR '1'='1",
    "'; DROP TABLE jobs; --",
    '" OR ""="',
    "1) UNION SELECT key_hash FROM keys --",
    "%",
    "_",
    "demo' --",
    "demo\0",
    "../../gateway.sqlite3",
    "..%2f..%2fgateway.sqlite3",
    "....//....//etc/passwd",
    "/etc/passwd",
    "..\\..\\x",
    "file:///etc/passwd",
    "~",
    "$(id)",
    "`id`",
    "{{7*7}}",
    "%s%s%s%n",
    "demo\r\nX-Injected: 1",
    "demo\nSet-Cookie: a=b",
    "\u202edemo",
    "démo",
    "ｄｅｍｏ",
    "Demo",
    "-demo",
    "demo-",
    "",
    " ",
    "a" * 65,
    "a" * 8000,
    "None",
    "-1",
    "NaN",
]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path / "data dir") as started:
        yield started


@pytest.fixture
def alice(gateway: Gateway) -> Client:
    return client_of(gateway, "alice")


def done(client: Client, archive: bytes) -> str:
    job_id = client.submit(archive)
    client.until_status(job_id, "succeeded")
    return job_id


def as_written(client: Client, method: str, path: str, **headers: str) -> tuple[int, dict[str, object], dict[str, str]]:
    """Status, body and headers for a path that no library has tidied up first."""
    parts = urlsplit(client.url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)) as connection:
        connection.putrequest(method, path, skip_host=False)
        for name, value in {**client.headers, **headers}.items():
            connection.putheader(name, value.encode("utf-8"))
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), dict(answer.getheaders())


def test_another_users_things_are_not_there(gateway: Gateway, alice: Client) -> None:
    job_id = done(alice, skill_zip())
    own = json.dumps(alice.result(job_id).json()["artifact"])
    tried = 0
    for stranger in (client_of(gateway, "bob"), client_of(gateway, "alice2"), client_of(gateway, "Alice")):
        for spelling in (job_id, job_id.upper(), quote(job_id[:8]) + job_id[8:]):
            for method, tail in (("GET", ""), ("GET", "/result"), ("POST", "/cancel"), ("GET", "?user_id=alice")):
                answer = stranger.call(method, f"/skill-enhance/jobs/{spelling}{tail}")
                nobody = stranger.call(method, f"/skill-enhance/jobs/00000000-0000-4000-8000-000000000000{tail}")
                assert error(answer) == (404, "not_found")
                assert answer.text == nobody.text  # nothing tells one that is there from one that is not
                tried += 1
        assert error(stranger.upload(unique_skill(7), user_id="alice")) == (400, "invalid_user_id")
        for path in (f"/artifacts/{job_id}/SKILL.md", f"/artifacts/{job_id}/../archive.zip", f"/artifacts/{job_id}"):
            status, body, _ = as_written(stranger, "GET", API_BASE + path)
            assert status in (403, 404), body
            tried += 1
    assert json.dumps(alice.result(job_id).json()["artifact"])[:200] == own[:200]
    assert alice.job(job_id).json()["status"] == "succeeded"
    tally("gateway other users' ids", tried)


def test_a_signed_url_altered_anywhere_is_refused(tmp_path: Path) -> None:
    now = [NOW]
    with running(tmp_path / "data dir", None, lambda: now[0], url_ttl_s=60) as gateway:
        alice = client_of(gateway)
        first, second = (done(alice, unique_skill(number)) for number in (1, 2))
        url = urlsplit(alice.result(first).json()["artifact"]["files"][0]["url"])
        query = dict(pair.split("=") for pair in url.query.split("&"))
        expires, signature = query["expires"], query["signature"]

        def ask(path: str, expires: str = expires, signature: str = signature, more: str = "") -> int:
            return as_written(
                Client(gateway.url, None), "GET", f"{path}?expires={expires}&signature={signature}{more}"
            )[0]

        paths = [
            url.path.replace(first, second),
            url.path.replace(first, first.upper()),
            *(url.path.replace("SKILL.md", name) for name in ("skill.md", "SKILL.md/", "./SKILL.md", "SKILL.md%00")),
            *(url.path.replace("SKILL.md", name) for name in ("x/../SKILL.md", "..%2fSKILL.md", "%2e%2e/archive.zip")),
            *(url.path.replace("SKILL.md", name) for name in ("../../jobs/" + second, "SKILL.md%0a", "SKILL.md;x")),
        ]
        later = str(int(expires) + 3600)
        times = [
            later,
            f"0{expires}",
            f"+{expires}",
            f"{expires}.0",
            f"%20{expires}",
            "",
            "0",
            "-1",
            "9" * 12,
            "9" * 5000,
        ]
        times += [quote("".join(chr(0x660 + int(digit)) for digit in expires)), f"{expires}%0a", "1e12", "inf", "nan"]
        flips = [
            signature[:at] + format(int(signature[at], 16) ^ bit, "x") + signature[at + 1 :]
            for at in range(64)
            for bit in (1, 2, 4, 8)
        ]
        others = [
            "",
            signature[:-1],
            signature + "0",
            signature.upper(),
            "0" * 64,
            "%00" * 64,
            "%c3%a9",
            signature * 100,
        ]
        refused = [
            *(ask(path) for path in paths),
            *(ask(url.path, expires=moment) for moment in times),
            *(ask(url.path, signature=forged) for forged in (*flips, *others) if forged != signature),
            ask(url.path, signature="0" * 64, more=f"&signature={'1' * 64}"),
        ]
        assert set(refused) <= {403, 404}
        assert refused.count(403) >= len(refused) - 3  # an empty name or a slash at the end is another route
        file_url = url._replace(netloc=urlsplit(gateway.url).netloc).geturl()[len(alice.api) :]
        assert alice.call("GET", file_url).content == ENHANCED
        now[0] = NOW + timedelta(seconds=61)
        assert error(alice.call("GET", file_url)) == (403, "expired_url")
    tally("gateway forged URLs", len(refused))


def test_text_that_would_be_sql_a_path_or_a_header_is_only_text(
    gateway: Gateway, alice: Client, tmp_path: Path
) -> None:
    job_id = done(alice, skill_zip())
    count = 0
    for number, text in enumerate(TEXTS):
        archive = unique_skill(number)
        answers = [alice.upload(archive, skill_id=text), alice.prebuilt(archive, skill_id=text, key=f"text-{number}")]
        answers += [alice.upload(archive, user_id=text), alice.upload(archive, source=text)]
        assert all(answer.status_code == 400 for answer in answers), text
        safe = quote(text, safe="")
        for method, path in (
            ("GET", f"/skill-enhance/jobs/{safe}"),
            ("GET", f"/skill-enhance/jobs/{safe}/result"),
            ("POST", f"/skill-enhance/jobs/{safe}/cancel"),
            ("GET", f"/artifacts/{job_id}/{safe}?expires=9999999999&signature={'0' * 64}"),
            ("GET", f"/artifacts/{safe}/SKILL.md?expires={safe}&signature={safe}"),
            ("GET", f"/{safe}"),
        ):
            status, body, headers = as_written(alice, method, API_BASE + path)
            assert 400 <= status < 500, (path, body)
            assert not {"X-Injected", "Set-Cookie"} & set(headers)
        if text.isprintable():
            for header in ("Idempotency-Key", "Prefer", "Host", "Authorization"):
                status, body, _ = as_written(alice, "POST", f"{API_BASE}/skill-enhance/uploads", **{header: text})
                assert 400 <= status < 500, (header, text, body)
        count += 14
    with closing(sqlite3.connect(gateway.folders.database)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (jobs,) = database.execute("SELECT COUNT(*) FROM jobs WHERE skill_id <> 'demo'").fetchone()
    assert jobs == 0
    assert alice.job(job_id).json()["status"] == "succeeded"
    assert not (tmp_path / "etc").exists()
    tally("gateway injections", count)
