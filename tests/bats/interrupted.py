"""Usage: interrupted.py SIGNAL TEXT COMMAND...: run it, and once TEXT shows on stderr signal its process group.

Stdout, stderr and the exit status are the command's. A group of its own and default handlers, since a shell
starts what runs in the background with SIGINT ignored.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys


def main(name: str, text: str, command: list[str]) -> int:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr
    shown = b""
    while text.encode() not in shown:
        chunk = os.read(process.stderr.fileno(), 4096)
        if not chunk:
            sys.stderr.write(f"interrupted.py: it ended before {text!r} showed\n")
            break
        shown += chunk
    else:
        os.killpg(process.pid, signal.Signals[name])
    out, rest = process.communicate(timeout=60)
    sys.stdout.buffer.write(out)
    sys.stderr.buffer.write(shown + rest)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
