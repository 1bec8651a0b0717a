"""What the machine has: Python and its packages, uv, Claude Code and our plugin in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata, util
from pathlib import Path
from typing import Any, Optional

from mega_code.client.doctor.facts import Fact, missing, ok, quoted, unbroken, warning
from mega_code.errors import NETWORK
from mega_code.paths import MEGA_DIR, DataDir, script
from mega_code.telemetry import wanted

BASE = {"requests": "requests", "yaml": "PyYAML"}
GATEWAY = {"bottle": "bottle", "waitress": "waitress"}
SEARCH = {"gepa": "gepa"}
SEARCHING, NEWEST = (3, 10), 13
TELEMETRY = {
    "opentelemetry.sdk": "opentelemetry-sdk",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
}
ANSWER_S = 5.0
PLUGIN = "mega-code"


def python() -> Fact:
    """The Python that runs this, which is the one that the scripts would choose."""
    return ok("Python", f"{'.'.join(map(str, sys.version_info[:3]))}, {unbroken(sys.executable)}")


def packages(env: Mapping[str, str], embedded: bool, searches: bool, data: DataDir) -> Iterator[Fact]:
    """The base packages, and the extras; `embedded` where the gateway of this machine does the work."""
    yield _group("packages", BASE, True)
    yield _group("for gateway", GATEWAY, embedded)
    if searches and sys.version_info < SEARCHING and embedded:
        yield _too_old(data)
    elif searches and sys.version_info >= SEARCHING:
        yield _group("for search", SEARCH, embedded)
    if wanted(env):
        yield _telemetry()


def _group(topic: str, names: Mapping[str, str], needed: bool) -> Fact:
    there, lacking = _versions(names)
    if not lacking:
        return ok(topic, ", ".join(there))
    found = f"{', '.join(lacking)} not installed"
    if not needed:
        return ok(topic, f"{found}; not needed, a server is configured")
    if shutil.which("uv") or util.find_spec("ensurepip"):
        return ok(topic, f"{found}; set up on first use, once, where there is a network")
    return missing(topic, found, _install(), NETWORK)


def _too_old(data: DataDir) -> Fact:
    """A Python that the library for a search cannot be had for, and how a newer one takes its place."""
    here = ".".join(map(str, sys.version_info[:3]))
    newer = next(
        filter(None, (shutil.which(f"python3.{minor}") for minor in range(NEWEST, SEARCHING[1] - 1, -1))), None
    )
    found = f"a language model needs Python 3.{SEARCHING[1]} or later, and this is {here}"
    if newer is None:
        return missing(
            "for search", f"{found}; static does without", script("configure.sh", "--model", "static"), NETWORK
        )
    mend = f"rm -rf {quoted(data.root / 'runtime')} && export MEGA_CODE_PYTHON={quoted(newer)}"
    return missing("for search", found, mend, NETWORK)


def _versions(names: Mapping[str, str]) -> tuple[list[str], list[str]]:
    there, lacking = [], []
    for module, name in names.items():
        try:
            found = util.find_spec(module) is not None
        except ImportError:
            found = False
        if not found:
            lacking.append(name)
            continue
        try:
            there.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            there.append(name)
    return there, lacking


def _install() -> str:
    """What brings the packages, or the means to set them up, where this Python can make no environment."""
    if shutil.which("apt-get"):
        return f"sudo apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    return f"{quoted(sys.executable)} -m pip install {' '.join([*BASE.values(), *GATEWAY.values()])}"


def _telemetry() -> Fact:
    there, lacking = _versions(TELEMETRY)
    if not lacking:
        return ok("telemetry", ", ".join(there))
    mend = f"{quoted(sys.executable)} -m pip install {quoted(f'{MEGA_DIR}[telemetry]')}"
    return warning("telemetry", f"a collector is named, and {' and '.join(lacking)} not installed", mend)


def uv() -> Fact:
    """Whether the scripts have uv."""
    path = shutil.which("uv")
    if not path:
        return ok("uv", "not installed; not needed")
    said = _version(path)
    return (
        ok("uv", f"{said}, {unbroken(path)}")
        if said
        else warning("uv", f"{unbroken(path)} does not answer; the scripts go on without it")
    )


def claude_code(env: Mapping[str, str], project: Optional[Path]) -> Iterator[Fact]:
    """The client, and whether our plugin is in it; an enhancement by hand needs neither."""
    path = shutil.which("claude")
    said = _version(path) if path else None
    if not path:
        yield warning("Claude Code", "not on PATH", "npm install --global @anthropic-ai/claude-code")
    elif not said:
        yield warning("Claude Code", f"{unbroken(path)} does not run", "npm install --global @anthropic-ai/claude-code")
    else:
        yield ok("Claude Code", f"{said}, {unbroken(path)}")
    if path:
        yield _plugin(env, project)


def _plugin(env: Mapping[str, str], project: Optional[Path]) -> Fact:
    config = Path(env.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
    installed = _object(_object(config / "plugins" / "installed_plugins.json").get("plugins"))
    name = next((key for key in installed if key.partition("@")[0] == PLUGIN), None)
    if name is None:
        add = f"claude plugin marketplace add {quoted(MEGA_DIR)} && claude plugin install {PLUGIN}@{PLUGIN}"
        return warning("plugin", "not installed in Claude Code", add)
    enabled: Any = True
    places = [config / "settings.json"]
    if project:
        places += [project / ".claude" / "settings.json", project / ".claude" / "settings.local.json"]
    for settings in places:  # the later wins
        enabled = _object(_object(settings).get("enabledPlugins")).get(name, enabled)
    entries = installed[name]
    entry = _object(entries[0] if isinstance(entries, list) and entries else {})
    label = f"{name} {entry.get('version', '')}".strip()
    if enabled is False:
        return warning("plugin", f"{label} is disabled", f"claude plugin enable {quoted(name)}")
    return ok("plugin", f"{label}, enabled")


def _object(source: Any) -> dict[str, Any]:
    """A JSON object, or the one in a file; empty where it is none."""
    if isinstance(source, Path):
        try:
            source = json.loads(source.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            source = None
    return source if isinstance(source, dict) else {}


def _version(program: str) -> Optional[str]:
    """What `--version` says of a number; None where it says nothing in time."""
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=ANSWER_S,
            cwd=os.sep,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"\d+(?:\.\d+)+\S*", done.stdout.decode("utf-8", "replace"))
    return number[0][:40] if number and done.returncode == 0 else None
