"""Whether the files that agents run or load can be parsed at all. Nothing here is ever executed.

Python is parsed in a process of its own, since its parser can fill the stack; shell by `bash -n`, which reads and
does not run. Both get the file on stdin, an empty environment and a time limit.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Callable, Optional

import yaml

from mega_code.evaluation.folder import Finding
from mega_code.yaml_events import TooDeep, events

FILE_BYTES = 512 * 1024
FILE_SECONDS = 10
TOTAL_SECONDS = 60
YAML_DEPTH = 100
_PYTHON = "import ast, sys; sys.excepthook = lambda kind, e, t: print(f'{getattr(e, \"lineno\", 0) or 0} {e}'); "
_PYTHON += "ast.parse(sys.stdin.buffer.read())"
_SHELL_LINE = re.compile(r"line (\d+): (.*)")
_SHELLS = re.compile(rb"#![^\n]*\b(?:bash|sh)\b")
_TEMPLATE = re.compile(rb"\{\{|\{%")
# Comments are allowed in these although JSON has none.
_JSON_WITH_COMMENTS = re.compile(r"(?:^|/)(?:tsconfig[^/]*|jsconfig|\.eslintrc|devcontainer)\.json$|(?:^|/)\.vscode/")

Problem = Optional[tuple[int, str]]
Parser = Callable[[bytes], Problem]


def inspect(root: Path, paths: Iterable[str]) -> dict[str, Optional[list[Finding]]]:
    """For each of `python`, `shell`, `json`, `yaml`: what does not parse, or None where there is no such file.

    Files over `FILE_BYTES` and templates are not judged, nor is what is left when `TOTAL_SECONDS` are over.
    """
    found: dict[str, Optional[list[Finding]]] = dict.fromkeys(PARSERS)
    deadline = time.monotonic() + TOTAL_SECONDS
    for path in sorted(paths):
        if time.monotonic() > deadline:
            break
        with open(root / path, "rb") as stream:
            data = stream.read(FILE_BYTES + 1)
        kind = language(path, data)
        if kind is None or len(data) > FILE_BYTES or (kind == "shell" and shutil.which("bash") is None):
            continue
        findings = found[kind] = found[kind] or []
        problem = PARSERS[kind](data)
        if problem and not _TEMPLATE.search(data):
            line, text = problem
            findings.append(Finding(path, line, f"is no valid {NAMES[kind]}: {' '.join(text.split())[:160]}"))
    return found


def language(path: str, data: bytes) -> Optional[str]:
    """Which parser a file is for, by its name and first line."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".py":
        return "python"
    if suffix in (".sh", ".bash") or (not suffix and data.startswith(b"#!")):
        shebang = data.startswith(b"#!")
        return "shell" if not shebang or _SHELLS.match(data) else None
    if suffix == ".json":
        return None if _JSON_WITH_COMMENTS.search(path) else "json"
    return "yaml" if suffix in (".yaml", ".yml") else None


def _python(data: bytes) -> Problem:
    done = _run([sys.executable, "-I", "-S", "-c", _PYTHON], data)
    if done is None or done.returncode == 0:
        return None
    line, _, text = done.stdout.decode("utf-8", "replace").partition(" ")
    return int(line) if line.isdigit() else 0, text or "its parser gave up"


def _shell(data: bytes) -> Problem:
    done = _run([shutil.which("bash") or "bash", "--noprofile", "--norc", "-n"], data)
    if done is None or done.returncode == 0:
        return None
    match = _SHELL_LINE.search(done.stderr.decode("utf-8", "replace"))
    return (int(match.group(1)), match.group(2)) if match else (0, "bash cannot read it")


def _run(command: list[str], data: bytes) -> Optional[subprocess.CompletedProcess[bytes]]:
    """The finished process; None where it took too long, so that nothing is known."""
    env = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(command, input=data, env=env, cwd="/", capture_output=True, timeout=FILE_SECONDS)
    except (subprocess.TimeoutExpired, OSError):
        return None


def _json(data: bytes) -> Problem:
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        return error.lineno, error.msg
    except (ValueError, RecursionError) as error:
        return 0, str(error)
    return None


def _yaml(data: bytes) -> Problem:
    """Events only: tags of one's own are valid YAML, and no alias is expanded."""
    try:
        for _ in events(data, YAML_DEPTH):
            pass
    except TooDeep:
        return 0, "it is nested too deep"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        return (mark.line + 1 if mark else 0), str(error.problem)
    except (yaml.YAMLError, ValueError) as error:
        return 0, str(error)
    return None


PARSERS: dict[str, Parser] = {"python": _python, "shell": _shell, "json": _json, "yaml": _yaml}
NAMES = {
    "python": "Python {}.{}".format(*sys.version_info),
    "shell": "shell script",
    "json": "JSON",
    "yaml": "YAML",
}
