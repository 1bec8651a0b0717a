"""A model over HTTP that says yes, late; a process of its own, so that its work is none of what is measured."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

_CHOICE = {"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
_BODY = json.dumps({"choices": [_CHOICE], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}).encode()
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


@contextlib.contextmanager
def slow_model(latency_s: float) -> Iterator[str]:
    """The base URL of such a model, which runs for as long as the block."""
    process = subprocess.Popen([sys.executable, __file__, str(latency_s)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency_s: float) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
            await asyncio.sleep(latency_s)
            writer.write(_ANSWER)
            await writer.drain()


async def _serve(latency_s: float) -> None:
    server = await asyncio.start_server(lambda r, w: _converse(r, w, latency_s), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
