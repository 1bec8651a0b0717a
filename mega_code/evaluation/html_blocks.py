"""Where a block of raw HTML begins and ends in Markdown: the seven kinds of CommonMark 0.31, section 4.6."""

from __future__ import annotations

import re
from typing import Optional

_RAW_TEXT = re.compile(r"<(?:script|pre|style|textarea)(?:\s|>|$)", re.IGNORECASE)
_HTML_BLOCK = re.compile(
    r"</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|"
    r"dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link|main|"
    r"menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead|title|"
    r"tr|track|ul)(?:\s|/?>|$)",
    re.IGNORECASE,
)
_HTML_TAG = re.compile(
    r"<(?:/[a-z][a-z0-9-]*\s*|[a-z][a-z0-9-]*(?:\s+[a-z_:][\w.:-]*(?:\s*=\s*(?:[^\s\"'=<>`]+|'[^']*'|\"[^\"]*\"))?)*\s*/?)>\s*$",
    re.IGNORECASE,
)
_RAW_TEXT_END = re.compile(r"</(?:script|pre|style|textarea)>", re.IGNORECASE)


def end_of_block(rest: str, lazy: bool) -> Optional[str]:
    """What ends the HTML block that begins with `rest`, as `ends` reads it: "" for a blank line; None if none begins.

    `lazy` says that the line could go on a paragraph; a tag alone on its line cannot end one.
    """
    if not rest.startswith("<"):
        return None
    if _RAW_TEXT.match(rest):
        return "</"
    for start, end in (("<!--", "-->"), ("<?", "?>"), ("<![CDATA[", "]]>")):
        if rest.startswith(start):
            return end
    if re.match(r"<![A-Za-z]", rest):
        return ">"
    if _HTML_BLOCK.match(rest) or (not lazy and _HTML_TAG.match(rest)):
        return ""
    return None


def ends(line: str, end: str) -> bool:
    """Whether `line` holds the `end` of an HTML block, which "" is never."""
    return bool(_RAW_TEXT_END.search(line)) if end == "</" else bool(end) and end in line
