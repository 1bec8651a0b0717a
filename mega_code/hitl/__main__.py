"""`python -m mega_code.hitl`."""

import sys

from mega_code.commandline import leave
from mega_code.hitl.cli import main

if __name__ == "__main__":
    leave(main(sys.argv[1:]))
