"""Where the links of a skill lead: to a file that is there, to one under another spelling, or nowhere."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple, Optional
from urllib.parse import unquote

from mega_code.evaluation.blocks import PROSE, Block, Kind, Prose
from mega_code.evaluation.folder import Finding, Page, Skill
from mega_code.evaluation.inline import Link, protected

_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[/#?~]")
_PLACEHOLDER = re.compile(r"[{}<>$*|]|\.\.\.|^(?:url|link|href|path|file|target)$|(?:^|/)path/to/", re.IGNORECASE)
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_FOLDERS = ("scripts/", "references/", "assets/")
_BUNDLED = r"(?:\./|\$\{CLAUDE_SKILL_DIR\}/)?((?:scripts|references|assets)/[\w./-]*\w\.\w+)"
_RUNNER = r"(?:python3?|uv run|bash|sh|zsh|node|bun|deno run|npx tsx|ruby|perl)\s+(?:-\S+\s+)*"
_COMMAND = re.compile(rf"(?:^|[\s;&|]){_RUNNER}[\"']?{_BUNDLED}(?![\w/])")
_MENTION = re.compile(rf"`+\s*(?:{_RUNNER})?{_BUNDLED}(?![\w/])")
# What is said to be made, or named as an example, need not be there.
_MAYBE = re.compile(
    r"\b(?:e\.g|example|such as|for instance|like|creat|writ|sav|generat|add|new|your|output)", re.IGNORECASE
)


class Broken(NamedTuple):
    """A link to a file that is not in the skill. `fixed` is the target in the one spelling that is there, if any."""

    page: Page
    prose: Prose
    link: Link
    finding: Finding
    fixed: Optional[str]


def broken_links(skill: Skill) -> list[Broken]:
    """Every relative link that leads to no file or folder of the skill, in the order of the text."""
    found = []
    for page, prose, link in local_links(skill):
        if not _resolves(skill, page.path, link.target):
            fixed = _respelled(skill, page.path, link.target)
            why = f"links to {link.target[:120]!r}, which is {_complaint(skill, page.path, link.target, fixed)}"
            finding = Finding(page.path, page.line(prose.line(link.start)), why)
            found.append(Broken(page, prose, link, finding, fixed))
    return found


def local_links(skill: Skill) -> Iterator[tuple[Page, Prose, Link]]:
    """Every link that is meant to lead to a file of the skill."""
    for page in skill.pages():
        for prose in page.document.prose:
            for link in prose.links:
                path = link.target.split("#")[0].split("?")[0]
                if path and not _ELSEWHERE.match(path) and not _PLACEHOLDER.search(path):
                    yield page, prose, link


def _readings(page: str, target: str) -> Iterator[str]:
    """The paths below the skill that a target may mean: from its own file, or from the root, as specified."""
    path = target.split("#")[0].split("?")[0]
    for spelling in dict.fromkeys((path, _ESCAPE.sub(r"\1", path), unquote(path))):
        for base in dict.fromkeys((posixpath.dirname(page), "")):
            yield posixpath.normpath(posixpath.join(base, spelling))


def _resolves(skill: Skill, page: str, target: str) -> Optional[str]:
    key = (posixpath.dirname(page), target)
    if key not in skill.resolved:
        known = (path for path in _readings(page, target) if path in skill.files or path in skill.folders)
        skill.resolved[key] = next(known, None)
    return skill.resolved[key]


def _respelled(skill: Skill, page: str, target: str) -> Optional[str]:
    """The target with the case and the slashes of the one path that it can mean; None where none or several can."""
    written = re.split(r"[#?]", target, maxsplit=1)[0]
    path = re.sub(r"\\+", "/", written)
    wanted = {reading.casefold() for reading in _readings(page, path)}
    meant = [known for folded in sorted(wanted) for known in skill.folded.get(folded, [])]
    bare = re.sub(r"^(?:\.{1,2}/)+", "", path)
    if len(meant) != 1 or not bare:
        return None
    end = meant[0] + "/" if bare.endswith("/") else meant[0]
    tail = end[-len(bare) :]
    if tail.casefold() != bare.casefold():
        return None
    return path[: len(path) - len(bare)] + tail + target[len(written) :]


def _complaint(skill: Skill, page: str, target: str, fixed: Optional[str]) -> str:
    if fixed:
        return f"there as {fixed[:120]!r}"
    if all(path.startswith("..") for path in _readings(page, target)):
        return "outside the skill folder"
    return "not in the skill"


def dead_anchors(skill: Skill) -> list[Finding]:
    """Links such as `#usage` to a heading that their own page does not have."""
    found = []
    for page in skill.pages():
        linked = [(prose, link) for prose in page.document.prose for link in prose.links if link.target[:1] == "#"]
        names = _anchors(page) if linked else set()
        for prose, link in linked:
            wanted = unquote(link.target[1:])
            if wanted and not {_plain(wanted), _plain(re.sub(r"-\d+$", "", wanted))} & names:
                text = f"links to {link.target[:120]!r}, but no heading is called that"
                found.append(Finding(page.path, page.line(prose.line(link.start)), text))
    return found


def _anchors(page: Page) -> set[str]:
    """The names that a page's headings and ids give, letters and digits only: renderers differ in the rest."""
    document = page.document
    headings = [prose.text for prose in document.prose if prose.block.kind is Kind.HEADING]
    ids = re.findall(r"\b(?:id|name)=[\"']([^\"'\n]+)", page.body)
    return {_plain(re.sub(r"\]\([^()\n]*\)", "]", heading)) for heading in headings} | {_plain(name) for name in ids}


def _plain(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def missing_files(skill: Skill) -> list[Finding]:
    """Files below scripts/, references/ or assets/ that the text runs or names, and that are not there.

    Only where the skill has that folder at all, and only where the line does not speak of an example or of a file
    that is to be made.
    """
    found = []
    for page in skill.pages():
        for block in page.document.blocks:
            for index in range(block.first, block.last + 1):
                for path in _named(page, block, index):
                    base = posixpath.normpath(path)
                    if base.split("/")[0] in skill.folders and base not in skill.files | skill.folders:
                        text = f"names {path[:120]!r}, which is not in the skill"
                        found.append(Finding(page.path, page.line(index), text))
    return list(dict.fromkeys(found))


def _named(page: Page, block: Block, index: int) -> list[str]:
    line = page.document.lines[index]
    if not any(folder in line for folder in _FOLDERS) or _MAYBE.search(line):
        return []
    if block.kind is Kind.FENCED:
        return _COMMAND.findall(line)
    if block.kind in PROSE:
        return [path for span in protected(line) if span.code for path in _MENTION.findall(line[span.start : span.end])]
    return []
