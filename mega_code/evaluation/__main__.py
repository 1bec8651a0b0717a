"""`python -m mega_code.evaluation [--skill-dir DIR]`: the preview's command line, see `preview`.

Exit: the preview's; 5 where a package is missing, 97 instead where scripts/lib asks for it, which then installs it.
"""

from __future__ import annotations

import argparse
import os
import sys

from mega_code import LAUNCHER, MISSING_PACKAGE
from mega_code.commandline import manual, shaped
from mega_code.errors import NETWORK
from mega_code.evaluation.packages import missing_package

PACKAGES = ("requests", "yaml")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    prog = "python -m mega_code.evaluation"
    own = argparse.ArgumentParser(
        prog=prog,
        description="Say what an enhancement would cost at most.",
        epilog=manual(
            prog,
            (0, 4, 5),
            ("MEGA_CODE_MODEL", "MEGA_CODE_DATA_DIR"),
            ("--skill-dir examples/commit-message",),
            "scripts/enhance.sh",
        ),
    )
    shaped(own)
    own.add_argument("--skill-dir", metavar="DIR", help="the skill folder (default: what resolve-skill says on stdin)")
    own.add_argument(
        "--allow-secret", metavar="RELPATH", action="append", default=[], help="this file may look like a secret"
    )
    own.add_argument("--project-dir", metavar="DIR", help="the project (default: CLAUDE_PROJECT_DIR, else here)")
    own.add_argument("--agree", action="store_true", help="only say where the gateway that runs measures otherwise")
    return own


def main() -> int:
    """The command line's exit status."""
    given = parser().parse_args(sys.argv[1:])
    missing = missing_package(PACKAGES)
    if missing and LAUNCHER in os.environ:
        return MISSING_PACKAGE
    if missing:
        print(f"preview: {missing} is missing; pip install 'mega-code[optimize]' brings it", file=sys.stderr)
        return NETWORK
    from mega_code.evaluation import preview  # only now, since it needs those packages

    return preview.agree() if given.agree else preview.main(given.skill_dir, given.allow_secret, given.project_dir)


if __name__ == "__main__":
    sys.exit(main())
