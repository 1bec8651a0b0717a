"""Which package is missing, asked before anything is imported that needs one."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Optional

from mega_code.model_settings import is_static
from mega_code.settings import with_env_file

SEARCH = "gepa"


def missing_package(packages: Sequence[str]) -> Optional[str]:
    """The first of `packages` that cannot be had, or the library for a search where that is needed."""
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            return error.name or package
    return SEARCH if _searches() and importlib.util.find_spec(SEARCH) is None else None


def _searches() -> bool:
    """Whether a language model is asked for, on a Python that the library for its search can be had for."""
    return sys.version_info >= (3, 10) and not is_static(with_env_file(os.environ))
