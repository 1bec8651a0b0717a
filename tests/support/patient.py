"""A command that sends its spans however long that takes: `python -m support.patient MODULE [ARGUMENT...]`.

What the real ones give them is for `benchmarks/startup.py`, and no time in which a busy machine would be done.
"""

from __future__ import annotations

import importlib
import os
import sys

from mega_code import interrupt, telemetry
from mega_code.console import warn

PATIENCE_S = 600.0

if __name__ == "__main__":
    interrupt.hold()
    interrupt.listen()
    status = importlib.import_module(sys.argv[1]).main(sys.argv[2:])
    sys.stdout.flush()
    telemetry.flush(warn, PATIENCE_S)
    os._exit(status)
