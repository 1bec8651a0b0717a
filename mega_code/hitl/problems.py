"""What is wrong with a file that the host agent wrote, told so that it can be mended."""

from __future__ import annotations

from collections.abc import Sequence

from mega_code.console import say
from mega_code.errors import MegaCodeError

TOLD = 30


def refusal(code: str, problems: Sequence[str]) -> MegaCodeError:
    """The error for `problems`, sentences that each name the index and the key; all are told, the first `TOLD` of them
    one by one."""
    for problem in problems[:TOLD]:
        say(f"- {problem}")
    more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
    return MegaCodeError(code, f"{problems[0]}{more}", problems=list(problems))
