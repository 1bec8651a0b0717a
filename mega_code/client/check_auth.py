"""`python -m mega_code.client.check_auth`: does the server accept the key?"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from mega_code import settings
from mega_code.commandline import Parser, answer, leave, manual, named_file
from mega_code.envelope import Envelope
from mega_code.errors import NETWORK, MegaCodeError


def verify(known: settings.Settings) -> Envelope:
    """`GET /profile` with the configured key. Raises MegaCodeError: `auth_failure`, `network_failure` and the like."""
    from mega_code.client.remote_enhance.api import Gateway

    gateway = Gateway.of(known)
    try:
        gateway.profile()
    except MegaCodeError as error:
        if error.exit_status == NETWORK:
            raise
        raise MegaCodeError("network_failure", f"That is no gateway's answer: {error.message} [{error.code}]") from None
    return {"authenticated": True, "server_url": gateway.server_url, "embedded": known.embedded}


def main(argv: Sequence[str]) -> int:
    """Check and say; gives the exit status."""
    prog = "python -m mega_code.client.check_auth"
    parser = Parser(
        prog=prog,
        description="Check the server and the API key. Prints one JSON line.",
        epilog=manual(
            prog,
            (0, 4, 5, 130),
            ("MEGA_CODE_SERVER_URL", "MEGA_CODE_DATA_DIR"),
            ("", "--result-json result.json"),
            "scripts/setup.sh, scripts/configure.sh",
        ),
    )
    parser.add_argument("--result-json", metavar="PATH", help="write the JSON object there too")

    def work() -> Envelope:
        parser.parse_args(argv)
        return verify(settings.load(os.environ))

    return answer("check_auth", work, lambda: None, named_file(argv), lambda: ["setup.sh"])


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
