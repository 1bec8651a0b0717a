"""`python tests/fuzz/drive.py TARGET CORPUS_DIR SECONDS`: run one target under atheris, a coverage-guided fuzzer.

Ends with `TARGET: N executions`; a broken promise ends it with libFuzzer's report and another exit status.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

tests = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(tests.parent), str(tests)]
with atheris.instrument_imports(include=["mega_code", "zipfile", "yaml"]):
    target = importlib.import_module(f"fuzz.{sys.argv[1]}")


def main(name: str, corpus: Path, seconds: int) -> None:
    """Seed the corpus, then fuzz for that long."""
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.SEEDS):
        (corpus / f"seed-{number:02}").write_bytes(seed)
    limits = ["-timeout=20", "-rss_limit_mb=600", "-max_len=8192", f"-max_total_time={seconds}", "-print_final_stats=1"]
    artifacts = f"-artifact_prefix={corpus.parent}/{name}-"
    atheris.Setup(["fuzz", str(corpus), *limits, artifacts], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
