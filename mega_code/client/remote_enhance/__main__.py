"""`python -m mega_code.client.remote_enhance`."""

import sys

from mega_code.client.commandline import leave
from mega_code.client.remote_enhance.cli import main

if __name__ == "__main__":
    leave(main(sys.argv[1:]))
