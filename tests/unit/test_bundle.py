"""What goes into a bundle, what is refused, and that the same tree gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import zipfile
from pathlib import Path

import pytest

from mega_code import bundle, selection
from mega_code.errors import MegaCodeError

SKILL_MD = "---\nname: demo\ndescription: d\n---\n# Demo\n"


@pytest.fixture
def skill(tmp_path: Path) -> Path:
    root = tmp_path / "a skill" / "demo"
    root.mkdir(parents=True)
    (root / "SKILL.md").write_text(SKILL_MD)
    return root


def add(root: Path, relpath: str, content: bytes = b"x", mode: int = 0o644) -> Path:
    path = root / relpath
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def packed(root: Path, **options: object) -> tuple[bundle.Bundle, bytes]:
    out = io.BytesIO()
    return bundle.pack(root, out, **options), out.getvalue()  # type: ignore[arg-type]


def refusal(root: Path, **options: object) -> MegaCodeError:
    with pytest.raises(MegaCodeError) as caught:
        packed(root, **options)
    return caught.value


def test_the_content_hash_is_the_one_the_contract_spells_out(skill: Path) -> None:
    add(skill, "references/ünï.md", "é".encode())
    files = [
        {"path": p, "sha256": hashlib.sha256((skill / p).read_bytes()).hexdigest(), "size": (skill / p).stat().st_size}
        for p in sorted(["SKILL.md", "references/ünï.md"])
    ]
    canonical = json.dumps({"files": files}, sort_keys=True, separators=(",", ":")).encode()
    assert packed(skill)[0].content_hash == hashlib.sha256(canonical).hexdigest() == bundle.scan(skill).content_hash


def test_the_same_tree_gives_the_same_bytes_elsewhere_and_later(skill: Path, tmp_path: Path) -> None:
    add(skill, "scripts/b.sh", b"#!/bin/sh\n", 0o755)
    add(skill, "a-b/x", b"1")
    add(skill, "a/x", b"2")
    other = tmp_path / "elsewhere"
    for relpath in ("a/x", "a-b/x", "SKILL.md", "scripts/b.sh"):
        path = add(other, relpath, (skill / relpath).read_bytes(), (skill / relpath).stat().st_mode & 0o777)
        os.utime(path, (1, 1))
    assert packed(skill) == packed(other)


def test_permission_bits_travel_in_the_zip_and_not_in_the_hash(skill: Path) -> None:
    script = add(skill, "run.sh", b"#!/bin/sh\n", 0o755)
    first, data = packed(skill)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {info.filename: info.external_attr >> 16 & 0o777 for info in archive.infolist()} == {
            "SKILL.md": (skill / "SKILL.md").stat().st_mode & 0o777,
            "run.sh": 0o755,
        }
    script.chmod(0o644)
    second, other = packed(skill)
    assert second.content_hash == first.content_hash and other != data


@pytest.mark.parametrize(
    "relpath",
    [".env", ".ENV", ".env.local", "a/server.KEY", "x.pem", "x.p12", "x.pfx", "x.jks", "id_rsa", "id_rsa.pub", "id_dsa",
     "id_ecdsa_sk", "id_ed25519", "aws_Credentials.txt", ".netrc", ".pypirc", "secrets/a.txt", "x/Secrets/a.txt",
     ".idea/.env"],
)  # fmt: skip
def test_a_name_that_says_secret_is_refused(skill: Path, relpath: str) -> None:
    add(skill, relpath)
    error = refusal(skill)
    assert error.code == "forbidden_path" and repr(relpath) in error.message


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"-----BEGIN RSA PRIVATE KEY-----\nMIIE", 1),
        (b'{"k": "-----BEGIN PRIVATE KEY-----\\nMIIE"}', 1),
        (b"-----BEGIN PGP PRIVATE KEY BLOCK-----\r\nx", 1),
        (b"a\nb\nkey = AKIAIOSFODNN7EXAMPLE\n", 3),
        (b'["-----BEGIN PRIVATE KEY-----",\n"MIIE"]', 1),
        (b"-----BEGIN EC PRIVATE KEY----- MIIEvQIBADANBgkqhkiG9w0B", 1),
        (b"xapp-1-A0123456789-abcdef", 1),
        (b"ghp_" + b"a" * 36, 1),
        (b"github_pat_" + b"A1" * 20, 1),
        (b"\n" * 9 + b"xoxb-1234567890-abcdef", 10),
        (b"sk_live_" + b"4e" * 12, 1),
        (b"AIza" + b"B" * 35, 1),
        (b"sk-ant-api03-" + b"z" * 30, 1),
        (b"sk-proj-" + b"Q" * 40, 1),
        (b"x\n" * 200_000 + b"glpat-" + b"a" * 20, 200_001),
    ],
)
def test_a_secret_is_found_by_its_shape_and_named_by_file_and_line_only(skill: Path, content: bytes, line: int) -> None:
    add(skill, "notes.md", content)
    error = refusal(skill)
    value = content.strip().splitlines()[-1].decode()
    assert error.code == "secret_detected"
    assert error.message.startswith(f"'notes.md', line {line}: ") and value not in error.message


@pytest.mark.parametrize(
    "content", [b"Look for `-----BEGIN PRIVATE KEY-----` in it.", b"sk-learn ghp_short AKIA", b"\0AKIAIOSFODNN7EXAMPLE"]
)
def test_a_mention_or_a_binary_file_is_no_secret(skill: Path, content: bytes) -> None:
    add(skill, "notes.md", content)
    assert len(packed(skill)[0].entries) == 2


def test_a_secret_across_the_edge_of_two_reads_is_found(skill: Path) -> None:
    add(skill, "long.txt", b"a" * (bundle.CHUNK - 10) + b"\nAKIAIOSFODNN7EXAMPLE\n")
    assert refusal(skill).code == "secret_detected"


def test_the_person_may_allow_one_file(skill: Path) -> None:
    add(skill, "doc.md", b"AKIAIOSFODNN7EXAMPLE")
    assert [e.path for e in packed(skill, allow_secret=["doc.md"])[0].entries] == ["SKILL.md", "doc.md"]
    add(skill, "other.md", b"AKIAIOSFODNN7EXAMPLE")
    assert "'other.md'" in refusal(skill, allow_secret=["doc.md"]).message


def test_what_does_not_belong_is_left_out_and_counted(skill: Path) -> None:
    for relpath in (".DS_Store", "Thumbs.db", "desktop.ini", ".gitignore", "a/.git", "evidence.json", "a/injection.json", "m.pyc",
                    "m.pyo", "__MACOSX/x", ".vscode/settings.json", ".idea/y"):  # fmt: skip
        add(skill, relpath)
    add(skill, "metadata.json", b'{"skill_id": 1, "run_id": 2}')
    result = packed(skill)[0]
    assert [entry.path for entry in result.entries] == ["SKILL.md"] and result.left_out == 13


@pytest.mark.parametrize(
    "relpaths", [("B", "b"), ("r\u00e9f.md", "re\u0301f.md"), ("A/x", "a"), ("A/x", "a/y")], ids=str
)
def test_paths_that_are_one_on_some_machines_are_refused(skill: Path, relpaths: tuple[str, str]) -> None:
    for relpath in relpaths:
        add(skill, relpath)
    error = refusal(skill)
    assert error.code == "invalid_path" and "are one path on some machines" in error.message


@pytest.mark.parametrize("content", [b'{"skill_id": 1}', b"[]", b"{", b"[" * 100_000])
def test_a_metadata_json_of_the_skill_itself_is_bundled(skill: Path, content: bytes) -> None:
    add(skill, "metadata.json", content)
    assert len(packed(skill)[0].entries) == 2


@pytest.mark.parametrize("folder", sorted(selection.OPAQUE_FOLDERS))
def test_dependency_version_control_and_cache_folders_are_not_looked_into(skill: Path, folder: str) -> None:
    add(skill, f"{folder}/cacert.pem")
    add(skill, f"x/{folder}/secrets/.env")
    (skill / folder / "link").symlink_to("/etc/passwd")
    result = packed(skill)[0]
    assert [entry.path for entry in result.entries] == ["SKILL.md"] and result.left_out == 2


def test_links_pipes_and_sockets_are_refused(skill: Path) -> None:
    (skill / "link").symlink_to("SKILL.md")
    assert refusal(skill).code == "symlink_rejected"
    (skill / "link").unlink()
    (skill / "folder").symlink_to(skill.parent)
    assert refusal(skill).code == "symlink_rejected"
    (skill / "folder").unlink()
    os.mkfifo(skill / "pipe")
    assert refusal(skill).code == "invalid_path"
    (skill / "pipe").unlink()
    cwd = os.getcwd()
    os.chdir(skill)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("sock")
            assert refusal(skill).code == "invalid_path"
    finally:
        os.chdir(cwd)


@pytest.mark.parametrize("name", [b"new\nline", b"back\\slash", b"\xff\xfe", b"c:x", b"del\x7f"])
def test_a_name_that_no_other_machine_can_hold_is_refused(skill: Path, name: bytes) -> None:
    (Path(os.fsdecode(os.fsencode(skill) + b"/" + name))).write_bytes(b"x")
    assert refusal(skill).code == "invalid_path"


def test_names_that_differ_in_case_only_are_refused(skill: Path) -> None:
    add(skill, "Notes.md")
    add(skill, "notes.md")
    assert refusal(skill).code == "invalid_path"


def test_the_caps_are_enforced_while_packing(skill: Path) -> None:
    add(skill, "zeros", b"\0" * 3000)
    assert refusal(skill, limits=bundle.Limits(unpacked=2000)).code == "size_exceeded"
    add(skill, "noise", os.urandom(300_000))
    assert refusal(skill, limits=bundle.Limits(compressed=200_000)).code == "size_exceeded"
    assert len(packed(skill)[0].entries) == 3


def test_a_missing_folder_and_a_missing_skill_md_have_codes_of_their_own(skill: Path) -> None:
    assert refusal(skill / "nowhere").code == "missing_skill_dir"
    (skill / "SKILL.md").rename(skill / "skill.md")
    assert refusal(skill).code == "missing_skill_md"


def test_many_folders_and_deep_ones_need_few_descriptors(skill: Path) -> None:
    for number in range(2000):
        add(skill, f"d{number}/f", b"")
    add(skill, "/".join(["d"] * 200) + "/f")
    result = packed(skill)[0]
    assert len(result.entries) == 2002


def test_too_deep_a_tree_is_refused(skill: Path) -> None:
    add(skill, "/".join(["d"] * 6) + "/f")
    assert refusal(skill, limits=bundle.Limits(depth=5)).code == "invalid_path"
