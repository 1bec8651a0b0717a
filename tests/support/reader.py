"""Looks at a skill again and again: `reader.py SKILL_FOLDER`, until stdin closes.

Prints `{"looks", "missing", "mixed"}`. The folder is opened once a look and its files through that descriptor: whoever
opens each file by its full path can see the first one before a swap and the second one behind it, a race of its own.
"""

from __future__ import annotations

import json
import os
import select
import sys

FILES = ("SKILL.md", "scripts/run.sh", "which")


def look(folder: str) -> set[bytes]:
    """The last line of every file, of which each version of the skill has its own. Raises FileNotFoundError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return {_last_line(os.open(name, os.O_RDONLY, dir_fd=descriptor)) for name in FILES}
    finally:
        os.close(descriptor)


def _last_line(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read().splitlines()[-1]


def main(folder: str) -> None:
    looks = missing = mixed = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        looks += 1
        try:
            mixed += len(look(folder)) != 1
        except FileNotFoundError:
            missing += 1
    print(json.dumps({"looks": looks, "missing": missing, "mixed": mixed}))


if __name__ == "__main__":
    main(sys.argv[1])
