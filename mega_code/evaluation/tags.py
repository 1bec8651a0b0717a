"""Tags for a skill that has none: from the words of its name and description, the same ones every time."""

from __future__ import annotations

import re
from collections import Counter

MOST = 6
FROM_DESCRIPTION = 3
# Words that hold a sentence together, in a name as in a description.
_LINKING = frozenset(
    """
    about above across after against all also always among an and another any anything are around as at based be been
    before being below best better between both but by can cannot could do does doing done during each either else etc
    even ever every few for from had has have how if in inside instead into is it its itself just kind kinds less like
    many may me might more most much must my need needs never no nor not of off often on once one only or other others
    our out over own per rather same several should skill skills so some something sort such than that the their them
    then there these they thing things this those through time to together too under until up upon us use used user
    users uses using usually various very via want wants was way we well were what when whenever where whether which
    while who whose why will with within without would you your
    """.split()
)
# Words that any description may hold, whatever its subject.
_FILLER = frozenset(
    """
    agent agents allow allows apply applies applying asked asks automatically available avoid build builder building
    built capture captures capturing claude code common complete complex comprehensive contain contains cover covers
    create created creates creating creation custom data deal debug debugging describe description designed different
    directly easily effective elaborate enable enables ensure ensures example examples existing external extract
    extracting file files find first fit fits follow following format formats full general generate generates
    generating generation get give gives good guide guides handle handles handling help helper helps high include
    includes including input instructions interact interacting involving know large level library list local look made
    make makes making manage management manages mention mentions model modern multiple new offer offers official output
    part perform performs please preparing problem process processes processing produce produces project projects
    provide provided provides providing quality quick range read reading real related relevant request requests
    require required requires requiring resource resources result results review right run running runs see service
    services set sets show simple single small specific standard start step steps suite support supporting supports
    system systems task tasks test testing tests tool toolkit tools trigger triggers type types update updates utility
    value verify verifying version view viewing when whenever work workflow workflows working works write writes
    writing written
    """.split()
)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]+")


def derive(name: str, description: str) -> list[str]:
    """One to `MOST` lower-case tags: the words of the name, then what the description is plainly about.

    That is what it says more than once, and what is capitalised inside a sentence (a product, an acronym): the most
    frequent first, at the same count the capitalised, then what stands first.
    """
    parts = [part for part in name.split("-") if len(part) > 1 and part not in _LINKING]
    tags = list(dict.fromkeys(parts))[:MOST] or [name]
    words = [match for match in _WORD.finditer(description) if match.group().lower() not in _LINKING | _FILLER]
    count = Counter(match.group().lower() for match in words)
    proper = {match.group().lower() for match in words if _is_proper(description, match)}
    first = list(dict.fromkeys(match.group().lower() for match in words))
    subjects = [word for word in first if count[word] > 1 or word in proper]
    ranked = sorted(subjects, key=lambda word: (-count[word], word not in proper))
    fresh = [word for word in ranked if len(word) > 2 and not _is_known(word, tags)]
    return [*tags, *fresh[:FROM_DESCRIPTION]][:MOST]


def _is_proper(text: str, match: re.Match[str]) -> bool:
    word = match.group()
    inside = text[: match.start()].rstrip(" \"'(*`")[-1:] not in ("", ".", "!", "?", ":")
    return (word[0].isupper() and inside) or word[1:] != word[1:].lower()


def _is_known(word: str, tags: list[str]) -> bool:
    """Whether a tag is the word in the singular or plural."""
    return any(word.rstrip("s") == tag.rstrip("s") for tag in tags)
