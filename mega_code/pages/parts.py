"""Pieces that several sections of a page are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from mega_code.pages.html import Content, Html, join, tag
from mega_code.pages.reading import number
from mega_code.pages.shown import Shown

ARMS = {"baseline": "No skill", "original": "Original", "candidate": "Candidate"}
VALUE_CHARACTERS = 1_000


def section(name: str, *content: Content) -> Optional[Html]:
    """A heading with what belongs below it; nothing where there is nothing."""
    inner = join(content)
    return tag("section", tag("h2", name), inner) if inner else None


def facts(pairs: Iterable[tuple[str, Content]]) -> Optional[Html]:
    """Names and values; pairs without a value are left out."""
    rows = [join([tag("dt", name), tag("dd", value)]) for name, value in pairs if value]
    return tag("dl", *rows, class_="facts") if rows else None


def entries(
    values: Mapping[str, Any], names: Mapping[str, str], shown: Shown, leave: Iterable[str] = ()
) -> list[tuple[str, Html]]:
    """The entries of a mapping as pairs for `facts`: known ones under their `names`, nulls and empty ones left out."""
    left, pairs = set(leave), []
    for key, value in shown.first(list(values.items()), 100):
        if key not in left and value is not None and value not in ("", [], {}):
            name = names.get(key) or str(shown.text(key, 80))
            pairs.append(
                (name, shown.figure(value) if number(value) is not None else shown.text(value, VALUE_CHARACTERS))
            )
    return pairs


def more(name: Content, *content: Content) -> Html:
    """What is folded away until somebody asks for it."""
    return tag("details", tag("summary", name), *content)


def wide(name: str, content: Html) -> Html:
    """A table that may be wider than the window; the keyboard can scroll it."""
    return tag("div", content, class_="wide", role="region", aria_label=name, tabindex=0)


def chart(caption: Content, rows: Sequence[Html], axis: Optional[Html] = None) -> Html:
    """Rows of one picture, with their common axis."""
    foot = tag("li", axis, aria_hidden="true") if axis else None
    return tag("figure", tag("figcaption", caption), tag("ul", *rows, foot, class_="chart"))


def chart_row(name: Content, picture: Html, *figures: Content) -> Html:
    """A row: its name, its picture, its figures."""
    return tag("li", tag("strong", name), picture, tag("span", *figures, class_="value"))


def header(*names: Content, numbers: Sequence[int] = ()) -> Html:
    """The head of a table; the columns in `numbers` stand to the right."""
    cells = [tag("th", name, scope="col", class_="n" if at in numbers else None) for at, name in enumerate(names)]
    return tag("thead", tag("tr", *cells))


def arm_name(arm: str, shown: Shown) -> Html:
    """What a person calls an arm."""
    return join([ARMS[arm]]) if arm in ARMS else shown.text(arm, 80)


def arm_kind(arm: str) -> str:
    """The class that gives an arm its colour."""
    return arm if arm in ARMS else "other"


def in_order(arms: Iterable[Any]) -> list[str]:
    """The names of arms, the known ones first and in their order."""
    names = [str(arm) for arm in dict.fromkeys(arms)]
    return [arm for arm in ARMS if arm in names] + [arm for arm in names if arm not in ARMS]
