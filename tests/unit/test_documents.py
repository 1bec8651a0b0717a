"""README, CONTRIBUTING and references/: true, whole, linked, and short where they should be."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from datetime import datetime, timezone
from fnmatch import fnmatch
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mega_code.client.wording import roi_lines
from mega_code.errors import CODES
from mega_code.evaluation.preview import preview
from mega_code.evaluation.static import enhance
from mega_code.skill import parse_frontmatter
from scripts.lib import tables
from support.documents import anchors, code, documents, links, name, prose, rows, section
from support.house import MAY_USE
from support.room import REPOSITORY

README, CONTRIBUTING = REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"
REFERENCES = REPOSITORY / "references"
EXAMPLE = REPOSITORY / "examples" / "commit-message"
FIRST_COMMAND = 'scripts/enhance.sh examples/commit-message --yes --project-dir "$(mktemp -d)"'
TEST_COMMAND = "scripts/test.sh --all"
WORDS_IN_FIVE_MINUTES = 1100
every_document = pytest.mark.parametrize("path", documents(), ids=name)


# Generated tables


@every_document
def test_the_tables_that_stand_in_the_code_are_those_of_the_code(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text == tables.renewed(text), "run: python -m scripts.lib.tables"


def test_every_table_that_is_made_has_its_place() -> None:
    places = [match[2] for path in documents() for match in tables.PLACE.finditer(path.read_text("utf-8"))]
    assert sorted(places) == sorted(tables.TABLES)


def test_a_stale_table_is_written_anew_and_nothing_beside_it() -> None:
    stale = "a\n<!-- error-codes: python -m scripts.lib.tables -->\n| old |\n<!-- end -->\nb\n"
    made = tables.renewed(stale)
    assert made == stale.replace("| old |\n", tables.error_codes())
    assert made.count("\n| `") == len(CODES)
    with pytest.raises(KeyError):
        tables.renewed(stale.replace("error-codes", "no-such-table"))


def test_a_header_that_does_not_say_what_is_printed_is_found() -> None:
    printing = {path.name: tables.header(path.read_text("utf-8")).prints for path in SCRIPTS}
    assert len(printing) > 10 and [script for script, prints in printing.items() if not prints] == []


SCRIPTS = sorted((REPOSITORY / "scripts").glob("*.sh"))


# Links


@every_document
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(path: Path) -> None:
    for target, anchor in links(path):
        assert target.exists(), f"{target} is linked"
        if anchor:
            assert anchor in anchors(target), f"{name(target)} has no #{anchor}"


def test_every_reference_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [README]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += [target for target, _ in links(path)] if path.suffix == ".md" else []
    files = {path for path in REFERENCES.rglob("*") if path.is_file() and not path.name.startswith(".")}
    assert sorted(name(path) for path in files - seen) == []


@every_document
def test_every_script_and_module_that_is_named_is_there(path: Path) -> None:
    text = path.read_text("utf-8")
    for script in re.findall(r"(?<![\w/.])(?:scripts|tests|benchmarks)/[\w./-]+\.(?:sh|py)\b", text):
        if "NAME" not in script:
            assert (REPOSITORY / script).is_file(), script
    for module in re.findall(r"python -m ((?:mega_code|scripts)[\w.]*\w)", text):
        stem = REPOSITORY.joinpath(*module.split("."))
        assert stem.with_suffix(".py").is_file() or (stem / "__main__.py").is_file(), module


@every_document
def test_no_document_names_a_machine_or_a_registry(path: Path) -> None:
    found = re.findall(
        r"/(?:home|root|Users|work)/\S*|/tmp/(?!mega-code-)\S+|\bpypi\.org|npmjs\.|pkg\.dev", path.read_text()
    )
    assert found == []


@pytest.mark.parametrize("path", sorted(REFERENCES.glob("*.md")), ids=name)
def test_the_table_at_the_top_of_a_reference_names_every_section(path: Path) -> None:
    titles = re.findall(r"^## (.+)$", prose(path), re.MULTILINE)
    assert re.findall(r"^\| \[([^]]+)\]\(#", prose(path), re.MULTILINE) == titles


# README


def test_the_readme_has_the_first_command_and_the_test_command_word_for_word() -> None:
    blocks = re.findall(r"```bash\n(.*?)\n```", README.read_text("utf-8"), re.DOTALL)
    assert blocks[:2] == [FIRST_COMMAND, TEST_COMMAND]
    assert f"exec {TEST_COMMAND} " in (REPOSITORY / ".ci" / "run").read_text("utf-8")


class Quiet:
    """Nobody who would be told how far it is."""

    def phase(self, name: str) -> None: ...

    def worked(self) -> None: ...

    def iteration(self, current: int, total: int) -> None: ...


def test_the_figures_of_the_transcript_are_those_of_the_example(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / EXAMPLE.name))
    files = sum(path.is_file() for path in folder.rglob("*"))
    outcome = enhance(folder, EXAMPLE.name, Quiet(), datetime(2026, 4, 22, tzinfo=timezone.utc))
    text = README.read_text("utf-8")
    assert f"\npacked {EXAMPLE.name}: {files} files," in text and f"\n{files} files downloaded and verified\n" in text
    assert re.findall(r"^ROI: .+$", text, re.MULTILINE) == roi_lines(outcome.roi)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="the search needs Python 3.10")
def test_the_cost_that_the_readme_shows_is_what_the_preview_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "claude").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = preview(EXAMPLE, {"MEGA_CODE_MODEL": "claude"})
    assert "\n```\n" + "\n".join(said) + "\n```\n" in README.read_text("utf-8")


def test_the_readme_can_be_read_in_five_minutes() -> None:
    read = tables.PLACE.sub("", prose(README))  # what is made is looked up
    lines = [line for line in read.splitlines() if not line.startswith("<")]
    words = re.findall(r"[^\s|]*\w[^\s|]*", re.sub(r"\]\([^)]*\)", "]", "\n".join(lines)))
    assert len(words) <= WORDS_IN_FIVE_MINUTES


def test_the_plugin_is_three_lines_and_takes_what_the_slash_command_takes() -> None:
    (block,) = re.findall(r"```\n(/plugin.*?)\n```", README.read_text("utf-8"), re.DOTALL)
    skill = parse_frontmatter((REPOSITORY / "skills" / "skill-enhance" / "SKILL.md").read_text("utf-8"))
    add, install, use = block.splitlines()
    assert add.startswith("/plugin marketplace add ")
    assert install == "/plugin install mega-code@mega-code"
    assert use == f"/mega-code:skill-enhance {skill['argument-hint']}"


def test_every_note_of_the_comparison_is_there_and_used() -> None:
    said = section(README, "Compared with other ways")
    table = "".join(line for line in said.splitlines() if line.startswith("|"))
    notes = re.findall(r"^(\d)\. ", said, re.MULTILINE)
    assert notes and sorted(set(re.findall(r"\[(\d)\]", table))) == notes


def test_the_picture_stands_alone_has_words_for_who_cannot_see_it_and_knows_the_dark() -> None:
    text = (REPOSITORY / "docs" / "flow.svg").read_text("utf-8")
    root = ElementTree.fromstring(text)
    parts = {element.tag.rpartition("}")[2]: element for element in root}
    assert root.get("role") == "img" and root.get("aria-labelledby") == "title desc"
    assert (parts["title"].get("id"), parts["desc"].get("id")) == ("title", "desc")
    assert "prefers-color-scheme: dark" in text
    assert re.findall(r"href|url\(|@import|<script|<image", text) == []


# Troubleshooting


def test_every_code_that_troubleshooting_names_is_one_of_the_code() -> None:
    path = REFERENCES / "troubleshooting.md"
    seen = {row[0] for title in ("Setting up", "The job", "After the install") for row in rows(section(path, title))}
    named = {word for cell in seen for word in code(cell) if re.fullmatch(r"[a-z]+(_[a-z]+)+", word)}
    assert named and named <= set(CODES) | {"enhancement_blocked"}


# CONTRIBUTING


def ours(folder: Path) -> set[str]:
    """The folders in a folder that are not the tools' own."""
    ignored = [line.strip("/\n") for line in (REPOSITORY / ".gitignore").read_text().splitlines()] + [".git"]
    found = {path.name for path in folder.iterdir() if path.is_dir()}
    return {one for one in found if not any(fnmatch(one, pattern) for pattern in ignored)}


