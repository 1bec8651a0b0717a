"""Usage: make_venv.py VENV REQUIREMENT...

Build a virtual environment with the requirements, whole or not at all: in a sibling folder, under a lock, renamed
when it is complete. Standard library only. Exit: 0 it is there, 1 it could not be built, 5 its folder cannot be
written, 130 interrupted.
"""

from __future__ import annotations

import fcntl
import glob
import os
import re
import shutil
import subprocess
import sys
from typing import BinaryIO, Union


def say(message: str) -> None:
    print(f"mega-code: {message}", file=sys.stderr, flush=True)


def main(argv: list[str]) -> int:
    venv, requirements = os.path.abspath(argv[0]), argv[1:]
    os.umask(0o077)
    try:
        os.makedirs(os.path.dirname(venv), exist_ok=True)
        lock = open(f"{venv}.lock", "wb")  # noqa: SIM115 - closed below
    except OSError as error:
        folder = os.path.dirname(venv)
        say(f"{folder!r} cannot be written: {error.strerror}; MEGA_CODE_DATA_DIR can name another folder.")
        return 5
    with lock:
        try:
            take(lock)
            if not is_complete(venv, requirements):
                build(venv, requirements)
        except KeyboardInterrupt:
            return 130
        except (OSError, subprocess.CalledProcessError) as error:
            say(str(error))
            return 1
    return 0


def take(lock: BinaryIO) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Waiting for another command that prepares the Python packages.")
        fcntl.flock(lock, fcntl.LOCK_EX)


def marker_of(requirements: list[str]) -> str:
    return "".join(f"{requirement}\n" for requirement in requirements)


def is_complete(venv: str, requirements: list[str]) -> bool:
    """Whether it was built for these requirements, and its Python, which may be another one since, finds them."""
    try:
        with open(os.path.join(venv, "complete"), encoding="utf-8") as stream:
            if stream.read() != marker_of(requirements):
                return False
        names = [re.split(r"[^\w.-]", requirement)[0] for requirement in requirements if ";" not in requirement]
        look = "import sys; from importlib.metadata import version; [version(name) for name in sys.argv[1:]]"
        run([os.path.join(venv, "bin", "python"), "-I", "-c", look, *names], subprocess.DEVNULL)
        return True
    except (OSError, subprocess.CalledProcessError):
        return False


def build(venv: str, requirements: list[str]) -> None:
    """Called with the lock held, so every unfinished sibling was left by a run that was killed."""
    for leftover in glob.glob(f"{glob.escape(venv)}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    names = ", ".join(requirement.split(";")[0] for requirement in requirements)
    say(f"Preparing the Python packages {names}, this once (log: {venv}.log).")
    new = f"{venv}.new-{os.urandom(8).hex()}"
    try:
        os.mkdir(new)
        with open(f"{venv}.log", "wb") as log:
            run([sys.executable, "-m", "venv", new], log)
            pip = [os.path.join(new, "bin", "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
            run([*pip, "install", *requirements], log)
        with open(os.path.join(new, "complete"), "w", encoding="utf-8") as stream:
            stream.write(marker_of(requirements))
        if os.path.lexists(venv):
            os.rename(venv, os.path.join(new, "replaced"))
        os.rename(new, venv)
        shutil.rmtree(os.path.join(venv, "replaced"), ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def run(command: list[str], log: Union[BinaryIO, int]) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
