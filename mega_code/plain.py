"""Text from elsewhere, made harmless to show."""

from __future__ import annotations

import unicodedata


def plain(text: object, keep: str = "") -> str:
    """`text` without control and formatting characters (other than those in `keep`): no terminal obeys a server."""
    return "".join(
        char if char in keep or unicodedata.category(char) not in ("Cc", "Cf", "Cs") else "\N{REPLACEMENT CHARACTER}"
        for char in str(text)
    )
