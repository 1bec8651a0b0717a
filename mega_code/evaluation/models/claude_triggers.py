"""Whether a description makes Claude Code load its skill, measured with the client itself.

It runs in a home and a project of its own, so that no installed copy of the skill can win over the one under test.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Optional

from mega_code.evaluation.models.base import Model, Request
from mega_code.evaluation.models.claude import Claude, Stream
from mega_code.files import read_json, write_json
from mega_code.paths import check_skill_name

NONE = "none"
CREDENTIALS = ".credentials.json"
STUB = "Follow the person's request."


class ClaudeTriggers(Claude):
    """Answers a `trigger_request` with the name of the skill that the client asks to load first, or `none`."""

    overhead_tokens = 16384

    def _wrapping(self) -> str:
        return "skills"

    def _prepared(self, request: Request, room: Path, env: dict[str, str]) -> list[str]:
        for name, description in json.loads(request.system):
            folder = room / "work" / ".claude" / "skills" / name
            folder.mkdir(parents=True)
            text = f"---\nname: {name}\ndescription: {json.dumps(description)}\n---\n{STUB}\n"
            (folder / "SKILL.md").write_text(text, "utf-8")
        home = room / "home"
        config = home / ".claude"
        config.mkdir(parents=True)
        _lend_login(env, config)
        env.update(HOME=str(home), CLAUDE_CONFIG_DIR=str(config), CLAUDE_CODE_DISABLE_CLAUDE_MDS="1")
        return ["--setting-sources", "project", "--tools", "Skill", "--allowed-tools", "Skill"]

    def _answer(self, stream: Stream) -> str:
        # A skill of a plugin has the plugin's name in front.
        return (stream.skill or NONE).lstrip("/").rpartition(":")[2] or NONE


def trigger_request(query: str, skills: Iterable[tuple[str, str]], repeat: int = 0) -> Request:
    """Asks which of `skills`, pairs of name and description, a person's `query` loads. Raises MegaCodeError
    `invalid_skill_name`."""
    listed = sorted({check_skill_name(name): description for name, description in skills}.items())
    return Request("judge", json.dumps(listed, ensure_ascii=False), query, repeat)


def triggers(model: Model) -> Optional[ClaudeTriggers]:
    """What measures triggers with the client of `model`; None where it has none."""
    if type(model) is not Claude:
        return None
    return ClaudeTriggers(model.model, model.timeout_s, model.price)


def _lend_login(env: Mapping[str, str], config: Path) -> None:
    """Put the person's login into `config`, where it is kept in a file, without what would renew it.

    A renewal from the copy would end the login of the original.
    """
    own = env.get("CLAUDE_CONFIG_DIR") or os.path.join(env.get("HOME") or "/", ".claude")
    login = read_json(os.path.join(own, CREDENTIALS))
    if isinstance(login, dict):
        kept = {kind: _without_renewal(value) for kind, value in login.items()}
        write_json(config / CREDENTIALS, kept)


def _without_renewal(login: object) -> object:
    return {**login, "refreshToken": ""} if isinstance(login, dict) and "refreshToken" in login else login
