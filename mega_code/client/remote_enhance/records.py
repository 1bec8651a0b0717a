"""What is remembered of a job on this machine: what was submitted, and what came back."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from mega_code.client.remote_enhance.progress import timestamp
from mega_code.files import globbed, read_json, write_atomic, write_json
from mega_code.paths import SCOPES, SKILL_NAME, DataDir, check_job_id, is_job_id

if TYPE_CHECKING:
    from mega_code.client.remote_enhance.manifest import File

Json = dict[str, Any]


class Submission(NamedTuple):
    """A `<job_id>.job.json`: `job_id` is spelt as the gateway spells it; `skill_path` is the SKILL.md; `scope` None
    where the folder lies in neither.

    `project_dir` and `install_location` are where it was asked to go; None where that was left open.
    """

    job_id: str
    skill_name: str
    skill_path: str
    scope: Optional[str]
    content_hash: str
    server_url: str
    project_dir: Optional[str] = None
    install_location: Optional[str] = None


def write_job(data: DataDir, submission: Submission, submitted_at: Optional[str] = None) -> None:
    """Remember a submission, of now unless `submitted_at` says when. Raises OSError."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    write_json(data.job(submission.job_id), {**submission._asdict(), "submitted_at": submitted_at or now})


def read_job(data: DataDir, job_id: str) -> Json:
    """What was submitted as `job_id`; only entries of the right type, none where nothing is known."""
    record = read_json(data.job(job_id))
    if not isinstance(record, dict) or str(record.get("job_id")).lower() != job_id.lower():
        return {}
    known = {key: value for key, value in record.items() if isinstance(value, str)}
    for key in ("scope", "install_location"):
        if known.get(key) not in SCOPES:
            known.pop(key, None)
    if not SKILL_NAME.fullmatch(known.get("skill_name", "")):
        known.pop("skill_name", None)
    return known


def spelt(data: DataDir, job_id: str) -> str:
    """`job_id` as the gateway spells it, where it is known from a submission."""
    return str(read_job(data, job_id).get("job_id", job_id))


def age_s(data: DataDir, job_id: str) -> float:
    """Seconds since a job was submitted, by this machine's clock; 0 where that is not known."""
    submitted = timestamp(read_job(data, job_id).get("submitted_at"))
    return max(0.0, time.time() - submitted) if submitted else 0.0


def write_result(data: DataDir, job_id: str, result: Json, skill_name: Optional[str]) -> None:
    """Keep a result body as it was received, plus `skill_name`. Raises OSError."""
    write_json(data.result(job_id), {**result, "skill_name": skill_name})


def write_report(data: DataDir, job_id: str, result: Json) -> None:
    """Keep a result as a page, too. Raises OSError, and whatever a result beyond all bounds may lead to."""
    from mega_code.pages import job_report

    write_atomic(data.report(job_id), job_report.render(result).encode())


def read_result(data: DataDir, job_id: str) -> Optional[Json]:
    """The result body that was kept, with `skill_name`; None where there is none or it is corrupt."""
    result = read_json(data.result(job_id))
    return result if isinstance(result, dict) else None


def write_digests(data: DataDir, job_id: str, digests: dict[str, str]) -> None:
    """Keep the SHA-256 of downloaded files whose result names none, by relpath. Raises OSError."""
    write_json(data.digests(job_id), digests)


def files(data: DataDir, job_id: str, result: Json) -> list[File]:
    """The files of a result; of those without a SHA-256, the one of what was downloaded. Raises as `manifest.read`."""
    from mega_code.client.remote_enhance import manifest

    kept = read_json(data.digests(job_id))
    known = kept if isinstance(kept, dict) else {}
    return [file if file.sha256 else file._replace(sha256=known.get(file.relpath)) for file in manifest.read(result)]


def is_enhanced(result: Json) -> bool:
    """Whether there is something to install."""
    return result.get("status") == "succeeded" and result.get("artifact_kind") == "enhanced"


def cached(data: DataDir, skill_name: str) -> list[Json]:
    """`{"job_id", "completed_at", "roi"}` of every installable result of a skill, newest first. No network."""
    entries = []
    for path in globbed(data.enhancements, "*.result.json"):
        job_id = path.name[: -len(".result.json")]
        result = read_result(data, job_id) if is_job_id(job_id) else None
        if (
            result
            and result.get("skill_name") == skill_name
            and is_enhanced(result)
            and _is_staged(data, job_id, result)
        ):
            roi = result.get("roi")
            entry = {
                "job_id": job_id,
                "completed_at": result.get("completed_at"),
                "roi": roi if isinstance(roi, list) else [],
            }
            entries.append((timestamp(entry["completed_at"]) or 0.0, _mtime(path), entry))
    return [entry for _, _, entry in sorted(entries, key=lambda item: item[:2], reverse=True)]


def _is_staged(data: DataDir, job_id: str, result: Json) -> bool:
    from mega_code.client.remote_enhance.verification import is_whole
    from mega_code.errors import MegaCodeError

    try:
        return is_whole(data.staging(check_job_id(job_id)), files(data, job_id, result))
    except MegaCodeError:
        return False


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
