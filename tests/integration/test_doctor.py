"""The doctor: what it finds, what it says is missing, and that the commands it shows mend just that."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Optional

import pytest

from mega_code.client.doctor import asking
from support.fake_gateway import KEY, Answer, FakeGateway, hang
from support.room import REPOSITORY, Room, script
from support.screen import Screen

ENHANCE = REPOSITORY / "scripts" / "enhance.sh"
RUN = re.compile(r"^ +run: (.*)$", re.MULTILINE)


@pytest.fixture
def known(room: Room) -> Room:
    """A room whose PATH has this Python, the tools of the scripts, and nothing else that the doctor looks for."""
    tools = room.root / "tools"
    tools.mkdir()
    for name in (
        "bash",
        "env",
        "dirname",
        "readlink",
        "sed",
        "awk",
        "cat",
        "mktemp",
        "rm",
        "find",
        "mkfifo",
        "tee",
        "date",
    ):
        (tools / name).symlink_to(shutil.which(name) or "/none")
    for name in ("sleep", "chmod", "id", "head", "mkdir"):
        (tools / name).symlink_to(shutil.which(name) or "/none")
    (tools / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tools / "python3").chmod(0o755)
    room.env["PATH"] = str(tools)
    return room


def tree(room: Room) -> dict[str, tuple[int, float]]:
    """Everything in a room with mode and time: a doctor changes none of it."""
    found = {}
    for path in sorted(room.root.rglob("*")):
        about = os.lstat(path)
        found[str(path)] = (about.st_mode, about.st_mtime)
    return found


def look(room: Room, *arguments: object, **env: str) -> tuple[int, str]:
    """Run the doctor; its status and its screen. Nothing is changed, and nothing said beside it."""
    before = tree(room)
    done = room.run([ENHANCE, "doctor", *arguments], env={**room.env, **env})
    assert tree(room) == before
    assert done.stderr == "" and KEY not in done.stdout
    for line in done.stdout.splitlines():
        assert len(line) <= int(env.get("COLUMNS", 80)) or "run: " in line or "/" in line, line
    return done.returncode, done.stdout


def line(screen: str, topic: str) -> tuple[str, str]:
    """The mark and the fact of a topic, its further lines joined."""
    match = re.search(rf"^(\w+) +{re.escape(topic)} +(.*(?:\n {{22}}(?!run: ).*)*)", screen, re.MULTILINE)
    assert match, screen
    return match[1], re.sub(r"\n +", " ", match[2])


def mend(room: Room, screen: str, index: int, **options: object) -> None:
    """Run a command that the screen shows, from somewhere else."""
    command = RUN.findall(screen)[index]
    done = room.run(["bash", "-c", command], cwd="/", **options)
    assert done.returncode in (0, 3), (command, done)


def version(name: str) -> str:
    return f"{name} {metadata.version(name)}"


def stable(screen: str) -> str:
    """Without what differs from run to run; each fact on one line."""
    screen = re.sub(r"\n {22}(?!run: )", " ", screen)
    return re.sub(r"\d+ ms", "N ms", re.sub(r"[\d.]+ GiB", "N GiB", screen))


def test_the_whole_screen_where_all_is_well(known: Room, fake: FakeGateway) -> None:
    known.add_skill()
    known.add_skill("global", "other")
    status, screen = look(known, **fake.env)
    assert status == 0
    assert stable(screen).splitlines() == [
        f"ok       Python       {platform.python_version()}, {sys.executable}",
        f"ok       packages     {version('requests')}, {version('PyYAML')}",
        f"ok       for gateway  {version('bottle')}, {version('waitress')}",
        "ok       uv           not installed; not needed",
        "warning  Claude Code  not on PATH",
        "                      run: npm install --global @anthropic-ai/claude-code",
        f"ok       data folder  {known.data} (not there yet; it is made on first use), N GiB free",
        "ok       mode         remote",
        "ok       API key      test…89 (environment)",
        f"ok       server       {fake.url} accepts the key (N ms)",
        "ok       gateway      the embedded gateway does not run",
        "ok       model        static: no language model, and no cost",
        f"ok       project      {known.project}",
        "ok       skills       1 project, 1 global",
        "",
        "Everything that an enhancement needs is there.",
    ]


def test_nothing_configured_is_the_embedded_gateway(known: Room) -> None:
    status, screen = look(known)
    assert status == 0
    assert line(screen, "gateway") == ("ok", "the embedded gateway does not run; enhance.sh starts it")


def test_the_commands_that_are_shown_mend_mode_key_and_permissions(known: Room, fake: FakeGateway) -> None:
    known.data.mkdir()
    settings = known.data / ".env"
    settings.write_text(f"MEGA_CODE_SERVER_URL={fake.url}\nMEGA_CODE_API_KEY=wrong-key-000000\nwhat is this\n")
    settings.chmod(0o644)
    status, screen = look(known)
    assert status == 4 and screen.endswith("\n\nMissing: mode, server.\n")
    assert line(screen, "mode") == ("missing", "MEGA_CODE_CLIENT_MODE is not set; a server needs 'remote'")
    assert line(screen, "server") == ("missing", f"{fake.url} does not accept the API key (401)")
    assert line(screen, ".env") == ("warning", f"{settings}: others can read it (mode 0644)")
    commands = RUN.findall(screen)
    assert commands[1:] == [
        f"chmod 600 '{settings}'",
        f"\"${{EDITOR:-vi}}\" '{settings}'",
        f"{script('configure')} --mode remote",
        f"{script('configure')} --api-key-stdin",
    ]
    mend(known, screen, 1)
    mend(known, screen, 3)
    mend(known, screen, 4, input=f"{KEY}\n")
    status, screen = look(known)
    assert status == 0 and line(screen, "API key") == ("ok", "test…89 (.env)")
    assert line(screen, ".env") == ("warning", f"{settings}: no setting, and not read, is line 2")


def test_the_command_that_is_shown_mends_half_a_server(known: Room) -> None:
    known.data.mkdir()
    (known.data / ".env").write_text("MEGA_CODE_CLIENT_MODE=remote\n")
    status, screen = look(known)
    assert status == 5 and screen.endswith("\n\nMissing: API key, server.\n")
    whole = "a server needs URL, key and mode, the embedded gateway none of them"
    assert line(screen, "server") == ("missing", f"MEGA_CODE_SERVER_URL is not set; {whole}")
    assert line(screen, "API key") == ("missing", f"none is configured; {whole}")
    mend(known, screen, -1)
    status, screen = look(known)
    assert (status, line(screen, "server")[0]) == (0, "ok")


def test_the_commands_that_are_shown_mend_a_hidden_skill_and_an_install_that_was_killed(known: Room) -> None:
    known.add_skill()
    winner = known.add_skill("global")
    left = winner.parent / ".other.mega-new-0123456789abcdef"
    left.mkdir()
    status, screen = look(known)
    assert status == 0
    assert line(screen, "shadowed")[0] == line(screen, "leftovers")[0] == "warning"
    mend(known, screen, -1)
    assert not left.exists()
    mend(known, screen, -2)
    assert not winner.exists()
    assert "shadowed" not in look(known)[1]


@pytest.mark.parametrize(
    ("env", "topic", "found", "status"),
    [
        ({"MEGA_CODE_SERVER_URL": "http://far.example"}, "server", "[insecure_server_url]", 4),
        ({"MEGA_CODE_SERVER_URL": "http://127.0.0.1:9"}, "server", "Connection refused", 5),
        ({"MEGA_CODE_SERVER_URL": ""}, "server", "MEGA_CODE_SERVER_URL is not set", 5),
        ({"MEGA_CODE_API_KEY": ""}, "API key", "none is configured", 5),
        ({"MEGA_CODE_CLIENT_MODE": "local"}, "mode", "is 'local'", 4),
        ({"MEGA_CODE_DATA_DIR": "/dev/null/x"}, "data folder", "/dev/null is no folder", 4),
        ({"CLAUDE_PROJECT_DIR": "/nowhere"}, "project", "[invalid_path]", 4),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_thing_missing_has_its_status_and_a_command(
    known: Room, fake: FakeGateway, env: dict[str, str], topic: str, found: str, status: int
) -> None:
    ended, screen = look(known, **{**fake.env, **env})
    assert (ended, line(screen, topic)[0]) == (status, "missing") and found in line(screen, topic)[1]
    assert re.search(rf"^missing +{topic} .*\n( {{22}}.*\n)* {{22}}run: \S", screen, re.MULTILINE)


@pytest.mark.parametrize(
    ("env", "mark", "found"),
    [
        ({"MEGA_CODE_MODEL": "claude"}, "missing", "claude is not on PATH"),
        ({"MEGA_CODE_MODEL": "nonsense"}, "missing", "known are"),
        ({"MEGA_CODE_MODEL": "openai:x"}, "missing", "needs MEGA_CODE_MODEL_URL"),
        ({"MEGA_CODE_MODEL": "openai:x", "MEGA_CODE_MODEL_URL": "http://127.0.0.1:9"}, "missing", "refused"),
        (
            {"MEGA_CODE_MODEL": "openai:x", "MEGA_CODE_MODEL_URL": "{fake}", "MEGA_CODE_MODEL_KEY": KEY},
            "ok",
            "openai:x at ",
        ),
    ],
)
def test_the_model_is_looked_for_and_never_asked(
    known: Room, fake: FakeGateway, env: dict[str, str], mark: str, found: str
) -> None:
    screen = look(known, **{name: value.replace("{fake}", fake.url) for name, value in env.items()})[1]
    assert line(screen, "model")[0] == mark and found in line(screen, "model")[1]
    assert all((seen.method, seen.path) == ("GET", "/models") for seen in fake.seen)


def test_the_model_is_that_of_the_gateway_that_runs(known: Room) -> None:
    known.env["PATH"] = f"{known.env['PATH']}:/usr/bin:/bin"
    started = known.script("gateway.sh", "start", env={**known.env, "MEGA_CODE_MODEL": "static"})
    assert started.returncode == 0
    try:
        screen = look(known, MEGA_CODE_MODEL="codex")[1]
    finally:
        assert known.script("gateway.sh", "stop").returncode == 0
    assert re.findall(r"^\w+ +model +.*$", stable(screen), re.MULTILINE) == [
        "warning  model        The gateway that runs measures with static, and not with codex, which MEGA_CODE_MODEL of"
        " this shell names.",
        "ok       model        static: no language model, and no cost",
    ]


def test_a_server_that_hangs_redirects_or_is_none_is_said_in_time(fake: FakeGateway) -> None:
    fake.on("GET", "/hangs", hang)
    fake.on("GET", "/redirects", Answer(307, b"", (("Location", f"{fake.url}/elsewhere"),)))
    started = time.monotonic()
    assert asking.get(f"{fake.url}/hangs", KEY, 0.3).trouble == "no answer within 0.3 s"
    assert time.monotonic() - started < 20
    assert asking.get(f"{fake.url}/redirects", KEY).status == 307 and fake.count("GET", "/elsewhere") == 0


def test_claude_code_and_the_plugin_are_found_without_asking_anybody(known: Room) -> None:
    claude = known.root / "tools" / "claude"
    claude.write_text("#!/bin/sh\necho '2.1.0 (Claude Code)'\n")
    claude.chmod(0o755)
    assert line(look(known)[1], "plugin")[0] == "warning"
    plugins = known.home / ".claude" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "installed_plugins.json").write_text(json.dumps({"plugins": {"mega-code@x": [{"version": "0.1.0"}]}}))
    screen = look(known)[1]
    assert line(screen, "Claude Code") == ("ok", f"2.1.0, {claude}")
    assert line(screen, "plugin") == ("ok", "mega-code@x 0.1.0, enabled")
    (known.home / ".claude" / "settings.json").write_text('{"enabledPlugins": {"mega-code@x": false}}')
    screen = look(known)[1]
    assert line(screen, "plugin") == ("warning", "mega-code@x 0.1.0 is disabled")
    assert "claude plugin enable mega-code@x" in RUN.findall(screen)


def test_without_any_python_or_with_an_old_one_it_says_so(known: Room) -> None:
    python = known.root / "tools" / "python3"
    python.write_text("#!/bin/sh\nexit 97\n")
    for _ in ("old", "none"):
        status, screen = look(known)
        assert (status, line(screen, "Python")) == (5, ("missing", "none of version 3.9 or later is on PATH"))
        assert len(RUN.findall(screen)) == 1 and screen.endswith("\n\nMissing: Python.\n")
        python.unlink(missing_ok=True)


def test_a_python_without_packages_is_looked_at_and_left_as_it_is(known: Room) -> None:
    bare = known.root / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True, timeout=60)
    python = known.root / "tools" / "python3"
    python.write_text(f'#!/bin/sh\nexec "{bare}/bin/python" "$@"\n')
    status, screen = look(known)
    assert status == 0 and screen.endswith("\n\nEverything that an enhancement needs is there.\n")
    for topic, names in (("packages", "requests, PyYAML"), ("for gateway", "bottle, waitress")):
        later = f"{names} not installed; set up on first use, once, where there is a network"
        assert line(screen, topic) == ("ok", later)


def test_a_python_that_only_bears_its_version_is_found_by_the_scripts_too(known: Room) -> None:
    python = known.root / "tools" / "python3"
    python.rename(python.with_name("python3.9"))
    done = known.script("args.sh", input="demo-skill")
    assert (done.returncode, done.stderr) == (0, "") and "SKILL_NAME=demo-skill\n" in done.stdout
    status, screen = look(known)
    assert (status, line(screen, "Python")[0]) == (0, "ok")


def old_python() -> Optional[str]:
    """A Python 3.9 that is on this machine."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser()) / "versions"
    found = [shutil.which("python3.9"), *map(str, sorted(versions.glob("3.9.*/bin/python")))]
    runs = (path for path in found if path and subprocess.run([path, "-c", ""], check=False).returncode == 0)
    return next(runs, None)


