"""The arrows of the house: what a package may use beside itself and the domain's own words, which use no package."""

from __future__ import annotations

MAY_USE: dict[str, set[str]] = {
    "client": {"pages"},
    "evaluation": set(),
    "gateway": {"evaluation", "pages"},
    "hitl": {"evaluation", "pages"},
    "pages": set(),
}
