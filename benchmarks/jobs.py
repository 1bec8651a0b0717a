"""Whole jobs through a real gateway with a simulated model over HTTP: how often what it publishes is really better.

    python benchmarks/jobs.py [--jobs 100] [--seed 1]

Every job is a skill of its own with 32 cases of four expectations. The model answers a task as `simulation.World` says:
the uploaded text has the rate of the original, every text that it proposes that of the candidate. So the truth of what
was published is known. Prints a Markdown table; exit 1 where a bar of EVALUATION.md is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Optional

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.simulation import EXPECTATIONS, Arm, Case, World

REPOSITORY = Path(__file__).resolve().parents[1]

CASES = 32
WORKERS = 2
DEADLINE_S = 3600
MARKS = tuple(f"MARK{number}" for number in range(EXPECTATIONS))
ORIGINAL = "The first wording."


class Scenario(NamedTuple):
    """`least` and `most` are the bar: the share of jobs that publish."""

    name: str
    world: World
    least: float = 0.0
    most: float = 1.0


SCENARIOS = (
    Scenario("nothing gained on average", World(0.0), most=0.05),
    Scenario("10 points worse", World(-0.1), most=0.01),
    Scenario("20 points better", World(0.2), least=0.6),
    Scenario("30 points better", World(0.3), least=0.9),
)


class Model:
    """Answers over HTTP; `truth` has every case by its prompt."""

    def __init__(self, seed: int) -> None:
        self.truth: dict[str, Case] = {}
        self.calls = 0
        self._random = Random(seed)
        self._number = itertools.count(1)
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                said = {message["role"]: message["content"] for message in body["messages"]}
                role = self.headers.get("X-Mega-Code-Role") or ""
                text, tokens = owner.answer(role, said.get("system", ""), said["user"])
                choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                usage = {"prompt_tokens": tokens // 2, "completion_tokens": tokens - tokens // 2}
                answer = json.dumps({"choices": [choice], "usage": usage}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *unused: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def answer(self, role: str, system: str, prompt: str) -> tuple[str, int]:
        """The text and the tokens of one answer."""
        with self._lock:
            self.calls += 1
            if role == "propose":
                return f"~~~~\n# Simulated\n\nWording {next(self._number)} of many.\n~~~~", 500
            case = self.truth.get(prompt)
            if role != "task" or case is None:
                return "none", 100
            arm: Arm = case.candidate if "Wording" in system else case.original
            if not system:
                arm = arm._replace(rate=arm.rate / 2)
            passed = arm.output(self._random)
            return " ".join(mark for mark, met in zip(MARKS, passed) if met) or "-", int(
                arm.tokens_of_run(self._random)
            )


def write_skill(folder: Path, name: str, world: World, random: Random, model: Model) -> None:
    """A skill whose cases are drawn from `world`."""
    expectations = [{"contains": mark} for mark in MARKS]
    prompts = [f"{name}, task {number}" for number in range(CASES)]
    model.truth.update((prompt, world.case(random)) for prompt in prompts)
    (folder / "evals").mkdir(parents=True)
    (folder / "SKILL.md").write_text(
        f"---\nname: {name}\ndescription: Simulated {name}. Use when measured.\n---\n\n# Simulated\n\n{ORIGINAL}\n"
    )
    evals = [{"prompt": prompt, "expectations": expectations} for prompt in prompts]
    (folder / "evals/evals.json").write_text(json.dumps({"evals": evals}))
    (folder / "evals/triggers.json").write_text(json.dumps([{"query": name, "should_trigger": False}]))


def outcomes(scenario: Scenario, jobs: int, seed: int, root: Path, model: Model) -> list[dict[str, Any]]:
    """The results of `jobs` whole jobs."""
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MEGA_CODE_")},
        "MEGA_CODE_DATA_DIR": str(root / "data"),
        "MEGA_CODE_GATEWAY_WORKERS": str(WORKERS),
        "MEGA_CODE_GATEWAY_MAX_QUEUED": str(jobs),
        "MEGA_CODE_MODEL": "openai:simulated",
        "MEGA_CODE_MODEL_URL": model.url,
    }
    gateway = [sys.executable, "-m", "mega_code.gateway"]
    subprocess.run([*gateway, "start"], cwd=REPOSITORY, env=env, check=True, stdout=subprocess.DEVNULL)
    try:
        random, ids = Random(seed), []
        for number in range(jobs):
            name = f"skill-{SCENARIOS.index(scenario)}-{number}"
            write_skill(root / name, name, scenario.world, random, model)
            client = [sys.executable, "-m", "mega_code.client.remote_enhance", "--skill-name", name]
            done = subprocess.run(
                [*client, "--skill-dir", str(root / name), "--no-wait"],
                cwd=REPOSITORY, env=env, check=True, capture_output=True, text=True,
            )  # fmt: skip
            ids.append(json.loads(done.stdout)["submitted"]["job_id"])
        return [result(root / "data", job_id) for job_id in ids]
    finally:
        subprocess.run([*gateway, "stop"], cwd=REPOSITORY, env=env, check=True, stdout=subprocess.DEVNULL)


def result(data: Path, job_id: str) -> dict[str, Any]:
    """What a job ended with, once it has."""
    known = json.loads((data / "gateway/client.json").read_text())
    api = f"{known['server_url']}/api/megacode/v1/skill-enhance/jobs/{job_id}"
    headers = {"Authorization": f"Bearer {known['api_key']}", "Prefer": "wait=30"}
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        answer = requests.get(f"{api}/result", headers=headers, timeout=60)
        if answer.status_code == 200:
            return dict(answer.json())
        requests.get(api, headers=headers, timeout=60)
    raise TimeoutError(f"job {job_id} does not end")


def row(scenario: Scenario, results: list[dict[str, Any]], calls: int) -> tuple[str, bool]:
    """A line of the table, and whether the bar is met."""
    published = sum(result["artifact_kind"] == "enhanced" for result in results)
    ended = sum(result["status"] == "succeeded" for result in results)
    share = published / len(results)
    # A bar is missed where the count lies beyond what chance makes of it, at three standard deviations.
    slack = 3 * (0.25 / len(results)) ** 0.5 if len(results) < 100 else 0.0
    met = scenario.least - slack <= share <= scenario.most + slack and ended == len(results)
    bar = f"≥ {scenario.least:.0%}" if scenario.least else f"≤ {scenario.most:.0%}"
    cells = (
        scenario.name,
        len(results),
        f"{share:.0%}",
        bar,
        f"{calls / len(results):.0f}",
        "met" if met else "MISSED",
    )
    return f"| {' | '.join(map(str, cells))} |", met


def main(argv: Optional[list[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Whole jobs with a simulated model of known truth.")
    parser.add_argument("--jobs", type=int, default=100, help="jobs a scenario (default: 100)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    print("| scenario | jobs | published | bar | calls a job | |\n|---|---|---|---|---|---|", flush=True)
    good = True
    for scenario in SCENARIOS:
        model = Model(arguments.seed)
        with tempfile.TemporaryDirectory() as root:
            results = outcomes(scenario, arguments.jobs, arguments.seed, Path(root), model)
        line, met = row(scenario, results, model.calls)
        print(line, flush=True)
        good = good and met
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
