"""How a rule about commands is written down."""

from __future__ import annotations

import re

from mega_code.evaluation.audit.finding import Rule

RUNS, READ, STAYS, HIDES = "piped_download", "credential_read", "persistence", "encoded_payload"
SENDS, BREAKS, ROOT = "data_sent_out", "destructive", "privilege"
SHOWN = ("prose", "code", "comment")
CODE = ("code", "comment")


def rule(name: str, category: str, severity: str, needs: str, pattern: str, text: str, *places: str) -> Rule:
    """A rule; `needs` are separated by spaces, `places` are everywhere where none is named."""
    compiled = re.compile(pattern, re.IGNORECASE)
    return Rule(name, category, severity, tuple(needs.split()), compiled, text, places or SHOWN, category == RUNS)
