"""Paths that are one on some machine: where case, Unicode form or invisible characters do not count."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Optional


def collision(files: Iterable[str], folders: Iterable[str] = ()) -> Optional[tuple[str, str]]:
    """Two of the POSIX relpaths that exclude each other, or None.

    They are one file, or the very same, or one lies under the other, or they spell a folder in two ways. `folders` are
    paths of which only their being folders counts.
    """
    files = list(files)
    taken: dict[str, str] = {}
    for path in files:
        key = _folded(path)
        if key in taken:
            return taken[key], path
        taken[key] = path
    spelt: dict[str, str] = {}
    known: set[str] = set()
    for path in (*files, *(f"{folder}/" for folder in folders)):
        folder = path
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            if folder in known:
                break
            known.add(folder)
            key = _folded(folder)
            if key in taken:
                return taken[key], path
            other = spelt.setdefault(key, folder)
            if other != folder:
                return other, path
    return None


def _folded(path: str) -> str:
    """What a file system that forgives most makes of `path`."""
    if path.isascii():
        return path.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())
    return "".join(char for char in folded if unicodedata.category(char) != "Cf")
