"""`python -m mega_code.evaluation [--skill-dir DIR]`: the preview's command line, see `preview`.

Exit: the preview's; 5 where a package is missing, 97 instead where scripts/lib asks for it, which then installs it.
"""

from __future__ import annotations

import os
import sys

from mega_code import LAUNCHER, MISSING_PACKAGE
from mega_code.errors import NETWORK
from mega_code.evaluation.packages import missing_package

PACKAGES = ("requests", "yaml")


def main() -> int:
    """The command line's exit status."""
    missing = missing_package(PACKAGES)
    if missing and LAUNCHER in os.environ:
        return MISSING_PACKAGE
    if missing:
        print(f"preview: {missing} is missing; pip install 'mega-code[optimize]' brings it", file=sys.stderr)
        return NETWORK
    from mega_code.evaluation import preview  # only now, since it needs those packages

    return preview.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