def test_a_python_that_is_too_old_for_a_language_model_is_named_with_a_newer_one(known: Room) -> None:
    old = old_python()
    if not old:
        pytest.skip("there is no Python 3.9 on this machine")
    tools = known.root / "tools"
    (tools / "python3").write_text(f'#!/bin/sh\nexec "{old}" "$@"\n')
    asked = {"MEGA_CODE_MODEL": "openai:x", "MEGA_CODE_MODEL_URL": "http://127.0.0.1:9"}
    assert "for search" not in look(known)[1]
    status, screen = look(known, **asked)
    assert status == 5 and line(screen, "for search")[0] == "missing"
    assert line(screen, "for search")[1].startswith("a language model needs Python 3.10 or later, and this is 3.9.")
    assert f"{script('configure')} --model static" in RUN.findall(screen)
    (tools / "python3.11").symlink_to(sys.executable)
    runtime, newer = (shlex.quote(str(path)) for path in (known.data / "runtime", tools / "python3.11"))
    assert f"rm -rf {runtime} && export MEGA_CODE_PYTHON={newer}" in RUN.findall(look(known, **asked)[1])


def test_settings_that_are_none_are_named_wherever_they_stand(known: Room) -> None:
    known.data.mkdir()
    settings = known.data / ".env"
    settings.write_text('foo bar\nMEGA_CODE_MODEL="static\nMEGA_CODE_GATEWAY_WORKERS=0\nMEGA_CODE_TYPO=1\n')
    settings.chmod(0o600)
    wrong = {"MEGA_CODE_MODEL": "claude", "MEGA_CODE_MAX_CALLS": "viele", "MEGA_CODE_MODLE": "static"}
    status, screen = look(known, **wrong)
    assert status == (4 if sys.version_info >= (3, 10) else 5)  # which a language model needs, and is said before
    found = re.findall(r"^(\w+) +(?:setting|\.env) +(.*)\n +run: (.*)$", stable(screen), re.MULTILINE)
    edit = f'"${{EDITOR:-vi}}" {shlex.quote(str(settings))}'
    assert found == [
        ("warning", f"{settings}: no setting, and not read, is line 1", edit),
        ("warning", f"{settings}: a quote that nothing closes stands in line 2", edit),
        ("missing", "MEGA_CODE_MAX_CALLS is 'viele', not a number from 0.", "unset MEGA_CODE_MAX_CALLS"),
        ("missing", "MEGA_CODE_GATEWAY_WORKERS is '0', not a number from 1.", edit),
        ("warning", "MEGA_CODE_MODLE is no setting, and nobody reads it; MEGA_CODE_MODEL is", "unset MEGA_CODE_MODLE"),
        ("warning", "MEGA_CODE_TYPO is no setting, and nobody reads it", edit),
    ]


