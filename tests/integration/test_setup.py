"""setup, check_auth and configure: what is checked, what is printed, what is kept secret."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mega_code.variables import CAPS
from support.client import Client
from support.fake_gateway import KEY, Answer, FakeGateway
from support.room import REPOSITORY

SESSION = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def run(client: Client, module: str, *arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", f"mega_code.client.{module}", *arguments],
        cwd=client.project, env={**client.env, **env}, input=stdin, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr and KEY not in done.stdout + done.stderr
    return done


def test_setup_prints_four_lines_after_one_call(client: Client, fake: FakeGateway) -> None:
    done = run(client, "setup", MEGA_CODE_SESSION_ID=SESSION)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines() == [
        f"MEGA_DIR={REPOSITORY}",
        f"DATA_DIR={client.data}",
        f"PROJECT_DIR={client.project}",
        f"MEGA_CODE_SESSION_ID={SESSION}",
    ]
    assert [(seen.method, seen.path) for seen in fake.seen] == [("GET", "/api/megacode/v1/profile")]


def test_a_session_without_an_id_gets_a_new_one(client: Client) -> None:
    first, second = (run(client, "setup", MEGA_CODE_SESSION_ID="$(id)").stdout.splitlines()[3] for _ in range(2))
    assert first != second and re.fullmatch(r"MEGA_CODE_SESSION_ID=[0-9a-f-]{36}", first)


@pytest.mark.parametrize(
    ("env", "status", "says"),
    [
        ({"MEGA_CODE_CLIENT_MODE": "local"}, 4, "MEGA_CODE_CLIENT_MODE must be 'remote' and is 'local'"),
        ({"MEGA_CODE_CLIENT_MODE": ""}, 4, "--hitl"),
        ({"CLAUDE_PROJECT_DIR": "/nowhere"}, 4, "/nowhere"),
        ({"MEGA_CODE_API_KEY": "wrong-key-000000"}, 5, "auth_failure"),
        ({"MEGA_CODE_SERVER_URL": f"https://{'a' * 70}.example"}, 4, "invalid_arguments"),
        ({"MEGA_CODE_SERVER_URL": "https://a..b"}, 4, "invalid_arguments"),
        ({"MEGA_CODE_SERVER_URL": "http://127.0.0.1:9"}, 5, "network_failure"),
        ({"MEGA_CODE_SERVER_URL": "http://example.com"}, 4, "insecure_server_url"),
    ],
)
def test_setup_says_in_one_line_what_is_wrong(client: Client, env: dict[str, str], status: int, says: str) -> None:
    done = run(client, "setup", **env)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1)
    assert says in done.stderr and done.stderr.startswith("setup: ")


def test_setup_refuses_the_plugin_folder_also_behind_a_link(client: Client, fake: FakeGateway) -> None:
    cache = client.home / ".claude" / "plugins" / "cache" / "x"
    cache.mkdir(parents=True)
    link = client.home / "link"
    link.symlink_to(cache)
    for folder in (cache, link):
        done = run(client, "setup", CLAUDE_PROJECT_DIR=str(folder))
        assert done.returncode == 4 and "plugin_cache_project_dir" in done.stderr
    assert fake.seen == []


def test_check_auth_ends_with_an_envelope(client: Client, fake: FakeGateway) -> None:
    done = run(client, "check_auth")
    assert (done.returncode, done.stdout) == (
        0,
        f'{{"authenticated": true, "server_url": "{fake.url}", "embedded": false}}\n',
    )
    fake.on("GET", "profile", Answer(403))
    assert run(client, "check_auth").returncode == 5


def test_configure_writes_the_file_and_shows_the_key_masked(client: Client) -> None:
    done = run(
        client, "configure", "--server-url", "https://x.example/", "--mode", "remote", "--api-key-stdin",
        stdin="mk-0123456789abcdef\n",
    )  # fmt: skip
    path = client.data / ".env"
    assert done.returncode == 0 and "mk-0123456789abcdef" not in done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "MEGA_CODE_SERVER_URL=https://x.example",
        "MEGA_CODE_CLIENT_MODE=remote",
        "MEGA_CODE_API_KEY=mk-0…ef",
        f"Written to {path}",
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().splitlines() == [
        "MEGA_CODE_SERVER_URL=https://x.example",
        "MEGA_CODE_CLIENT_MODE=remote",
        "MEGA_CODE_API_KEY=mk-0123456789abcdef",
    ]


def test_configure_shows_what_is_in_force_and_changes_nothing(client: Client, fake: FakeGateway) -> None:
    done = run(client, "configure", "--show")
    assert done.stdout.splitlines() == [
        f"MEGA_CODE_SERVER_URL={fake.url}",
        "MEGA_CODE_CLIENT_MODE=remote",
        f"MEGA_CODE_API_KEY={KEY[:4]}…{KEY[-2:]}",
        "MEGA_CODE_MODEL=static",
        "MEGA_CODE_MODEL_URL=",
        "MEGA_CODE_MODEL_KEY=",
        *(f"{cap}=" for cap in CAPS),
    ]
    assert not (client.data / ".env").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Nothing to set"),
        (("--api-key-stdin",), "no API key"),
        (("--server-url", "http://example.com"), "insecure_server_url"),
        (("--mode", "sideways"), "--mode"),
        (("--max-calls", "1.5"), "MEGA_CODE_MAX_CALLS is 1.5, not a whole number from 0."),
        (("--max-cost-usd", "much"), "MEGA_CODE_MAX_COST_USD is 'much', not a number from 0."),
        (("--api-key", "secret"), "Unknown argument"),
        (("mk-0123456789",), "Unknown argument"),
    ],
)
def test_configure_changes_nothing_on_bad_input(client: Client, arguments: tuple[str, ...], says: str) -> None:
    done = run(client, "configure", *arguments)
    assert (done.returncode, done.stdout) == (4, "") and says in done.stderr
    assert not (client.data / ".env").exists()


def test_configure_asks_in_a_terminal_and_does_not_echo_the_key(client: Client) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(client.project)
        os.execve(sys.executable, [sys.executable, "-m", "mega_code.client.configure"], client.env)
    shown = read_until(terminal, b"Server URL (empty: keep): ")
    os.write(terminal, b"https://x.example\n")
    shown += read_until(terminal, b"API key (not shown; empty: keep): ")
    os.write(terminal, b"mk-0123456789abcdef\n")
    shown += read_until(terminal, b"Model: static, claude, codex or openai:NAME (empty: keep): ")
    os.write(terminal, b"\n")
    shown += read_until(terminal, b".env")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"0123456789abcdef" not in shown
    assert "MEGA_CODE_API_KEY=mk-0123456789abcdef" in (client.data / ".env").read_text()


def read_until(terminal: int, prompt: bytes) -> bytes:
    shown, deadline = b"", time.monotonic() + 20
    while prompt not in shown:
        readable, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert readable, shown
        shown += os.read(terminal, 1024)
    return shown


def test_a_key_from_the_file_works_like_one_from_the_environment(client: Client, fake: FakeGateway) -> None:
    (client.data / ".env").write_text(
        f"export MEGA_CODE_SERVER_URL='{fake.url}'\nMEGA_CODE_API_KEY=\"{KEY}\" # mine\nMEGA_CODE_CLIENT_MODE=remote\n"
    )
    for name in ("MEGA_CODE_SERVER_URL", "MEGA_CODE_API_KEY", "MEGA_CODE_CLIENT_MODE"):
        del client.env[name]
    assert run(client, "setup").returncode == 0


def test_the_data_dir_follows_xdg_only_where_it_is_absolute(client: Client) -> None:
    del client.env["MEGA_CODE_DATA_DIR"]
    xdg = client.home / "xdg"
    assert f"DATA_DIR={xdg}/mega-code\n" in run(client, "setup", XDG_DATA_HOME=str(xdg)).stdout
    fallback = Path(client.home) / ".local/share/mega-code"
    assert f"DATA_DIR={fallback}\n" in run(client, "setup", XDG_DATA_HOME="relative").stdout
