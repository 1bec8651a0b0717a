"""Answers of a server: whatever it says is read, shown and told in words, or refused with a code of the contract."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from fuzz.refusal import refused_with
from mega_code import console
from mega_code.client import report
from mega_code.client.remote_enhance import api, manifest, progress
from mega_code.envelope import exit_status, render
from mega_code.errors import CODES
from mega_code.paths import check_relpath

SECRET = "sk-fuzzed-0123456789"
SOURCE = manifest.Source("http://127.0.0.1:8000", (".amazonaws.com",))
SEEDS = [
    *(
        json.dumps(value).encode()
        for value in (
            {
                "job_id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
                "status": "succeeded",
                "artifact_kind": "enhanced",
                "artifact": {
                    "files": [
                        {"relpath": "SKILL.md", "url": "https://x.amazonaws.com/a", "sha256": "0" * 64, "size": 1},
                        {"relpath": "a/b.sh", "url": "http://127.0.0.1:8000/a", "sha256": None, "mode": "0755"},
                    ]
                },
                "roi": [{"model": "m", "performance_increase": "67%", "token_savings": "-4%"}],
                "reason": SECRET,
                "invariants": ["a", {"name": "b", "ok": False}],
                "evidence": {"cases": [1, 2]},
                "evaluation": {"score": 0.5},
                "completed_at": "2026-04-22T06:11:55Z",
            },
            {"status": "running", "phase_public": "iterating", "current_iteration": 1, "total_iterations": 3},
            {"status": "queued", "created_at": "2026-04-22 06:11:55,123+02:00"},
            {"error": {"code": "queue_full", "message": SECRET, "details": {"existing_job_id": "x"}}},
            {SECRET: [SECRET, {SECRET: SECRET}]},
        )
    ),
    b'{"a": 1e999}',
    b'{"a": NaN}',
    b'{"a":' * 70,
    b'{"\\ud800": "\\ud800"}',
    b"[" * 3000,
    b'\xff\xfe{\0"\0',
]


def check(data: bytes) -> None:
    """`data` is the body of an answer."""
    console.conceal(SECRET)
    answer = None
    with refused_with(("invalid_response",)):
        answer = api.read(data)
    if answer is None:
        return
    _show(answer)
    for shape in (
        answer,
        {"status": answer.get("status"), "artifact_kind": "source", "result": answer, "installed": False},
        {"installed": True, "installed_path": "/x", "result": answer, "backup_path": None, "shadowed_by": None},
    ):
        line = render(shape)
        assert SECRET not in line and "\n" not in line and json.loads(line) == shape
    _tell(answer)
    _judge(answer)


def _show(answer: dict[str, Any]) -> None:
    said: list[str] = []
    shown = progress.Progress(said.append, lambda: 0.0, lambda: 0.0)
    shown.saw(answer)
    shown.tick()
    progress.timestamp(answer.get("completed_at"))


def _tell(answer: dict[str, Any]) -> None:
    envelope = {"status": "failed", "artifact_kind": "none", "result": answer, "installed": False, "job_id": "x"}
    assert exit_status(envelope) == 0
    assert SECRET not in report.text(envelope, None)
    assert report.text({**envelope, "installed": True, "installed_path": "/x", "artifact_kind": "enhanced"}, None)


def _judge(answer: dict[str, Any]) -> None:
    with refused_with(CODES):
        for file in manifest.read(answer):
            assert check_relpath(file.relpath) == file.relpath
            parts = urlsplit(manifest.check_url(file.url, SOURCE))
            assert parts.scheme == "https" or (parts.hostname, parts.port) == ("127.0.0.1", 8000)
