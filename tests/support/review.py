"""Iterations of the local flow that are ready to be reviewed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from mega_code.files import write_json

JSON = dict[str, Any]
CASES = (
    (
        "leap-second",
        "Write the changelog entry for 4.2.0 from these commits:\n\n"
        "  9f1c2e  fix: clock went backwards on leap seconds\n  0b77aa  feat: --json prints one object a line\n"
        "  c41d90  chore: bump actions/checkout",
        ("names the version", "leaves the chore out", "says what a user notices"),
    ),
    (
        "breaking-flag",
        "The flag --out was renamed to --output. Write its changelog entry.",
        ("says that it breaks", "shows the old and the new flag"),
    ),
    ("nothing-new", "There are no commits since 4.2.0. Write the changelog entry.", ("invents nothing",)),
)
GOOD = """## 4.2.0

### Added

- `--json` prints **one object a line**, so that a pipe can read it as it comes.

### Fixed

- The clock no longer goes backwards on leap seconds; timestamps in `events.log` are monotonic.

| area | change | breaking |
|---|---|:-:|
| output | `--json` | no |
| clock | leap seconds | no |

> Nothing needs to be done when you update.

```console
$ tool --json | head -1
{"at": "2026-04-22T06:11:55Z", "event": "start"}
```
"""
PLAIN = """# Changelog

## 4.2.0

- fix: clock went backwards on leap seconds
- feat: --json prints one object a line
- chore: bump actions/checkout

Let me know if you would like *any changes* to this entry!
"""
EVIDENCE = {
    "names the version": ("4.2.0", "4.2.0"),
    "leaves the chore out": ("", "chore: bump actions/checkout"),
    "says what a user notices": ("prints **one object a line**, so that a pipe can read it", ""),
}


def iteration(
    root: Path,
    number: int = 1,
    arms: Sequence[str] = ("with_skill", "baseline"),
    repeats: int = 1,
    texts: Optional[Mapping[tuple[str, str], str]] = None,
    cases: Sequence[tuple[str, str, Sequence[str]]] = CASES,
) -> Path:
    """A folder `iteration-<number>` in `root` with everything that comes before a review; `texts` by case and arm."""
    folder = root / f"iteration-{number}"
    (folder / "original").mkdir(parents=True)
    skill = (
        f"---\nname: changelog-writer\ndescription: Writes changelog entries.\n---\nLeave chores out.\nRule {number}.\n"
    )
    (folder / "original" / "SKILL.md").write_text(skill, encoding="utf-8")
    about = {"skill_name": "changelog-writer", "iteration": number, "content_hash": "ab" * 32}
    write_json(folder / "iteration.json", {**about, "created_at": "2026-04-22T06:11:55Z"})
    evals = [{"id": name, "prompt": prompt, "expectations": list(wanted)} for name, prompt, wanted in cases]
    write_json(folder / "test-cases.json", {"skill_name": "changelog-writer", "evals": evals})
    runs = [
        _run(name, arm, repeat, (texts or {}).get((name, arm)))
        for name, _, _ in cases
        for arm in arms
        for repeat in range(repeats)
    ]
    write_json(folder / "runs.json", {"model": "sonnet", "repeats": repeats, "arms": list(arms), "runs": runs})
    write_json(folder / "benchmark.json", _benchmark(arms, repeats, cases, number))
    return folder


def _run(case: str, arm: str, repeat: int, text: Optional[str]) -> JSON:
    if text is None:
        text = PLAIN if arm == "baseline" else GOOD
        text += f"\nRun {repeat + 1} of {case}.\n" if repeat else ""
    tokens = {"baseline": (214, 96), "previous": (1480, 171)}.get(arm, (1614, 188))
    counted = {"input_tokens": tokens[0], "output_tokens": tokens[1] + 7 * repeat}
    return {"case": case, "arm": arm, "repeat": repeat, "text": text, "outcome": "answer", **counted}


def _benchmark(arms: Sequence[str], repeats: int, cases: Sequence[tuple[str, str, Sequence[str]]], number: int) -> JSON:
    rates = {
        "baseline": (0.33, 0.1, 0.6),
        "previous": (0.71, 0.5, 0.88),
        "with_skill": (0.86 + number / 100, 0.68, 0.97),
    }
    measured = {
        arm: {
            "pass_rate": rates[arm][0],
            "tokens": 310.0 if arm == "baseline" else 1802.4,
            "ci95": list(rates[arm][1:]),
        }
        for arm in arms
    }
    listed = []
    for name, prompt, wanted in cases:
        verdicts = {arm: [_verdict(arm, text, repeat) for repeat in range(repeats) for text in wanted] for arm in arms}
        scores = {arm: sum(one["passed"] for one in all_) / max(1, len(all_)) for arm, all_ in verdicts.items()}
        per_arm = {
            arm: {"score": scores[arm], "tokens": 310.0, "verdicts": verdicts[arm], "problems": []} for arm in arms
        }
        listed.append({"case": name, "split": "held_out", "prompt": prompt, "arms": per_arm})
    reason = (
        "Inconclusive: on 3 held-out cases the pass rate rises by 53.0 points; noise alone does as well with probability "
        "0.1250, too often to tell them apart. If it is as it looks, 7 held-out cases would probably settle it."
    )
    others = [arm for arm in ("previous", "baseline") if arm in arms]
    compared = [
        {"against": arm, "publish": False, "kind": "inconclusive", "p_value": 0.125, "reason": reason} for arm in others
    ]
    given = {
        "decision": compared[0],
        "comparisons": compared,
        "notes": ["Every case was seen while the skill was written."],
    }
    return {"model": "sonnet", "repeats": repeats, "arms": measured, "cases": listed, **given}


def _verdict(arm: str, text: str, repeat: int) -> JSON:
    good, bad = EVIDENCE.get(text, ("", ""))
    passed = arm != "baseline" or text == "names the version"
    return {
        "expectation": text,
        "passed": passed,
        "evidence": bad if arm == "baseline" else good,
        "by": "judge",
        "repeat": repeat,
    }


def feedback(folder: Path) -> JSON:
    """What feedback.json holds."""
    value: JSON = json.loads((folder / "feedback.json").read_text("utf-8"))
    return value
