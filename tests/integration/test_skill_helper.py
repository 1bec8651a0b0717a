"""Which skills there are, and reading one: through the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import yaml

from support.client import Client

OURS = "---\nname: {0}\ndescription: D {0}\nmetadata:\n  author: Jane, co-authored by WWW.MegaCode.AI\n---\n"
TOP_LEVEL = "---\nname: {0}\ndescription: D {0}\nauthor: x@megacode.ai\n---\n"


def run(client: Client, *arguments: str) -> tuple[int, Any, str]:
    process = client.popen(*arguments, module="mega_code.client.skill_enhance_helper")
    stdout, stderr = process.communicate(timeout=60)
    assert stdout.count("\n") == 1 and "Traceback" not in stderr
    return process.returncode, json.loads(stdout), stderr


def pending(client: Client, name: str, text: str) -> str:
    folder = client.data / "data" / "pending-skills" / name
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(text)
    return str(folder / "SKILL.md")


def test_skills_are_listed_project_first_then_global_then_pending_one_a_name(client: Client) -> None:
    folders = [
        client.skill("b-skill", "project", OURS.format("b-skill")),
        client.skill("z-skill", "project", TOP_LEVEL.format("z-skill")),
        client.skill("a-skill", "global", OURS.format("a-skill")),
    ]
    client.skill("b-global", "global", OURS.format("b-skill"))
    client.skill("z-skill", "global", OURS.format("z-skill"))
    client.skill("foreign", "project")
    path = pending(client, "p-skill", OURS.format("p-skill"))
    pending(client, "a-skill", OURS.format("a-skill"))
    status, listed, _ = run(client, "list-skills")
    assert status == 0
    assert [(e["name"], e["state"], e["scope"], e["path"]) for e in listed] == [
        ("b-skill", "installed", "project", str(folders[0] / "SKILL.md")),
        ("z-skill", "installed", "project", str(folders[1] / "SKILL.md")),
        ("a-skill", "installed", "global", str(folders[2] / "SKILL.md")),
        ("b-global", "installed", "global", str(client.home / ".claude/skills/b-global/SKILL.md")),
        ("p-skill", "pending", None, path),
    ]
    assert listed[0]["description"] == "D b-skill"
    assert [e["name"] for e in run(client, "list-skills", "--all")[1]].count("foreign") == 1


def test_an_empty_project_folder_is_refused(client: Client) -> None:
    for command in (("list-skills",), ("resolve-skill", "--name", "x")):
        status, told, _ = run(client, *command, "--project-dir", "")
        assert (status, told["error"]["code"]) == (4, "invalid_arguments")
        assert told["error"]["message"].startswith("Argument --project-dir: an empty path names nothing;")


def test_two_hundred_skills_are_all_listed(client: Client) -> None:
    for number in range(200):
        client.skill(f"skill-{number:03d}", "global", OURS.format(f"skill-{number:03d}"))
    assert len(run(client, "list-skills")[1]) == 200


def test_one_broken_skill_hides_no_other(client: Client) -> None:
    client.skill("good", "project", OURS.format("good"))
    for name, content in {
        "no-front": b"# x", "bad-yaml": b"---\n{[\n---\n", "a-list": b"---\n- 1\n---\n", "bytes": b"\xff\xfe\0",
        "bool": b"---\na: !!bool maybe\n---\n", "int": b"---\na: !!int ''\n---\n", "stamp": b"---\na: !!timestamp zz\n---\n",
        "brackets": b"---\na: " + b"[" * 60_000 + b"\n---\n", "dashes": b"---\na:\n  " + b"- " * 30_000 + b"\n---\n",
        "tag": b"---\na: !!python/object:os.system x\n---\n", "deep": b"---\n" + b"[" * 5000 + b"\n---\n",
        "bomb": b"---\na: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n---\n", "date": b"---\nname: 2020-01-01\n---\n",
    }.items():  # fmt: skip
        (client.skill(name) / "SKILL.md").write_bytes(content)
    (client.skill("no-md") / "SKILL.md").unlink()
    (client.skill("a-folder") / "SKILL.md").unlink()
    (client.project / ".claude/skills/a-folder/SKILL.md").mkdir()
    os.mkfifo(client.skill("fifo") / "other")
    (client.project / ".claude/skills/dangling").symlink_to("/nowhere")
    (client.project / ".claude/skills/Bad Name").mkdir()
    assert [entry["name"] for entry in run(client, "list-skills")[1]] == ["good"]
    every = {entry["name"]: entry["description"] for entry in run(client, "list-skills", "--all")[1]}
    assert every["good"] == "D good" and every["bad-yaml"] == "" and "no-md" not in every and "a-folder" not in every


def test_a_skill_is_resolved_by_name_and_by_the_start_of_it(client: Client) -> None:
    text = "---\nname: other\ndescription: é\n---\nBody\n"
    folder = client.skill("commit-message", "global", text)
    client.skill("commit-message-long", "project")
    for name in ("commit-message",):
        status, found, stderr = run(client, "resolve-skill", "--name", name)
        assert (status, found) == (
            0,
            {"name": name, "path": str(folder / "SKILL.md"), "scope": "global", "content": text},
        )
        assert "calls itself 'other'" in stderr
    assert run(client, "resolve-skill", "--name", "commit-message-l")[1]["name"] == "commit-message-long"
    assert (folder / "SKILL.md").read_text() == text


def test_a_foreign_skill_of_the_same_name_does_not_hide_our_own(client: Client) -> None:
    client.skill("demo-skill", "project")
    ours = client.skill("demo-skill", "global", OURS.format("demo-skill"))
    assert [entry["path"] for entry in run(client, "list-skills")[1]] == [str(ours / "SKILL.md")]
    assert [entry["scope"] for entry in run(client, "list-skills", "--all")[1]] == ["project"]


def test_more_candidates_than_a_sentence_holds_are_counted_and_none_is_left_out(client: Client) -> None:
    names = [f"skill-{number:02}" for number in range(23)]
    for name in (*names, "other"):
        client.skill(name)
    shown = ", ".join(names[:20])
    for word, said, candidates in (
        ("skill", f"'skill' fits {shown} and 3 more; give one name in full.", names),
        ("nope", f"There is no skill 'nope'; there are: other, {', '.join(names[:19])} and 4 more.", ["other", *names]),
    ):
        status, answer, stderr = run(client, "resolve-skill", "--name", word)
        assert (status, answer["error"]["message"], stderr) == (4, said, f"{said}\n")
        assert answer["error"]["candidates"] == candidates
    submitted = client("--skill-name", "skill", "--no-wait").envelope["error"]
    assert submitted["message"] == f"There is no skill 'skill'; what begins so: {shown} and 3 more."


@pytest.mark.parametrize(
    ("name", "code", "candidates"),
    [
        ("nope", "skill_not_found", ["demo-a", "demo-b"]),
        ("dem", "ambiguous_skill", ["demo-a", "demo-b"]),
        ("demo-", "ambiguous_skill", ["demo-a", "demo-b"]),
        ("../x", "invalid_skill_name", ["demo-a", "demo-b"]),
        ("Demo-A", "invalid_skill_name", ["demo-a"]),
        ("", "missing_skill_name", None),
    ],
)
def test_a_name_that_fits_none_or_several_is_refused(client: Client, name: str, code: str, candidates: Any) -> None:
    client.skill("demo-a")
    client.skill("demo-b", "global")
    status, answer, stderr = run(client, "resolve-skill", "--name", name)
    assert status == 4 and answer["error"]["code"] == code and answer["error"].get("candidates") == candidates
    assert stderr == f"{answer['error']['message']}\n"


def test_a_folder_without_a_skill_md_and_one_with_a_wrong_name_are_named(client: Client) -> None:
    client.skill("good-one")
    (client.project / ".claude/skills/empty-one").mkdir()
    wrong = client.skill("Bad_Name")
    status, answer, _ = run(client, "resolve-skill", "--name", "empty-one")
    assert (status, answer["error"]["code"], answer["error"]["candidates"]) == (4, "missing_skill_md", ["good-one"])
    status, listed, told = run(client, "list-skills", "--all")
    assert (status, [entry["name"] for entry in listed]) == (0, ["good-one"])
    assert told.count("is left out") == 1 and str(wrong) in told


def test_bad_usage_is_an_error_envelope_too(client: Client) -> None:
    for arguments in ((), ("what",), ("list-skills", "--what"), ("resolve-skill", "--name")):
        status, answer, _ = run(client, *arguments)
        assert status == 4 and answer["error"]["code"] == "invalid_arguments"


def python(client: Client, code: str) -> str:
    """What a Python of its own prints last."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=client.env, cwd=client.project, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_listing_imports_no_requests_and_for_plain_frontmatter_no_yaml(client: Client) -> None:
    client.skill("demo-a", text=OURS.format("demo-a"))
    client.skill("demo-b", "global", TOP_LEVEL.format("demo-b"))
    code = (
        "import sys; from mega_code.client import skill_enhance_helper as h, report; from mega_code.client.remote_enhance import cli; "
        "h.main(['list-skills']); cli.main(['--list-cached', '--skill-name', 'x']); cli.main(['--list-backups']); "
        "print(sorted({'requests', 'yaml', 'urllib3', 'http.client'} & set(sys.modules)))"
    )
    assert python(client, code) == "[]"


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="this PyYAML has no C library")
def test_frontmatter_that_is_not_plain_is_read_by_the_c_library(client: Client) -> None:
    client.skill(
        "demo-a", text=OURS.format("demo-a").replace("description: D demo-a", "description: >-\n  D\n  demo-a")
    )
    code = (
        "import yaml, yaml.scanner; del yaml.scanner.Scanner.fetch_more_tokens\n"
        "from mega_code.client import skill_enhance_helper as h; h.main(['list-skills'])"
    )
    assert json.loads(python(client, code))[0]["description"] == "D demo-a"
