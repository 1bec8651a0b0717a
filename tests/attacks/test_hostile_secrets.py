"""Secrets stay home: no file that says or holds one is packed, and the token is in nothing that anybody can read."""

from __future__ import annotations

import io
import os
import re
import string
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mega_code import bundle, selection
from mega_code.errors import MegaCodeError
from mega_code.files import write_atomic
from mega_code.secret_scan import SHAPES
from mega_code.settings import write_env_file
from support.batch import Batch
from support.client import Client
from support.fake_gateway import KEY, FakeGateway, Handler, hang
from support.room import REPOSITORY
from support.tally import tally

SKILL_MD = "---\nname: demo-skill\ndescription: d\n---\n# Demo\n"
LETTERS = string.ascii_letters + string.digits
# One value of every shape; built here, so that this file holds none.
TOKENS: dict[str, tuple[str, ...]] = {
    "private-key block": (
        *(f"-----BEGIN {kind}PRIVATE KEY-----\nMIIE" for kind in ("", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ")),
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\nx",
        *(f"-----BEGIN PRIVATE KEY-----{end}MIIE" for end in ("\r", "\\n", "\\u000a", "<br>", "%0A")),
        "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",
        "PuTTY-User-Key-File-3: ssh-ed25519",
    ),
    "AWS access key": ("AKIA" + "J" * 16, "ASIA" + "7" * 16),
    "GitHub token": (*(f"gh{kind}_" + LETTERS[:36] for kind in "pousr"), "github_pat_" + LETTERS[:30]),
    "GitLab token": tuple(
        f"gl{kind}-" + LETTERS[:20] for kind in ("pat", "ptt", "dt", "rt", "cbt", "soat", "ft", "imt", "agent", "oas")
    ),
    "Discord webhook": tuple(
        f"https://{host}.com/api/webhooks/{'1' * 18}/" + LETTERS + "-_" * 4 for host in ("discord", "discordapp")
    ),
    "Telegram bot token": ("1234567890:AA" + LETTERS[:33],),
    "Twilio key": ("SK" + "0a" * 16,),
    "Google client secret": ("GOCSPX-" + LETTERS[:28],),
    "Shopify token": tuple(f"shp{kind}_" + "0a" * 16 for kind in ("at", "ca", "pa", "ss")),
    "Square token": ("sq0atp-" + LETTERS[:22], "sq0csp-" + LETTERS[:43]),
    "Vault token": tuple(f"hv{kind}." + LETTERS[:30] for kind in "sbr"),
    "Databricks token": ("dapi" + "0a" * 16,),
    "Docker token": ("dckr_pat_" + LETTERS[:27], "dckr_oat_" + LETTERS[:27]),
    "Atlassian token": ("ATATT3" + LETTERS + "=ABCDEF12",),
    "Notion token": ("ntn_" + LETTERS[:46],),
    "Linear key": ("lin_api_" + LETTERS[:40],),
    "Grafana token": ("glsa_" + LETTERS[:32] + "_0123abcd",),
    "Postman key": ("PMAK-" + "0a" * 12 + "-" + "0a" * 17,),
    "Supabase token": ("sbp_" + "0a" * 20,),
    "New Relic key": ("NRAK-" + "A7" * 13 + "Z",),
    "RubyGems key": ("rubygems_" + "0a" * 24,),
    "age key": ("AGE-SECRET-KEY-1" + "QZ7" * 19 + "A",),
    "OpenRouter key": ("sk-or-v1-" + "0a" * 32,),
    "xAI key": ("xai-" + LETTERS,),
    "Groq key": ("gsk_" + LETTERS[:52],),
    "Replicate token": ("r8_" + LETTERS[:37],),
    "mega-code key": ("mgw_" + LETTERS[:43],),
    "Slack token": tuple(f"xox{kind}-1234567890-ab" for kind in "abeoprs"),
    "Slack app token": ("xapp-1-A0123456789-0",),
    "Slack webhook": ("https://hooks.slack.com/services/T0000/B0000/" + LETTERS[:24],),
    "Google OAuth token": ("ya29." + LETTERS[:30],),
    "DigitalOcean token": tuple(f"do{kind}_v1_" + "0a" * 32 for kind in "oprt"),
    "Azure storage key": ("AccountKey=" + LETTERS + "+/==" + LETTERS,),
    "Stripe key": tuple(f"{kind}_" + LETTERS[:24] for kind in ("sk_live", "rk_live", "sk_test", "rk_test", "whsec")),
    "Google API key": ("AIza" + LETTERS[:35],),
    "Anthropic key": ("sk-ant-api03-" + LETTERS[:40],),
    "OpenAI key": (*(f"sk-{kind}-" + LETTERS[:40] for kind in ("proj", "svcacct", "admin")), "sk-" + LETTERS[:48]),
    "npm token": ("npm_" + LETTERS[:36],),
    "PyPI token": ("pypi-AgEIcHlwaS5vcmc" + LETTERS[:40], "pypi-AgENdGVzdC5weXBpLm9yZw" + LETTERS[:40]),
    "Hugging Face token": ("hf_" + LETTERS[:34],),
    "SendGrid key": ("SG." + LETTERS[:22] + "." + LETTERS[:43],),
}
FILES = ("SKILL.md", "references/notes.txt", "scripts/run.sh", "a.py", "data.json", "no-extension", ".hidden", "x.png")
SECRET_NAMES = {
    ".env": (".env", ".Env"),
    ".env.*": (".env.local", ".ENV.production"),
    "*.key": ("x.key", "x.KEY", ".key"),
    "*.pem": ("x.pem", "a.b.PEM"),
    "*.p12": ("x.p12",),
    "*.pfx": ("x.PFX",),
    "*.jks": ("x.jks",),
    "id_rsa*": ("id_rsa", "ID_RSA.pub", "id_rsa_old"),
    "id_dsa*": ("id_dsa",),
    "id_ecdsa*": ("id_ecdsa_sk",),
    "id_ed25519*": ("id_ed25519", "Id_Ed25519.bak"),
    "*credentials*": ("credentials", "aws-Credentials.json", ".git-credentials"),
    ".netrc": (".netrc", ".NetRC"),
    ".pypirc": (".pypirc",),
}


@pytest.fixture
def skill(tmp_path: Path) -> Path:
    root = tmp_path / "a room" / "demo-skill"
    root.mkdir(parents=True)
    (root / "SKILL.md").write_text(SKILL_MD)
    return root


def refusal(root: Path, **options: Any) -> MegaCodeError:
    with pytest.raises(MegaCodeError) as caught:
        bundle.pack(root, io.BytesIO(), **options)
    return caught.value


def test_the_tables_here_leave_no_pattern_and_no_shape_out() -> None:
    assert set(SECRET_NAMES) == set(selection.FORBIDDEN_NAMES)
    assert set(TOKENS) == {shape.kind for shape in SHAPES}


def test_every_name_that_says_secret_is_refused_wherever_it_stands(skill: Path) -> None:
    names = [name for many in SECRET_NAMES.values() for name in many]
    places = ("", "a/b/", ".vscode/", "__MACOSX/")
    for relpath in [
        *(f"{place}{name}" for name in names for place in places),
        *(f"{folder}/x.md" for folder in ("secrets", "SECRETS", "a/Secrets", "secrets/b")),
    ]:
        path = skill / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        assert refusal(skill, allow_secret=[relpath]).code == "forbidden_path", relpath
        path.unlink()
        while path.parent != skill and not any(path.parent.iterdir()):
            path = path.parent
            path.rmdir()
    tally("secrets by name", len(names) * len(places) + 4)


def test_every_shape_of_token_is_found_in_every_kind_of_file(skill: Path) -> None:
    count = 0
    for kind, values in TOKENS.items():
        for value in values:
            for relpath in FILES:
                path = skill / relpath
                path.parent.mkdir(exist_ok=True)
                text = (SKILL_MD if relpath == "SKILL.md" else "one\n") + f'key = "{value}"\n'
                path.write_text(text)
                error = refusal(skill)
                assert (error.code, kind in error.message) == ("secret_detected", True), (value, error.message)
                assert f"{relpath!r}, line {text.count(chr(10), 0, text.index(value)) + 1}:" in error.message
                assert value[-12:] not in error.message
                allowed = bundle.pack(skill, io.BytesIO(), allow_secret=[relpath])
                assert relpath in [entry.path for entry in allowed.entries]
                path.write_text(SKILL_MD) if relpath == "SKILL.md" else path.unlink()
                count += 1
    tally("secrets by content", count)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_a_token_is_found_in_every_encoding_that_says_what_it_is(skill: Path, encoding: str) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    text = "caf\u00e9\n" * 100_000 + "key = AKIA" + "J" * 16 + "\n"
    (skill / "notes.txt").write_bytes(mark + text.encode(encoding))
    assert refusal(skill).message.startswith("'notes.txt', line 100001: AWS access key")


def test_a_token_is_found_at_every_edge_of_what_is_read_at_once(skill: Path) -> None:
    value = TOKENS["GitHub token"][0]
    for shift in range(len(value) + 2):
        (skill / "long.txt").write_text("a" * (bundle.CHUNK - 1 - shift) + "\n" + value + "\n")
        assert refusal(skill).code == "secret_detected", shift
    tally("secrets by content", len(value) + 2)


def test_nothing_is_sent_of_a_skill_with_a_secret_and_one_file_can_be_allowed(
    client: Client, fake: FakeGateway, batch: Batch
) -> None:
    folder = client.skill()
    value = TOKENS["Anthropic key"][0]
    (folder / "doc.md").write_text(value)
    refused = batch.run("--skill-name", "demo-skill", "--no-wait")
    assert refused.code == "secret_detected" and fake.seen == [] and value not in str(refused)
    wrong = batch.run("--skill-name", "demo-skill", "--no-wait", "--allow-secret", "other.md")
    assert wrong.code == "secret_detected" and fake.seen == []
    allowed = batch.run("--skill-name", "demo-skill", "--no-wait", "--allow-secret", "doc.md")
    assert allowed.status == 0 and len(fake.uploads) == 1


# The token


def command_lines() -> str:
    """What anybody may read of the processes of this machine."""
    if not Path("/proc/self/cmdline").exists():
        return subprocess.run(["ps", "-axww", "-o", "command"], capture_output=True, text=True, check=True).stdout
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue  # it ended meanwhile
    return "\n".join(found)


def texts(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()}


def test_the_token_is_on_no_command_line_and_only_in_the_file_it_was_put_into(
    client: Client, fake: FakeGateway
) -> None:
    client.skill()
    entered = subprocess.run(
        [REPOSITORY / "scripts" / "configure.sh", "--server-url", fake.url, "--mode", "remote", "--api-key-stdin"],
        input=KEY, env=own(client), cwd=client.project, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert entered.returncode == 0 and KEY not in entered.stdout + entered.stderr
    fake.on("POST", "uploads", hang)
    process = subprocess.Popen(
        [REPOSITORY / "scripts" / "submit.sh", "--skill-name", "demo-skill"],
        env=own(client), cwd=client.project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while not fake.count("POST", "uploads"):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        seen = command_lines()
        assert "mega_code.client.remote_enhance" in seen and KEY not in seen
        os.killpg(process.pid, 15)
        stdout, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    assert fake.seen[-1].headers["authorization"] == f"Bearer {KEY}"
    made = re.findall(r"^(?:LOG|RESULT_JSON)=(.*)$", stdout, re.M) or transcripts()
    for path in made:
        assert KEY not in Path(path).read_text() and Path(path).stat().st_mode & 0o777 == 0o600
        Path(path).unlink()
    assert KEY not in stdout + stderr
    assert [path for path, text in texts(client.data.parent).items() if KEY in text] == [str(client.data / ".env")]
    assert (client.data / ".env").stat().st_mode & 0o777 == 0o600


def own(client: Client) -> dict[str, str]:
    """The client's environment without the settings that the test writes into `.env`."""
    return {
        name: value for name, value in client.env.items() if not name.startswith("MEGA_CODE_") or "DATA_DIR" in name
    }


def transcripts() -> list[str]:
    recent = time.time() - 60
    return [
        str(path)
        for path in Path("/tmp").glob("mega-code-enhance-*")
        if path.is_file() and path.stat().st_mtime > recent and "demo-skill" in path.read_text(errors="replace")
    ]


def test_the_token_is_in_no_message_of_a_crash(client: Client, fake: FakeGateway) -> None:
    """Whatever nobody foresaw is told in one line, and the token is taken out of that too."""
    code = (
        "import sys\n"
        "from mega_code.client.remote_enhance import cli, transport\n"
        "def broken(self, *positional, **named):\n"
        "    raise KeyError('sent ' + str(named))\n"
        "transport.Transport.send = broken\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    arguments = ["--poll-existing", fake.job_id, "--result-json", str(client.home / "r.json")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=client.env, capture_output=True, text=True, cwd=client.project
    )
    said = done.stdout + done.stderr + (client.home / "r.json").read_text()
    assert done.returncode == 4 and "KeyError" in said and "***" in said and KEY not in said


def test_the_env_file_is_never_readable_by_others_nor_half_written(tmp_path: Path) -> None:
    path = tmp_path / "a room" / ".env"
    path.parent.mkdir()
    path.write_text("A=1\n")
    path.chmod(0o644)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    seen: set[tuple[int, str]] = set()
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from mega_code.settings import write_env_file\n"
            "print('ready', flush=True)\n"
            "for n in range(300): write_env_file(Path(sys.argv[1]), {'A': 'x' * 5000, 'B': str(n)})",
            str(path),
        ],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert process.stdout and process.stdout.readline() == b"ready\n"
    while process.poll() is None:
        with open(path, "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode & 0o777
            content = stream.read()
        seen.add(
            (
                mode,
                "old"
                if content == b"A=1\n"
                else "whole"
                if content.startswith(b"A=" + b"x" * 5000 + b"\nB=")
                else "half",
            )
        )
    process.stdout.close()
    assert process.returncode == 0 and seen <= {(0o644, "old"), (0o600, "whole")} and (0o600, "whole") in seen
    path.unlink()
    path.symlink_to(victim)
    write_env_file(path, {"A": "2"})
    assert victim.read_text() == "mine" and not path.is_symlink() and path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [".env"]


def test_files_and_links_planted_at_the_names_of_logs_and_envelopes_are_left_alone(
    client: Client, fake: FakeGateway, tmp_path: Path
) -> None:
    client.skill()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    planted: list[Path] = []
    try:
        now = time.time()
        for second in range(20):
            stem = time.strftime("/tmp/mega-code-enhance-%Y%m%d-%H%M%S", time.localtime(now + second))
            for ending, target in ((".log", victim), (".result.json", tmp_path / "missing"), (".install.json", victim)):
                path = Path(f"{stem}{ending}")
                if not os.path.lexists(path):
                    path.symlink_to(target)
                    planted.append(path)
        done = subprocess.run(
            [REPOSITORY / "scripts" / "submit.sh", "--skill-name", "demo-skill"],
            env=client.env, cwd=client.project, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        values = dict(re.findall(r"^(LOG|RESULT_JSON|OUTCOME)=(.*)$", done.stdout, re.M))
        made = [Path(values["LOG"]), Path(values["RESULT_JSON"])]
        assert values["OUTCOME"] == "submitted" and not set(made) & set(planted)
        for path in made:
            assert path.stat().st_mode & 0o777 == 0o600 and not path.is_symlink() and KEY not in path.read_text()
            path.unlink()
        assert victim.read_text() == "mine" and not (tmp_path / "missing").exists()
        tally("names planted in /tmp", len(planted))
    finally:
        for path in planted:
            path.unlink(missing_ok=True)


def test_a_link_planted_at_the_result_file_is_replaced_and_not_followed(
    client: Client, batch: Batch, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    link = client.home / "result.json"
    link.symlink_to(victim)
    batch.run("--list-backups", "--result-json", str(link))
    assert victim.read_text() == "mine" and not link.is_symlink() and link.stat().st_mode & 0o777 == 0o600
    write_atomic(link, b"x")
    assert link.read_bytes() == b"x"


def test_the_token_goes_to_no_other_origin(client: Client, fake: FakeGateway, batch: Batch) -> None:
    """A redirect to another port is another origin; so is every artifact address."""
    client.skill()
    with FakeGateway() as other:
        for status in (301, 302, 303, 307, 308):

            def redirect(handler: Handler, status: int = status) -> None:
                handler.send_response(status)
                handler.send_header("Location", f"{other.url}{handler.path}")
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            fake.on("POST", "uploads", redirect, times=1)
            assert batch.run("--skill-name", "demo-skill", "--no-wait").code == "invalid_response"
        fake.file_extra = {"SKILL.md": {"url": f"{other.url}/files/SKILL.md"}}
        assert batch.run("--poll-existing", fake.job_id).code == "invalid_path"
        assert other.seen == []
