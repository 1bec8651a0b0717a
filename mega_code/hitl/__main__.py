"""`python -m mega_code.hitl`."""

import sys

from mega_code import interrupt

if __name__ == "__main__":
    # Before the rest is imported: a signal that comes that early has its envelope too.
    interrupt.hold()
    interrupt.listen()

    from mega_code.commandline import leave
    from mega_code.hitl.cli import main

    leave(main(sys.argv[1:]))
