"""Where an enhancement works."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Room(NamedTuple):
    """A job's settings (`env`, as of a process), a folder of its own that outlives an attempt, and the file that holds
    the completions of all jobs."""

    env: Mapping[str, str]
    workspace: Path
    store: Path
    job_id: str
