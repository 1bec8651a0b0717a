"""Measure a skill, improve it, and install the version that is measurably better."""

import os
import signal
import sys

MISSING_PACKAGE = 97  # the exit status that scripts/lib reads as "bring the packages, and run it again"
LAUNCHER = "MEGA_CODE_LAUNCHER"  # set by scripts/lib, which knows what that status asks for
FOREGROUND = "foreground"  # its value for a command that Ctrl+C may end at any moment

if sys.version_info < (3, 9):  # noqa: UP036 - scripts/lib then finds another Python
    sys.exit(MISSING_PACKAGE)

# Such a command is started deaf, since a Python that only begins answers Ctrl+C with a traceback. From here on it just ends.
if os.environ.get(LAUNCHER) == FOREGROUND and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
