"""references/openapi.yaml says what the gateway does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mega_code.bundle import MIB
from mega_code.gateway import uploads
from mega_code.gateway.api_error import BAD_REQUEST, CODE_OF_STATUS, STATUS
from mega_code.gateway.app import EPOCH, HEX
from mega_code.gateway.http import HEADER_BYTES
from mega_code.gateway.intake import Limits
from mega_code.gateway.jobs import Job
from mega_code.gateway.longpoll import MAX_WAIT_S
from mega_code.gateway.result import PublishedFile, Result
from mega_code.gateway.server import Gateway
from mega_code.job import PHASES, QUEUED, RUNNING, TERMINAL
from mega_code.paths import JOB_ID, MEGA_DIR, SKILL_NAME, DataDir
from mega_code.settings import API_BASE
from support.room import REPOSITORY

DOCUMENT: dict[str, Any] = yaml.safe_load((REPOSITORY / "references" / "openapi.yaml").read_text("utf-8"))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
METHODS = ("get", "post", "put", "patch", "delete")


def resolved(node: Any) -> Any:
    """What a reference stands for."""
    while isinstance(node, dict) and "$ref" in node:
        target: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, {**item[method], "shared": item.get("parameters", [])}


def codes_of(response: Any) -> list[str]:
    """The codes that one answer of an operation may have, if it narrows them."""
    schema = resolved(response).get("content", {}).get("application/json", {}).get("schema", {})
    narrowed = [part["properties"]["error"]["properties"]["code"] for part in schema.get("allOf", [])[1:]]
    return [code for part in narrowed for code in part["enum"]]


def literal_codes() -> set[str]:
    """Every code that the gateway's source refuses with."""
    sources = [path.read_text("utf-8") for path in (MEGA_DIR / "mega_code" / "gateway").glob("*.py")]
    calls = [node for text in sources for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    refusals = [call.args[0] for call in calls if ast.unparse(call.func) == "ApiError"]
    return {str(code.value) for code in refusals if isinstance(code, ast.Constant)}


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        assert resolved({"$ref": reference}), reference


def test_every_call_of_the_gateway_is_in_the_document_and_no_other(tmp_path: Path) -> None:
    gateway = Gateway(DataDir(tmp_path / "data dir"))
    served = {(route.method, re.sub(r"<(\w+)(:path)?>", r"{\1}", route.rule)) for route in gateway.api.app.routes}
    gateway.database.close()
    assert {(method, API_BASE + path) for method, path, _ in operations()} == served
    assert DOCUMENT["servers"][0]["url"].endswith(API_BASE)


def test_every_part_of_a_path_is_a_parameter() -> None:
    for _, path, operation in operations():
        parameters = [resolved(parameter) for parameter in (*operation["shared"], *operation.get("parameters", []))]
        assert [p["name"] for p in parameters if p["in"] == "path"] == re.findall(r"{(\w+)}", path)
        assert all(p["required"] for p in parameters if p["in"] == "path")


def test_every_code_is_in_the_document_and_no_other() -> None:
    fallbacks = {"invalid_request", "internal_error"}
    assert SCHEMAS["Code"]["enum"] == sorted(literal_codes() | set(CODE_OF_STATUS.values()) | fallbacks)
    assert set(STATUS) <= set(SCHEMAS["Code"]["enum"])


def test_every_code_stands_under_its_status() -> None:
    said: set[str] = set()
    for _, _, operation in operations():
        for status, response in operation["responses"].items():
            codes = codes_of(response)
            said.update(codes)
            assert all(str(STATUS.get(code, BAD_REQUEST)) == status for code in codes), (status, codes)
            if status[0] in "45":
                assert codes or status == "400", status
    assert said == set(SCHEMAS["Code"]["enum"]) - {"internal_error", "method_not_allowed"}


def test_statuses_and_phases_are_those_of_the_code() -> None:
    assert SCHEMAS["Status"]["enum"] == [QUEUED, *RUNNING, *TERMINAL]
    assert SCHEMAS["TerminalStatus"]["enum"] == [*TERMINAL]
    assert SCHEMAS["Phase"]["enum"] == [*PHASES, None]


def test_the_answers_have_the_keys_of_the_code() -> None:
    job = Job("id", "user", "skill", "hash", QUEUED, None, None, None, 0, "now", None, None, "static", None)
    assert SCHEMAS["Job"]["required"] == list(SCHEMAS["Job"]["properties"]) == list(job.public())
    identity = {"job_id", "skill_id", "status", "completed_at"}
    assert set(SCHEMAS["Result"]["properties"]) == identity | {"artifact"} | set(Result._fields)
    assert set(SCHEMAS["Result"]["required"]) == set(SCHEMAS["Result"]["properties"]) - {"lineage"}
    assert list(SCHEMAS["File"]["properties"]) == list(PublishedFile._fields)
    assert SCHEMAS["PublishedFile"]["allOf"][1]["required"] == ["url"]


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        (SCHEMAS["SkillId"], SKILL_NAME),
        (SCHEMAS["Uuid"], JOB_ID),
        (SCHEMAS["IdempotencyKey"], uploads.PREBUILT_KEY),
        (SCHEMAS["UploadKey"], uploads.UPLOAD_KEY),
        (resolved(SCHEMAS["Sha256"]), HEX),
        (DOCUMENT["paths"]["/artifacts/{job_id}/{relpath}"]["get"]["parameters"][0]["schema"], EPOCH),
        (DOCUMENT["paths"]["/artifacts/{job_id}/{relpath}"]["get"]["parameters"][1]["schema"], HEX),
    ],
)
def test_a_pattern_is_the_codes_own(schema: dict[str, str], pattern: re.Pattern[str]) -> None:
    assert schema["pattern"] == f"^{pattern.pattern.replace('(?:', '(')}$"


def test_limits_are_those_of_the_code() -> None:
    limits = Limits()
    assert SCHEMAS["File"]["properties"]["size"]["maximum"] == limits.file
    for answer in ("Upload", "Prebuilt"):
        assert SCHEMAS[answer]["properties"]["file_count"]["maximum"] == limits.files
        assert SCHEMAS[answer]["properties"]["uploaded_bytes"]["maximum"] == 25 * MIB
    assert (
        f"{limits.unpacked // MIB} MiB unpacked, {limits.file // MIB} MiB a file" in SCHEMAS["Archive"]["description"]
    )
    assert f"over {HEADER_BYTES // 1024} KiB" in DOCUMENT["components"]["responses"]["HeaderTooLarge"]["description"]
    prefer = DOCUMENT["paths"]["/skill-enhance/jobs/{job_id}"]["get"]["parameters"][0]
    assert f"(the embedded gateway: {MAX_WAIT_S})" in prefer["description"]
