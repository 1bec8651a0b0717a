"""What makes a match milder: that the text warns of it, shows or forbids it, or that the installer is well known.

A text can claim to warn and mean the opposite, so only a negation that governs the very words, or a comment that
nothing executes, makes a match `low`; what merely stands near a warning stays `medium`, which a person is shown.
"""

from __future__ import annotations

import re

from mega_code.evaluation.audit.finding import LOW, MEDIUM

WARNS = re.compile(
    r"\bred flags?\b|\bbad examples?\b|\banti-?patterns?\b|\battack(?:s|ers?)?\b|\binjections?\b|\bmalicious\b|❌|🚫|"
    r"\bdangerous\b|\bunsafe\b|\binsecure\b|\bsuspicious\b|\bvulnerab\w+|\bexploits?\b|\bjailbreaks?\b|\bmalware\b|"
    r"\bthreats?\b|\bnever (?:do|run|use|paste|execute)\b|\bwhat not to do\b|\bdo(?:n't| not) (?:do|run|use) |"
    r"\bforbidden\b|\bblocked\b|\bdetects?\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:not|isn't|no|never|hardly) (?:a |an |any |really |at all )*"
    r"(?:attack|injection|malicious|dangerous|unsafe|insecure|suspicious|malware|jailbreak|threat|red flag)",
    re.IGNORECASE,
)
_FORBIDS = re.compile(
    r"\b(?:never|do not|don't|avoid|must not|mustn't|should not|shouldn't|cannot|refuse to|rather than|instead of)\b"
    r"(?P<scope>[^;!?\n]{0,160})\Z",
    re.IGNORECASE,
)
_TURNS = re.compile(
    r"[.:]\s+[A-Z]|\b(?:but|just|instead|then|simply|only|always|hesitate|worry|forget|fail|mind|be afraid)\b|\u2014"
    r"|\band (?:run|read|send|do|use|copy|open)\b"
)
_LIST = re.compile(
    r"\b\w*(?:deny|denied|danger\w*|block\w*|forbid\w*|unsafe|suspicious|malicious|disallow\w*|red_?flags?|inject\w*|attack\w*|adversar\w*|jailbreak\w*|payload\w*)\w*[\"']?\s*"
    r"(?::\s*[\w\[\], .]{0,40})?[=:]\s*[\[({]|\bre\.compile\(|\bRegExp\(",
    re.IGNORECASE,
)
# What somebody else says is quoted, not said: a condition or a stranger, a verb of saying, an opening quote.
_MENTIONED = re.compile(
    r"\b(?:if|when|whenever|pages?|content|untrusted|websites?|attackers?|injections?|documents?)\b[^.!?;\n]{0,80}"
    r"\b(?:says?|saying|like|such as|e\.g\.,?|contains?|containing|claims?|claiming|phrases?)\s*:?\s*[\"'\u201c]\s*\Z",
    re.IGNORECASE,
)
# What an agent's settings refuse; nothing in such a list is ever done.
_REFUSED = re.compile(r"[\"']deny[\"']\s*:\s*\[[^\]\n]{0,400}\Z")
_SAYS = re.compile(
    r"(?:^|[;&|{(])\s*(?:echo|printf?|print|die|warn|info|console\.\w+|log(?:ger|ging)?\.\w+|raise \w+)\b[^\n]*\Z",
    re.IGNORECASE,
)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://([^\s\"'`<>()|;\\]*)", re.IGNORECASE)
# Installers that their vendors document, by host and the start of the path; https only.
INSTALLERS = (
    "astral.sh/", "sh.rustup.rs", "get.docker.com", "deb.nodesource.com/", "rpm.nodesource.com/", "bun.sh/",
    "bun.com/", "deno.land/", "get.pnpm.io/", "fnm.vercel.app/", "install.python-poetry.org", "pixi.sh/",
    "bootstrap.pypa.io/", "pyenv.run", "get.sdkman.io", "get.volta.sh", "mise.run", "mise.jdx.dev/", "starship.rs/",
    "ollama.com/", "claude.ai/", "get.helm.sh/", "dl.k8s.io/", "fly.io/", "sh.brew.sh", "nixos.org/", "foundry.paradigm.xyz",
    "cli.github.com/", "sdk.cloud.google.com", "awscli.amazonaws.com/", "just.systems/", "dl.google.com/",
    "raw.githubusercontent.com/nvm-sh/nvm/", "raw.githubusercontent.com/homebrew/install/",
    "raw.githubusercontent.com/ohmyzsh/ohmyzsh/", "raw.githubusercontent.com/helm/helm/",
)  # fmt: skip


def milder_for(text: str, start: int, end: int, place: str, warned: bool) -> str:
    """The severity that a match is capped at by what stands around it in its unit: `low`, `medium` or `high`."""
    before = text[max(0, start - 240) : start]
    if place == "comment" or (place == "prose" and (_forbidden(before) or _MENTIONED.search(before))):
        return LOW
    if place == "prose":
        begin = max(before.rfind(mark) for mark in (". ", "! ", "? ", "; ")) + 1
        sentence = before[begin:] + re.split(r"[.!?;] ", text[end : end + 160])[0]
        warned = warned or bool(WARNS.search(sentence))
        return MEDIUM if warned and not _DENIED.search(sentence) else "high"
    if _REFUSED.search(before):
        return LOW
    if warned or _LIST.search(before) or _quoted(text, start, end):
        return MEDIUM
    return "high"


def _forbidden(before: str) -> bool:
    match = _FORBIDS.search(before[-180:])
    return bool(match) and not _TURNS.search(match.group("scope")) if match else False


def _quoted(text: str, start: int, end: int) -> bool:
    """Whether a match stands inside a text that the command only prints."""
    before = text[max(0, start - 400) : start]
    says = _SAYS.search(before)
    if not says:
        return False
    said = before[says.start() :]
    return any(said.count(mark) % 2 and mark not in text[start:end] for mark in "\"'`")


def command_around(text: str, start: int, end: int, place: str) -> str:
    """The command that a match stands in: in prose the code span, elsewhere the unit."""
    if place != "prose":
        return text
    closing = text.find("`", end)
    return text[text.rfind("`", 0, start) + 1 : closing if closing >= 0 else len(text)]


def well_known(text: str) -> bool:
    """Whether a command names installers of well-known vendors and no other address."""
    urls = list(_URL.finditer(text))
    return bool(urls) and all(_vendor(url.group(0), url.group(1)) for url in urls)


def _vendor(url: str, rest: str) -> bool:
    return url.lower().startswith("https://") and any(
        rest.lower() == known or rest.lower().startswith(known if known.endswith("/") else known + "/")
        for known in INSTALLERS
    )
