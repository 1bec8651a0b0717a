"""What stands inside a paragraph of Markdown, as HTML: emphasis, code, links, line breaks.

Everything else is text, and escaped. One pass; the time is linear in the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from mega_code.hitl.html import Html, escape

# A link leaves the page for the web or for a mail, and tells nobody where it was clicked.
SAFE_URL = re.compile(r"(?:https?://|mailto:)[^\s\x00-\x20\x7f]+", re.IGNORECASE)
_TARGET = re.compile(
    r"\(\s{0,9}<?((?:[^\s<>()]|\([^\s<>()]{0,200}\)){0,1000})>?(?:\s{1,9}(?:\"[^\"]{0,500}\"|'[^']{0,500}'))?\s{0,9}\)"
)
_BARE = re.compile(r"https?://[^\s<>()\[\]{}\"'`*|]+", re.IGNORECASE)
_AUTO = re.compile(r"<((?:https?://|mailto:)[^\s<>]{1,1000})>", re.IGNORECASE)
_SPECIAL = re.compile(r"(?: {2,9}|\\)?\n|\\|`+|\*+|_+|~~|!?\[|<|https?://", re.IGNORECASE)
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_NAMES = {1: "em", 2: "strong"}


class _Opener(NamedTuple):
    """Delimiters that may open emphasis: where they stand among the pieces, which and how many."""

    at: int
    char: str
    length: int


def inline(text: str, links: bool = True) -> Html:
    """`text` with its inline marks as HTML."""
    return _Inline(text, links).run()


class _Inline:
    def __init__(self, text: str, links: bool) -> None:
        self.text, self.links = text, links
        self.pieces: list[str] = []
        self.openers: list[_Opener] = []
        self.tags: dict[int, str] = {}
        self.brackets = _brackets(text) if links else {}
        self.unclosed: set[int] = set()

    def run(self) -> Html:
        pos = 0
        while pos < len(self.text):
            found = _SPECIAL.search(self.text, pos)
            if not found:
                break
            self.pieces.append(escape(self.text[pos : found.start()]))
            pos = self._special(found)
        self.pieces.append(escape(self.text[pos:]))
        return Html("".join(self.pieces))

    def _special(self, found: re.Match[str]) -> int:
        """Deal with a mark; the position behind it."""
        mark, at = found.group(), found.start()
        if mark.endswith("\n"):
            self.pieces.append("\n" if mark == "\n" else "<br>\n")
            return found.end()
        if mark == "\\":
            escaped = self.text[at + 1 : at + 2]
            self.pieces.append(escape(escaped if escaped in _PUNCTUATION else mark))
            return at + 2 if escaped and escaped in _PUNCTUATION else at + 1
        if mark[0] == "`":
            return self._code(at, len(mark))
        if mark[0] in "*_~":
            self._emphasis(mark, at)
            return found.end()
        return self._link(mark, at) if self.links else self._literal(mark, at)

    def _literal(self, mark: str, at: int) -> int:
        self.pieces.append(escape(mark))
        return at + len(mark)

    def _code(self, at: int, ticks: int) -> int:
        start = at + ticks
        closing = None
        if ticks not in self.unclosed:
            closing = re.compile(rf"(?<!`)`{{{ticks}}}(?!`)").search(self.text, start)
        if not closing:
            self.unclosed.add(ticks)
            return self._literal("`" * ticks, at)
        code = self.text[start : closing.start()].replace("\n", " ")
        if code.startswith(" ") and code.endswith(" ") and code.strip():
            code = code[1:-1]
        self.pieces.append(f"<code>{escape(code)}</code>")
        return closing.end()

    def _link(self, mark: str, at: int) -> int:
        if mark == "<":
            auto = _AUTO.match(self.text, at)
            return self._anchor(auto.group(1), escape(auto.group(1)), auto.end()) if auto else self._literal(mark, at)
        if mark[-1] != "[":
            return self._bare(at)
        opening = at + len(mark) - 1
        closing = self.brackets.get(opening)
        target = _TARGET.match(self.text, closing + 1) if closing is not None else None
        if closing is None or not target or not SAFE_URL.fullmatch(target.group(1)):
            return self._literal(mark, at)
        words = inline(self.text[opening + 1 : closing], links=False)
        # A picture would be fetched from somewhere else, so it is a link that names itself.
        shown = f"image: {words}" if mark[0] == "!" else words
        return self._anchor(target.group(1), shown, target.end())

    def _bare(self, at: int) -> int:
        found = _BARE.match(self.text, at)
        url = found.group().rstrip(".,;:!?_~\\") if found else ""
        if not SAFE_URL.fullmatch(url):
            return self._literal(self.text[at : at + 4], at)
        return self._anchor(url, escape(url), at + len(url))

    def _anchor(self, url: str, shown: str, end: int) -> int:
        self.pieces.append(f'<a href="{escape(url)}" rel="noopener noreferrer" target="_blank">{shown}</a>')
        return end

    def _emphasis(self, mark: str, at: int) -> None:
        char, left = mark[0], len(mark)
        before, after = self.text[at - 1 : at], self.text[at + left : at + left + 1]
        opens, closes = _flanks(before, after), _flanks(after, before)
        if char == "_":  # snake_case is one word
            opens, closes = opens and not before.isalnum(), closes and not after.isalnum()
        while closes and left:
            opener = self._opener(char)
            if opener is None:
                break
            left -= self._close(opener, left)
        if opens and left:
            self.openers.append(_Opener(len(self.pieces), char, left))
        self.pieces.append(char * left)

    def _opener(self, char: str) -> Optional[_Opener]:
        """The nearest delimiters of that kind; those that stand between stay text."""
        if not any(opener.char == char for opener in self.openers[-64:]):
            return None
        while self.openers[-1].char != char:
            self.openers.pop()
        return self.openers.pop()

    def _close(self, opener: _Opener, left: int) -> int:
        """Put tags where the delimiters were; how many closing ones that took."""
        used = min(2, opener.length, left)
        name = "del" if opener.char == "~" else _NAMES[used]
        rest = opener.length - used
        self.tags[opener.at] = f"<{name}>{self.tags.get(opener.at, '')}"
        self.pieces[opener.at] = opener.char * rest + self.tags[opener.at]
        self.pieces.append(f"</{name}>")
        if rest:
            self.openers.append(opener._replace(length=rest))
        return used


def _flanks(outer: str, inner: str) -> bool:
    """Whether delimiters between the two characters may open emphasis, as CommonMark has it; mirrored, close it."""
    if not inner or inner.isspace():
        return False
    return inner not in _PUNCTUATION or not outer or outer.isspace() or outer in _PUNCTUATION


def _brackets(text: str) -> dict[int, int]:
    """Where the bracket that opens at a position closes."""
    found: dict[int, int] = {}
    stack: list[int] = []
    skip = False
    for at, char in enumerate(text):
        if skip:
            skip = False
        elif char == "\\":
            skip = True
        elif char == "[":
            stack.append(at)
        elif char == "]" and stack:
            found[stack.pop()] = at
    return found
