"""What each mode of the command does: settings and arguments in, an envelope out."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Optional

from mega_code import interrupt, telemetry
from mega_code.client.remote_enhance import records
from mega_code.console import say, warn
from mega_code.envelope import Envelope
from mega_code.errors import MegaCodeError
from mega_code.paths import check_job_id, check_skill_name, is_job_id
from mega_code.settings import Settings, load

if TYPE_CHECKING:
    from mega_code.bundle import Bundle
    from mega_code.client.remote_enhance.api import Gateway
    from mega_code.skills import Skill

RESTART_S = 5.0
LEAST_S = 0.1  # 0 would wait for ever


class Run:
    """One run of the command; remembers its job, so that whatever ends it can name what was paid for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.data = settings.data
        self.started = time.monotonic()
        self.job_id: Optional[str] = None
        self.wanted: tuple[Optional[str], Optional[str]] = (None, None)  # project and scope, as job.json keeps them

    def elapsed_s(self) -> float:
        """Seconds since the start, to the tenth."""
        return round(time.monotonic() - self.started, 1)

    # Submitting

    def submit(self, skill: Skill, allow_secret: Sequence[str], project: Path, scope: Optional[str]) -> Envelope:
        """Package and upload; the record of the job, and of where it is to go, is on the disk before this returns."""
        from mega_code.client.remote_enhance.api import Gateway
        from mega_code.skill import other_name

        self.wanted = str(project), scope
        gateway = Gateway.of(self.settings)
        own = other_name(skill.frontmatter, skill.name)
        if own:
            warn(f"the skill calls itself {own!r}; its folder's name {skill.name!r} counts")
        with telemetry.span("package", skill_name=skill.name) as span:
            bundle, archive = self._pack(skill, allow_secret)
            size = archive.seek(0, os.SEEK_END)
            span.set(files=len(bundle.entries), bytes=size, content_hash=bundle.content_hash)
        say(f"uploading {skill.name} to {gateway.server_url}")
        try:
            with archive, telemetry.span("upload", "client", bytes=size) as span:
                answer = gateway.upload(archive, skill.name)
                span.set(job_id=answer["job_id"])
        except MegaCodeError as error:
            if error.code != "duplicate_content_hash":
                raise
            return self._conflict(error, bundle, skill, gateway)
        with interrupt.together():
            self.job_id = answer["job_id"].lower()
            self._record(answer["job_id"], skill, bundle, gateway)
        say(f"submitted as job {self.job_id}")
        return {"submitted": {"job_id": self.job_id, "content_hash": bundle.content_hash, **_asked(skill)}}

    def _pack(self, skill: Skill, allow_secret: Sequence[str]) -> tuple[Bundle, IO[bytes]]:
        import tempfile

        from mega_code import bundle as bundles

        try:
            archive = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
            bundle = bundles.pack(skill.folder, archive, allow_secret=allow_secret)
        except OSError as error:
            raise MegaCodeError("invalid_path", f"The bundle could not be written: {error.strerror}.") from None
        left_out = f", {bundle.left_out} left out" if bundle.left_out else ""
        packed = f"{len(bundle.entries)} file{'s' if len(bundle.entries) > 1 else ''}"
        say(f"packed {skill.name}: {packed}, {max(1, bundle.compressed // 1024)} KiB{left_out}")
        return bundle, archive

    def _conflict(self, error: MegaCodeError, bundle: Bundle, skill: Skill, gateway: Gateway) -> Envelope:
        existing = error.details.get("existing_job_id")
        if not is_job_id(existing):
            raise MegaCodeError("invalid_response", "The server knows this content but names no job for it.")
        self.job_id = str(existing).lower()
        # The same content may have been submitted under another name or from another place: what was asked for last is
        # where the result belongs, whoever resumes the job.
        self._record(str(existing), skill, bundle, gateway)
        return {"conflict": {"existing_job_id": self.job_id, "content_hash": bundle.content_hash, **_asked(skill)}}

    def _record(self, job_id: str, skill: Skill, bundle: Bundle, gateway: Gateway) -> None:
        """Remember what was asked for; where the job is known already, since when stays as it is."""
        since = records.read_job(self.data, job_id).get("submitted_at")
        submission = records.Submission(
            *(job_id, skill.name, str(skill.path), skill.scope, bundle.content_hash, gateway.server_url),
            *self.wanted,
        )
        try:
            records.write_job(self.data, submission, since)
        except OSError as error:
            warn(f"the job could not be recorded ({error.strerror}); note its id: {job_id}")

    # Waiting

    def poll(self, job_id: str, timeout_s: float) -> Envelope:
        """Wait for a job, fetch and verify what it made."""
        from mega_code.client.remote_enhance.api import Gateway
        from mega_code.client.remote_enhance.polling import NotTerminal, wait_for

        self.job_id = job_id = check_job_id(job_id)
        until = time.monotonic() + timeout_s
        while True:
            gateway = Gateway.of(self.settings)
            try:
                left = timeout_s and max(LEAST_S, until - time.monotonic())
                job = wait_for(gateway, records.spelt(self.data, job_id), left, records.age_s(self.data, job_id))
                return self._finish(job_id, gateway, job["status"])
            except NotTerminal:
                return {"timeout": {"job_id": job_id, "elapsed_s": self.elapsed_s()}}
            except MegaCodeError as error:
                if error.code != "auth_failure" or not self._gateway_has_a_new_key():
                    raise
            say("the embedded gateway was started anew; going on with its new key")

    def cancel(self, job_id: str) -> Envelope:
        """Ask the gateway to end a job."""
        from mega_code.client.remote_enhance.api import Gateway

        self.job_id = job_id = check_job_id(job_id)
        Gateway.of(self.settings).cancel(records.spelt(self.data, job_id))
        return {"cancelled": {"job_id": job_id}}

    def _gateway_has_a_new_key(self) -> bool:
        """Whether the embedded gateway was started anew meanwhile; its new key is used from now on.

        It answers a moment before it has written that key.
        """
        until = time.monotonic() + RESTART_S
        while self.settings.embedded and time.monotonic() < until:
            fresh = load(os.environ)
            if fresh.embedded and fresh.api_key != self.settings.api_key:
                self.settings = fresh
                return True
            time.sleep(0.1)
        return False

    def _finish(self, job_id: str, gateway: Gateway, status: str) -> Envelope:
        from mega_code.client.remote_enhance import staging

        result = self._fetch_result(job_id, gateway, status)
        head = {
            "status": result.get("status"),
            "artifact_kind": result.get("artifact_kind"),
            "result": result,
            **self._report(job_id),
        }
        if not records.is_enhanced(result):
            try:
                staging.withdraw(self.data.staging(job_id))
            except OSError as error:
                warn(f"what was staged before could not be removed: {error.strerror}")
            return {**head, "installed": False, "job_id": job_id}
        self._stage(job_id, result, gateway.server_url)
        known = records.read_job(self.data, job_id)
        origin = {
            "skill_name": known.get("skill_name") or self._name_in(result),
            "original_path": known.get("skill_path"),
            "original_scope": known.get("scope"),
            "project_dir": known.get("project_dir"),
            "install_location": known.get("install_location"),
        }
        return {
            **head,
            "installed": False,
            "staging_dir": str(self.data.staging(job_id)),
            "needs_install_location": True,
            "job_id": job_id,
            **{key: value for key, value in origin.items() if value},
        }

    def _fetch_result(self, job_id: str, gateway: Gateway, status: Optional[str] = None) -> dict[str, Any]:
        """The result of a job, kept here too. Where it has no status, that of the job counts, which is the same."""
        with telemetry.span("result", "client", job_id=job_id) as span:
            result = gateway.result(records.spelt(self.data, job_id))
            result.update({"status": status} if status and not result.get("status") else {})
            span.set(status=str(result.get("status")), artifact_kind=str(result.get("artifact_kind")))
        name = records.read_job(self.data, job_id).get("skill_name") or self._name_in(result)
        try:
            records.write_result(self.data, job_id, result, name)
        except OSError as error:
            warn(f"the result could not be kept: {error.strerror}")
        try:
            records.write_report(self.data, job_id, result)
        except Exception as error:  # a page is never worth a paid job
            warn(f"the report could not be written: {error}")
        return result

    def _report(self, job_id: str) -> dict[str, str]:
        """Where the page of a job lies, as an entry of its envelope; nothing where there is none."""
        page = self.data.report(job_id)
        return {"report_path": str(page)} if os.path.isfile(page) else {}

    @staticmethod
    def _name_in(result: dict[str, Any]) -> Optional[str]:
        name = result.get("skill_id")
        try:
            return check_skill_name(name) if isinstance(name, str) else None
        except MegaCodeError:
            return None

    def _stage(self, job_id: str, result: dict[str, Any], server_url: str) -> None:
        from mega_code.client.remote_enhance import download, manifest
        from mega_code.client.remote_enhance.verification import is_whole

        files = manifest.read(result)
        target = self.data.staging(job_id)
        if is_whole(target, records.files(self.data, job_id, result)):
            say("the files are here already, and whole")
            return
        source = manifest.Source(server_url, self.settings.host_suffixes)
        with telemetry.span("download", job_id=job_id, files=len(files)):
            digests = download.fetch(files, source, target, self.data.rejected(job_id))
        try:
            if digests:
                records.write_digests(self.data, job_id, digests)
        except OSError as error:
            warn(f"what came without a SHA-256 cannot be verified later either: {error.strerror}")

    # Installing

    def install(self, job_id: str, name: str, scope: str, project: Path) -> Envelope:
        """Install from the staging dir; the gateway is asked only where the cache is gone."""
        from mega_code.client.remote_enhance import install

        self.job_id = job_id = check_job_id(job_id)
        check_skill_name(name)
        result = records.read_result(self.data, job_id)
        if result is None or (records.is_enhanced(result) and not os.path.lexists(self.data.staging(job_id))):
            result = self._recover_cache(job_id, result)
        if not records.is_enhanced(result):
            raise MegaCodeError(
                "missing_artifact",
                f"Job {job_id} ended {result.get('status')}, with nothing to install.",
                job_id=job_id,
            )
        files = records.files(self.data, job_id, result)
        with telemetry.span("install", job_id=job_id, skill_name=name, scope=scope, files=len(files)):
            done = install.install(self.data.staging(job_id), files, name, scope, project, self.data)
        own = {key: value for key, value in result.items() if key != "skill_name"}
        return {
            "status": result.get("status"),
            "artifact_kind": result.get("artifact_kind"),
            "result": own,
            "installed": True,
            "installed_path": str(done.path),
            "backup_path": str(done.backup_path) if done.backup_path else None,
            "active": done.shadowed_by is None,
            "shadowed_by": str(done.shadowed_by) if done.shadowed_by else None,
            "other_copy": str(done.other_copy) if done.other_copy else None,
            "other_link": str(done.other_link) if done.other_link else None,
            "job_id": job_id,
            "skill_name": name,
            "scope": scope,
            **self._report(job_id),
        }

    def _recover_cache(self, job_id: str, result: Optional[dict[str, Any]]) -> dict[str, Any]:
        from mega_code.client.remote_enhance.api import Gateway

        say(f"job {job_id} is not cached here any more; asking the gateway")
        try:
            gateway = Gateway.of(self.settings)
            result = self._fetch_result(job_id, gateway)
            if records.is_enhanced(result):
                self._stage(job_id, result, gateway.server_url)
            return result
        except MegaCodeError as error:
            if self.settings.server_url and error.code not in ("http_404", "not_found"):
                raise
            raise MegaCodeError(
                "missing_staging", f"Nothing is staged for job {job_id}, and no gateway has it: {error.message}"
            ) from None


def _asked(skill: Skill) -> dict[str, str]:
    """What was asked for, as entries of an envelope."""
    asked = {"skill_name": skill.name, "original_path": str(skill.path), "original_scope": skill.scope}
    return {key: value for key, value in asked.items() if value}
