"""`python -m mega_code.gateway start|stop|status|url|serve|add-key`: the embedded gateway's command line.

Exit: 0 done, 3 not running (`status`, `url`), 4 bad usage, 5 it does not start or stop or lacks a package; 97 instead
of the last, without a word, where scripts/lib asks for it (MEGA_CODE_LAUNCHER), which then installs the package.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Optional

from mega_code.errors import NETWORK

PACKAGES = ("bottle", "waitress", "yaml", "requests")
SEARCH = "gepa"
MISSING_PACKAGE = 97


def missing_package() -> Optional[str]:
    """The first package that the gateway needs and cannot have."""
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            return error.name or package
    return SEARCH if _searches() and importlib.util.find_spec(SEARCH) is None else None


def _searches() -> bool:
    """Whether a language model is asked for, on a Python that the library for its search can be had for."""
    from mega_code.evaluation.room import is_static
    from mega_code.settings import with_env_file

    return sys.version_info >= (3, 10) and not is_static(with_env_file(os.environ))


def main() -> int:
    """The command line's exit status."""
    missing = missing_package()
    if missing and "MEGA_CODE_LAUNCHER" in os.environ:
        return MISSING_PACKAGE
    if missing:
        print(f"gateway: {missing} is missing; pip install 'mega-code[gateway,optimize]' brings it", file=sys.stderr)
        return NETWORK
    from mega_code.gateway import cli  # only now, since it needs those packages

    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
