"""Intake: whether a skill may be worked on at all."""

from __future__ import annotations

from pathlib import Path

from mega_code.errors import MegaCodeError
from mega_code.evaluation import audit, folder, spec
from mega_code.evaluation.folder import Skill
from mega_code.evaluation.outcome import Outcome, quarantined, rejected


class Stop(Exception):
    """The job ends before there is anything to compare."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def admit(skill_dir: Path, skill_id: str) -> Skill:
    """The skill in `skill_dir`, read and looked through.

    Raises Stop where it breaks the specification for good, or where its author is not known and the audit finds
    something of high severity. Raises OSError where the folder cannot be read.
    """
    try:
        skill = folder.read(skill_dir, skill_id)
        broken = spec.violations(skill)
    except MegaCodeError as error:
        broken = [error.message]
    if broken:
        raise Stop(rejected(broken))
    if not audit.known_author(skill.frontmatter):
        high = [finding for finding in audit.audit_folder(skill_dir) if finding.severity == "high"]
        if high:
            raise Stop(quarantined([finding._asdict() for finding in high]))
    return skill
