"""`python -m mega_code.client.arguments`: the raw arguments of the slash command, from stdin, as checked values.

What Claude Code was typed reaches this module as text and nothing else; only what passed a check is printed.
"""

from __future__ import annotations

import shlex
import sys
from typing import NamedTuple, Optional

from mega_code.client.remote_enhance.cli import DEFAULT_TIMEOUT_S
from mega_code.commandline import Parser, open_streams, seconds, tell
from mega_code.console import say
from mega_code.errors import MegaCodeError
from mega_code.paths import check_job_id, check_skill_name

LONGEST = 4096
HITL = "--hitl"


class Arguments(NamedTuple):
    """`[<skill-name>] [--hitl] [--poll-timeout <s>] [--poll-existing <job-id>]`, understood."""

    hitl: bool
    skill_name: str
    poll_timeout: Optional[str]
    job_id: str

    def lines(self) -> list[str]:
        """The five lines of args.sh. The timeout's default is filled in, so that every value can be used as it is."""
        residual = [self.skill_name] if self.skill_name else []
        if self.poll_timeout is not None:
            residual += ["--poll-timeout", self.poll_timeout]
        if self.job_id:
            residual += ["--poll-existing", self.job_id]
        return [
            f"HITL={int(self.hitl)}",
            f"SKILL_NAME={self.skill_name}",
            f"POLL_TIMEOUT={self.poll_timeout or format(DEFAULT_TIMEOUT_S, 'g')}",
            f"JOB_ID={self.job_id}",
            f"RESIDUAL_ARGS={' '.join(residual)}",
        ]


def parse(raw: str) -> Arguments:
    """Raises MegaCodeError: `invalid_arguments`, `invalid_skill_name`, `invalid_job_id`."""
    if len(raw) > LONGEST:
        raise MegaCodeError("invalid_arguments", f"The arguments are over {LONGEST} characters long.")
    try:
        words = shlex.split(raw)
    except ValueError:
        raise MegaCodeError("invalid_arguments", "The arguments hold a quote that does not close.") from None
    hitl = any(word.lower() == HITL for word in words)
    known = _parser().parse_args([word for word in words if word.lower() != HITL])
    if len(known.skill) > 1:
        raise MegaCodeError("invalid_arguments", f"One skill at a time; {' '.join(known.skill)[:80]!r} names several.")
    if hitl and known.poll_existing is not None:
        raise MegaCodeError(
            "invalid_arguments", "--hitl runs locally and --poll-existing waits for a server's job; pick one of them."
        )
    return Arguments(
        hitl=hitl,
        skill_name=check_skill_name(known.skill[0]) if known.skill else "",
        poll_timeout=None if known.poll_timeout is None else _plain(known.poll_timeout),
        job_id="" if known.poll_existing is None else check_job_id(known.poll_existing),
    )


def _plain(number: float) -> str:
    """Without an exponent, which no shell reads: `1200`, `2.5`. Only 0 itself is `0`, which waits for ever."""
    return f"{max(number, 1e-6) if number else 0:.6f}".rstrip("0").rstrip(".")


def _parser() -> Parser:
    parser = Parser(prog="/mega-code:skill-enhance", add_help=False)
    parser.add_argument("skill", nargs="*")
    parser.add_argument("--poll-timeout", type=seconds)
    parser.add_argument("--poll-existing")
    return parser


def main() -> int:
    """Read stdin, print the five lines; gives the exit status."""
    open_streams()
    try:
        raw = sys.stdin.buffer.read(LONGEST * 4 + 1).decode("utf-8", "replace")
        return tell("\n".join(parse(raw).lines()))
    except MegaCodeError as error:
        usage = "[<skill-name>] [--hitl] [--poll-timeout <s>] [--poll-existing <job-id>]"
        say(f"args: {error.message.replace('; --help shows the usage.', '.')} Usage: {usage} [{error.code}]")
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main())
