"""Package, upload, poll, download, verify, install, undo: the envelopes and what stands on the disk."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shlex
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mega_code import bundle, places
from support.client import Client
from support.fake_gateway import BASE, KEY, SKILL_MD, Answer, FakeGateway, error
from support.room import script

OTHER_JOB = "00000000-0000-4000-8000-000000000000"


def ready(client: Client) -> str:
    """Run the default mode to its end and give the job's id."""
    outcome = client("--skill-name", "demo-skill")
    assert outcome.status == 0 and outcome.envelope["needs_install_location"] is True, outcome
    return str(outcome.envelope["job_id"])


def install(client: Client, job_id: str, scope: str = "project"):  # type: ignore[no-untyped-def]
    return client("--install-existing", job_id, "--install-location", scope, "--skill-name", "demo-skill")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_default_mode_stops_when_the_result_is_staged_and_verified(client: Client, fake: FakeGateway) -> None:
    folder = client.skill()
    fake.statuses = [
        {"status": "queued"},
        {"status": "running", "phase_public": "iterating", "current_iteration": 1, "total_iterations": 3},
        {"status": "succeeded"},
    ]
    outcome = client("--skill-name", "demo-skill")
    staging = client.enhancements / fake.job_id
    assert outcome.status == 0
    assert outcome.envelope == {
        "status": "succeeded",
        "artifact_kind": "enhanced",
        "result": fake.full_result(),
        "installed": False,
        "staging_dir": str(staging),
        "needs_install_location": True,
        "job_id": fake.job_id,
        "skill_name": "demo-skill",
        "original_path": str(folder / "SKILL.md"),
        "original_scope": "project",
        "project_dir": str(client.project),
        "report_path": f"{staging}.report.html",
    }
    assert tree(staging) == fake.files
    assert {path.name for path in client.enhancements.iterdir()} == {
        fake.job_id,
        f"{fake.job_id}.job.json",
        f"{fake.job_id}.result.json",
        f"{fake.job_id}.report.html",
    }
    assert os.stat(staging / "scripts/run.sh").st_mode & 0o111 and not os.stat(staging / "SKILL.md").st_mode & 0o111
    assert "# Old project" in (folder / "SKILL.md").read_text()
    for line in ("queued — waiting for worker [", "iterating [1/3] [", "succeeded ["):
        assert line in outcome.stderr


def test_a_job_is_cancelled_where_the_server_has_that_call(client: Client, fake: FakeGateway) -> None:
    fake.on("POST", "/cancel$", Answer(202, {"job_id": fake.job_id, "status": "running"}), times=1)
    cancelled = client("--cancel", fake.job_id.upper())
    assert (cancelled.status, cancelled.envelope) == (0, {"cancelled": {"job_id": fake.job_id}})
    assert fake.count("POST", f"{BASE}/skill-enhance/jobs/{fake.job_id}/cancel$") == 1
    fake.on("POST", "/cancel$", error(409, "already_terminal", "It has ended."), times=1)
    ended = client("--cancel", fake.job_id)
    told = {"code": "already_terminal", "message": "It has ended.", "job_id": fake.job_id}
    assert (ended.status, ended.envelope) == (4, {"error": told})
    assert client("--cancel", fake.job_id).envelope["error"]["code"] == "not_found"
    assert client("--cancel", "../x").envelope["error"]["code"] == "invalid_job_id"
    both = client("--cancel", fake.job_id, "--no-wait")
    assert both.envelope["error"]["message"] == "--no-wait and --cancel exclude each other."


def test_the_upload_is_the_contracts_multipart_form(client: Client, fake: FakeGateway) -> None:
    folder = client.skill()
    outcome = client("--skill-name", "demo-skill", "--no-wait")
    scanned = bundle.scan(folder)
    assert outcome.envelope == {
        "submitted": {
            "job_id": fake.job_id,
            "content_hash": scanned.content_hash,
            "skill_name": "demo-skill",
            "original_path": str(folder / "SKILL.md"),
            "original_scope": "project",
        }
    }
    (seen,) = fake.seen
    assert seen.headers["authorization"] == f"Bearer {KEY}" and re.fullmatch(
        r"[A-Za-z0-9_-]{1,64}", seen.headers["idempotency-key"]
    )
    assert b'name="source"\r\n\r\napi\r\n' in seen.body and b'name="skill_id"\r\n\r\ndemo-skill\r\n' in seen.body
    assert b'name="archive"; filename="archive.zip"\r\nContent-Type: application/zip\r\n\r\nPK' in seen.body
    start = seen.body.index(b"PK\x03\x04")
    with zipfile.ZipFile(io.BytesIO(seen.body[start:])) as archive:
        assert archive.namelist() == ["SKILL.md"]


