"""How many hostile texts the audit finds, and how many honest ones it takes for hostile. Prints Markdown.

The texts stand in tests/fixtures/audit/; `late` counts the rounds: 2 and 3 were written after the rules had been
frozen, so their first figures, which the page of verdicts keeps, say more than these. With a folder of skills each
finding in them is counted against the verdicts in references/hitl/audit-verdicts.md.

Usage: python benchmarks/audit.py [--corpus DIR]
Exit: 0 every bar is kept, 1 one is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from mega_code.evaluation.audit import Finding, audit, audit_folder  # noqa: E402

FIXTURES = REPOSITORY / "tests" / "fixtures" / "audit"
VERDICTS = REPOSITORY / "references" / "hitl" / "audit-verdicts.md"
CORPUS = REPOSITORY.parent / "shared" / "corpus"
FOUND_BAR = 0.95
FALSE_BAR = 0.10


class Verdict(NamedTuple):
    """What a person made of a finding: `skill`, `file`, `line` and `rule` tell it apart; `true` if it is no alarm."""

    skill: str
    file: str
    line: int
    rule: str
    severity: str
    true: bool


def texts(name: str) -> list[dict[str, Any]]:
    """The entries of a fixture file."""
    import yaml

    return list(yaml.safe_load((FIXTURES / f"{name}.yaml").read_text(encoding="utf-8")))


def findings(entry: dict[str, Any]) -> list[Finding]:
    """The audit of one fixture."""
    return audit({entry["file"]: entry["text"].encode()})


def is_found(entry: dict[str, Any]) -> bool:
    """Whether the audit sees what it is: the right category, and not as a trifle."""
    return any(f.category == entry["category"] and f.severity != "low" for f in findings(entry))


def verdicts() -> list[Verdict]:
    """The table of verdicts: a row a finding."""
    rows = [
        [cell.strip(" `") for cell in line.strip().strip("|").split("|")]
        for line in VERDICTS.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    return [Verdict(r[0], r[1], int(r[2]), r[3], r[4], r[5] == "true") for r in rows]


def found_rates() -> bool:
    """Print the found rate of each round; whether the whole is above the bar."""
    rounds: dict[int, list[bool]] = defaultdict(list)
    for entry in texts("malicious"):
        rounds[entry.get("late", 1)].append(is_found(entry))
    print("| hostile texts | written | found |\n|---|---|---|")
    for number, seen in sorted(rounds.items()):
        print(f"| round {number} | {'with the rules' if number == 1 else 'after them'} | {_rate(seen)} |")
    everything = [seen for each in rounds.values() for seen in each]
    print(f"| all | | {_rate(everything)} |\n")
    return sum(everything) >= FOUND_BAR * len(everything)


def false_alarms() -> bool:
    """Print how often honest texts alarm; whether none does with a high finding."""
    seen = [{finding.severity for finding in findings(entry)} for entry in texts("benign")]
    print("| honest texts | |\n|---|---|")
    for severity in ("high", "medium"):
        print(f"| with a {severity} finding | {_rate([severity in severities for severities in seen])} |")
    print()
    return not any("high" in severities for severities in seen)


def corpus(root: Path) -> bool:
    """Print the findings in real skills by the verdicts on them; whether false alarms are below the bar."""
    known = {(v.skill, v.file, v.line, v.rule): v.true for v in verdicts()}
    print("| skill | findings | high | medium | false alarms | without a verdict |\n|---|---|---|---|---|---|")
    total = wrong = unknown = 0
    for skill in sorted(path for path in root.iterdir() if path.is_dir()):
        found = audit_folder(skill)
        judged = [known.get((skill.name, f.file, f.line, f.rule)) for f in found]
        by = [sum(f.severity == severity for f in found) for severity in ("high", "medium")]
        print(f"| {skill.name} | {len(found)} | {by[0]} | {by[1]} | {judged.count(False)} | {judged.count(None)} |")
        total, wrong, unknown = total + len(found), wrong + judged.count(False), unknown + judged.count(None)
    print(f"| all | {total} | | | {wrong} | {unknown} |\n")
    return wrong + unknown < max(1, FALSE_BAR * total)


def _rate(seen: list[bool]) -> str:
    return f"{sum(seen)} of {len(seen)} ({100 * sum(seen) / len(seen):.1f} %)"


def main(argv: list[str]) -> int:
    """Print every table; 0 if all bars are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--corpus", type=Path, default=CORPUS, help="a folder of skills (default: beside this repository)"
    )
    folder = parser.parse_args(argv).corpus
    kept = [found_rates(), false_alarms()]
    if folder.is_dir():
        kept.append(corpus(folder))
    else:
        print(f"No corpus at {folder}; not counted.")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
