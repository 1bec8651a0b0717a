"""Where an enhancement would be done, and whether who does it answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping

from mega_code import model_settings, settings
from mega_code.client.configure import forget, mask
from mega_code.client.doctor import asking
from mega_code.client.doctor.facts import Fact, missing, ok, unbroken, warning
from mega_code.console import conceal
from mega_code.errors import BAD_INPUT, NETWORK, MegaCodeError
from mega_code.measuring import next_job
from mega_code.paths import script

URL, KEY, MODE = settings.CONNECTION_KEYS
CONFIGURE = "configure.sh"
WHOLE = "a server needs URL, key and mode, the embedded gateway none of them"


def is_embedded(known: settings.Settings) -> bool:
    """Whether the work is done on this machine: by a gateway that runs, or by one that enhance.sh starts."""
    return known.embedded or not known.server_url


def connection(known: settings.Settings, env: Mapping[str, str]) -> Iterator[Fact]:
    """Mode, key, server and its answer."""
    if not known.server_url and not (known.api_key or known.client_mode):
        yield ok("server", "none is configured: the embedded gateway of this machine does the work")
        return
    yield _mode(known, env)
    yield _key(known, env)
    yield _server(known, env)


def _mode(known: settings.Settings, env: Mapping[str, str]) -> Fact:
    if known.client_mode == "remote":
        return ok("mode", "remote")
    found = f"{MODE} is {known.client_mode[:40]!r}" if known.client_mode else f"{MODE} is not set"
    mend = f"export {MODE}=remote" if env.get(MODE) else script(CONFIGURE, "--mode", "remote")
    if is_embedded(known) and forget(env):
        found, mend = f"{found}; {WHOLE}", forget(env)
        return missing("mode", found, mend, BAD_INPUT)
    return missing("mode", f"{found}; a server needs 'remote'", mend, BAD_INPUT)


def _key(known: settings.Settings, env: Mapping[str, str]) -> Fact:
    if not known.api_key:
        if is_embedded(known):
            return missing("API key", f"none is configured; {WHOLE}", forget(env), NETWORK)
        return missing("API key", "none is configured", _new_key(env), NETWORK)
    conceal(known.api_key)
    source = "environment" if env.get(KEY) else "embedded gateway" if _is_own(known) else ".env"
    return ok("API key", f"{mask(known.api_key)} ({source})")


def _is_own(known: settings.Settings) -> bool:
    running = settings.running_gateway(known.data) if known.embedded else None
    return bool(running and running["api_key"] == known.api_key)


def _new_key(env: Mapping[str, str]) -> str:
    ask = script(CONFIGURE, "--api-key-stdin")
    return f"unset {KEY} && {ask}" if env.get(KEY) else ask


def _server(known: settings.Settings, env: Mapping[str, str]) -> Fact:
    configure = f"unset {URL} && {script(CONFIGURE)}" if env.get(URL) else script(CONFIGURE)
    if not known.server_url:
        return missing("server", f"{URL} is not set; {WHOLE}", forget(env), NETWORK)
    try:
        url = settings.check_server_url(known.server_url)
    except MegaCodeError as error:
        return missing("server", f"{error.message} [{error.code}]", configure, error.exit_status)
    if not known.api_key:
        return warning("server", f"{url}, not asked without a key")
    mend = f"{script('gateway.sh', 'stop')} && {script('gateway.sh', 'start')}" if known.embedded else configure
    answer = asking.get(f"{url}{settings.API_BASE}/profile", known.api_key)
    if answer.status in (401, 403):
        return missing("server", f"{url} does not accept the API key ({answer.status})", _new_key(env), NETWORK)
    if answer.trouble:
        return missing("server", f"{url}: {answer.trouble}", mend, NETWORK)
    if answer.status != 200 or not _is_object(answer.body):
        return missing(
            "server", f"{url} is no gateway: it answers {answer.status} to the check of the key", mend, NETWORK
        )
    return ok("server", f"{url} accepts the key ({answer.took_s * 1000:.0f} ms)")


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def gateway(known: settings.Settings) -> Fact:
    """The embedded gateway."""
    running = settings.running_gateway(known.data)
    if running:
        return ok("gateway", f"the embedded gateway runs at {running['server_url']}")
    return ok("gateway", f"the embedded gateway does not run{'' if known.server_url else '; enhance.sh starts it'}")


def model(known: settings.Settings, env: Mapping[str, str]) -> Iterator[Fact]:
    """What the embedded gateway measures with; nobody is asked a question that costs."""
    job = next_job(env)
    merged = job.env
    if job.stops:
        yield warning("model", job.note, script("gateway.sh", "stop"))
    if model_settings.is_static(merged):
        yield ok("model", "static: no language model, and no cost")
        return
    try:
        models = model_settings.named(merged[model_settings.MODEL])
    except MegaCodeError as error:
        yield missing("model", error.message, script(CONFIGURE, "--model", "static"), error.exit_status)
        return
    for kind, name in models:
        found = _endpoint(merged, name) if kind == model_settings.ENDPOINT else _agent(kind, name)
        # With a server elsewhere the model is that server's own business.
        yield found if is_embedded(known) or not found.exit_status else warning("model", found.found, found.mend)


def _agent(kind: str, name: str) -> Fact:
    path = shutil.which(kind)
    if path:
        return ok("model", f"{kind}{f':{name}' if name else ''}, {unbroken(path)}")
    packages = {"claude": "@anthropic-ai/claude-code", "codex": "@openai/codex"}
    return missing("model", f"{kind} is not on PATH", f"npm install --global {packages[kind]}", NETWORK)


def _endpoint(merged: Mapping[str, str], name: str) -> Fact:
    label = f"openai:{name}"
    try:
        url, key = model_settings.endpoint(merged, name)
    except MegaCodeError as error:
        return missing("model", f"{label}: {error.message}", script(CONFIGURE), error.exit_status)
    conceal(key)
    answer = asking.get(f"{url}/models", key)
    if answer.trouble:
        return missing("model", f"{label} at {url}: {answer.trouble}", script(CONFIGURE), NETWORK)
    if answer.status in (401, 403):
        mend = script(CONFIGURE, "--model-key-stdin")
        return missing("model", f"{label}: {url} does not accept the key ({answer.status})", mend, NETWORK)
    # Not every endpoint lists its models; that it answers is enough.
    return ok("model", f"{label} at {url}")
