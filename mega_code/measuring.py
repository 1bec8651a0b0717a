"""What the next job is measured with: the settings of this shell, or those of the gateway that runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mega_code import settings, variables
from mega_code.files import read_json
from mega_code.model_settings import MODEL, STATIC, URL
from mega_code.paths import DataDir, script

EXECUTOR = "MEGA_CODE_EXECUTOR"


class NextJob(NamedTuple):
    """`env` holds its settings. `note` says where they are not what this shell names, `stops` that nothing may be paid
    before a person has agreed to that; both are empty else."""

    env: dict[str, str]
    note: str = ""
    stops: str = ""


def kept(env: Mapping[str, str]) -> dict[str, str]:
    """What of the environment `env` a gateway goes on with, whatever `.env` says later; no key is in it."""
    return {name: env[name] for name in (MODEL, URL, EXECUTOR, *variables.NUMBERS) if env.get(name)}


def next_job(env: Mapping[str, str]) -> NextJob:
    """What a job that is submitted from the environment `env` is measured with, as far as that is known here.

    Raises MegaCodeError `invalid_arguments` for a cap that is no number.
    """
    known, wanted = settings.load(env), _normal(env.get(MODEL, ""))
    merged = settings.with_env_file(env)
    if not known.server_url:
        return NextJob(merged)
    if not known.embedded:
        named = [name for name in (MODEL, *variables.CAPS) if env.get(name)]
        does = "do" if len(named) > 1 else "does"
        of_shell = f", and {' and '.join(named)} of this shell {does} not count" if named else ""
        return NextJob(merged, f"The configured server does the work, with a model of its own{of_shell}.")
    used = {**settings.read_env_file(known.data.env_file), **_environment(known.data)}
    model = _normal(used.get(MODEL, "")) or STATIC
    if wanted in ("", model):
        return NextJob(used) if model == STATIC else _caps(env, used)
    note = f"The gateway that runs measures with {model}, and not with {wanted}, which {MODEL} of this shell names."
    return NextJob(
        used,
        note,
        f"To measure with {wanted}, stop it and run this again: {script('gateway.sh', 'stop')}\n"
        f"To measure with {model}, run this again after: unset {MODEL}",
    )


def _caps(env: Mapping[str, str], used: dict[str, str]) -> NextJob:
    """Whether the caps of this shell are those of the gateway that runs. Raises MegaCodeError for one that is no number."""
    other = [cap for cap in variables.CAPS if env.get(cap) and not _same(cap, env, used)]
    if not other:
        return NextJob(used)
    of_shell = " and ".join(f"{cap}={env[cap].strip()}" for cap in other)
    return NextJob(
        used,
        f"The gateway that runs does not work with {of_shell} of this shell.",
        f"To work with it, stop the gateway and run this again: {script('gateway.sh', 'stop')}\n"
        f"To work without, run this again after: unset {' '.join(other)}",
    )


def _same(cap: str, env: Mapping[str, str], used: Mapping[str, str]) -> bool:
    default = variables.MAX_CALLS if cap == "MEGA_CODE_MAX_CALLS" else None
    here, there = variables.decimal(env, cap), variables.decimal(used, cap)
    return here == (default if there is None else there)


def _environment(data: DataDir) -> dict[str, str]:
    """What `kept` of the gateway that runs; nothing where it is too old to say."""
    found = read_json(data.gateway_environment)
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def _normal(spec: str) -> str:
    """A list of models, spelled in one way."""
    return ",".join(filter(None, (name.strip() for name in spec.split(","))))
