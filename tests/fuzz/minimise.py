"""`python tests/fuzz/minimise.py TARGET FROM_DIR TO_DIR`: keep the inputs that reach what no smaller one does.

What is reached is a step from one line of ours to another, so that the result does not depend on the fuzzer.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Callable

tests = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(tests.parent), str(tests)]
OURS = str(tests.parent / "mega_code")
MOST_BYTES = 64 * 1024  # a target

Step = tuple[str, int, int]


def steps(check: Callable[[bytes], None], data: bytes) -> set[Step]:
    """The steps between lines of the product while `check` runs."""
    found: set[Step] = set()
    last: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        found.add((frame.f_code.co_filename, last.get(frame, 0), frame.f_lineno))
        last[frame] = frame.f_lineno
        return trace

    sys.settrace(trace)
    try:
        check(data)
    finally:
        sys.settrace(None)
    return found


def main(name: str, source: Path, target: Path) -> None:
    """Choose, smallest first, and replace what `target` holds."""
    check = importlib.import_module(f"fuzz.{name}").check
    inputs = sorted({path.read_bytes() for path in source.iterdir()}, key=lambda data: (len(data), data))
    reached: set[Step] = set()
    kept: list[bytes] = []
    for data in inputs:
        new = steps(check, data) - reached
        if new and sum(map(len, kept)) + len(data) <= MOST_BYTES:
            kept.append(data)
            reached |= new
    target.mkdir(parents=True, exist_ok=True)
    for path in target.iterdir():
        path.unlink()
    for number, data in enumerate(kept):
        (target / f"{number:03}").write_bytes(data)
    print(f"{name}: {len(kept)} of {len(inputs)} inputs kept, {sum(map(len, kept))} bytes")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
