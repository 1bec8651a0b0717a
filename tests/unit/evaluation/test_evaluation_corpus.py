"""Six skills as others published them: what the static model makes of each, and what it leaves alone."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest

from mega_code.evaluation import Outcome
from mega_code.evaluation.blocks import verbatim
from mega_code.evaluation.markdown import parse
from mega_code.evaluation.static import enhance
from mega_code.skill import check_enhanced, parse_frontmatter, split

CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus"
NOW = datetime(2026, 4, 22, 6, 11, 55, tzinfo=timezone.utc)
TAGS = "added tags"
WHEN = "SKILL.md:3 does not say in its description when to use it"
EXPECTED = {
    "brand-guidelines": f"Mended by machine: {TAGS}.",
    "internal-comms": f"Mended by machine: {TAGS}.",
    "mcp-builder": f"Mended by machine: {TAGS}.",
    "theme-factory": f"Mended by machine: {TAGS}; left for a person: {WHEN}; SKILL.md:23 says a word twice in a row.",
    "web-artifacts-builder": f"Mended by machine: {TAGS}, ended texts with one line end.",
    "webapp-testing": (
        f"Mended by machine: {TAGS}, took out white space at line ends, ended texts with one line end;"
        f" left for a person: {WHEN}."
    ),
}


class Silent:
    def phase(self, name: str) -> None: ...

    def iteration(self, current: int, total: int) -> None: ...

    def worked(self) -> None: ...


def enhanced(root: Path, name: str) -> Outcome:
    return enhance(root, name, Silent(), NOW)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
@pytest.mark.parametrize("name", EXPECTED)
def test_a_published_skill_ends_enhanced_with_its_code_its_words_and_its_files(name: str, tmp_path: Path) -> None:
    before = (CORPUS / name / "SKILL.md").read_bytes().decode()
    outcome = enhanced(CORPUS / name, name)
    assert (outcome.status, outcome.artifact_kind, outcome.reason) == ("succeeded", "enhanced", EXPECTED[name])
    assert list(outcome.files) == ["SKILL.md"]
    after = outcome.files["SKILL.md"].decode()
    assert verbatim(parse(split(after).body)) == verbatim(parse(split(before).body))
    assert split(after).body.split() == split(before).body.split()
    assert split(after).frontmatter.startswith(split(before).frontmatter)
    check_enhanced(parse_frontmatter(after))
    arms = outcome.evaluation["arms"]
    assert arms["candidate"]["pass_rate"] > arms["original"]["pass_rate"]

    copy = tmp_path / name
    shutil.copytree(CORPUS / name, copy)
    (copy / "SKILL.md").write_bytes(outcome.files["SKILL.md"])
    again = enhanced(copy, name)
    assert (again.status, again.artifact_kind, again.files) == ("succeeded", "source", {})
    skills_ref = pytest.importorskip("skills_ref", reason="the reference validator is not here")
    assert skills_ref.validate(copy) == []
