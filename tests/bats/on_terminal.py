"""Usage: on_terminal.py [TEXT ANSWER]... -- COMMAND...: run it on a terminal; each time TEXT shows, type ANSWER.

An answer `^C` is that key. What the terminal shows goes to stdout; the exit status is the command's.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time

SECONDS = 60.0


def main(answers: list[str], command: list[str]) -> int:
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where a shell runs all this in the background
        os.execvp(command[0], command)
    shown, seen = b"", 0
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.3)[0]:
            try:
                chunk = os.read(terminal, 4096)
            except OSError:
                break
            shown += chunk
        elif answers and answers[0].encode() in shown[seen:]:
            answer, answers, seen = answers[1], answers[2:], len(shown)
            os.write(terminal, b"\x03" if answer == "^C" else f"{answer}\n".encode())
    else:
        os.kill(pid, 9)
    sys.stdout.buffer.write(shown.replace(b"\r\n", b"\n"))
    code = os.waitpid(pid, 0)[1]
    return os.WEXITSTATUS(code) if os.WIFEXITED(code) else 128 + os.WTERMSIG(code)


if __name__ == "__main__":
    split = sys.argv.index("--")
    sys.exit(main(sys.argv[1:split], sys.argv[split + 1 :]))