def test_the_job_record_and_the_result_are_kept_beside_the_staging_dir(client: Client, fake: FakeGateway) -> None:
    folder = client.skill(scope="global")
    job_id = ready(client)
    record = json.loads((client.enhancements / f"{job_id}.job.json").read_text())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record.pop("submitted_at"))
    assert record == {
        "job_id": job_id,
        "skill_name": "demo-skill",
        "skill_path": str(folder / "SKILL.md"),
        "scope": "global",
        "content_hash": bundle.scan(folder).content_hash,
        "server_url": fake.url,
        "project_dir": str(client.project),
        "install_location": None,
    }
    kept = json.loads((client.enhancements / f"{job_id}.result.json").read_text())
    assert kept == {**fake.full_result(), "skill_name": "demo-skill"}


def test_a_job_remembers_where_it_was_asked_to_go(client: Client, fake: FakeGateway) -> None:
    folder = client.skill(scope="global")
    asked = ("--skill-dir", str(folder), "--install-location", "project", "--project-dir", str(client.project))
    assert client(*asked, "--no-wait").status == 0
    resumed = client("--poll-existing", fake.job_id).envelope
    assert (resumed["original_scope"], resumed["install_location"]) == ("global", "project")
    assert resumed["project_dir"] == str(client.project)
    record = client.enhancements / f"{fake.job_id}.job.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "install_location": "team"}))
    assert "install_location" not in client("--poll-existing", fake.job_id).envelope


def test_an_install_replaces_the_skill_and_keeps_what_it_replaced(client: Client, fake: FakeGateway) -> None:
    folder = client.skill()
    old = tree(folder)
    outcome = install(client, ready(client))
    backup = Path(outcome.envelope["backup_path"])
    assert outcome.status == 0
    assert outcome.envelope["installed_path"] == str(folder) and outcome.envelope["installed"] is True
    assert (outcome.envelope["active"], outcome.envelope["shadowed_by"]) == (True, None)
    assert tree(folder) == fake.files and tree(backup) == old
    assert re.fullmatch(r"\d{8}T\d{6}Z(-\d+)?-backup", backup.parent.name) and backup.name == "demo-skill"
    assert os.stat(folder / "scripts/run.sh").st_mode & 0o777 == 0o755
    assert os.stat(folder).st_mode & 0o777 == 0o755
    assert client.leftovers() == []


def test_an_install_beside_a_global_copy_says_that_it_will_not_run(client: Client) -> None:
    winner = client.skill(scope="global")
    outcome = install(client, ready(client))
    assert outcome.envelope["backup_path"] is None
    assert (outcome.envelope["active"], outcome.envelope["shadowed_by"]) == (False, str(winner / "SKILL.md"))
    removed = client("--cleanup-original", str(winner / "SKILL.md"))
    assert removed.envelope["removed"] == str(winner) and not winner.exists()
    assert "# Old global" in (Path(removed.envelope["backup_path"]) / "SKILL.md").read_text()
    assert install(client, ready(client)).envelope["active"] is True


def test_an_install_works_offline_from_the_cache(client: Client, fake: FakeGateway) -> None:
    client.skill()
    job_id = ready(client)
    before = len(fake.seen)
    outcome = client(
        "--install-existing", job_id, "--install-location", "global", "--skill-name", "demo-skill",
        MEGA_CODE_SERVER_URL="http://127.0.0.1:9",
    )  # fmt: skip
    assert outcome.status == 0 and len(fake.seen) == before
    assert tree(client.home / ".claude/skills/demo-skill") == fake.files


def test_an_install_asks_the_gateway_where_the_cache_is_gone(client: Client, fake: FakeGateway) -> None:
    client.skill()
    job_id = ready(client)
    for path in (client.enhancements / job_id).rglob("*"):
        if path.is_file():
            path.unlink()
    (client.enhancements / job_id / "scripts").rmdir()
    (client.enhancements / job_id).rmdir()
    (client.enhancements / f"{job_id}.result.json").unlink()
    assert install(client, job_id).status == 0
    assert fake.count("GET", r"/result$") == 2


def test_undo_brings_the_old_skill_back_and_keeps_the_new_one(client: Client, fake: FakeGateway) -> None:
    folder = client.skill()
    old = tree(folder)
    backup = install(client, ready(client)).envelope["backup_path"]
    outcome = client("--restore-backup", backup)
    assert outcome.envelope["restored"] == str(folder) and tree(folder) == old
    assert tree(Path(outcome.envelope["backup_path"])) == fake.files
    listed = client("--list-backups", "--skill-name", "demo-skill").envelope["backups"]
    assert [(entry["reason"], entry["origin"]) for entry in listed] == [
        ("restore", str(folder)),
        ("install", str(folder)),
    ]
    assert set(listed[0]) == {"backup_path", "skill_name", "origin", "created_at", "reason"}
    assert client("--list-backups", "--skill-name", "other").envelope == {"backups": []}
    assert client("--restore-backup", "latest", "--skill-name", "demo-skill").code == "invalid_path"
    assert tree(folder) == old and client.leftovers() == []


