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
_HERE = re.compile(r"AT_FDCWD<[^>]*>")
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")


class Call(NamedTuple):
    """The `number`-th call of that `name` in its thread, counted from 1."""

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


def calls(output: Path, below: Sequence[Path], folders: bool = False) -> list[Call]:
    """The calls of a recorded run that change something below one of the folders, or lock it, in their order.

    With `folders` those too that open a folder (to flush it, or to empty it). strace counts each thread's calls by
    themselves; of two with the same name and number the first is given.
    """
    opened = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_DIRECTORY" if folders else r"O_WRONLY|O_RDWR|O_CREAT")
    counted: Counter[tuple[str, str]] = Counter()
    found: dict[tuple[str, int], Call] = {}
    for line in output.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        thread, name, arguments = match[1], match[2], _HERE.sub("", match[3])
        counted[thread, name] += 1
        changing = name not in ("open", "openat") or opened.search(arguments)
        about = arguments.partition(",")[0] if name == "write" else arguments  # not what is written
        if changing and any(str(folder) in about for folder in below):
            call = Call(name, counted[thread, name], arguments)
            found.setdefault((name, call.number), call)
    return list(found.values())


def everything(output: Path) -> list[str]:
    """The command line that records what `moments` reads: files, descriptors, the network and signal handlers."""
    return ["strace", "-f", "-qq", "-s", "0", "-o", str(output), "-e", "trace=%file,%desc,%network,rt_sigaction"]


def moments(output: Path) -> list[Call]:
    """Every call behind the one by which the command began to listen to SIGTERM, its last signal to listen to.

    Those that an earlier call of another thread shares name and number with are left out.
    """
    counted: Counter[tuple[str, str]] = Counter()
    found: dict[tuple[str, int], Call] = {}
    early: dict[str, int] = {}
    for line in output.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        thread, name, arguments = match[1], match[2], match[3]
        counted[thread, name] += 1
        number = counted[thread, name]
        if not early and name == "rt_sigaction" and arguments.startswith("SIGTERM, {sa_handler=0x"):
            early = {name: count for (_, name), count in counted.items()}
        elif early and number > early.get(name, 0):
            found.setdefault((name, number), Call(name, number, arguments))
    return list(found.values())
