"""`python -m mega_code.gateway start|stop|status|url|serve|add-key`: the embedded gateway's command line.

Exit: 0 done, 3 not running (`status`, `url`), 4 bad usage, 5 it does not start or stop or lacks a package; 97 instead
of the last, without a word, where scripts/lib asks for it (MEGA_CODE_LAUNCHER), which then installs the package.
"""

from __future__ import annotations

import os
import sys

from mega_code import LAUNCHER, MISSING_PACKAGE
from mega_code.errors import NETWORK
from mega_code.evaluation.packages import missing_package
from mega_code.gateway.usage import parser

PACKAGES = ("bottle", "waitress", "yaml", "requests")


def main() -> int:
    """The command line's exit status."""
    arguments = parser().parse_args(sys.argv[1:])
    missing = missing_package(PACKAGES)
    if missing and LAUNCHER in os.environ:
        return MISSING_PACKAGE
    if missing:
        print(f"gateway: {missing} is missing; pip install 'mega-code[gateway,optimize]' brings it", file=sys.stderr)
        return NETWORK
    from mega_code.gateway import cli  # only now, since it needs those packages

    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
