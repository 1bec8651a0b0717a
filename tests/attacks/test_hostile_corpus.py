"""What a fuzzer found worth keeping, through the same functions again; tests/fuzz/run.sh looks for more."""

from __future__ import annotations

import importlib
import io

import pytest
from fuzz import intake

from mega_code.gateway.intake import examine
from support.room import REPOSITORY
from support.tally import tally

CORPUS = REPOSITORY / "tests" / "fuzz" / "corpus"
TARGETS = ("answer", "envfile", "frontmatter", "intake")


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_that_was_kept_still_keeps_the_promise(name: str) -> None:
    target = importlib.import_module(f"fuzz.{name}")
    inputs = [*target.SEEDS, *(path.read_bytes() for path in sorted((CORPUS / name).iterdir()))]
    assert len(inputs) > len(target.SEEDS)
    for data in inputs:
        target.check(data)
    tally("inputs of the fuzzer replayed", len(inputs))


def test_the_inputs_that_are_kept_are_small_and_all_of_a_target() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    assert {path.relative_to(CORPUS).parts[0] for path in files} == set(TARGETS)


def test_the_honest_seed_is_an_archive_that_is_taken() -> None:
    """A target that refused everything would find nothing."""
    taken = examine(io.BytesIO(intake.SEEDS[0]))
    assert [entry.path for entry in taken.entries] == ["SKILL.md"]
