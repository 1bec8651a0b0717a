"""`python -m mega_code.gateway start|stop|status|url|serve|add-key`: the embedded gateway's command line.

Exit: 0 done, 3 not running (`status`, `url`), 4 bad usage, 5 it does not start or stop, 97 a package is missing.
"""

from __future__ import annotations

import importlib
import sys
from typing import Optional

PACKAGES = ("bottle", "waitress", "yaml", "requests")
MISSING_PACKAGE = 97  # scripts take it as the sign to set up a runtime and try once more


def missing_package() -> Optional[str]:
    """The first package that the gateway needs and cannot have."""
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            return error.name or package
    return None


def main() -> int:
    """The command line's exit status."""
    missing = missing_package()
    if missing:
        print(f"gateway: {missing} is missing; install it with: pip install 'mega-code[gateway]'", file=sys.stderr)
        return MISSING_PACKAGE
    from mega_code.gateway import cli  # only now, since it needs those packages

    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
