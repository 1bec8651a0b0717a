"""HTML that is safe by construction: plain text is escaped wherever it is put in."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from typing import Optional, Union

Value = Union[str, int, bool, None]
Attributes = dict[str, Value]
VOID = frozenset({"br", "hr", "input", "link", "meta"})


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = Union[str, None, Iterable["Child"]]


def tag(name: str, attributes: Optional[Mapping[str, Value]] = None, *children: Child) -> Html:
    """An element. An attribute that is None or False is left out, one that is True has no value."""
    shown = [
        f" {key}" if value is True else f' {key}="{escape(str(value))}"'
        for key, value in (attributes or {}).items()
        if value is not None and value is not False
    ]
    opened = f"<{name}{''.join(shown)}>"
    return Html(opened if name in VOID else f"{opened}{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Html:
    """Children one behind the other; None is nothing, and lists are taken apart."""
    return Html("".join(_piece(child) for child in children))


def escape(text: str) -> Html:
    """Text with what HTML gives a meaning to taken out of it; NUL, which HTML does not know, is replaced."""
    return Html(html.escape(text.replace("\0", "\ufffd")))


def data(identifier: str, value: object) -> Html:
    """A value for a script, which runs nothing by itself: no `<` is left in it to end the element."""
    text = json.dumps(value).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{escape(identifier)}">{text}</script>')


def _piece(child: Child) -> str:
    if child is None or isinstance(child, Html):
        return child or ""
    return escape(child) if isinstance(child, str) else join(child)