def test_undo_goes_back_one_install_a_time_and_offers_none_twice(client: Client, fake: FakeGateway) -> None:
    place = client.skill()
    first = ready(client)
    undo = ("--restore-backup", "latest", "--skill-name", "demo-skill")
    versions = [tree(place)]
    for text in ("V2", "V3"):
        fake.files["SKILL.md"] = SKILL_MD.replace("# Demo, enhanced", text).encode()
        client("--poll-existing", first)
        assert install(client, first).status == 0
        versions.append(tree(place))
    undone = client(*undo)
    assert (undone.status, tree(place)) == (0, versions[1])
    assert client("--restore-backup", undone.envelope["backup_path"]).status == 0
    assert tree(place) == versions[2]
    assert [client(*undo).status for _ in range(2)] == [0, 0]
    assert tree(place) == versions[0]
    nothing = client(*undo)
    assert (nothing.status, nothing.code, tree(place)) == (4, "invalid_path", versions[0])


def test_undo_of_an_install_that_replaced_nothing_says_so_and_undoes_no_other(client: Client) -> None:
    beside = client.skill(scope="global")
    old = tree(beside)
    job_id = ready(client)
    backup = install(client, job_id, "global").envelope["backup_path"]
    fresh = install(client, job_id).envelope["installed_path"]
    new = tree(beside)
    undo = ("--restore-backup", "latest", "--skill-name", "demo-skill")
    refused = client(*undo)
    error = refused.envelope["error"]
    assert (refused.status, error["code"]) == (4, "invalid_path")
    assert error["message"] == (
        f"The newest install of 'demo-skill', at {fresh!r}, replaced nothing that could be put back; "
        f"{script('install')} --cleanup-original {shlex.quote(fresh)} --project-dir {shlex.quote(str(client.project))} "
        "removes it."
    )
    assert (error["installed_path"], error["backup_path"]) == (fresh, backup)
    assert tree(beside) == new and tree(Path(fresh)) == new
    assert client("--cleanup-original", fresh).status == 0
    assert client(*undo).envelope["restored"] == str(beside)
    assert tree(beside) == old and not Path(fresh).exists()