def test_the_map_of_the_house_is_the_tree() -> None:
    folders, packages = (rows(section(CONTRIBUTING, "Map of the house"), number) for number in (0, 1))
    assert {code(row[0])[0] for row in folders} == ours(REPOSITORY)
    assert {code(row[0])[0]: set(code(row[2])) for row in packages} == MAY_USE
    assert set(MAY_USE) == ours(REPOSITORY / "mega_code")


def test_every_folder_of_tests_is_named() -> None:
    named = {Path(folder).name for row in rows(section(CONTRIBUTING, "Tests")) for folder in code(row[0])}
    assert named == ours(REPOSITORY / "tests")


def test_every_name_that_the_table_of_additions_points_at_is_there() -> None:
    for row in rows(section(CONTRIBUTING, "How to add")):
        known = {
            target.id
            for path in code(row[1])
            if path.endswith(".py") and "NAME" not in path
            for node in ast.walk(ast.parse((REPOSITORY / path).read_text("utf-8")))
            if isinstance(node, (ast.Assign, ast.AnnAssign))
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        assert {word for word in code(row[1]) if word.isupper()} <= known
        for word in (word for cell in row[1:] for word in code(cell)):
            if "/" in word and "NAME" not in word:
                assert (REPOSITORY / word).exists(), word
