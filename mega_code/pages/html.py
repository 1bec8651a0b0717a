"""HTML that cannot be written unescaped: text becomes `Html` only here."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Union

VOID = frozenset({"meta"})


class Html(str):
    """Markup; any other string is text and is escaped where it is put into an element."""

    __slots__ = ()


Content = Union[Html, str, None]


def tag(name: str, /, *content: Content, **attributes: object) -> Html:
    """An element. None and False leave an attribute out; `class_` is class, `aria_label` is aria-label.

    `name` and the attributes' names are the program's own, never anybody's text.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{join(content)}</{name}>")


def join(content: Iterable[Content], between: str = "") -> Html:
    """Pieces one after the other; a None is nothing."""
    pieces = [piece if isinstance(piece, Html) else html.escape(piece) for piece in content if piece is not None]
    return Html(between.join(pieces))