def test_a_project_that_a_flag_names_wrongly_is_mended_where_the_flag_goes_on_to_count(known: Room) -> None:
    missing, file = known.root / "no project", known.root / "a file"
    file.touch()
    for given, mend in (
        (missing, f"mkdir -p {shlex.quote(str(missing))}"),
        (file, f"{shlex.quote(str(ENHANCE))} doctor --project-dir {shlex.quote(str(known.home))}"),
    ):
        status, screen = look(known, "--project-dir", given)
        assert (status, line(screen, "project")[0]) == (4, "missing")
        assert f"run: {mend}\n" in screen
    missing.mkdir()
    assert line(look(known, "--project-dir", missing)[1], "project") == ("ok", str(missing))


def test_a_project_that_nothing_can_be_installed_into_is_said(known: Room) -> None:
    (known.project / ".claude").touch()
    status, screen = look(known)
    so = "so no skill can be installed into the project"
    assert (status, line(screen, "project")) == (0, ("warning", f"{known.project / '.claude'} is no folder, {so}"))


def test_it_is_as_wide_as_the_terminal_and_breaks_no_path(known: Room, fake: FakeGateway) -> None:
    for columns in (60, 80, 200):
        screen = look(known, COLUMNS=str(columns), **fake.env)[1]
        for path in (known.data, known.project):
            assert [row for row in screen.splitlines() if str(path) in row], path
    assert f"{known.data} (not there yet; it is made on first use), " in screen


