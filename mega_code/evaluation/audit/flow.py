"""What goes from one line to another: a name that holds a download, decoded text, a secret or a start-up file, and
the line that runs, sends or writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mega_code.evaluation.audit.context import well_known
from mega_code.evaluation.audit.finding import HIGH, MEDIUM
from mega_code.evaluation.audit.lines import Unit
from mega_code.evaluation.audit.patterns import AGENT, FETCH, KEYS, SECRET, SERVICES, STARTUP

NAMES = 200
_ASSIGN = re.compile(
    r"(?:^|[;{(]|\b(?:const|let|var|export|local|readonly|declare))\s*\$?([A-Za-z_]\w{0,60})(?:\s*:\s*[\w\[\]., ]{1,40})?\s*(?::?=|\+=)(?![=~])"
    r"|\bas\s+([A-Za-z_]\w{0,60})\s*:|\bfor\s+(?:\w+\s*,\s*)?([A-Za-z_]\w{0,60})\s+in\b|\bread\s+(?:-\w+\s+)*([A-Za-z_]\w{0,60})\s*<"
)
_FILE = re.compile(
    r"(?:\s-\w*[oO]\s*|--output(?:-document)?[= ]\s*|[^>]>\s*|-outfile\s+|\btee\s+(?:-a\s+)?)[\"']?([^\s\"';&|]{1,200})|urlretrieve\([^\n]{0,300},\s*[\"']([^\"']{1,200})|write(?:filesync|file|_bytes|_text)?\(\s*[\"']([^\"']{1,200})",
    re.IGNORECASE,
)
_LAST = re.compile(r"https?://[^\s\"'?#]+/([\w.-]{1,100})", re.IGNORECASE)
_SOURCES = {
    "download": re.compile(rf"{FETCH}|urlopen|urlretrieve|requests\.get|httpx\.get|axios|https?\.get\(|downloadstring|http\.client", re.I),
    "decoded": re.compile(r"decode\(\s*[\w\"'b(]|fromhex|unhexlify|decompress|base(?:64|32)\s+(?:-\w*d|-D|--decode)|xxd\s+-\w*r|\batob\(|fromcharcode|buffer\.from\([^\n]{0,300}(?:base64|hex)|marshal\.loads|map\(\s*chr|frombase64string|\brot_?13|\bchr\(\s*\w+\s*\^|\[::-1\]", re.I),
    "key": re.compile(rf"{KEYS}|\bsecurity\s+find-|169\.254\.169\.254", re.I),
    "secret": re.compile(rf"{SECRET}|\bos\.environ\b(?!\s*(?:\[|\.(?:get|copy|setdefault|pop|update)))|\bprocess\.env\b(?![.\[])|\$\((?:env|printenv)\b|`(?:env|printenv)`|clipboard|pbpaste|keyring\.get", re.I),
    "start": re.compile(rf"{AGENT}|{SERVICES}", re.I),
    "shell start": re.compile(STARTUP, re.I),
}  # fmt: skip
_VAR = r"[\"'\[({]{0,3}\$?\{?(?P<name>[A-Za-z_]\w{0,60})"
_EXEC = re.compile(
    rf"(?:\b(?:exec|eval|new\s+Function|Function|os\.system|os\.popen|execSync|vm\.run\w+|runpy\.\w+|setTimeout|iex|Invoke-Expression|__import__|importlib\.\w+)\s*\(?\s*(?:compile\(\s*)?(?:bytes\(|str\()?|\bsubprocess\.\w+\(\s*(?:\[\s*[\"'](?:ba|z)?sh[\"']\s*,\s*[\"']-c[\"']\s*,\s*|\[\s*(?:sys\.executable|[\"']python3?[\"'])\s*,\s*(?:[\"']-c[\"']\s*,\s*)?)?|(?:^|[\s;&|(])(?:ba|z)?sh\s+(?:-c\s+)?|\bpython3?\s+(?:-c\s+)?|\bnode\s+-e\s+|(?:^|[;&|]\s*)\.\s+|\bsource\s+|<<<\s*|\bspawn(?:Sync)?\(\s*){_VAR}"
    r"|\becho\s+[^\n|]{0,40}?\$\{?(?P<piped>[A-Za-z_]\w{0,60})[^\n|]{0,20}\|\s*(?:ba|z)?sh\b|(?:^|[;&|]\s*)[\"']?\$\{?(?P<bare>[A-Za-z_]\w{0,60})\}?[\"']?\s*(?:$|[;&|]|-)|\bprintf\s+[^\n|]{0,40}?\$\{?(?P<printed>[A-Za-z_]\w{0,60})[^\n|]{0,20}\|\s*(?:ba|z)?sh\b"
)
_SEND = re.compile(
    r"\b(?:requests|httpx|session|client|aiohttp)\.(?:post|put|patch|get|request)\(|\burlopen\(|\bRequest\(|\bfetch\(|\baxios\b|\bcurl\b|\bwget\b|\bnc\b|\.sendall\(|\.send\(|\.sendto\(|https?\.request\(|\.sendmail\(|send_message\(|XMLHttpRequest|sendBeacon|\bdig\b|\bnslookup\b|Invoke-(?:WebRequest|RestMethod)|HTTPSConnection|\.request\(\s*[\"']POST",
    re.I,
)
_WRITE = re.compile(
    r"open\(\s*(\w{1,60})\s*,\s*[\"'](?:w|a)|\b(\w{1,60})\.(?:write_\w+|open\(\s*[\"'](?:w|a)|symlink_to)|(?:writefile|appendfile)(?:sync)?\(\s*(\w{1,60})|(?:>>?|\btee\s+(?:-a\s+)?)\s*[\"']?\$\{?(\w{1,60})|\b(?:cp|mv|install|copy2?|copyfile|move)\b\(?[^\n|;&]{0,80}[\s,]\"?\$?\{?(\w{1,60})\}?\"?\s*\)?\s*$",
    re.I,
)
_LOCAL = re.compile(r"localhost|127\.0\.0\.1")
_WORD = re.compile(r"[A-Za-z_]\w*")
_STARTS = re.compile(
    r"(?:\bchmod\s+(?:-\w+\s+)?(?:[ugoa]*\+\w*x\w*|0?[75]\d\d)\s+|(?:^|[\s;&|(])(?:sudo\s+)?(?:(?:ba|z|da)?sh|python[\d.]*|node|perl|ruby|source|\.|open|start|exec|nohup|setsid|msiexec)\s+(?:-\w+\s+){0,3}|(?:^|[;&|]\s*|\bnohup\s+|\bexec\s+|\bsudo\s+)(?=[./~$\"'])|os\.(?:system|chmod|startfile|exec\w+)\(\s*|subprocess\.\w+\(\s*\[?\s*(?:[\"'][\w./-]+[\"']\s*,\s*)?|start-process\s+|execsync\(\s*)[\"'`]?([^\s\"'`;&|,)]{1,200})",
    re.IGNORECASE,
)
_KEEPS_NAME = re.compile(r"\bwget\b|\s-\w*O\b|\baria2c\b")
_RELEASES = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+/releases/")


class Flow(NamedTuple):
    """Where something ends up, as an offset in a unit, with what a finding says of it."""

    unit: Unit
    start: int
    end: int
    category: str
    severity: str
    rule: str
    text: str


_ENDS = {
    "download": ("piped_download", HIGH, "runs-fetched", "It runs what it downloaded before, unread."),
    "decoded": ("encoded_payload", HIGH, "runs-decoded", "It runs what it decoded before, so nobody can read it."),
    "key": ("data_sent_out", HIGH, "sends-read", "It sends secrets that it read before to another machine."),
    "secret": ("data_sent_out", HIGH, "sends-read", "It sends secrets that it read before to another machine."),
    "start": ("persistence", HIGH, "writes-held", "It writes to a file that outlives the task."),
    "shell start": ("persistence", MEDIUM, "writes-held", "It writes to a file that every shell runs."),
}


def flows(units: Iterable[Unit]) -> Iterator[Flow]:
    """What the code among the units does in several lines. At most `NAMES` names are followed."""
    holds: dict[str, set[str]] = {}
    files: dict[str, str] = {}
    for unit in units:
        if unit.place != "code":
            continue
        _remember(unit, holds, files)
        yield from _ended(unit, holds)
        yield from _started(unit, files)


def _remember(unit: Unit, holds: dict[str, set[str]], files: dict[str, str]) -> None:
    names = [next(filter(None, match.groups())) for match in _ASSIGN.finditer(unit.text)]
    if len(files) < NAMES and _SOURCES["download"].search(unit.text):
        found = [next(filter(None, match.groups())) for match in _FILE.finditer(unit.text)]
        for path in found or (_LAST.findall(unit.text) if _KEEPS_NAME.search(unit.text) else []):
            files[_base(path)] = unit.text
    if not names or len(holds) >= NAMES:
        return
    kinds = {kind for kind, pattern in _SOURCES.items() if pattern.search(unit.text)}
    kinds.update(*(holds[word] for word in _held(unit, holds)))
    for name in names if kinds else ():
        holds.setdefault(name, set()).update(kinds)


def _held(unit: Unit, holds: dict[str, set[str]]) -> set[str]:
    return holds.keys() & _WORD.findall(unit.text) if holds else set()


def _ended(unit: Unit, holds: dict[str, set[str]]) -> Iterator[Flow]:
    if not _held(unit, holds):
        return
    for match in _EXEC.finditer(unit.text):
        held = holds.get(next(filter(None, match.groups()), ""), set())
        for kind in held & {"download", "decoded"}:
            yield Flow(unit, match.start(), match.end(), *_ENDS[kind])
    send = _SEND.search(unit.text)
    if send and not _LOCAL.search(unit.text):
        for word in set(_WORD.findall(unit.text[send.end() :])) | set(re.findall(r"\$\{?(\w+)", unit.text)):
            for kind in sorted(holds.get(word, set()) & {"key", "secret"})[:1]:
                yield Flow(unit, send.start(), send.end(), *_ENDS[kind])
    for match in _WRITE.finditer(unit.text):
        for kind in sorted(holds.get(next(filter(None, match.groups()), ""), set()) & {"start", "shell start"})[:1]:
            yield Flow(unit, match.start(), match.end(), *_ENDS[kind])


def _started(unit: Unit, files: dict[str, str]) -> Iterator[Flow]:
    for match in _STARTS.finditer(unit.text) if files else ():
        source = files.get(_base(match.group(1)))
        if source is not None:
            category, severity, rule, text = _ENDS["download"]
            known = well_known(source) or bool(_RELEASES.search(source))
            yield Flow(unit, match.start(), match.end(), category, MEDIUM if known else severity, rule, text)


def _base(path: str) -> str:
    """What a path is told apart by: its last part, without the braces of a variable."""
    return path.rstrip("/").rsplit("/", 1)[-1].strip("${}\"'`").lower()
