#!/usr/bin/env python3
"""Check the subject line of a commit message; prints what is wrong and exits 1, or exits 0 in silence."""

import re
import sys

TYPES = ("feat", "fix", "perf", "refactor", "docs", "test", "build", "chore")


def problems(subject: str) -> list:
    found = []
    match = re.fullmatch(r"([a-z]+)(\([a-z0-9-]+\))?!?: (.+)", subject)
    if not match:
        found.append("it does not read 'type(scope): what it does'")
    elif match.group(1) not in TYPES:
        found.append(f"unknown type '{match.group(1)}'; one of: {', '.join(TYPES)}")
    if len(subject) > 72:
        found.append(f"it has {len(subject)} characters; 72 is the most")
    if subject.endswith("."):
        found.append("it ends with a full stop")
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: check_subject.py SUBJECT")
    wrong = problems(sys.argv[1])
    for problem in wrong:
        print(problem)
    sys.exit(1 if wrong else 0)
