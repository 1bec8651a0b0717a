"""Every code of the contract: how it is provoked, its exit status and its envelope, through the real command."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import pytest

from mega_code.errors import CODES, exit_status
from support.client import Client
from support.fake_gateway import Answer, FakeGateway, error
from support.room import REPOSITORY

JOB = "11111111-1111-4111-8111-111111111111"
SUBMIT = ("--skill-name", "demo-skill")
RUN_ELSEWHERE = {
    "mode_not_remote": "tests/integration/test_setup.py",
    "ambiguous_skill": "tests/integration/test_skill_helper.py",
    **dict.fromkeys(("out_of_order", "audit_refused"), "tests/unit/test_hitl_iterations.py"),
    **dict.fromkeys(("invalid_cases", "invalid_gradings", "budget_spent"), "tests/unit/test_hitl_iterations.py"),
    **dict.fromkeys(("invalid_draft", "skill_changed"), "tests/unit/test_hitl_acceptance.py"),
    **dict.fromkeys(("missing_iteration", "model_failure"), "tests/integration/test_hitl_commands.py"),
}


class Case(NamedTuple):
    """`arrange` prepares; the command gets `arguments`; the envelope's `error` holds a part of `says`."""

    code: str
    status: int
    arguments: tuple[str, ...]
    says: str
    arrange: Callable[[Client, FakeGateway], object] = lambda client, fake: None
    env: tuple[tuple[str, str], ...] = ()
    job: bool = False


def put(relpath: str, content: bytes = b"x") -> Callable[[Client, FakeGateway], object]:
    def arrange(client: Client, fake: FakeGateway) -> None:
        path = client.skill() / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return arrange


def upstream(status: int, code: str) -> Callable[[Client, FakeGateway], object]:
    def arrange(client: Client, fake: FakeGateway) -> None:
        client.skill()
        answer = error(status, code, "The gateway's own words.")
        fake.on("POST", "uploads", answer._replace(headers=(("Retry-After", "0"),)))

    return arrange


def result(**values: object) -> Callable[[Client, FakeGateway], object]:
    def arrange(client: Client, fake: FakeGateway) -> None:
        client.skill()
        fake.result = values

    return arrange


def staged(spoil: Callable[[Client, FakeGateway], object]) -> Callable[[Client, FakeGateway], object]:
    def arrange(client: Client, fake: FakeGateway) -> None:
        client.skill()
        fake.job_id = JOB
        assert client(*SUBMIT).status == 0
        spoil(client, fake)

    return arrange


def skill_then(change: Callable[[Client, FakeGateway], object]) -> Callable[[Client, FakeGateway], object]:
    def arrange(client: Client, fake: FakeGateway) -> None:
        client.skill()
        change(client, fake)

    return arrange


def refused_look(status: int, code: str) -> Callable[[Client, FakeGateway], object]:
    return lambda client, fake: fake.on("GET", "jobs", error(status, code, "The gateway's own words."))


