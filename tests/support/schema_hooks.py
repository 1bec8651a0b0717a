"""What schemathesis cannot know of our forms: archives that are good. It imports this by the name in SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import schemathesis  # type: ignore[import-not-found,unused-ignore]
from hypothesis import strategies as st

from support.gateway import unique_skill

schemathesis.openapi.media_type("application/zip", st.integers(0, 10**9).map(unique_skill))
