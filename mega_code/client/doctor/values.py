"""The settings of ours by their names and values: numbers that are none, and names that nobody reads."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

from mega_code import settings, variables
from mega_code.client.doctor.facts import Fact, missing, warning
from mega_code.client.doctor.folders import edit
from mega_code.errors import MegaCodeError


def values(env: Mapping[str, str], path: Path, needed: Mapping[str, bool]) -> Iterator[Fact]:
    """What is wrong with a setting in `env` or the file `path`; `needed` says of which numbers an enhancement is made."""
    merged = settings.with_env_file(env)
    for name in variables.NUMBERS:
        try:
            variables.decimal(merged, name)
        except MegaCodeError as error:
            mend = _mend(name, env, path)
            is_needed = needed["gateway" if name.startswith(variables.OF_GATEWAY) else "model"]
            yield (
                missing("setting", error.message, mend, error.exit_status)
                if is_needed
                else warning("setting", error.message, mend)
            )
    for name in sorted(merged):
        if name.startswith(variables.OURS) and not name.startswith(variables.OF_TESTS) and name not in variables.NAMES:
            known = [own[len(variables.OURS) :] for own in variables.NAMES]
            near = difflib.get_close_matches(name[len(variables.OURS) :], known, 1, 0.7)
            meant = f"; {variables.OURS}{near[0]} is" if near else ""
            yield warning("setting", f"{name[:80]} is no setting, and nobody reads it{meant}", _mend(name, env, path))


def _mend(name: str, env: Mapping[str, str], path: Path) -> str:
    return f"unset {name[:80]}" if env.get(name) else edit(path)