def test_signs_and_colours_are_for_a_terminal_that_wants_them(known: Room) -> None:
    for wanted, sign in (({}, b"\x1b[32m\xe2\x9c\x93\x1b[0m        Python"), ({"NO_COLOR": "1"}, b"ok       Python")):
        env = {**known.env, "TERM": "xterm", "LC_ALL": "C.UTF-8", **wanted}
        with Screen([ENHANCE, "doctor"], env, known.project, columns=200) as screen:
            assert screen.end() == 0
        assert screen.raw.startswith(sign)


def test_a_skill_called_doctor_is_named_by_its_path(known: Room) -> None:
    known.add_skill(name="doctor")
    done = known.run([ENHANCE, "./.claude/skills/doctor", "--dry-run"])
    assert (done.returncode, done.stdout) == (0, "Model: static, which is no language model: 0 calls, 0 tokens.\n")
    for wrong in ("--yes", "demo-skill", ""):
        assert known.run([ENHANCE, "doctor", wrong]).returncode == 4


@pytest.mark.parametrize(
    ("text", "env", "said"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1\n", {}, True),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, True),
        ("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1\n", {"OTEL_SDK_DISABLED": "true"}, False),
        ("", {}, False),
    ],
    ids=["settings", "traces alone", "switched off", "none"],
)
def test_what_sends_spans_is_looked_for_where_a_command_would_send_some(
    known: Room, text: str, env: dict[str, str], said: bool
) -> None:
    known.data.mkdir()
    (known.data / ".env").write_text(text)
    assert bool(re.search(r"^\w+ +telemetry ", look(known, **env)[1], re.MULTILINE)) is said
