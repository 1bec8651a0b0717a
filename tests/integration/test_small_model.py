"""Whole jobs with a real language model: what is claimed equals what the transcripts show."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from mega_code.job import TERMINAL
from support import small_model
from support.evaluation import Steps, run
from support.room import REPOSITORY
from support.small_model import SmallModel

pytest.importorskip("gepa")
CORPUS = REPOSITORY.parent / "shared" / "corpus"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),  # a model on a processor
    pytest.mark.skipif(not small_model.is_here(), reason=small_model.MISSING),
    pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here"),
]
SUBJECTS = [
    "rain",
    "tea",
    "a train",
    "the sea",
    "a cat",
    "bread",
    "snow",
    "a clock",
    "a river",
    "music",
    "fog",
    "a hat",
]
QUERIES = [{"query": f"Please do something about {n}", "should_trigger": n % 2 == 0} for n in range(4)]
CHECKS = [{"contains": "a"}, {"not_contains": "the"}, {"regex": "[.!?]$"}]


@pytest.fixture(scope="module")
def model() -> Iterator[SmallModel]:
    with SmallModel() as served:
        yield served


@pytest.mark.parametrize("name", ["brand-guidelines", "internal-comms"])
def test_a_job_with_a_small_model_claims_what_its_transcripts_show(
    model: SmallModel, tmp_path: Path, name: str
) -> None:
    skill = tmp_path / "a skill" / name
    shutil.copytree(CORPUS / name, skill)
    text = (skill / "SKILL.md").read_text()
    cases = [{"prompt": f"Say one sentence about {subject}.", "expectations": CHECKS} for subject in SUBJECTS]
    (skill / "evals").mkdir()
    (skill / "evals/evals.json").write_text(json.dumps({"evals": cases}))
    (skill / "evals/triggers.json").write_text(json.dumps(QUERIES))
    model.answers.clear()
    before = (model.server.count(), model.input_tokens, model.output_tokens)
    steps, limits = Steps(), {"MEGA_CODE_MAX_CALLS": "46", "MEGA_CODE_MAX_OUTPUT_TOKENS": "12"}
    outcome = run(tmp_path / "a job", skill, {**model.server.env, **limits, "MEGA_CODE_CONCURRENCY": "1"}, steps)
    assert outcome.status in TERMINAL and outcome.reason
    used = outcome.usage_snapshot
    counted = (model.server.count(), model.input_tokens, model.output_tokens)
    assert [used[key] for key in ("calls", "input_tokens", "output_tokens")] == [a - b for a, b in zip(counted, before)]
    assert used["calls"] <= 44
    assert steps.phases[:3] == ["intake", "evaluation_setup", "iterating"], outcome.reason
    for case in outcome.evaluation["cases"]:
        for arm, system in (("baseline", ""), ("original", text)):
            said = model.answers["task", system, case["prompt"]]
            assert case["arms"][arm]["score"] == pytest.approx(fmean(map(graded, said)), abs=1e-6)
    held = [case for case in outcome.evaluation["cases"] if case["split"] == "held_out"]
    for arm, figures in outcome.evaluation["arms"].items():
        assert figures["pass_rate"] == pytest.approx(fmean(case["arms"][arm]["score"] for case in held), abs=1e-6)
    assert bool(outcome.files) == (outcome.artifact_kind == "enhanced") == bool(outcome.roi)


def graded(output: str) -> float:
    """The checks above, decided by other code than the grader's."""
    checks: list[Any] = ["a" in output, "the" not in output, output.rstrip("\n")[-1:] in (".", "!", "?")]
    return fmean(checks)
