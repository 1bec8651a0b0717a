"""Files that agents run or load are parsed, and never executed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Union

import pytest

from mega_code.evaluation.folder import Finding
from mega_code.evaluation.scripts import inspect

PYTHON = "Python {}.{}".format(*sys.version_info)


def inspected(root: Path, files: Mapping[str, Union[str, bytes]]) -> dict[str, list[Finding]]:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content.encode() if isinstance(content, str) else content)
    return {kind: found for kind, found in inspect(root, files).items() if found is not None}


def test_what_parses_passes_and_what_is_not_there_does_not_count(tmp_path: Path) -> None:
    files: dict[str, Union[str, bytes]] = {
        "a.py": "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"),
        "b.sh": "for a in b; do echo; done\n",
        "run": "#!/bin/bash\ntrue\n",
        "c.json": "\ufeff{}".encode(),
        "d.yml": "a: !Ref b\n---\nc: d\n",
        "e.zsh": "((",
        "notes.txt": "((",
    }
    assert inspected(tmp_path, files) == {"python": [], "shell": [], "json": [], "yaml": []}
    assert inspected(tmp_path, {"notes.txt": "(("}) == {}


@pytest.mark.parametrize(
    ("path", "content", "line", "text"),
    [
        ("a.py", 'x = 1\nprint "x"\n', 2, f"is no valid {PYTHON}: "),
        ("a.py", b"x = '\xff'\n", 1, f"is no valid {PYTHON}: "),
        ("a.py", "x = " + "(" * 5000 + "\n", 1, f"is no valid {PYTHON}: "),
        ("a.sh", "if true; then\necho\n", 3, "is no valid shell script: syntax error: unexpected end of file"),
        ("run", "#!/usr/bin/env bash\n((\n", 2, "is no valid shell script: "),
        ("a.json", '{"a": 1,}\n', 1, "is no valid JSON: "),
        ("a.json", "[" * 100_000, 0, "is no valid JSON: "),
        ("a.yaml", "a: b\nc: [d\n", 3, "is no valid YAML: "),
        ("a.yaml", "[" * 100_000, 0, "is no valid YAML: it is nested too deep"),
    ],
)
def test_what_does_not_parse_is_named_with_its_line(
    tmp_path: Path, path: str, content: Union[str, bytes], line: int, text: str
) -> None:
    ((finding,),) = inspected(tmp_path, {path: content}).values()
    assert (finding.file, finding.line or line) == (path, line or finding.line)
    assert finding.text.startswith(text)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.json.py", "{% if x %}\n"),
        ("tsconfig.json", "{ // why\n}"),
        ("a.yaml", "a: {{ b }}\nc: [\n"),
        ("a.py", "x" * 600_000 + " y"),
        ("run", "#!/usr/bin/env fish\nif x\nend\n"),
    ],
    ids=["template", "JSON with comments", "YAML template", "too large", "another shell"],
)
def test_templates_and_what_cannot_be_judged_do_not_fail(tmp_path: Path, path: str, content: str) -> None:
    assert list(inspected(tmp_path, {path: content}).values()) in ([], [[]])


def test_nothing_is_executed(tmp_path: Path) -> None:
    made = tmp_path / "made"
    files = {
        "a.py": f"open({str(made)!r}, 'w')\n",
        "b.sh": f"touch '{made}'\n$(touch '{made}')\n",
        "c.yaml": f"!!python/object/apply:os.system ['touch {made}']\n",
        "sitecustomize.py": f"open({str(made)!r}, 'w')\n",
        "ast.py": f"open({str(made)!r}, 'w')\n",
    }
    assert inspected(tmp_path, files) == {"python": [], "shell": [], "yaml": []}
    assert not made.exists()
