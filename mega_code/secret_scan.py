"""Secrets by content: private-key blocks and tokens whose provider gave them a recognisable shape."""

from __future__ import annotations

import codecs
import re

from mega_code.errors import MegaCodeError

OVERLAP = 512
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SHAPES: dict[str, bytes] = {
    # A block's header ends its line, in a file or in a string, or the key follows; a mention in prose does neither.
    "private-key block": rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
    rb"[ \t]*(?:\r?\n|\\n|\\r|\Z|[\"'][ \t]*[,+\\\r\n]|[A-Za-z0-9+/]{16})"
    rb"|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----|PuTTY-User-Key-File-[0-9]:",
    "AWS access key": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": rb"\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{22,}",
    "GitLab token": rb"\bglpat-[A-Za-z0-9_-]{20,}",
    "Slack token": rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "Slack app token": rb"\bxapp-[0-9]-[A-Za-z0-9-]{10,}",
    "Slack webhook": rb"hooks\.slack\.com/services/T[A-Za-z0-9]+/B[A-Za-z0-9]+/[A-Za-z0-9]{16,}",
    "Google OAuth token": rb"\bya29\.[A-Za-z0-9_-]{20,}",
    "DigitalOcean token": rb"\bdo[oprt]_v1_[0-9a-f]{40,}",
    "Azure storage key": rb"\bAccountKey=[A-Za-z0-9+/]{60,}",
    "Stripe key": rb"\b[rs]k_live_[A-Za-z0-9]{16,}",
    "Google API key": rb"\bAIza[0-9A-Za-z_-]{35}",
    "Anthropic key": rb"\bsk-ant-[A-Za-z0-9_-]{20,}",
    "OpenAI key": rb"\bsk-(?:proj-|svcacct-|admin-)[A-Za-z0-9_-]{20,}|\bsk-[A-Za-z0-9]{32,}",
    "npm token": rb"\bnpm_[A-Za-z0-9]{36}",
    "PyPI token": rb"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{20,}",
    "Hugging Face token": rb"\bhf_[A-Za-z0-9]{30,}",
    "SendGrid key": rb"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
}
_ANY = re.compile(b"|".join(b"(?:" + shape + b")" for shape in SHAPES.values()))


class SecretScanner:
    """Looks through one file, chunk by chunk; a file with a NUL byte in its first chunk is no text.

    But for UTF-16, which says so in its first bytes: there the NUL bytes are what a token's characters are padded with.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.tail = b""
        self.line = 1
        self.text = True
        self.wide = False
        self.started = False

    def feed(self, chunk: bytes) -> None:
        """Raises MegaCodeError `secret_detected` naming file, line and kind, never the value."""
        if not self.started:
            self.started, self.wide = True, chunk.startswith(UTF_16)
            self.text = self.wide or b"\0" not in chunk[:8192]
        if not self.text:
            return
        chunk = chunk.replace(b"\0", b"") if self.wide else chunk
        window = self.tail + chunk
        match = _ANY.search(window)
        if match:
            line = self.line + window.count(b"\n", 0, match.start())
            raise MegaCodeError(
                "secret_detected", f"{self.path!r}, line {line}: {_kind(match.group())}; take it out of the file."
            )
        self.line += window.count(b"\n", 0, max(0, len(window) - OVERLAP))
        self.tail = window[-OVERLAP:]


def _kind(found: bytes) -> str:
    return next(kind for kind, shape in SHAPES.items() if re.match(shape, found))