OURS_OF_STATUS_5 = [code for code in CODES if exit_status(code) == 5 and code not in ("queue_full", "not_terminal")]
INSTALL = ("--install-existing", JOB, "--install-location", "project", "--skill-name", "demo-skill")
CASES = [
    Case("missing_skill_name", 4, (), "--skill-name"),
    Case("missing_skill_name", 4, ("--list-cached",), "--skill-name"),
    Case("missing_skill_name", 4, ("--install-existing", JOB, "--install-location", "global"), "--skill-name"),
    Case("missing_install_location", 4, ("--install-existing", JOB, *SUBMIT), "--install-location"),
    Case("missing_staging", 4, INSTALL, JOB, env=(("MEGA_CODE_SERVER_URL", ""),), job=True),
    Case("missing_staging", 4, INSTALL, JOB, job=True),
    Case("missing_staging", 4, INSTALL, "run.sh", staged(lambda c, f: (c.enhancements / JOB / "scripts/run.sh").unlink()), job=True),
    Case("missing_artifact", 4, SUBMIT, "no files", result(artifact={"files": []}), job=True),
    Case("missing_skill_dir", 4, ("--skill-dir", "nowhere"), "nowhere"),
    Case("missing_skill_md", 4, ("--skill-dir", "."), "SKILL.md"),
    Case("missing_skill_md", 4, SUBMIT, "SKILL.md", skill_then(lambda c, f: f.files.pop("SKILL.md")), job=True),
    Case("forbidden_path", 4, SUBMIT, "'deep/.env'", put("deep/.env")),
    Case("secret_detected", 4, SUBMIT, "'notes.md', line 2", put("notes.md", b"\nAKIAIOSFODNN7EXAMPLE")),
    Case("symlink_rejected", 4, SUBMIT, "'link'", lambda c, f: (c.skill() / "link").symlink_to("/etc")),
    Case("size_exceeded", 4, SUBMIT, "25 MiB", put("noise.bin", os.urandom(26 * 1024 * 1024))),
    Case("size_exceeded", 4, SUBMIT, "100 MiB", put("zeros.bin", bytes(101 * 1024 * 1024))),
    Case("invalid_skill_name", 4, ("--skill-name", "../etc"), "'../etc'"),
    Case("invalid_skill_name", 4, ("--list-cached", "--skill-name", "A"), "'A'"),
    Case("invalid_job_id", 4, ("--poll-existing", "7"), "UUID"),
    Case("invalid_job_id", 4, ("--install-existing", "../x", "--install-location", "global", *SUBMIT), "UUID"),
    Case("invalid_path", 4, (*SUBMIT, "--project-dir", "/nowhere/at all"), "/nowhere/at all"),
    Case("invalid_path", 4, ("--restore-backup", "/etc"), "/etc"),
    Case("invalid_path", 4, SUBMIT, "pipe", lambda c, f: os.mkfifo(c.skill() / "pipe")),
    Case("invalid_path", 4, SUBMIT, "..", skill_then(lambda c, f: f.file_extra.update({"SKILL.md": {"relpath": "../x"}})), job=True),
    Case("invalid_path", 4, SUBMIT, "169.254", skill_then(lambda c, f: f.file_extra.update({"SKILL.md": {"url": "https://169.254.169.254/"}})), job=True),
    Case("invalid_arguments", 4, ("--what",), "--what"),
    Case("invalid_arguments", 4, ("--skill-name",), "--skill-name"),
    Case("invalid_arguments", 4, ("--skill-na", "x"), "--skill-na"),
    Case("invalid_arguments", 4, (*SUBMIT, "--poll-timeout", "-1"), "--poll-timeout"),
    Case("invalid_arguments", 4, (*SUBMIT, "--poll-timeout", "soon"), "--poll-timeout"),
    Case("invalid_arguments", 4, ("--no-wait", "--list-cached", *SUBMIT), "exclude each other"),
    Case("invalid_arguments", 4, ("--install-existing", JOB, "--install-location", "here", *SUBMIT), "--install-location"),
    Case("invalid_arguments", 4, SUBMIT, "MEGA_CODE_SERVER_URL", lambda c, f: c.skill(), (("MEGA_CODE_SERVER_URL", "nonsense"),)),
    Case("skill_not_found", 4, ("--skill-name", "demo"), "demo-skill", lambda c, f: c.skill()),
    Case("invalid_frontmatter", 4, SUBMIT, "metadata", skill_then(lambda c, f: f.files.update({"SKILL.md": b"---\nname: x\n---\n"})), job=True),
    Case("sha256_mismatch", 4, SUBMIT, "SKILL.md", skill_then(lambda c, f: f.file_extra.update({"SKILL.md": {"sha256": "0" * 64}})), job=True),
    Case("sha256_mismatch", 4, INSTALL, "SKILL.md", staged(lambda c, f: (c.enhancements / JOB / "SKILL.md").write_text("evil")), job=True),
    Case("sha256_mismatch", 4, INSTALL, "extra", staged(lambda c, f: (c.enhancements / JOB / "extra").write_text("evil")), job=True),
    Case("download_failed", 4, SUBMIT, "404", skill_then(lambda c, f: f.on("GET", "^/files/", Answer(404))), job=True),
    Case("download_failed", 4, SUBMIT, "302", skill_then(lambda c, f: f.on("GET", "^/files/", Answer(302, b"", (("Location", "/x"),)))), job=True),
    Case("download_failed", 4, SUBMIT, "bytes", skill_then(lambda c, f: f.file_extra.update({"SKILL.md": {"size": 5}})), job=True),
    Case("install_failed", 4, INSTALL, "demo-skill", staged(lambda c, f: _block_skills_folder(c)), job=True),
    Case("insecure_server_url", 4, SUBMIT, "example.com", lambda c, f: c.skill(), (("MEGA_CODE_SERVER_URL", "http://example.com"),)),
    Case("cleanup_unsafe_path", 4, ("--cleanup-original", "/etc"), "/etc"),
    Case("cleanup_path_missing", 4, ("--cleanup-original", ".claude/skills/none"), "none"),
    Case("cleanup_failed", 4, ("--cleanup-original", ".claude/skills/demo-skill"), "demo-skill", lambda c, f: _block_backups(c)),
    Case("plugin_cache_project_dir", 4, (*SUBMIT, "--project-dir", ".claude/plugins/cache/x"), "CLAUDE_PROJECT_DIR", lambda c, f: (c.project / ".claude/plugins/cache/x").mkdir(parents=True)),
    Case("auth_failure", 5, SUBMIT, "401", lambda c, f: c.skill(), (("MEGA_CODE_API_KEY", "wrong-key-000000"),)),
    Case("auth_failure", 5, SUBMIT, "configure.sh", lambda c, f: c.skill(), (("MEGA_CODE_API_KEY", ""),)),
    Case("auth_failure", 5, ("--poll-existing", JOB), "403", lambda c, f: f.on("GET", "jobs", Answer(403)), job=True),
    Case("network_failure", 5, SUBMIT, " start, or name a server", lambda c, f: c.skill(), (("MEGA_CODE_SERVER_URL", ""),)),
    Case("network_failure", 5, SUBMIT, "The server at http://127.0.0.1:9 cannot be reached: no connection.", lambda c, f: c.skill(), (("MEGA_CODE_SERVER_URL", "http://127.0.0.1:9"),)),
    Case("network_failure", 5, SUBMIT, "503", skill_then(lambda c, f: f.on("GET", "/result$", Answer(503, b"", (("Retry-After", "0"),)))), job=True),
    Case("queue_full", 5, SUBMIT, "own words", upstream(429, "queue_full")),
    Case("not_terminal", 5, SUBMIT, "not yet", skill_then(lambda c, f: f.on("GET", "/result$", error(409, "not_terminal", "not yet"))), job=True),
    Case("invalid_response", 5, SUBMIT, "JSON", skill_then(lambda c, f: f.on("POST", "uploads", Answer(200, b"<html>")))),
    Case("invalid_response", 5, SUBMIT, "no job", skill_then(lambda c, f: f.on("POST", "uploads", Answer(201, {"job_id": "7"})))),
    Case("invalid_response", 5, SUBMIT, "64", skill_then(lambda c, f: f.on("POST", "uploads", Answer(201, b'{"a":' * 65 + b"1" + b"}" * 65)))),
    Case("invalid_response", 5, SUBMIT, "16 MiB", skill_then(lambda c, f: f.on("POST", "uploads", Answer(201, b" " * (17 * 1024 * 1024))))),
    Case("invalid_response", 5, SUBMIT, "redirects", skill_then(lambda c, f: f.on("POST", "uploads", Answer(302, b"", (("Location", "http://127.0.0.1:9/"),))))),
    Case("invalid_response", 5, SUBMIT, "SHA-256", skill_then(lambda c, f: f.file_extra.update({"SKILL.md": {"sha256": 7}})), job=True),
    Case("invalid_response", 5, SUBMIT, "names no job", upstream(409, "duplicate_content_hash")),
    Case("http_404", 4, ("--poll-existing", JOB), "404", lambda c, f: f.on("GET", "jobs", Answer(404, b"gone")), job=True),
    Case("http_418", 4, SUBMIT, "418", skill_then(lambda c, f: f.on("POST", "uploads", Answer(418, {"error": "teapot"})))),
    Case("a_code_of_tomorrow", 4, SUBMIT, "own words", upstream(400, "a_code_of_tomorrow")),
    *[Case(code, 4, SUBMIT, "own words", upstream(409 if code == "prefix_exists" else 400, code)) for code in CODES if CODES[code].upstream],
]  # fmt: skip
# What a server refuses in our own words.
REFUSED = [
    *[Case(code, 4, SUBMIT, "own words", upstream(422, code)) for code in OURS_OF_STATUS_5],
    *[
        Case(code, 4, ("--poll-existing", JOB), "own words", refused_look(status, code), job=True)
        for code in OURS_OF_STATUS_5
        for status in (400, 404, 410)
    ],
    Case("queue_full", 5, SUBMIT, "own words", upstream(422, "queue_full")),
    Case("auth_failure", 5, SUBMIT, "own words", upstream(403, "invalid_response")),
]


