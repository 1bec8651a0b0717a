"""The stamp of an enhanced skill, and the tags it may need."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from mega_code.evaluation.folder import Skill
from mega_code.evaluation.stamp import author, bumped, stamp
from mega_code.evaluation.tags import derive
from mega_code.skill import check_enhanced

ROI = [{"model": "static-checks", "performance_increase": "6%", "token_savings": "-1%", "cases": 5}]
NOW = datetime(2026, 4, 22, 8, 11, 55, tzinfo=timezone(timedelta(hours=2)))
STAMP = """
  generated_at: "2026-04-22T06:11:55Z"
  roi:
    - model: static-checks
      performance_increase: "6%"
      token_savings: "-1%"
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, "1.1.0"),
        ("", "1.1.0"),
        ("1.0.0", "1.1.0"),
        ("1.2.3", "1.3.0"),
        ("1.0", "1.1"),
        ("1.9", "1.10"),
        ("2", "2.1"),
        ("v0.3.1", "v0.4.0"),
        ("1.2.3-beta.1", "1.3.0"),
        ("latest", "latest"),
        ("2024-05-01", "2024-05-01"),
        ("2026.4", "2026.5"),
        ("9" * 40, "9" * 40),
    ],
)
def test_the_version_is_bumped_by_one_minor(old: object, new: str) -> None:
    assert bumped(old) == new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, "co-authored by www.megacode.ai"),
        ("Jane", "Jane, co-authored by www.megacode.ai"),
        (["Jane", "Joe"], "Jane, Joe, co-authored by www.megacode.ai"),
        ({"name": "Jane"}, "Jane, co-authored by www.megacode.ai"),
        ("Jane, co-authored by www.MegaCode.ai", "Jane, co-authored by www.MegaCode.ai"),
    ],
)
def test_the_author_stays_and_we_are_named_once(old: object, new: str) -> None:
    assert author(old) == new


def test_a_stamp_stands_at_the_end_of_the_metadata_and_all_else_stays() -> None:
    before = (
        '---\nname: a # b\nmetadata:\n  # c\n  tags: [x, "1"]\n  d: {e: f}\n  roi: []\ndescription: >-\n  g\n---\nbody'
    )
    after = (
        "---\nname: a # b\nmetadata:\n  # c\n  tags:\n    - x\n"
        '    - "1"\n  d:\n    e: f\n  roi:\n    - model: static-checks\n      performance_increase: "6%"\n'
        '      token_savings: "-1%"\n  author: co-authored by www.megacode.ai\n  version: "1.1.0"\n'
        '  generated_at: "2026-04-22T06:11:55Z"\ndescription: >-\n  g\n---\nbody'
    )
    skill = Skill("a", frozenset(("SKILL.md",)), {"SKILL.md": before})
    assert stamp(skill, ROI, NOW) == after
    check_enhanced(skill.changed({"SKILL.md": after}).frontmatter)


def test_metadata_that_is_ours_has_the_usual_order() -> None:
    text = "---\nname: a\nmetadata:\n  tags:\n    - x\n# b\n---\nbody"
    skill = Skill("a", frozenset(("SKILL.md",)), {"SKILL.md": text})
    assert stamp(skill, ROI, NOW, fresh=True) == (
        '---\nname: a\n# b\nmetadata:\n  author: co-authored by www.megacode.ai\n  version: "1.1.0"'
        + STAMP.replace("  roi", "  tags:\n    - x\n  roi")
        + "---\nbody"
    )


@pytest.mark.parametrize(
    ("name", "description", "tags"),
    [
        ("release-notes", "Writes notes of a release from the Git log.", ["release", "notes", "git"]),
        ("pdf", "Fills in forms, merges forms; forms, tables, tables and OCR.", ["pdf", "forms", "tables", "ocr"]),
        ("a", "x", ["a"]),
        ("use-the-skill", "Do it.", ["use-the-skill"]),
        ("a1-b2-c3-d4-e5-f6-g7", "Git, GitHub and React.", ["a1", "b2", "c3", "d4", "e5", "f6"]),
        ("git-commit", "生成提交信息", ["git", "commit"]),
    ],
)
def test_tags_come_from_the_name_and_from_what_the_description_is_about(
    name: str, description: str, tags: list[str]
) -> None:
    assert derive(name, description) == tags
