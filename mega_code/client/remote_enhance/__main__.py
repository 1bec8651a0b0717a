"""`python -m mega_code.client.remote_enhance`."""

import sys

from mega_code.client.remote_enhance.cli import main
from mega_code.commandline import leave

if __name__ == "__main__":
    leave(main(sys.argv[1:]))
