"""The search: every candidate with its parent, its score, why it was kept or dropped, and its diff."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from mega_code.pages.charts import Node, search_picture
from mega_code.pages.html import Html, join, tag
from mega_code.pages.parts import more, section
from mega_code.pages.reading import index, mappings, number, words
from mega_code.pages.shown import Shown

CANDIDATES = 300
DRAWN = 120
DIFF_CHARACTERS = 20_000
DEEPEST = 8  # deeper generations stand below one another, or there would be no room for words


class Candidate(NamedTuple):
    """An entry of the lineage; `parent` is its parent's place in the list, always an earlier one, or None."""

    entry: Mapping[str, Any]
    name: str
    parent: Optional[int]
    kind: str


def read(lineage: Any, shown: Shown) -> list[Candidate]:
    """The candidates, each with its parent found. A parent that is not there, or comes later, is none."""
    found: list[Candidate] = []
    places: dict[int, int] = {}
    for entry in shown.first(mappings(lineage), CANDIDATES):
        known, parent = index(entry.get("candidate")), index(entry.get("parent"))
        kind = "chosen" if entry.get("chosen") is True else "kept" if entry.get("kept") is True else "dropped"
        name = str(known) if known is not None else "?"
        found.append(Candidate(entry, name, places.get(parent) if parent is not None else None, kind))
        if known is not None:
            places.setdefault(known, len(found) - 1)
    return found


def changes(candidates: list[Candidate], published: bool, shown: Shown) -> Optional[Html]:
    """The diff of the chosen candidate, one step for each of its ancestors."""
    path = _path(candidates)
    steps = [candidates[place] for place in path if candidates[place].entry.get("diff")]
    if not steps:
        return None
    words = "Each diff is against the candidate before it." if len(steps) > 1 else "The diff is against the original."
    fate = (
        "What publishing stamps into the frontmatter is not in it; what was put back, the notes say."
        if published
        else "It was not published."
    )
    drawn = [
        join([tag("h3", _title(step, shown)) if len(steps) > 1 else None, diff(step.entry["diff"], shown)])
        for step in steps
    ]
    return section("What the chosen candidate changes", tag("p", f"{words} {fate}", class_="soft"), *drawn)


def _path(candidates: list[Candidate]) -> list[int]:
    """The places from the first ancestor of the chosen candidate down to itself; empty where none is marked."""
    place = next((at for at, one in enumerate(candidates) if one.kind == "chosen"), None)
    path: list[int] = []
    while place is not None:
        path.insert(0, place)
        place = candidates[place].parent
    return path


def tree(candidates: list[Candidate], shown: Shown) -> Optional[Html]:
    """The search as a picture, and as a tree in words."""
    if not candidates:
        return None
    children: dict[Optional[int], list[int]] = {}
    for place, candidate in enumerate(candidates):
        children.setdefault(candidate.parent, []).append(place)
    items = _items(candidates, children, shown)
    return section("Lineage", _picture(candidates), tag("ol", *items, class_="tree"))


def _items(candidates: list[Candidate], children: Mapping[Optional[int], list[int]], shown: Shown) -> list[Html]:
    """The list items of the roots. Built from the last candidate to the first: a parent always comes earlier."""
    depth: list[int] = []
    for candidate in candidates:
        depth.append(0 if candidate.parent is None else depth[candidate.parent] + 1)
    own = [_item(candidate, shown) for candidate in candidates]
    below: list[list[Html]] = [[] for _ in candidates]
    for place in reversed(range(len(candidates))):
        under = [item for child in children.get(place, []) for item in below[child]]
        if depth[place] < DEEPEST:
            nested = tag("ol", *under) if under else None
            below[place] = [tag("li", own[place], nested)]
        else:
            below[place] = [tag("li", own[place]), *under]
    return [item for root in children.get(None, []) for item in below[root]]


def _item(candidate: Candidate, shown: Shown) -> Html:
    entry = candidate.entry
    said = {"chosen": ("tag good", "★ chosen"), "kept": ("tag quiet", "kept"), "dropped": ("tag quiet", "dropped")}
    kind, word = said[candidate.kind]
    score = (
        join(["train score ", shown.rate(entry.get("train_score"))]) if entry.get("train_score") is not None else None
    )
    tokens = join([shown.figure(entry["tokens"]), " tokens"]) if entry.get("tokens") is not None else None
    head = [
        tag("strong", _title(candidate, shown)),
        tag("span", word, class_=kind),
        tag("span", score, class_="soft") if score else None,
        tag("span", tokens, class_="soft") if tokens else None,
    ]
    why = tag("p", shown.text(entry["why"]), class_="soft") if entry.get("why") else None
    folded = more(f"Diff of candidate {candidate.name}", diff(entry["diff"], shown)) if entry.get("diff") else None
    return join([tag("div", *head, class_="head"), why, folded])


def _title(candidate: Candidate, shown: Shown) -> Html:
    component = candidate.entry.get("component")
    return join([f"Candidate {candidate.name}", join([": ", shown.text(component, 80)]) if component else None])


def diff(value: Any, shown: Shown) -> Html:
    """A unified diff, a line to a row; plus and minus tell added from removed without colour too."""
    kinds = {"+": "add", "-": "del", "@": "at"}
    lines = shown.text(words(value).rstrip("\n"), DIFF_CHARACTERS).split("\n")
    rows = [
        tag("span", Html(line or " "), class_=kinds.get(line[:1]) if line[:3] not in ("+++", "---") else "at")
        for line in lines
    ]
    return tag("pre", *rows, class_="diff", tabindex=0)


def _picture(candidates: list[Candidate]) -> Optional[Html]:
    if not 1 < len(candidates) <= DRAWN:
        return None
    path = set(_path(candidates))
    nodes = [
        Node(
            one.name,
            number(one.entry.get("train_score")),
            one.parent,
            "path" if at in path and one.kind == "kept" else one.kind,
        )
        for at, one in enumerate(candidates)
    ]
    words = "; ".join(
        f"{one.name} from {'none' if one.parent is None else candidates[one.parent].name}, {one.kind}"
        for one in candidates
    )
    unscored = " The ones in the lowest row were not scored." if any(node.score is None for node in nodes) else ""
    caption = (
        "Candidates from left to right as they were made, up by their train score, each with a line from its parent."
        " Filled: kept. Hollow: dropped, with the score of the few cases it was tried on. Ringed: chosen." + unscored
    )
    return tag("figure", tag("figcaption", caption), search_picture(nodes, "Train scores of the candidates", words))
