"""A gateway that means harm answers whatever it likes: a code of the contract, bounded time and memory, no token shown."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mega_code.client.remote_enhance import answers
from support.batch import Batch
from support.client import Client
from support.fake_gateway import KEY, Answer, FakeGateway, bomb, error
from support.tally import tally

SUBMIT = ("--skill-name", "demo-skill", "--no-wait")
WRONG: tuple[Any, ...] = (None, 7, -1.5, "x", [1], {"x": 1}, True)
ECHOES: tuple[Any, ...] = (KEY, [f"say {KEY} again"], {f"a{KEY}": {KEY: KEY}})
MIB = 1024 * 1024


def replaced(answer: Any, values: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """`answer` with every key and every entry in turn taken out, and replaced by each of `values`; and where."""

    def nodes(value: Any, at: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in inner:
            yield (*at, key)
            yield from nodes(child, (*at, key))

    for at in nodes(answer, ()):
        for value in (..., *values):
            changed = copy.deepcopy(answer)
            parent = changed
            for key in at[:-1]:
                parent = parent[key]
            if value is ...:
                del parent[at[-1]]
            else:
                parent[at[-1]] = value
            yield f"{'.'.join(map(str, at))} = {value!r}", changed
    for value in values:
        yield f"all = {value!r}", value


Route = tuple[str, str, tuple[str, ...], Callable[[FakeGateway], Any], int]
ROUTES: dict[str, Route] = {
    "an upload's": ("POST", "uploads", SUBMIT, lambda fake: {"job_id": fake.job_id, "content_hash": "0" * 64}, 201),
    "a job's": ("GET", r"jobs/[^/]*$", ("--poll-timeout", "0.2"), lambda fake: fake.job(), 200),
    "a result's": ("GET", "/result$", (), lambda fake: fake.full_result(), 200),
    "a conflict's": (
        "POST",
        "uploads",
        SUBMIT,
        lambda fake: error(409, "duplicate_content_hash", "seen", existing_job_id=fake.job_id).body,
        409,
    ),
    "a refusal's": ("GET", "/result$", (), lambda fake: error(400, "bad_request", "no", field="x").body, 400),
}


def attack(batch: Batch, fake: FakeGateway, name: str, values: tuple[Any, ...]) -> int:
    """Every replacement in the answer of one route; gives how many there were."""
    method, path, arguments, honest, status = ROUTES[name]
    arguments = arguments if arguments == SUBMIT else ("--poll-existing", fake.job_id, *arguments)
    given: list[Any] = [None]
    fake.on(method, path, lambda _: Answer(status, json.dumps(given[0]).encode()))
    count = 0
    for where, body in replaced(honest(fake), values):
        given[0] = body
        ended = batch.run(*arguments)
        assert ended.status in (0, 2, 3, 4, 5), (where, ended)
        count += 1
    return count


@pytest.mark.parametrize("name", ROUTES)
def test_every_key_of_every_answer_may_be_of_any_type(
    client: Client, fake: FakeGateway, batch: Batch, name: str
) -> None:
    client.skill()
    tally("answers with a key of the wrong type", attack(batch, fake, name, WRONG))
    assert client.leftovers() == []


def written(folder: Path) -> str:
    """Everything that stands in files below `folder`, and their names."""
    return "".join(f"{path} {path.read_text(errors='replace')}" for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ROUTES)
def test_a_token_echoed_in_any_field_is_shown_and_written_nowhere(
    client: Client, fake: FakeGateway, batch: Batch, name: str
) -> None:
    client.skill()
    del fake.files["scripts/run.sh"]
    tally("answers that echo the token", attack(batch, fake, name, ECHOES))
    assert KEY not in written(client.data.parent)


def test_a_token_echoed_in_headers_and_redirects_is_shown_nowhere(
    client: Client, fake: FakeGateway, batch: Batch
) -> None:
    client.skill()
    names = (
        "Location",
        "Content-Encoding",
        "Retry-After",
        "WWW-Authenticate",
        "Preference-Applied",
        "Content-Type",
        KEY,
    )
    echoing = [
        Answer(status, json.dumps({KEY: KEY}).encode(), ((name, KEY), ("Connection", "close")))
        for status in (200, 302, 307, 400, 401, 404, 500)
        for name in names
    ]
    artifacts = [answer._replace(body=b"---\na: !" + KEY.encode() + b" x\n---\n") for answer in echoing]
    given = [echoing[0]]
    fake.file_extra = {"SKILL.md": {"sha256": None, "size": None}}
    for method, path, arguments, said in (
        ("POST", "uploads", SUBMIT, echoing),
        ("GET", "/result$", ("--poll-existing", fake.job_id), echoing),
        ("GET", "^/files/SKILL.md", ("--poll-existing", fake.job_id), artifacts),
    ):
        fake.on(method, path, lambda _: given[0], times=len(said))
        for given[0] in said:
            assert batch.run(*arguments).status in (0, 4, 5)
        assert fake.count(method, path) == len(said)
    tally("answers that echo the token", 2 * len(echoing) + len(artifacts))
    rejected = client.enhancements / f"{fake.job_id}.rejected"
    assert KEY in (rejected / "SKILL.md").read_text()  # what a server wrote into a file of the skill stays there
    (rejected / "SKILL.md").unlink()
    assert KEY not in written(client.data.parent)


@pytest.mark.parametrize(
    "job_id",
    ["", "7", "../../../etc", "/etc/passwd", "3f2504e0-4f89-11d3-9a0c-0305e82c330", "{3f2504e0-4f89-11d3-9a0c-0305e82c3301}",
     "3f2504e04f8911d39a0c0305e82c3301", "3f2504e0-4f89-11d3-9a0c-0305e82c3301/..", "3f2504e0-4f89-11d3-9a0c-0305e82c3301\n",
     "\u0663f2504e0-4f89-11d3-9a0c-0305e82c3301"],
)  # fmt: skip
def test_a_job_id_that_is_no_uuid_reaches_no_path(client: Client, fake: FakeGateway, batch: Batch, job_id: str) -> None:
    client.skill()
    fake.on("POST", "uploads", Answer(201, {"job_id": job_id}), times=1)
    assert batch.run(*SUBMIT).code == "invalid_response"
    fake.on("POST", "uploads", error(409, "duplicate_content_hash", "seen", existing_job_id=job_id))
    assert batch.run(*SUBMIT).code == "invalid_response"
    assert batch.run(f"--poll-existing={job_id}").code == "invalid_job_id"
    assert not client.enhancements.exists()
    tally("job ids that are none", 3)


def wide(part: bytes) -> bytes:
    """As many parts as an answer may have bytes for."""
    return b'{"status":"succeeded","a":[' + part * (16 * MIB // len(part) - 20) + part.rstrip(b",") + b"]}"


BODIES: dict[str, Callable[[], bytes]] = {
    "no JSON": lambda: b"<html>",
    "a list": lambda: b"[]",
    "nothing": lambda: b"",
    "deep": lambda: b'{"a":' * 100_000,
    "deep and closed": lambda: b'{"a":' * 65 + b"1" + b"}" * 65,
    "deep lists": lambda: b'{"a":' + b"[" * 8 * MIB,
    "17 MiB": lambda: b" " * 17 * MIB,
    "NaN": lambda: b'{"status": NaN}',
    "1e999": lambda: b'{"status": "succeeded", "roi": [1e999]}',
    "-Infinity": lambda: b'{"a": -Infinity}',
    "a million digits": lambda: b'{"a": ' + b"9" * 1_000_000 + b"}",
    "fifteen million digits": lambda: b'{"a": 0.' + b"9" * 15 * MIB + b"}",
    "no UTF-8": lambda: b'{"a": "\xff"}',
    "UTF-16": lambda: '{"status": "succeeded"}'.encode("utf-16"),
    "numbers": lambda: wide(b"1,"),
    "objects": lambda: wide(b'{"":0},'),
    "lists": lambda: wide(b"[],"),
    "keys": lambda: b'{"":' + b'0,"":' * (3 * MIB) + b"0}",
    "a string that never ends": lambda: b'{"a": "' + b'[,\\"' * (4 * MIB - 10),
}


@pytest.mark.parametrize("name", BODIES)
def test_an_answer_that_is_huge_deep_or_no_json_is_refused(
    client: Client, fake: FakeGateway, batch: Batch, name: str
) -> None:
    client.skill()
    fake.on("POST", "uploads", Answer(201, BODIES[name]()))
    assert batch.run(*SUBMIT).code == "invalid_response"
    tally("bodies that are no answer", 1)


@pytest.mark.parametrize(
    ("first", "then", "times"),
    [
        ("", "x", 14 * MIB),
        ("", "\u00e9", 7 * MIB),
        ("", "[{,:", 3 * MIB),
        ("\U0001f600", "y", 14 * MIB),
        ("", "\\u0001", 2 * MIB),
    ],
    ids=["plain", "accents", "JSON in a string", "wide", "control characters"],
)
def test_the_largest_answer_that_is_taken_stays_within_the_memory(
    client: Client, fake: FakeGateway, batch: Batch, first: str, then: str, times: int
) -> None:
    client.skill()
    most = ",".join(["{}"] * (answers.PARTS // 2 - 20))
    body = json.dumps({"status": "succeeded", "artifact_kind": "source", "reason": "X"}, ensure_ascii=False)
    data = (body.replace("X", first + then * times)[:-1] + f', "more": [{most}]}}').encode()
    fake.on("GET", "/result$", Answer(200, data))
    ended = batch.run("--poll-existing", fake.job_id)
    assert (ended.status, ended.code, len(data) < 16 * MIB) == (0, "", True)
    assert len(ended.envelope["result"]["more"]) == answers.PARTS // 2 - 20
    tally("bodies that are no answer", 1)


def test_a_redirect_with_a_bomb_costs_no_memory(client: Client, fake: FakeGateway, batch: Batch) -> None:
    client.skill()
    fake.on("POST", "uploads", bomb)
    assert batch.run(*SUBMIT).code == "invalid_response" and fake.count("GET", "elsewhere") == 0
    tally("bodies that are no answer", 1)


def test_a_cached_result_over_its_limit_is_as_good_as_none(client: Client, fake: FakeGateway, batch: Batch) -> None:
    client.skill()
    assert batch.run("--poll-existing", fake.job_id).status == 0
    cache = client.enhancements / f"{fake.job_id}.result.json"
    with open(cache, "ab") as stream:
        stream.truncate(129 * MIB)
    assert batch.run("--list-cached", "--skill-name", "demo-skill").envelope == {"cached": []}
    install = ("--install-existing", fake.job_id, "--install-location", "project", "--skill-name", "demo-skill")
    assert batch.run(*install).envelope["installed"] is True
    assert cache.stat().st_size < MIB
