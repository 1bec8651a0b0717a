"""Every call of the API and every code it refuses with, over real HTTP."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
import requests

from mega_code.bundle import MIB, Entry, content_hash
from mega_code.gateway.server import Gateway
from mega_code.settings import API_BASE
from support.gateway import (
    SKILL,
    Client,
    Evaluator,
    client_of,
    error,
    raw,
    running,
    skill_zip,
    unique_skill,
)

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NOBODY = "00000000-0000-4000-8000-000000000000"  # an id of no job
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
def bob(gateway: Gateway) -> Client:
    return client_of(gateway, "bob")


def expected_hash(**files: bytes) -> str:
    return content_hash([Entry(path, len(data), hashlib.sha256(data).hexdigest(), 0) for path, data in files.items()])


def test_profile_names_the_keys_user(alice: Client, bob: Client) -> None:
    for client, user in ((alice, "alice"), (bob, "bob")):
        answer = client.call("GET", "/profile")
        assert (answer.status_code, answer.json()) == (200, {"user_id": user})


AUTHORIZATIONS: dict[str, Optional[str]] = {
    "none": None,
    "empty": "",
    "no-scheme": "mgw_x",
    "basic": "Basic bWd3Ong=",
    "unknown": "Bearer mgw_unknown",
    "blank": "Bearer ",
    "two": "Bearer a b",
    "latin": "Bearer \xe9\xe9",
    "long": "Bearer " + "x" * 5000,
}


@pytest.mark.parametrize("value", AUTHORIZATIONS.values(), ids=AUTHORIZATIONS.keys())
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/profile"),
        ("POST", "/skill-enhance/uploads"),
        ("POST", "/skill-enhance/uploads/prebuilt"),
        ("GET", f"/skill-enhance/jobs/{NOBODY}"),
        ("GET", f"/skill-enhance/jobs/{NOBODY}/result"),
        ("POST", f"/skill-enhance/jobs/{NOBODY}/cancel"),
    ],
)
def test_every_call_needs_a_known_key(gateway: Gateway, method: str, path: str, value: Optional[str]) -> None:
    headers = {} if value is None else {"Authorization": value.encode("latin-1")}
    answer = Client(gateway.url, None).call(method, path, headers=headers)
    assert error(answer) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_scheme_is_written_in_any_case_and_keys_are_not_kept(gateway: Gateway, tmp_path: Path) -> None:
    key = gateway.keys.issue("alice")
    answer = Client(gateway.url, None).call("GET", "/profile", headers={"Authorization": f"bEARER  {key}"})
    assert answer.json() == {"user_id": "alice"}
    stored = b"".join(path.read_bytes() for path in (tmp_path / "data dir").rglob("*") if path.is_file())
    assert key.encode() not in stored
    assert hashlib.sha256(key.encode()).hexdigest().encode() in stored


def test_an_upload_is_answered_with_all_its_figures(alice: Client, gateway: Gateway) -> None:
    archive = skill_zip(files={"notes": b"abc"})
    answer = alice.upload(archive, "my-skill")
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Content-Type"] == "application/json"
    digest = expected_hash(**{"SKILL.md": SKILL.encode(), "notes": b"abc"})
    assert body == {
        "job_id": body["job_id"],
        "content_hash": digest,
        "s3_uri": f"s3://mega-code-embedded/jobs/{body['job_id']}/archive.zip",
        "file_count": 2,
        "uploaded_bytes": len(archive),
        "source_revision": digest[:16],
    }
    assert UUID.fullmatch(body["job_id"])
    assert gateway.folders.archive(body["job_id"]).read_bytes() == archive


def test_a_job_has_exactly_the_contracted_keys(alice: Client, held: Evaluator) -> None:
    first, second = alice.submit(unique_skill(1)), alice.submit(unique_skill(2), "other")
    assert held.started.wait(10)
    waiting = alice.job(second).json()
    assert ISO.fullmatch(waiting["created_at"])
    assert waiting == {
        "job_id": second,
        "skill_id": "other",
        "status": "queued",
        "phase_public": None,
        "current_iteration": None,
        "total_iterations": None,
        "created_at": waiting["created_at"],
        "phase_started_at": None,
    }
    working = alice.job(first).json()
    assert set(working) == set(waiting)
    assert (working["status"], working["phase_public"]) == ("running", "intake")
    assert ISO.fullmatch(working["phase_started_at"])


IDS = {"random": NOBODY, "not-a-uuid": "42", "dots": "..", "long": "a" * 3000, "nul": "%00", "utf8": "%ff%fe"}


@pytest.mark.parametrize("job_id", IDS.values(), ids=IDS.keys())
@pytest.mark.parametrize(("method", "tail"), [("GET", ""), ("GET", "/result"), ("POST", "/cancel")])
def test_an_unknown_or_malformed_job_id_is_not_found(alice: Client, method: str, tail: str, job_id: str) -> None:
    assert error(alice.call(method, f"/skill-enhance/jobs/{job_id}{tail}")) == (404, "not_found")


def test_a_job_id_is_a_uuid_in_either_case(alice: Client) -> None:
    job_id = alice.submit(skill_zip())
    assert alice.job(job_id.upper()).json()["job_id"] == job_id


def test_two_users_never_see_each_others_jobs(alice: Client, bob: Client, held: Evaluator) -> None:
    held.step(1000)
    job_id = alice.submit(skill_zip())
    alice.until_status(job_id, "succeeded")
    for tail, method in (("", "GET"), ("/result", "GET"), ("/cancel", "POST")):
        assert error(bob.call(method, f"/skill-enhance/jobs/{job_id}{tail}")) == (404, "not_found")
    # The same content, name and Idempotency-Key are another job for another user.
    other = bob.submit(skill_zip())
    assert other != job_id
    assert error(alice.job(other)) == (404, "not_found")
    assert (
        alice.prebuilt(skill_zip(), key="same").status_code == bob.prebuilt(skill_zip(), key="same").status_code == 201
    )


UNKNOWN = [
    ("GET", "/", 404, "not_found"),
    ("GET", "/nothing", 404, "not_found"),
    ("GET", "/skill-enhance/jobs/", 404, "not_found"),
    ("DELETE", "/profile", 405, "method_not_allowed"),
    ("POST", "/profile", 405, "method_not_allowed"),
    ("GET", "/skill-enhance/uploads", 405, "method_not_allowed"),
    ("PUT", f"/skill-enhance/jobs/{NOBODY}", 405, "method_not_allowed"),
    ("BREW", "/profile", 405, "method_not_allowed"),
]


@pytest.mark.parametrize(("method", "path", "status", "code"), UNKNOWN)
def test_an_unknown_path_or_method_is_said_in_json(
    alice: Client, method: str, path: str, status: int, code: str
) -> None:
    assert error(alice.call(method, path)) == (status, code)


def test_a_fault_of_our_own_is_a_500_without_a_traceback_and_the_log_has_it(
    alice: Client, gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.folders.incoming.rmdir()
    assert error(alice.upload(skill_zip())) == (500, "internal_error")
    assert "FileNotFoundError" in capsys.readouterr().err
    gateway.folders.incoming.mkdir()
    assert alice.upload(skill_zip()).status_code == 201


def nested(name: str) -> bytes:
    return skill_zip(files={f"{name}/SKILL.md": SKILL.encode()})


def links() -> bytes:
    import io

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("SKILL.md", SKILL)
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return out.getvalue()


def only(name: str) -> bytes:
    data = skill_zip()
    return data.replace(b"SKILL.md", name.encode()[:8].ljust(8, b"x"))


def deep() -> bytes:
    import io

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("demo/SKILL.md", SKILL)
    return out.getvalue()


REFUSED: dict[str, tuple[int, str, Callable[[Client], requests.Response]]] = {
    "no zip": (400, "invalid_archive", lambda c: c.upload(b"no zip")),
    "truncated": (400, "invalid_archive", lambda c: c.upload(skill_zip()[:-10])),
    "link": (400, "invalid_archive", lambda c: c.upload(links())),
    "no archive field": (
        400,
        "invalid_archive",
        lambda c: c.call("POST", "/skill-enhance/uploads", files={"source": (None, "api"), "skill_id": (None, "demo")}),
    ),
    "no multipart": (
        400,
        "invalid_request",
        lambda c: c.call("POST", "/skill-enhance/uploads", data={"source": "api", "skill_id": "demo"}),
    ),
    "archive is a field": (
        400,
        "invalid_archive",
        lambda c: c.call(
            "POST",
            "/skill-enhance/uploads",
            files={"source": (None, "api"), "skill_id": (None, "demo"), "archive": (None, "zip")},
        ),
    ),
    "empty": (400, "empty_archive", lambda c: c.upload(b"PK\5\6" + b"\0" * 18)),
    "traversal": (400, "path_traversal", lambda c: c.upload(skill_zip(files={"../x": b""}))),
    "bomb": (
        400,
        "size_exceeded",
        lambda c: c.upload(skill_zip(files={f"z{n}": b"\0" * (21 * MIB) for n in range(5)})),
    ),
    "over 2000 files": (400, "size_exceeded", lambda c: c.upload(skill_zip(files={f"f{n}": b"" for n in range(2000)}))),
    "no SKILL.md": (400, "missing_skill_md", lambda c: c.upload(only("OTHER.md"))),
    "SKILL.md below": (400, "skill_md_not_at_root", lambda c: c.upload(deep())),
    "two SKILL.md": (400, "nested_package_not_supported", lambda c: c.upload(nested("other"))),
    "no frontmatter": (400, "invalid_skill_md", lambda c: c.upload(skill_zip("# Demo\n"))),
    "26 MiB": (413, "body_too_large", lambda c: c.upload(b"\0" * (26 * MIB))),
    "25 MiB and a byte": (413, "body_too_large", lambda c: c.upload(b"\0" * (25 * MIB + 1))),
    "no source": (400, "invalid_source", lambda c: c.upload(skill_zip(), source=None)),
    "other source": (400, "invalid_source", lambda c: c.upload(skill_zip(), source="web")),
    "no body": (400, "invalid_request", lambda c: c.call("POST", "/skill-enhance/uploads")),
    "skill_id is no UTF-8": (
        400,
        "invalid_request",
        lambda c: c.call(
            "POST",
            "/skill-enhance/uploads",
            files={"source": (None, "api"), "skill_id": (None, b"\xff\xfe"), "archive": ("archive.zip", skill_zip())},
        ),
    ),
    "no skill_id": (400, "invalid_skill_id", lambda c: c.upload(skill_zip(), "")),
    "upper case": (400, "invalid_skill_id", lambda c: c.upload(skill_zip(), "Demo")),
    "path as skill_id": (400, "invalid_skill_id", lambda c: c.upload(skill_zip(), "../demo")),
    "long skill_id": (400, "invalid_skill_id", lambda c: c.upload(skill_zip(), "a" * 65)),
    "newline in skill_id": (400, "invalid_skill_id", lambda c: c.upload(skill_zip(), "demo\n")),
    "other's user_id": (400, "invalid_user_id", lambda c: c.upload(skill_zip(), user_id="bob")),
    "malformed user_id": (400, "invalid_user_id", lambda c: c.upload(skill_zip(), user_id="../alice")),
    "empty user_id": (400, "invalid_user_id", lambda c: c.upload(skill_zip(), user_id="")),
    "key with a space": (400, "invalid_idempotency_key", lambda c: c.upload(skill_zip(), key="a b")),
    "long key": (400, "invalid_idempotency_key", lambda c: c.upload(skill_zip(), key="k" * 256)),
    "empty key": (400, "invalid_idempotency_key", lambda c: c.upload(skill_zip(), key="")),
    "prebuilt without a key": (400, "invalid_idempotency_key", lambda c: c.prebuilt(skill_zip(), key=None)),
    "prebuilt, bad key": (400, "invalid_idempotency_key", lambda c: c.prebuilt(skill_zip(), key="a/b")),
    "prebuilt, bad skill_id": (400, "invalid_skill_id", lambda c: c.prebuilt(skill_zip(), "Demo")),
    "prebuilt, no zip": (400, "invalid_archive", lambda c: c.prebuilt(b"no zip")),
    "prebuilt, 26 MiB": (413, "body_too_large", lambda c: c.prebuilt(b"\0" * (26 * MIB))),
    "broken multipart": (
        400,
        "invalid_request",
        lambda c: c.call(
            "POST",
            "/skill-enhance/uploads",
            data=b"--b\r\nContent-Disposition: form-data; name=source\r\n\r\napi",
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        ),
    ),
    "unknown character set": (
        400,
        "invalid_request",
        lambda c: c.call(
            "POST",
            "/skill-enhance/uploads",
            data=b"--b\r\nContent-Disposition: form-data; name=source\r\n\r\napi\r\n--b--\r\n",
            headers={"Content-Type": "multipart/form-data; boundary=b; charset=klingon"},
        ),
    ),
    "multipart without a boundary": (
        400,
        "invalid_request",
        lambda c: c.call("POST", "/skill-enhance/uploads", data=b"x", headers={"Content-Type": "multipart/form-data"}),
    ),
    "result of a queued job": (409, "not_terminal", lambda c: c.result(c.submit(unique_skill(9)))),
    "forged artifact URL": (
        403,
        "invalid_signature",
        lambda c: c.call("GET", f"/artifacts/{NOBODY}/SKILL.md?expires=99999999999&signature={'0' * 64}"),
    ),
    "odd artifact URL": (
        403,
        "invalid_signature",
        lambda c: c.call("GET", f"/artifacts/{NOBODY}/%ff%00?expires=%ff&signature=%ff&expires=\u0661"),
    ),
    "artifact without a signature": (403, "invalid_signature", lambda c: c.call("GET", f"/artifacts/{NOBODY}/x")),
}


@pytest.mark.parametrize(("status", "code", "provoke"), REFUSED.values(), ids=REFUSED.keys())
def test_every_refusal_has_its_status_and_code_and_leaves_nothing_behind(
    alice: Client,
    gateway: Gateway,
    status: int,
    code: str,
    provoke: Callable[[Client], requests.Response],
) -> None:
    assert error(provoke(alice)) == (status, code)
    assert list(gateway.folders.incoming.iterdir()) == []
    if code != "not_terminal":
        assert list(gateway.folders.jobs.iterdir()) == []


def test_an_own_user_id_is_fine(alice: Client) -> None:
    assert alice.upload(skill_zip(), user_id="alice").status_code == 201


BROKEN = {
    "huge": (b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n", b" 413 ", b'"body_too_large"'),
    "header": (b"GET / HTTP/1.1\r\nBroken header\r\n\r\n", b" 400 ", b'"invalid_request"'),
    "long-header": (b"GET / HTTP/1.1\r\nX: ".ljust(16_384, b"x"), b" 431 ", b'"header_too_large"'),
    "encoding": (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", b" 501 ", b'"not_implemented"'),
}


@pytest.mark.parametrize(("request_bytes", "status", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_what_the_http_layer_refuses_is_json_too(
    gateway: Gateway, request_bytes: bytes, status: bytes, code: bytes
) -> None:
    head, body = raw(gateway, request_bytes)
    assert status in head.split(b"\r\n")[0]
    assert b"Content-Type: application/json" in head
    assert code in body


def test_who_sends_all_of_a_body_that_is_far_too_large_before_he_reads_sees_the_answer(gateway: Gateway) -> None:
    body = b"\0" * (80 * MIB)
    request = (
        f"POST {API_BASE}/skill-enhance/uploads HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {gateway.keys.issue('alice')}\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    head, answer = raw(gateway, request + body)
    assert b" 413 " in head.split(b"\r\n")[0] and json.loads(answer)["error"]["code"] == "body_too_large"
    assert list(gateway.folders.incoming.iterdir()) == []


def test_a_result_names_the_host_that_the_client_called(alice: Client, gateway: Gateway, held: Evaluator) -> None:
    held.step(1000)
    job_id = alice.submit(skill_zip())
    alice.until_status(job_id, "succeeded")
    path = f"/skill-enhance/jobs/{job_id}/result"
    own = gateway.url
    for host, origin in (
        ("localhost:1234", "http://localhost:1234"),
        ("[::1]:80", "http://[::1]:80"),
        ("evil.example/../", own),
        ("a b", own),
        ('x"y', own),
    ):
        url = alice.call("GET", path, headers={"Host": host}).json()["artifact"]["files"][0]["url"]
        assert url.startswith(f"{origin}{API_BASE}/artifacts/{job_id}/SKILL.md?expires=")
    head, body = raw(gateway, f"GET {API_BASE}{path} HTTP/1.0\r\n{auth_line(alice)}\r\n\r\n".encode())
    assert b" 200 " in head
    assert f'"url": "{own}'.encode() in body


def auth_line(client: Client) -> str:
    return f"Authorization: {client.headers['Authorization']}"


def test_a_chunked_upload_is_an_upload(alice: Client) -> None:
    prepared = requests.Request(
        "POST",
        alice.api + "/skill-enhance/uploads",
        data={"source": "api", "skill_id": "demo"},
        files={"archive": ("archive.zip", skill_zip())},
        headers=alice.headers,
    ).prepare()
    body = prepared.body
    assert isinstance(body, bytes)
    headers = {"Content-Type": prepared.headers["Content-Type"]}
    parts = iter([body[:100], body[100:]])
    assert alice.call("POST", "/skill-enhance/uploads", data=parts, headers=headers).status_code == 201


def test_the_same_content_again_is_a_duplicate_that_names_the_first_job(alice: Client, held: Evaluator) -> None:
    job_id = alice.submit(skill_zip(), "one")
    for skill_id in ("one", "two"):
        answer = alice.upload(skill_zip(), skill_id)
        assert error(answer) == (409, "duplicate_content_hash")
        assert answer.json()["error"]["details"] == {"existing_job_id": job_id}
    held.step(1000)
    alice.until_status(job_id, "succeeded")
    assert alice.upload(skill_zip()).json()["error"]["details"] == {"existing_job_id": job_id}


def test_content_whose_job_was_cancelled_can_be_submitted_again(alice: Client) -> None:
    first = alice.submit(unique_skill(0))
    second = alice.submit(skill_zip())
    assert alice.cancel(second).status_code == 202
    third = alice.submit(skill_zip())
    assert len({first, second, third}) == 3


def test_twenty_simultaneous_uploads_of_one_content_are_one_job(alice: Client, gateway: Gateway) -> None:
    archive = skill_zip()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: alice.upload(archive), range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + 19 * [409]
    (job_id,) = [answer.json()["job_id"] for answer in answers if answer.status_code == 201]
    assert {
        answer.json()["error"]["details"]["existing_job_id"] for answer in answers if answer.status_code == 409
    } == {job_id}
    assert [folder.name for folder in gateway.folders.jobs.iterdir()] == [job_id]
    assert list(gateway.folders.incoming.iterdir()) == []


def test_twenty_simultaneous_repeats_under_one_key_all_get_the_first_answer(alice: Client, gateway: Gateway) -> None:
    archive = skill_zip()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: alice.upload(archive, key="again"), range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
    assert len(list(gateway.folders.jobs.iterdir())) == 1


def test_a_repeat_under_the_same_key_gets_the_first_answer_whatever_became_of_the_job(
    alice: Client, held: Evaluator
) -> None:
    first = alice.upload(skill_zip(), key="k-1")
    assert (first.status_code, first.headers.get("Idempotent-Replayed")) == (201, None)
    held.step(1000)
    alice.until_status(first.json()["job_id"], "succeeded")
    again = alice.upload(skill_zip(), key="k-1")
    assert (again.status_code, again.headers["Idempotent-Replayed"], again.json()) == (201, "true", first.json())


@pytest.mark.parametrize("call", ["upload", "prebuilt"])
def test_a_key_used_for_something_else_is_refused(alice: Client, call: str) -> None:
    send: Callable[..., requests.Response] = getattr(alice, call)
    assert send(unique_skill(1), "demo", key="k-1").status_code == 201
    assert error(send(unique_skill(2), "demo", key="k-1")) == (409, "idempotency_key_reused")
    assert error(send(unique_skill(1), "other", key="k-1")) == (409, "idempotency_key_reused")


def test_a_full_queue_refuses_with_a_time_to_come_back(tmp_path: Path) -> None:
    held = Evaluator(held=True)
    with running(tmp_path / "data dir", held, max_queued=2) as gateway:
        alice = client_of(gateway)
        first, _ = alice.submit(unique_skill(1)), alice.submit(unique_skill(2))
        answer = alice.upload(unique_skill(3), key="k")
        assert error(answer) == (429, "queue_full")
        assert int(answer.headers["Retry-After"]) >= 1
        assert len(list(gateway.folders.jobs.iterdir())) == 2
        # What is there already is said to be there, full or not.
        assert error(alice.upload(unique_skill(1))) == (409, "duplicate_content_hash")
        held.step(6)
        alice.until_status(first, "succeeded")
        again = alice.upload(unique_skill(3), key="k")
        assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (201, None)
        held.step(100)


def test_a_queued_job_is_cancelled_at_once(alice: Client, held: Evaluator) -> None:
    alice.submit(unique_skill(1))
    assert held.started.wait(10)
    job_id = alice.submit(unique_skill(2))
    answer = alice.cancel(job_id)
    assert (answer.status_code, answer.json()["status"], answer.json()["phase_public"]) == (202, "cancelled", None)
    result = alice.result(job_id).json()
    assert (result["status"], result["artifact_kind"], result["artifact"]) == ("cancelled", "none", {"files": []})
    assert result["reason"] == "Cancelled on request."
    assert error(alice.cancel(job_id)) == (409, "already_terminal")
    held.step(1000)
    assert len(held.seen) == 1


def test_a_running_job_is_cancelled_at_its_next_step(alice: Client, held: Evaluator, gateway: Gateway) -> None:
    job_id = alice.submit(skill_zip())
    assert held.started.wait(10)
    assert alice.cancel(job_id).json()["status"] == "running"
    assert alice.cancel(job_id).status_code == 202
    assert error(alice.result(job_id)) == (409, "not_terminal")
    held.step()
    assert alice.until_status(job_id, "cancelled")["phase_public"] == "intake"
    assert alice.result(job_id).json()["artifact"] == {"files": []}
    assert error(alice.cancel(job_id)) == (409, "already_terminal")


def test_a_job_cancelled_after_its_last_step_ends_cancelled_and_publishes_nothing(
    alice: Client, held: Evaluator, gateway: Gateway
) -> None:
    job_id = alice.submit(skill_zip())
    held.step(5)
    alice.until(job_id, lambda body: body["phase_public"] == "publishing")
    assert alice.cancel(job_id).status_code == 202
    held.step()
    alice.until_status(job_id, "cancelled")
    assert alice.result(job_id).json()["artifact"] == {"files": []}


def test_a_prebuilt_bundle_is_stored_under_its_prefix(alice: Client, gateway: Gateway) -> None:
    archive = skill_zip(files={"scripts/run": b"#!/bin/sh\n"})
    answer = alice.prebuilt(archive, "my-skill", "key-1")
    body = answer.json()
    files = {"SKILL.md": (SKILL.encode(), "0644"), "scripts/run": (b"#!/bin/sh\n", "0755")}
    digest = expected_hash(**{path: data for path, (data, _) in files.items()})
    assert answer.status_code == 201
    assert body == {
        "id": body["id"],
        "skill_id": "my-skill",
        "s3_prefix": f"prebuilt/alice/my-skill/{digest}/",
        "content_hash": digest,
        "file_count": 2,
        "uploaded_bytes": len(archive),
        "source_revision": digest[:16],
        "files": [
            {"relpath": path, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "mode": mode}
            for path, (data, mode) in files.items()
        ],
    }
    assert UUID.fullmatch(body["id"])
    assert (gateway.folders.prebuilt / body["id"] / "archive.zip").read_bytes() == archive
    again = alice.prebuilt(archive, "my-skill", "key-1")
    assert (again.status_code, again.json(), again.headers["Idempotent-Replayed"]) == (201, body, "true")
    assert error(alice.prebuilt(archive, "my-skill", "key-2")) == (409, "prefix_exists")
    assert alice.prebuilt(archive, "other-skill", "key-3").status_code == 201
    assert len(list(gateway.folders.prebuilt.iterdir())) == 2


def test_prebuilt_content_can_be_enhanced_too_and_keys_are_per_call(alice: Client) -> None:
    assert alice.prebuilt(skill_zip(), key="k").status_code == 201
    answer = alice.upload(skill_zip(), key="k")
    assert (answer.status_code, answer.headers.get("Idempotent-Replayed")) == (201, None)


def test_everything_on_disk_is_its_owners_alone(tmp_path: Path) -> None:
    data = tmp_path / "data dir"
    (data / "gateway").mkdir(parents=True, mode=0o755)
    with running(data) as gateway:
        alice = client_of(gateway)
        alice.prebuilt(skill_zip())
        alice.until_status(alice.submit(skill_zip(files={"deep/deeper/run": b"#!/bin/sh\n"})), "succeeded")
        paths = list((data / "gateway").glob("gateway.sqlite3*"))
        assert len(paths) == 3
        modes: dict[Any, int] = {path: stat.S_IMODE(path.stat().st_mode) for path in paths}
    modes.update((path, stat.S_IMODE(path.lstat().st_mode)) for path in (data / "gateway").rglob("*"))
    assert stat.S_IMODE((data / "gateway").stat().st_mode) == 0o700
    assert [path for path, mode in modes.items() if mode & 0o077] == []
