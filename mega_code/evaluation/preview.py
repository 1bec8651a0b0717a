"""What an enhancement would cost at most, said before anything is spent.

    python -m mega_code.evaluation --skill-dir DIR      (without it: a line of `resolve-skill` on stdin)

With --agree it only says where the gateway that runs measures with another model than this shell names.

Exit: 0 said, 4 bad settings, no such skill, or no agreement.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

from mega_code import bundle, skills
from mega_code.commandline import tell
from mega_code.errors import BAD_INPUT, FINISHED, MegaCodeError
from mega_code.evaluation import enhancement, plan
from mega_code.evaluation.budget import Limits
from mega_code.evaluation.intake import Stop
from mega_code.evaluation.material import gather
from mega_code.evaluation.plan import TooSmall
from mega_code.measuring import next_job
from mega_code.model_settings import is_static
from mega_code.paths import check_skill_name, project_dir


def preview(skill_dir: Path, env: Mapping[str, str]) -> list[str]:
    """The lines that say it, for the skill in `skill_dir` and the settings `env`.

    Raises MegaCodeError for settings that cannot be used, OSError where the folder cannot be read.
    """
    if is_static(env):
        return ["Model: static, which is no language model: 0 calls, 0 tokens."]
    limits, models = enhancement.check_here(env)
    said = [f"Model{'s' if len(models) > 1 else ''}: {', '.join(model.name for model in models)}."]
    try:
        material = gather(skill_dir, skill_dir.name)
        planned = plan.plan(material.sizes(models, limits.output_tokens), limits.calls, limits.tokens)
    except Stop as stop:
        return [*said, f"The job would end {stop.outcome.status} without a call: {stop.outcome.reason}"]
    except TooSmall as error:
        return [*said, f"The job would end enhancement_blocked without a call: {error}."]
    split = material.cases
    held = len(split.held_out)
    counted = (
        f"{held + len(split.train)} cases of its own, {held} of them held out" if held else "cases to be generated"
    )
    return [
        *said,
        f"It works on {counted}, {_count(planned.repeats, 'repeat')} each,"
        f" with up to {_count(planned.iterations, 'iteration')}.",
        f"At most {planned.calls:,} calls and {planned.tokens:,} tokens, if no call fails and is sent again;"
        f" with those, never more than {limits.calls:,} calls{_further(limits)}.",
    ]


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _further(limits: Limits) -> str:
    """The limits that a person has set beside the calls."""
    tokens = f" or {limits.tokens:,} tokens" if limits.tokens is not None else ""
    return tokens + (f" or {limits.cost_usd:g} USD" if limits.cost_usd is not None else "")


def agree() -> int:
    """Print what differs, and what mends it; the exit status."""
    try:
        job = next_job(os.environ)
    except MegaCodeError as error:
        return tell(f"{error.message} [{error.code}]", error.exit_status)
    return tell("\n".join(filter(None, job[1:])), BAD_INPUT if job.stops else FINISHED) if job.note else FINISHED


def check(folder: Path, allow_secret: Sequence[str]) -> None:
    """Refuse what a submission would be refused for. Raises MegaCodeError: `invalid_skill_name`, and as `bundle.pack`."""
    check_skill_name(folder.name)
    with tempfile.TemporaryFile() as archive:
        bundle.pack(folder, archive, allow_secret=allow_secret)


def main(given: Optional[str], allow_secret: Sequence[str] = (), project: Optional[str] = None) -> int:
    """Print the preview for the skill folder `given`, else for what resolve-skill says on stdin; its exit status."""
    try:
        found = {} if given else json.loads(sys.stdin.read())
        if "error" in found:
            return BAD_INPUT  # resolve-skill has said it
        project_dir(project, os.environ)  # which a submission needs, too
        folder = skills.folder_of(given or os.path.dirname(found["path"]))
        check(folder, allow_secret)
        job = next_job(os.environ)
        other = f"{job.note} The embedded gateway would take:" if job.note and not job.stops else job.note
        said = [*filter(None, [other]), *preview(folder, job.env)]
    except MegaCodeError as error:
        print(f"preview: {error.message} [{error.code}]", file=sys.stderr)
        return error.exit_status
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"preview: the skill cannot be read: {error}.", file=sys.stderr)
        return BAD_INPUT
    return tell("\n".join(said))
