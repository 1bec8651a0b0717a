"""How fast a skill folder becomes a bundle, against `zip -r -6`, and how much memory a submission takes at its peak.

Packed are 20 files of 1 MiB each that no compression makes smaller, and 2,000 small texts; each is checked, searched for
secrets, hashed and deflated. A submission is the whole command, up to a server that throws the upload away.

Usage: python benchmarks/packaging.py
Exit: 0 every bar is kept, 1 one is missed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import (
    PREFIX,
    REPOSITORY,
    Row,
    counted,
    faster,
    holds,
    interleaved,
    report,
    takes_no_arguments,
    timed,
)

MIB = 1024 * 1024
ROUNDS = 15
LARGE_FILES = 20
SMALL_FILES = 2000
SPEED_BAR = 0.8
MEMORY_BAR_MIB = 40
SKILL_MD = b"---\nname: demo\ndescription: A skill to pack.\n---\n# Demo\n"
# A child that was forked from a large process would count that one's memory as its own.
PEAK = (
    "import os, resource, sys; status = os.spawnvp(os.P_WAIT, sys.argv[1], sys.argv[1:]);"
    "print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


class Discarding(BaseHTTPRequestHandler):
    """A server that takes every upload and keeps nothing."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 65536)))
        body = json.dumps({"job_id": str(uuid.uuid4())}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *unused: object) -> None:
        """Quiet."""


def make_large(root: Path, random: Random) -> None:
    """Files of 1 MiB, and the SKILL.md."""
    root.mkdir()
    (root / "SKILL.md").write_bytes(SKILL_MD)
    for number in range(LARGE_FILES):
        (root / f"data-{number}.bin").write_bytes(random.getrandbits(8 * MIB).to_bytes(MIB, "big"))


def make_small(root: Path, random: Random) -> None:
    """Texts of about 2 KiB in 20 folders."""
    words = ["".join(random.choices("etaoinshrdlucmfwypvbgkjqxz", k=random.randint(1, 9))) for _ in range(3000)]
    for number in range(SMALL_FILES - 1):
        path = root / f"part-{number % 20}" / f"note-{number}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (" ".join(random.choices(words, k=12)) + ".\n" for _ in range(30))
        path.write_text(f"# Note {number}\n\n- {'- '.join(lines)}")
    (root / "SKILL.md").write_bytes(SKILL_MD)


def packed(root: Path) -> str:
    """Pack; gives the archive's SHA-256."""
    from mega_code import bundle

    with tempfile.TemporaryFile() as out:
        bundle.pack(root, out)
        out.seek(0)
        return hashlib.sha256(out.read()).hexdigest()


def ours(root: Path) -> float:
    """Seconds to pack into a file."""
    from mega_code import bundle

    with tempfile.TemporaryFile() as out:
        return timed(lambda: bundle.pack(root, out))


def theirs(root: Path) -> float:
    """Seconds of zip, its start included."""
    out = root.with_suffix(".zip")
    taken = timed(lambda: subprocess.run(["zip", "-q", "-r", "-6", str(out), "."], cwd=root, check=True))
    out.unlink()
    return taken


def is_same(root: Path) -> bool:
    """Whether a tree gives the same bytes, packed again, and as a copy with other times elsewhere."""
    other = root.with_name(f"{root.name} copied")
    shutil.copytree(root, other, copy_function=shutil.copyfile)
    return packed(root) == packed(root) == packed(other)


def peak_mib(words: list[str], env: dict[str, str]) -> float:
    """The most memory that a command had at once. Raises RuntimeError where it fails."""
    done = subprocess.run([sys.executable, "-c", PEAK, *words], env=env, capture_output=True, text=True, check=True)
    status, peak = done.stdout.splitlines()[-1].split()
    if status != "0":
        raise RuntimeError(done.stderr)
    return int(peak) / (MIB if sys.platform == "darwin" else 1024)


def memory(root: Path, home: Path, url: str) -> float:
    """MiB that a submission takes over a bare interpreter."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(REPOSITORY),
        "MEGA_CODE_SERVER_URL": url,
        "MEGA_CODE_API_KEY": "benchmark-key",
        "MEGA_CODE_CLIENT_MODE": "remote",
    }
    module = [sys.executable, "-m", "mega_code.client.remote_enhance"]
    submit = [*module, "--no-wait", "--skill-dir", str(root), "--skill-name", "demo", "--project-dir", str(home)]
    return peak_mib(submit, env) - peak_mib([sys.executable, "-c", "pass"], env)


def rows(what: str, root: Path, home: Path, url: str) -> list[Row]:
    """The claims about one folder."""
    mine, other = interleaved(ROUNDS, lambda: ours(root), lambda: theirs(root))
    over = memory(root, home, url)
    return [
        faster(f"pack {what}", mine, "`zip -r -6`", other, SPEED_BAR),
        counted(f"submit {what}: peak memory over a bare Python", over, f"{over:.0f} MiB", MEMORY_BAR_MIB, " MiB"),
        holds(f"pack {what}: same bytes, three times", is_same(root)),
    ]


def main() -> int:
    """Print the rows; gives the exit status."""
    takes_no_arguments(__doc__)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Discarding)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url, table = f"http://127.0.0.1:{server.server_address[1]}", []
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        home, random = Path(folder), Random(1)
        for name, what, make in (
            ("large", f"{LARGE_FILES} MiB of incompressible files", make_large),
            ("small", f"{SMALL_FILES:,} small files", make_small),
        ):
            make(home / name, random)
            table += rows(what, home / name, home, url)
    server.shutdown()
    return report(table)


if __name__ == "__main__":
    sys.exit(main())
