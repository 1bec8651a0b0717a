"""Secrets by content: private-key blocks and tokens whose provider gave them a recognisable shape."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import NamedTuple, Optional

from mega_code.errors import MegaCodeError

# Whether a secret begins somewhere is told by so many bytes behind that place, its own included, and before it.
AHEAD = 1024
BEHIND = 8
HELD = 4 * AHEAD  # fewer bytes are looked at together with those that follow
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
RUN = 15
WORD = rb"\b"  # what comes before is no part of the token


class Shape(NamedTuple):
    """A kind of secret: behind `edge` it begins with one of `starts` to the letter, and goes on as the pattern `rest`.

    `rest` ends where it is sure, and looks no further than AHEAD; `edge` looks no further back than BEHIND.
    With `run` it holds RUN letters, digits, hyphens and underscores in a row, as few other words do.
    """

    kind: str
    starts: tuple[bytes, ...]
    rest: bytes
    edge: bytes = WORD
    run: bool = True


SHAPES = (
    # A block's header ends its line, in a file or in a string, or the key follows; a mention in prose does neither.
    Shape(
        "private-key block",
        (b"-----BEGIN ",),
        rb"(?:[A-Z0-9]{1,32} ){0,8}PRIVATE KEY(?: BLOCK)?-----"
        rb"[ \t]{0,256}(?:[\r\n]|\\n|\\r|\\u000[ad]|%0[AaDd]|<br|\Z|[\"'][ \t]{0,64}[,+\\\r\n]|[A-Za-z0-9+/]{16})",
        edge=b"",
        run=False,
    ),
    Shape("private-key block", (b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",), b"", edge=b"", run=False),
    Shape("private-key block", (b"PuTTY-User-Key-File-",), rb"[0-9]:", edge=b""),
    Shape("AWS access key", (b"AKIA", b"ASIA"), rb"[0-9A-Z]{16}\b"),
    Shape("GitHub token", (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"), rb"[A-Za-z0-9]{36}"),
    Shape("GitHub token", (b"github_pat_",), rb"[A-Za-z0-9_]{22}"),
    Shape(
        "GitLab token",
        (b"glpat-", b"glptt-", b"gldt-", b"glrt-", b"glcbt-", b"glsoat-", b"glft-", b"glimt-", b"glagent-", b"gloas-"),
        rb"[A-Za-z0-9_-]{20}",
    ),
    Shape("Slack token", (b"xox",), rb"[abeoprs]-[A-Za-z0-9-]{10}"),
    Shape("Slack app token", (b"xapp-",), rb"[0-9]-[A-Za-z0-9-]{10}"),
    Shape(
        "Slack webhook",
        (b"hooks.slack.com/services/T",),
        rb"[A-Za-z0-9]{1,64}/B[A-Za-z0-9]{1,64}/[A-Za-z0-9]{16}",
        edge=b"",
    ),
    Shape(
        "Discord webhook",
        (b"discord.com/api/webhooks/", b"discordapp.com/api/webhooks/"),
        rb"[0-9]{16,20}/[A-Za-z0-9_-]{60}",
        edge=b"",
    ),
    Shape("Telegram bot token", (b":AA",), rb"[A-Za-z0-9_-]{33}\b", edge=rb"(?<=[0-9]{8})"),
    Shape("Twilio key", (b"SK",), rb"[0-9a-f]{32}\b"),
    Shape("Google OAuth token", (b"ya29.",), rb"[A-Za-z0-9_-]{20}"),
    Shape("Google client secret", (b"GOCSPX-",), rb"[A-Za-z0-9_-]{28}"),
    Shape("Shopify token", (b"shpat_", b"shpca_", b"shppa_", b"shpss_"), rb"[0-9A-Fa-f]{32}"),
    Shape("Square token", (b"sq0atp-", b"sq0csp-"), rb"[A-Za-z0-9_-]{22}"),
    Shape("Vault token", (b"hvs.", b"hvb.", b"hvr."), rb"[A-Za-z0-9_-]{24}"),
    Shape("Databricks token", (b"dapi",), rb"[0-9a-f]{32}"),
    Shape("Docker token", (b"dckr_pat_", b"dckr_oat_"), rb"[A-Za-z0-9_-]{20}"),
    Shape("Atlassian token", (b"ATATT3",), rb"[A-Za-z0-9_=-]{40}"),
    Shape("Notion token", (b"ntn_",), rb"[A-Za-z0-9]{40}"),
    Shape("Linear key", (b"lin_api_",), rb"[A-Za-z0-9]{32}"),
    Shape("Grafana token", (b"glsa_",), rb"[A-Za-z0-9]{32}_[0-9A-Fa-f]{8}"),
    Shape("Postman key", (b"PMAK-",), rb"[0-9a-f]{24}-[0-9a-f]{34}"),
    Shape("Supabase token", (b"sbp_",), rb"[0-9a-f]{40}"),
    Shape("New Relic key", (b"NRAK-",), rb"[A-Z0-9]{27}"),
    Shape("RubyGems key", (b"rubygems_",), rb"[0-9a-f]{48}"),
    Shape("age key", (b"AGE-SECRET-KEY-1",), rb"[0-9A-Z]{50}"),
    Shape("DigitalOcean token", (b"doo_v1_", b"dop_v1_", b"dor_v1_", b"dot_v1_"), rb"[0-9a-f]{40}"),
    Shape("Azure storage key", (b"AccountKey=",), rb"[A-Za-z0-9+/]{60}", run=False),
    Shape("Stripe key", (b"sk_live_", b"rk_live_", b"sk_test_", b"rk_test_", b"whsec_"), rb"[A-Za-z0-9]{16}"),
    Shape("Google API key", (b"AIza",), rb"[0-9A-Za-z_-]{35}"),
    Shape("Anthropic key", (b"sk-ant-",), rb"[A-Za-z0-9_-]{20}"),
    Shape("OpenRouter key", (b"sk-or-v1-",), rb"[0-9a-f]{40}"),
    Shape("xAI key", (b"xai-",), rb"[A-Za-z0-9]{40}"),
    Shape("Groq key", (b"gsk_",), rb"[A-Za-z0-9]{40}"),
    Shape("Replicate token", (b"r8_",), rb"[A-Za-z0-9]{37}"),
    Shape("mega-code key", (b"mgw_",), rb"[A-Za-z0-9_-]{43}"),
    Shape("OpenAI key", (b"sk-",), rb"(?:(?:proj-|svcacct-|admin-)[A-Za-z0-9_-]{20}|[A-Za-z0-9]{32})"),
    Shape("npm token", (b"npm_",), rb"[A-Za-z0-9]{36}"),
    Shape("PyPI token", (b"pypi-AgE",), rb"[A-Za-z0-9_-]{30}"),
    Shape("Hugging Face token", (b"hf_",), rb"[A-Za-z0-9]{30}"),
    Shape("SendGrid key", (b"SG.",), rb"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
)


def pattern(shape: Shape) -> bytes:
    """The regular expression of a shape."""
    return shape.edge + b"(?:" + b"|".join(re.escape(start) for start in shape.starts) + b")" + shape.rest


_PATTERNS = {shape: re.compile(pattern(shape)) for shape in SHAPES}


def _mark(start: bytes) -> bytes:
    """The one byte of a start that a text may well be without, if it has such a byte, else the start itself."""
    return next((mark for mark in (b"_", b"-", b".") if mark in start), start)


def _by_mark(shapes: Iterable[Shape]) -> dict[bytes, list[tuple[bytes, Shape]]]:
    """Every start with its shape, under its mark."""
    found: dict[bytes, list[tuple[bytes, Shape]]] = {}
    for shape in shapes:
        for start in shape.starts:
            found.setdefault(_mark(start), []).append((start, shape))
    return found


_ALL, _WITHOUT_RUN = _by_mark(SHAPES), _by_mark(shape for shape in SHAPES if not shape.run)
_RUN = b"x" * RUN
_AS_RUN = bytes(
    ord("x" if char.isascii() and (char.isalnum() or char in "_-") else " ") for char in map(chr, range(256))
)


def find(text: bytes, begin: int = 0, end: Optional[int] = None) -> Optional[tuple[int, str]]:
    """Where the first secret in a text begins, from `begin` to before `end`, and its kind; None where there is none.

    Each start of a shape is looked for as fixed bytes, which is far faster than any pattern.
    """
    first: Optional[tuple[int, str]] = None
    end = len(text) if end is None else end
    for mark, starts in (_ALL if _RUN in text.translate(_AS_RUN) else _WITHOUT_RUN).items():
        if mark not in text:
            continue
        for start, shape in starts:
            at = text.find(start, begin)
            match = _PATTERNS[shape].search(text, at) if at >= 0 else None
            if match and match.start() < end and (first is None or (match.start(), shape.kind) < first):
                first = match.start(), shape.kind
    return first


class SecretScanner:
    """Looks through one file, chunk by chunk; a file with a NUL byte in its first chunk is no text.

    But for UTF-16, which says so in its first bytes: there the NUL bytes are what a token's characters are padded with.
    Wherever the chunks end, what is found is what `find` finds in the whole text. Both methods raise MegaCodeError
    `secret_detected` naming file, line and kind, never the value.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.window = b""
        self.begin = 0  # what comes before it in the window is judged
        self.line = 1  # of the window's first byte
        self.text = True
        self.wide = False
        self.started = False

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the file."""
        if not self.started:
            self.started, self.wide = True, chunk.startswith(UTF_16)
            self.text = self.wide or b"\0" not in chunk[:8192]
        if not self.text:
            return
        self.window += chunk.replace(b"\0", b"") if self.wide else chunk
        if len(self.window) >= HELD:
            self._judge(len(self.window) - AHEAD)

    def finish(self) -> None:
        """There are no more."""
        self._judge(len(self.window))

    def _judge(self, end: int) -> None:
        found = find(self.window, self.begin, end)
        if found:
            at, kind = found
            line = self.line + self.window.count(b"\n", 0, at)
            told = f"{self.path!r}, line {line}: {kind}; take it out of the file."
            raise MegaCodeError("secret_detected", told, relpath=self.path)  # which is what would allow it
        kept = max(0, end - BEHIND)
        self.line += self.window.count(b"\n", 0, kept)
        self.window, self.begin = self.window[kept:], end - kept
