"""strace as a means of attack: which calls a command makes, and a kill or an error at any one of them."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# `?` lets a name pass that this machine's kernel does not have.
CHANGES = (
    "rename renameat renameat2 mkdir mkdirat rmdir unlink unlinkat symlink symlinkat chmod fchmod fchmodat".split()
)
WRITES = "open openat write fsync ftruncate sendfile copy_file_range utimensat flock".split()
_LINE = re.compile(r"(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_OPENED_TO_WRITE = re.compile(r"O_WRONLY|O_RDWR|O_CREAT")


class Call(NamedTuple):
    """The `number`-th call of that `name` in its process, counted from 1."""

    name: str
    number: int
    arguments: str


@functools.cache
def available() -> bool:
    """Whether strace is there and may trace."""
    found = shutil.which("strace")
    if not found:
        return False
    command = [found, "-f", "-o", os.devnull, "-e", "trace=fsync", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def wrapper(output: Path, *expressions: str) -> list[str]:
    """The command line in front of a command; `expressions` are strace's own, as behind its `-e`."""
    names = ",".join(f"?{name}" for name in (*CHANGES, *WRITES))
    line = ["strace", "-f", "-qq", "-y", "-s", "4096", "-o", str(output), "-e", f"trace={names}"]
    return line + [word for expression in expressions for word in ("-e", expression)]


def calls(output: Path, below: Sequence[Path]) -> list[Call]:
    """The calls of a recorded run that change something below one of the folders, or lock it, in their order."""
    counted: Counter[str] = Counter()
    found = []
    for line in output.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        name, arguments = match[1], match[2]
        counted[name] += 1
        changing = name not in ("open", "openat") or _OPENED_TO_WRITE.search(arguments)
        if changing and any(str(folder) in arguments for folder in below):
            found.append(Call(name, counted[name], arguments))
    return found
