"""schemathesis makes requests out of references/openapi.yaml, and the answers must be those the document allows."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from mega_code.settings import API_BASE
from support.gateway import Client, Served, key_for, skill_zip
from support.room import REPOSITORY
from support.tally import tally

EXAMPLES = os.environ.get("MEGA_CODE_SCHEMA_EXAMPLES", "25")


def document(client: Client, path: Path) -> Path:
    """The document as it is, with what it leaves to the reader filled in: a user, and a job with a file."""
    job_id = client.submit(skill_zip())
    client.until_status(job_id, "succeeded")
    url = urlsplit(client.result(job_id).json()["artifact"]["files"][0]["url"])
    known = {"job_id": job_id, "relpath": "SKILL.md", **dict(parse_qsl(url.query))}
    text = yaml.safe_load((REPOSITORY / "references" / "openapi.yaml").read_text("utf-8"))
    text["components"]["schemas"]["UserId"]["enum"] = ["alice"]
    artifact = text["paths"]["/artifacts/{job_id}/{relpath}"]
    for parameter in (
        *artifact["parameters"][1:],
        *artifact["get"]["parameters"],
        text["components"]["parameters"]["JobId"],
    ):
        parameter["example"] = known[parameter["name"]]
    path.write_text(json.dumps(text))
    return path


# The coverage phase leaves a form's fields empty beside an archive of ours, and expects that to be taken.
PHASES = {
    "coverage": ("--phases", "coverage", "--exclude-checks", "positive_data_acceptance"),
    "others": ("--phases", "examples,fuzzing,stateful"),
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed")
@pytest.mark.parametrize("phases", PHASES.values(), ids=PHASES.keys())
def test_every_answer_is_one_that_the_document_allows_and_none_is_a_fault(
    tmp_path: Path, phases: tuple[str, ...]
) -> None:
    go = tmp_path / "go"
    go.touch()
    with Served(tmp_path, GO=str(go)) as served:
        alice = Client(served.url, key_for(tmp_path))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", document(alice, tmp_path / "openapi.json")),
                *("--url", served.url + API_BASE, "--header", f"Authorization: {alice.headers['Authorization']}"),
                *("--checks", "all", "--generation-deterministic", "--max-examples", EXAMPLES, "--no-color"),
                *phases,
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")]),
                "SCHEMATHESIS_HOOKS": "support.schema_hooks",
            },
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert served.process.poll() is None
        assert "Traceback" not in (tmp_path / "served.log").read_text()
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated, done.stdout
    assert int(generated[1]) > 100
    tally("gateway schema cases", int(generated[1]))
