"""`python -m mega_code.client.publish`: what an iteration of the local flow accepted, stored on the gateway."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Optional

from mega_code import bundle, settings, workspace
from mega_code.commandline import Parser, answer, leave, manual, named_file, without_result
from mega_code.console import say, warn
from mega_code.envelope import Envelope
from mega_code.errors import MegaCodeError
from mega_code.files import write_json
from mega_code.paths import check_skill_name
from mega_code.workspace import ACCEPTANCE, ACCEPTED, PUBLISHED, STANDING, Iteration


def publish(known: settings.Settings, iteration: Iteration, now: datetime) -> Envelope:
    """Store what was accepted; a repeat stores nothing twice.

    Raises MegaCodeError: `out_of_order` where nothing is accepted, `skill_changed` where what is kept of it is not that
    any more, the refusals of `bundle.pack`, and what the gateway answers.
    """
    from mega_code.client.remote_enhance.api import Gateway

    note = iteration.read(ACCEPTANCE) or {}
    if note.get("state") != STANDING:
        raise iteration.out_of_order(ACCEPTANCE, "accept a draft first")
    gateway = Gateway.of(known)
    with tempfile.TemporaryFile() as stream:
        packed = bundle.pack(iteration.folder / ACCEPTED, stream, allow_secret=iteration.record().allow_secret)
        if packed.content_hash != note.get("content_hash"):
            raise MegaCodeError("skill_changed", f"{str(iteration.folder / ACCEPTED)!r} is not what was accepted.")
        key = idempotency_key(iteration, packed.content_hash)
        stored = gateway.publish(stream, iteration.skill_name, key)
    say(f"published {iteration.skill_name} {note.get('version')} at {gateway.server_url} as {stored['id']}")
    told = {
        "skill_name": iteration.skill_name,
        "iteration": iteration.number,
        "version": note.get("version"),
        "server_url": gateway.server_url,
        "content_hash": packed.content_hash,
        **{name: stored.get(name) for name in ("id", "s3_prefix", "file_count", "uploaded_bytes")},
    }
    try:
        write_json(iteration.folder / PUBLISHED, {**told, "published_at": f"{now:%Y-%m-%dT%H:%M:%SZ}"})
    except OSError as error:
        warn(f"{PUBLISHED} could not be written: {error.strerror}")
    return {"published": told}


def idempotency_key(iteration: Iteration, content_hash: str) -> str:
    """The same for the same skill, iteration and content, however often it is published."""
    return hashlib.sha256(f"{iteration.skill_name}\n{iteration.number}\n{content_hash}".encode()).hexdigest()


def _find(known: settings.Settings, name: str, number: Optional[int]) -> Iteration:
    """Iteration `number`, or the newest that accepted something."""
    accepted = workspace.accepted(known.data, name)
    return accepted[-1] if number is None and accepted else workspace.find(known.data, name, number)


def parser() -> Parser:
    """The command line."""
    prog = "python -m mega_code.client.publish"
    own = Parser(
        prog=prog,
        description="Publish what the local flow accepted. Prints one JSON line.",
        epilog=manual(
            prog,
            (0, 4, 5, 130),
            ("MEGA_CODE_SERVER_URL", "MEGA_CODE_DATA_DIR"),
            ("--skill commit-message --iteration 2",),
            "scripts/hitl.sh, references/hitl/workspace.md",
        ),
    )
    own.add_argument("--skill", metavar="NAME", help="the skill")
    own.add_argument(
        "--iteration", metavar="N", type=int, help="which iteration (default: the newest that was accepted)"
    )
    own.add_argument("--result-json", metavar="PATH", help="write the JSON object there too")
    return own


def main(argv: Sequence[str]) -> int:
    """Publish and say; gives the exit status."""

    def work() -> Envelope:
        arguments = parser().parse_args(argv)
        if not arguments.skill:
            raise MegaCodeError("missing_skill_name", "Name the skill: --skill NAME.")
        known = settings.load(os.environ)
        iteration = _find(known, check_skill_name(arguments.skill), arguments.iteration)
        return publish(known, iteration, datetime.now(timezone.utc))

    again = ["hitl.sh", "publish", *without_result(argv)]
    return answer("publish", work, lambda: None, named_file(argv), lambda: again)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