def _block_skills_folder(client: Client) -> None:
    """Root may write everywhere, so a file stands where a folder has to be."""
    skills = client.project / ".claude" / "skills"
    skills.rename(client.project / "aside")
    skills.write_text("in the way of demo-skill")


def _block_backups(client: Client) -> None:
    client.skill()
    client.enhancements.write_text("in the way")


@pytest.mark.parametrize(
    "case", [*CASES, *REFUSED], ids=lambda case: f"{case.code}: {' '.join(case.arguments)[:40]} {case.says[:20]}"
)
def test_a_code_ends_in_its_status_and_its_envelope(client: Client, fake: FakeGateway, case: Case) -> None:
    case.arrange(client, fake)
    outcome = client(*case.arguments, **dict(case.env))
    body = outcome.envelope["error"]
    assert (outcome.status, set(outcome.envelope), body["code"]) == (case.status, {"error"}, case.code), outcome
    assert case.says in body["message"] and "\n" not in body["message"]
    assert ("job_id" in body) == case.job
    assert case.code in outcome.stderr
    assert client.leftovers() == []
    assert not (client.enhancements / fake.job_id).is_dir() or case.arguments == INSTALL


def test_the_table_above_leaves_no_code_out() -> None:
    assert set(CODES) - {case.code for case in CASES} == set(RUN_ELSEWHERE)
    assert all((REPOSITORY / path).is_file() for path in RUN_ELSEWHERE.values())