def test_a_destination_that_is_a_link_is_replaced_as_a_link(client: Client, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "demo-skill"
    target.mkdir(parents=True)
    (target / "SKILL.md").write_text("---\nname: demo-skill\ndescription: linked\n---\n")
    place = client.project / ".claude" / "skills" / "demo-skill"
    place.parent.mkdir(parents=True)
    place.symlink_to(target)
    outcome = install(client, ready(client))
    backup = Path(outcome.envelope["backup_path"])
    assert not place.is_symlink() and (target / "SKILL.md").read_text().endswith("linked\n---\n")
    assert os.readlink(backup) == str(target) and str(target) in outcome.stderr
    client("--restore-backup", str(backup))
    assert os.readlink(place) == str(target)


def test_a_source_result_is_told_and_nothing_is_downloaded(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.result = {"artifact_kind": "source", "reason": "No better.", "later_key": [1]}
    outcome = client("--skill-name", "demo-skill")
    assert outcome.status == 0
    assert outcome.envelope == {
        "status": "succeeded",
        "artifact_kind": "source",
        "result": fake.full_result(),
        "installed": False,
        "job_id": fake.job_id,
        "report_path": str(client.enhancements / f"{fake.job_id}.report.html"),
    }
    assert fake.count("GET", "^/files/") == 0 and not (client.enhancements / fake.job_id).exists()
    refused = install(client, fake.job_id)
    assert (refused.status, refused.code) == (4, "missing_artifact")


def test_a_conflict_names_the_first_job_and_lets_it_be_resumed_here(client: Client, fake: FakeGateway) -> None:
    folder = client.skill()
    fake.on("POST", "uploads", error(409, "duplicate_content_hash", "seen", existing_job_id=fake.job_id))
    outcome = client("--skill-name", "demo-skill")
    asked = {"skill_name": "demo-skill", "original_path": str(folder / "SKILL.md"), "original_scope": "project"}
    expected = {"existing_job_id": fake.job_id, "content_hash": bundle.scan(folder).content_hash, **asked}
    assert (outcome.status, outcome.envelope) == (2, {"conflict": expected})
    resumed = client("--poll-existing", fake.job_id)
    assert {key: resumed.envelope[key] for key in asked} == asked


def test_a_conflict_is_recorded_as_what_was_asked_for_last_and_its_job_stays_as_old_as_it_is(
    client: Client, fake: FakeGateway
) -> None:
    folder = client.skill()
    client("--skill-name", "demo-skill", "--no-wait")
    path = client.enhancements / f"{fake.job_id}.job.json"
    first = {**json.loads(path.read_text()), "submitted_at": "2026-04-22T06:11:55Z"}
    path.write_text(json.dumps(first))
    fake.on("POST", "uploads", error(409, "duplicate_content_hash", "seen", existing_job_id=fake.job_id))
    other = client.home / ".claude" / "skills" / "renamed"
    shutil.copytree(folder, other)
    assert client("--skill-name", "renamed").status == 2
    asked = {"skill_name": "renamed", "skill_path": str(other / "SKILL.md"), "scope": "global"}
    assert json.loads(path.read_text()) == {**first, **asked}


def test_a_timeout_names_the_job_and_resuming_needs_nothing_remembered(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.statuses = [{"status": "running", "phase_public": "intake"}]
    outcome = client("--skill-name", "demo-skill", "--poll-timeout", "1.2")
    assert outcome.status == 3 and outcome.envelope["timeout"]["job_id"] == fake.job_id
    assert outcome.envelope["timeout"]["elapsed_s"] >= 1.0
    assert fake.count("GET", "/result$") == 0
    fake.statuses = [{"status": "succeeded"}]
    resumed = client("--poll-existing", fake.job_id)
    assert resumed.envelope["skill_name"] == "demo-skill" and resumed.envelope["original_scope"] == "project"


def test_the_result_is_asked_for_exactly_once_and_only_at_the_end(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.statuses = [{"status": "running"}, {"status": "failed"}]
    fake.result = {"status": "failed", "artifact_kind": "none"}
    client("--skill-name", "demo-skill")
    paths = [seen.path for seen in fake.seen]
    assert paths[-1].endswith("/result") and sum(path.endswith("/result") for path in paths) == 1


def test_cached_results_are_listed_newest_first_without_a_network(client: Client, fake: FakeGateway) -> None:
    client.skill()
    first = ready(client)
    fake.job_id, fake.result = OTHER_JOB, {"completed_at": "2027-01-01T00:00:00Z"}
    second = ready(client)
    (client.enhancements / "11111111-1111-4111-8111-111111111111.result.json").write_text("{")
    seen = len(fake.seen)
    roi = fake.full_result()["roi"]
    assert client("--list-cached", "--skill-name", "demo-skill").envelope == {
        "cached": [
            {"job_id": second, "completed_at": "2027-01-01T00:00:00Z", "roi": roi},
            {"job_id": first, "completed_at": "2026-04-22T06:11:55Z", "roi": roi},
        ]
    }
    (client.enhancements / second / "SKILL.md").write_text("changed")
    listed = client("--list-cached", "--skill-name", "demo-skill").envelope["cached"]
    assert [entry["job_id"] for entry in listed] == [first]
    assert client("--list-cached", "--skill-name", "other").envelope == {"cached": []}
    assert len(fake.seen) == seen


def test_a_skill_folder_that_lies_in_no_scope_can_be_submitted(
    client: Client, fake: FakeGateway, tmp_path: Path
) -> None:
    folder = tmp_path / "some where" / "demo-skill"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text("---\nname: demo-skill\ndescription: d\n---\n")
    outcome = client("--skill-dir", str(folder))
    assert outcome.envelope["original_path"] == str(folder / "SKILL.md") and "original_scope" not in outcome.envelope


def test_the_bearer_goes_to_the_api_and_to_no_artifact_url(client: Client, fake: FakeGateway) -> None:
    client.skill()
    (client.home / ".netrc").write_text("machine 127.0.0.1 login evil password evil\n")
    os.chmod(client.home / ".netrc", 0o600)
    ready(client)
    sent = {seen.path.split("/")[1]: seen.headers.get("authorization") for seen in fake.seen}
    assert sent == {"api": f"Bearer {KEY}", "files": None}


def test_loopback_is_never_reached_through_a_proxy(client: Client) -> None:
    client.skill()
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        client.env[name] = "http://127.0.0.1:9"
    ready(client)


def test_a_server_that_echoes_the_token_does_not_get_it_shown(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.result = {"artifact_kind": "source", "reason": f"you sent {KEY}"}
    assert client("--skill-name", "demo-skill").envelope["result"]["reason"] == "you sent ***"
    fake.on("GET", "/result$", error(400, "bad", f"you sent {KEY}"))
    assert client("--poll-existing", fake.job_id).envelope["error"]["message"] == "you sent ***"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_busy_gateway_is_asked_again_under_one_idempotency_key(
    client: Client, fake: FakeGateway, status: int
) -> None:
    folder = client.skill()
    (folder / "data.bin").write_bytes(os.urandom(300_000))  # more than leaves in one block
    fake.on("POST", "uploads", Answer(status, b"busy", (("Retry-After", "0"),)), times=2)
    assert client("--skill-name", "demo-skill", "--no-wait").status == 0
    assert fake.count("POST", "uploads") == 3
    assert len({(seen.headers["idempotency-key"], seen.body) for seen in fake.seen}) == 1
    out = io.BytesIO()
    bundle.pack(folder, out)
    assert b"\r\n\r\n" + out.getvalue() + b"\r\n--" in fake.seen[-1].body


UNREADABLE = {
    "an unknown encoding": (b"xx", (("Content-Encoding", "br"),)),
    "gzip of no byte": (b"", (("Content-Encoding", "gzip"),)),
    "broken gzip": (b"xx", (("Content-Encoding", "gzip"),)),
    "over 16 MiB": (b"x" * (17 << 20), ()),
}


@pytest.mark.parametrize("page", UNREADABLE)
def test_an_error_page_that_cannot_be_read_is_judged_by_its_status(
    client: Client, fake: FakeGateway, page: str
) -> None:
    body, headers = UNREADABLE[page]

    def ends(status: int, times: int = -1) -> tuple[int, str, int]:
        answer, before = Answer(status, body, (("Retry-After", "0"), *headers)), fake.count("POST", "uploads")
        fake.on("POST", "uploads", answer, times)
        outcome = client("--skill-name", "demo-skill", "--no-wait")
        return outcome.status, outcome.code, fake.count("POST", "uploads") - before

    client.skill()
    assert ends(503, times=2) == (0, "", 3)
    assert ends(429, times=2) == (0, "", 3)
    assert ends(401, times=1) == (5, "auth_failure", 1)
    assert ends(500, times=1) == (5, "network_failure", 1)
    assert ends(404, times=1) == (4, "http_404", 1)
    assert ends(504) == (5, "network_failure", 5)


@pytest.mark.parametrize("page", UNREADABLE)
def test_polling_outlives_error_pages_that_cannot_be_read(client: Client, fake: FakeGateway, page: str) -> None:
    body, headers = UNREADABLE[page]
    look = f"{BASE}/skill-enhance/jobs/[^/]*$"
    for status in (503, 500, 429, 502, 504, 503):
        fake.on("GET", look, Answer(status, body, (("Retry-After", "0"), *headers)), times=1)
    assert client("--poll-existing", fake.job_id).status == 0 and fake.count("GET", look) == 7


def test_an_answer_in_several_gzip_members_is_read(client: Client, fake: FakeGateway) -> None:
    body = json.dumps(fake.full_result()).encode()
    packed = gzip.compress(body[:50]) + gzip.compress(body[50:])
    fake.on("GET", "/result$", Answer(200, packed, (("Content-Encoding", "gzip"),)))
    assert client("--poll-existing", fake.job_id).envelope["result"] == fake.full_result()


def test_dropped_connections_are_retried_too(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.on("POST", "uploads", lambda handler: None, times=1)
    fake.on("GET", "/result$", Answer(200, b'{"sta', (("Content-Length", "500"), ("Connection", "close"))), times=1)
    assert client("--skill-name", "demo-skill").status == 0
    assert fake.count("POST", "uploads") == 2 and fake.count("GET", "/result$") == 2


def test_a_server_error_of_its_own_is_not_retried(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.on("POST", "uploads", Answer(500, b"<html>"))
    outcome = client("--skill-name", "demo-skill")
    assert (outcome.status, outcome.code, fake.count("POST", "uploads")) == (5, "network_failure", 1)


def test_queue_full_is_tried_twice_and_any_other_429_five_times(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.on("POST", "uploads", error(429, "queue_full", "full")._replace(headers=(("Retry-After", "0"),)), times=2)
    assert client("--skill-name", "demo-skill").code == "queue_full" and fake.count("POST", "uploads") == 2
    fake.on("POST", "uploads", Answer(429, b"", (("Retry-After", "0"),)))
    assert client("--skill-name", "demo-skill").code == "network_failure" and fake.count("POST", "uploads") == 7


def test_polling_outlives_a_gateway_that_stumbles(client: Client, fake: FakeGateway) -> None:
    client.skill()
    look = f"{BASE}/skill-enhance/jobs/[^/]*$"
    fake.on("GET", look, Answer(500, b"oops"), times=1)
    fake.on("GET", look, Answer(429, b""), times=1)
    fake.on("GET", look, Answer(200, b"<html>"), times=1)
    fake.on("GET", look, lambda handler: None, times=1)
    ready(client)
    assert fake.count("GET", look) == 5


def test_the_cleanup_moves_only_what_lies_inside_a_skills_folder(client: Client, tmp_path: Path) -> None:
    folder = client.skill()
    outside = tmp_path / "outside"
    outside.mkdir()
    (client.project / ".claude/skills/link").symlink_to(outside)
    for path in (
        client.project / ".claude/skills",
        client.project / ".claude/skills/demo-skill/..",
        client.project,
        outside,
        client.project / ".claude/skills/link",
        client.project / ".claude/skills/../../../outside",
        Path("/"),
    ):
        outcome = client("--cleanup-original", str(path))
        assert (outcome.status, outcome.code) == (4, "cleanup_unsafe_path"), path
    assert outside.exists() and folder.exists()
    assert client("--cleanup-original", str(folder)).envelope["removed"] == str(folder)
    assert not folder.exists()


def test_an_empty_path_is_refused_and_does_not_mean_the_working_directory(client: Client, fake: FakeGateway) -> None:
    place = client.project = client.skill(scope="global")
    before = tree(place)
    for arguments, code in (
        (("--cleanup-original", ""), "cleanup_unsafe_path"),
        (("--skill-dir", ""), "missing_skill_dir"),
        (("--list-backups", "--project-dir", ""), "invalid_arguments"),
        (("--skill-name", "demo-skill", "--project-dir="), "invalid_arguments"),
    ):
        refused = client(*arguments)
        assert (refused.status, refused.code) == (4, code), refused
    assert tree(place) == before and fake.seen == []
    client.project = client.home
    client.project = Path(client("--cleanup-original", str(place)).envelope["backup_path"])
    refused = client("--restore-backup", "")
    assert (refused.status, refused.code) == (4, "invalid_path")
    told = f"'' is no backup; {script('skills')} backups shows them."
    assert refused.envelope["error"]["message"] == told and not place.exists()


def test_a_copy_that_another_clean_up_has_removed_meanwhile_is_missing(client: Client) -> None:
    folder = client.skill()
    with places.locked(folder.parent):
        waiting = client.popen("--cleanup-original", str(folder))
        assert waiting.stderr and "waiting for it" in waiting.stderr.readline()
        shutil.rmtree(folder)
    stdout, _ = waiting.communicate(timeout=60)
    told = json.loads(stdout)["error"]
    assert (waiting.returncode, told["code"]) == (4, "cleanup_path_missing")
    assert told["message"] == f"There is nothing at {str(folder)!r}."
    assert list(client.enhancements.iterdir()) == [] and client.leftovers() == []


def test_a_frontmatter_that_breaks_the_contract_keeps_the_bundle_for_a_look(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.files["SKILL.md"] = SKILL_MD.replace("tags:", "labels:").encode()
    outcome = client("--skill-name", "demo-skill")
    assert (outcome.status, outcome.code) == (4, "invalid_frontmatter")
    assert outcome.envelope["error"]["job_id"] == fake.job_id
    assert tree(client.enhancements / f"{fake.job_id}.rejected") == fake.files
    assert not (client.enhancements / fake.job_id).exists() and client.leftovers() == []


def test_a_skill_md_that_is_no_utf_8_keeps_the_bundle_and_says_where(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.files["SKILL.md"] = SKILL_MD.encode() + b"\xff"
    outcome = client("--skill-name", "demo-skill")
    rejected = client.enhancements / f"{fake.job_id}.rejected"
    message = f"The enhanced SKILL.md is not UTF-8. The bundle is kept in {str(rejected)!r}."
    assert (outcome.code, outcome.envelope["error"]["message"]) == ("invalid_frontmatter", message)
    assert tree(rejected) == fake.files


@pytest.mark.parametrize("name", ["123", "0123", "2024-01-01", "true", "1e3"])
def test_a_name_without_quotes_that_yaml_takes_for_something_else_is_no_other_name(client: Client, name: str) -> None:
    client.skill(name, text=f"---\nname: {name}\ndescription: d\n---\n")
    assert "calls itself" not in client("--skill-name", name, "--no-wait").stderr
    client.skill("other", text=f"---\nname: {name}\ndescription: d\n---\n")
    assert "calls itself" in client("--skill-name", "other", "--no-wait").stderr


def test_a_name_in_the_frontmatter_that_differs_is_a_warning(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.files["SKILL.md"] = SKILL_MD.replace("name: demo-skill", "name: other").encode()
    outcome = install(client, ready(client))
    assert outcome.status == 0 and "calls itself 'other'" in outcome.stderr


def test_missing_hashes_are_one_warning_and_no_obstacle(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.file_extra = {relpath: {"sha256": None} for relpath in fake.files}
    outcome = client("--skill-name", "demo-skill")
    assert outcome.status == 0 and outcome.stderr.count("SHA-256") == 1


def test_a_file_without_a_hash_that_changes_after_its_download_is_not_installed(
    client: Client, fake: FakeGateway
) -> None:
    client.skill()
    fake.file_extra = {"scripts/run.sh": {"sha256": None}}
    job_id = ready(client)
    staged = client.enhancements / job_id / "scripts/run.sh"
    content = staged.read_bytes()
    staged.write_bytes(content[::-1])
    assert install(client, job_id).code == "sha256_mismatch"
    assert ready(client) == job_id and staged.read_bytes() == content
    assert install(client, job_id).status == 0


def test_a_staged_file_that_became_a_link_or_a_pipe_is_not_what_was_published(client: Client) -> None:
    client.skill()
    job_id = ready(client)
    staged = client.enhancements / job_id / "SKILL.md"
    spoilers: list[Callable[[Path], object]] = [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo]
    for spoil in spoilers:
        staged.unlink()
        spoil(staged)
        refused = install(client, job_id)
        assert (refused.status, refused.code) == (4, "sha256_mismatch"), refused


def test_what_stands_in_the_place_of_a_staging_dir_goes_for_good(client: Client, fake: FakeGateway) -> None:
    client.skill()
    staged = client.enhancements / fake.job_id
    client.enhancements.mkdir()
    makers: list[Callable[[Path], object]] = [os.mkfifo, lambda path: path.symlink_to("/nowhere"), os.mkdir]
    for make in makers:
        make(staged)
        ready(client)
        assert tree(staged) == fake.files and client.leftovers() == []
        shutil.rmtree(staged)


def test_the_mode_in_the_manifest_decides_over_the_first_line(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.files["tool"] = b"no shebang"
    fake.file_extra = {"scripts/run.sh": {"mode": "0644"}, "tool": {"mode": "4777"}}
    folder = Path(install(client, ready(client)).envelope["installed_path"])
    assert os.stat(folder / "scripts/run.sh").st_mode & 0o7777 == 0o644
    assert os.stat(folder / "tool").st_mode & 0o7777 == 0o755


def test_a_job_id_is_one_job_however_it_is_spelt(client: Client, fake: FakeGateway) -> None:
    job_id = ready(client) if client.skill() else ""
    again = client("--poll-existing", job_id.upper())
    assert (again.status, again.envelope["job_id"]) == (0, job_id)
    assert [entry["job_id"] for entry in client("--list-cached", "--skill-name", "demo-skill").envelope["cached"]] == [
        job_id
    ]
    assert install(client, job_id.upper()).envelope["job_id"] == job_id


def test_a_gateway_that_spells_its_ids_in_capitals_is_asked_as_it_spells_them(
    client: Client, fake: FakeGateway
) -> None:
    client.skill()
    fake.job_id = fake.job_id.upper()
    job_id = fake.job_id.lower()
    outcome = client("--skill-name", "demo-skill")
    assert (outcome.status, outcome.envelope["job_id"]) == (0, job_id)
    assert outcome.envelope["staging_dir"] == str(client.enhancements / job_id)
    assert outcome.envelope["result"]["job_id"] == fake.job_id
    assert client("--list-cached", "--skill-name", "demo-skill").envelope["cached"][0]["job_id"] == job_id
    for spelling in (job_id, fake.job_id):
        assert client("--poll-existing", spelling).envelope["job_id"] == job_id
        offline = client(
            *("--install-existing", spelling, "--install-location", "project", "--skill-name", "demo-skill"),
            MEGA_CODE_SERVER_URL="http://127.0.0.1:9",
        )
        assert (offline.status, offline.envelope["job_id"]) == (0, job_id)
    assert {path.name for path in client.enhancements.glob("????????-*")} == {
        f"{job_id}{ending}" for ending in ("", ".job.json", ".result.json", ".report.html")
    }


def test_a_conflict_with_a_job_in_capitals_names_the_id_that_resumes_it(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.job_id = fake.job_id.upper()
    known = error(409, "duplicate_content_hash", "known", existing_job_id=fake.job_id)
    fake.on("POST", "uploads", known)
    job_id = client("--skill-name", "demo-skill").envelope["conflict"]["existing_job_id"]
    assert job_id == fake.job_id.lower()
    resumed = client("--poll-existing", job_id)
    assert (resumed.status, resumed.envelope["job_id"]) == (0, job_id)
    assert resumed.envelope["original_scope"] == "project"


def test_a_result_without_a_status_has_that_of_its_job(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.result["status"] = None
    assert (
        client(
            "--install-existing", ready(client), "--install-location", "project", "--skill-name", "demo-skill"
        ).status
        == 0
    )


def test_a_project_skill_that_claude_code_does_not_use_is_enhanced_with_a_warning(client: Client) -> None:
    client.skill()
    told = client("--skill-name", "demo-skill", "--no-wait").stderr
    assert "warning" not in told
    other = client.skill(scope="global")
    told = client("--skill-name", "demo-skill", "--no-wait").stderr
    assert f"Claude Code uses the global one, '{other / 'SKILL.md'}'" in told


def test_what_the_server_says_of_a_key_is_passed_on(client: Client, fake: FakeGateway) -> None:
    client.skill()
    fake.on("POST", "uploads", error(403, "quota_exceeded", "Your plan has no jobs left."))
    outcome = client("--skill-name", "demo-skill")
    assert (outcome.status, outcome.code) == (5, "auth_failure")
    assert outcome.envelope["error"]["message"].endswith("(403). It says: Your plan has no jobs left.")


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("k3y", "No good: k3y, 'k3y', k3ys, ***."),
        ("k3y1", "No good: ***, '***', k3y1s, ***."),
        ("k3y.123", "No good: ***, '***', k3y.123s, ***."),
        ("k3y.1234", "No good: ***, '***', ***s, ***."),
    ],
)
def test_a_short_key_is_not_repeated_but_what_any_text_may_hold_stays(
    client: Client, fake: FakeGateway, key: str, shown: str
) -> None:
    client.skill()
    fake.on("POST", "uploads", error(400, "bad", f"No good: {key}, {key!r}, {key}s, Bearer {key}."))
    outcome = client("--skill-name", "demo-skill", MEGA_CODE_API_KEY=key)
    message = outcome.envelope["error"]["message"].replace("Bearer ***", "***")
    assert (outcome.status, message) == (4, shown)
    assert f"error: {outcome.envelope['error']['message']} [bad]" in outcome.stderr.splitlines()


@pytest.mark.parametrize("key", ["demo", "status", "home"])
def test_a_short_key_changes_no_name_and_no_path_that_holds_it_as_a_word(
    client: Client, fake: FakeGateway, key: str
) -> None:
    folder, fake.key = client.skill(), key
    ready = client("--skill-name", "demo-skill", MEGA_CODE_API_KEY=key)
    assert (ready.status, ready.envelope["skill_name"]) == (0, "demo-skill")
    assert ready.envelope["original_path"] == str(folder / "SKILL.md")
    installed = client("--install-existing", fake.job_id, "--install-location", "project", "--skill-name", "demo-skill")
    assert installed.status == 0 and (client.project / ".claude/skills/demo-skill/SKILL.md").is_file()


def test_an_insecure_address_is_said_before_a_key_is_missed(client: Client) -> None:
    client.skill()
    outcome = client("--skill-name", "demo-skill", MEGA_CODE_SERVER_URL="http://example.com", MEGA_CODE_API_KEY="")
    assert (outcome.status, outcome.code) == (4, "insecure_server_url")


def test_a_settings_file_that_cannot_be_read_is_warned_of_once(client: Client) -> None:
    (client.data / ".env").mkdir()
    outcome = client("--list-cached", "--skill-name", "demo-skill")
    assert outcome.status == 0 and outcome.stderr.count("cannot be read and does not count") == 1


def test_a_cleanup_says_which_folder_a_link_leads_to_and_takes_none_for_a_file_that_is_missing(client: Client) -> None:
    real = client.skill()
    alias = real.parent / "alias"
    alias.symlink_to(real)
    (real.parent / "empty").mkdir()
    missing = client("--cleanup-original", str(real.parent / "empty" / "SKILL.md"))
    assert (missing.code, (real.parent / "empty").is_dir()) == ("cleanup_path_missing", True)
    removed = client("--cleanup-original", str(alias / "SKILL.md"))
    assert removed.envelope["removed"] == str(real) and f"what it leads to is removed: '{real}'" in removed.stderr


def test_a_backup_of_another_skill_is_not_restored(client: Client) -> None:
    backup = client("--cleanup-original", str(client.skill())).envelope["backup_path"]
    refused = client("--restore-backup", backup, "--skill-name", "other")
    assert (refused.code, os.path.isdir(backup)) == ("invalid_arguments", True)
    assert client("--restore-backup", backup, "--skill-name", "demo-skill").status == 0
