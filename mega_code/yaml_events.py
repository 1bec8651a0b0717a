"""The events of a YAML text that may mean harm. Imports the YAML library, which takes its time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Union

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_REFUSED = "maximum nesting depth"  # how LibYAML says it, where it has a limit of its own


class TooDeep(Exception):
    """Collections are nested deeper than was allowed: a loader recurses, and the one in C overruns its stack."""


def events(source: Union[str, bytes], levels: int) -> Iterator[yaml.Event]:
    """The events, down to so many levels. Raises TooDeep, and yaml.YAMLError for what is no YAML."""
    depth = 0
    try:
        for event in yaml.parse(source, Loader=LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > levels:
                raise TooDeep
            yield event
    except yaml.YAMLError as error:
        if _REFUSED in str(error):
            raise TooDeep from None
        raise
