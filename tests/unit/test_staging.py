"""The staging dir where more than one run waits for its job."""

from __future__ import annotations

import os
from pathlib import Path

from mega_code.client.remote_enhance.staging import building, publish


def test_publishing_over_what_another_run_has_just_published_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "a job"
    with building(target) as first, building(target) as second:
        (first / "SKILL.md").write_text("first")
        (second / "SKILL.md").write_text("second")
        publish(first, target)
        publish(second, target)
        assert os.listdir(tmp_path) == ["a job"]
    assert (target / "SKILL.md").read_text() == "second"


def test_a_file_in_the_place_of_the_staging_dir_gives_way(tmp_path: Path) -> None:
    target = tmp_path / "a job"
    target.write_text("")
    with building(target) as folder:
        publish(folder, target)
    assert os.listdir(tmp_path) == ["a job"] and target.is_dir()
