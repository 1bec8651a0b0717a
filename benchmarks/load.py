"""A hundred clients of a gateway, as `benchmarks/gateway.py` sets them on it: what they ask, and how long it took.

Each follows a job to its end as the real client does, by the client's own rule, and asks beside that for the plain
status of its newest job every second. Every call has a connection of its own, as the real client's have.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import random
import time
import zipfile
from typing import NamedTuple

from mega_code.client.remote_enhance.polling import HOLD_S, LEAST_DELAY_S, delay_s, was_held
from mega_code.client.remote_enhance.retrying import jittered
from mega_code.settings import API_BASE

UPLOADS_AT_ONCE = 4
PREFER = f"Prefer: wait={HOLD_S}\r\n"
API = f"{API_BASE}/skill-enhance"


class Address(NamedTuple):
    """Where a gateway answers, and its process."""

    host: str
    port: int
    pid: int


class Answer(NamedTuple):
    """Status, head in lower case and body."""

    status: int
    head: str
    body: bytes


async def call(to: Address, key: str, method: str, path: str, headers: str = "", body: bytes = b"") -> Answer:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection(to.host, to.port)
    try:
        head = f"{method} {path} HTTP/1.1\r\nHost: {to.host}:{to.port}\r\nAuthorization: Bearer {key}\r\n{headers}"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answered, _, content = (await reader.read(-1)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    text = answered.decode("latin-1").lower()
    return Answer(int(text.split()[1]), text, content)


def upload_body(number: int, boundary: str) -> bytes:
    """The form with the smallest skill, unlike any other."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("SKILL.md", f"---\nname: small\ndescription: Shows things.\n---\n# Number {number}\n")
    parts = (
        b'"source"\r\n\r\napi',
        b'"skill_id"\r\n\r\nsmall',
        b'"archive"; filename="a.zip"\r\n\r\n' + archive.getvalue(),
    )
    mark = f"--{boundary}".encode()
    return (
        b"".join(mark + b"\r\nContent-Disposition: form-data; name=" + part + b"\r\n" for part in parts) + mark + b"--"
    )


class Load:
    """What one gateway is asked for; `jobs` by user, in the order of their submission."""

    def __init__(self, to: Address, keys: list[str]) -> None:
        self.to, self.keys = to, keys
        self.jobs: list[list[str]] = [[] for _ in keys]
        self.took_ms: list[float] = []
        self.polls = {"held": 0, "at once": 0}
        self._numbers = itertools.count()

    async def submit(self, count: int) -> None:
        """Queue so many jobs, in turn for each user."""

        async def some() -> None:
            while (number := next(self._numbers)) < until:
                user = number % len(self.keys)
                form = f"Content-Type: multipart/form-data; boundary={number:032}\r\n"
                body = upload_body(number, f"{number:032}")
                answer = await call(self.to, self.keys[user], "POST", f"{API}/uploads", form, body)
                assert answer.status == 201, answer
                self.jobs[user].append(json.loads(answer.body)["job_id"])

        until = sum(map(len, self.jobs)) + count
        self._numbers = itertools.count(until - count)
        await asyncio.gather(*(some() for _ in range(UPLOADS_AT_ONCE)))

    async def poll(self, enough: asyncio.Event) -> None:
        """All clients at once, each following its newest job."""
        users = range(len(self.keys))
        asking = [*(self._ask(user) for user in users), *(self._follow(user) for user in users)]
        tasks = [asyncio.ensure_future(one) for one in asking]
        await asyncio.wait([*tasks, asyncio.ensure_future(enough.wait())], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()  # raises what went wrong
            task.cancel()

    async def _ask(self, user: int) -> None:
        await asyncio.sleep(random.random())
        while True:
            began = time.perf_counter()
            answer = await call(self.to, self.keys[user], "GET", f"{API}/jobs/{self.jobs[user][-1]}")
            self.took_ms.append(1000 * (time.perf_counter() - began))
            assert answer.status == 200, answer
            await asyncio.sleep(max(0.0, began + 1 - time.perf_counter()))

    async def _follow(self, user: int) -> None:
        await asyncio.sleep(random.random())
        while True:
            await self._until_ended(user, self.jobs[user][-1])
            await asyncio.sleep(LEAST_DELAY_S)

    async def _until_ended(self, user: int, job_id: str) -> None:
        began, last = time.perf_counter(), b""
        while True:
            asked = time.perf_counter()
            answer = await call(self.to, self.keys[user], "GET", f"{API}/jobs/{job_id}", PREFER)
            assert answer.status == 200, answer
            said = "preference-applied" in answer.head
            self.polls["held" if said else "at once"] += 1
            if json.loads(answer.body)["status"] == "succeeded":
                return
            changed, last = answer.body != last, answer.body
            now = time.perf_counter()
            if not was_held(now - asked, said, changed):
                await asyncio.sleep(jittered(delay_s(now - began)))
