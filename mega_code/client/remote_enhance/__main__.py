"""`python -m mega_code.client.remote_enhance`."""

import sys

from mega_code import interrupt

if __name__ == "__main__":
    # Before the rest is imported: a signal that comes that early has its envelope too.
    interrupt.hold()
    interrupt.listen()

    from mega_code.client.remote_enhance.cli import main
    from mega_code.commandline import leave

    leave(main(sys.argv[1:]))
