"""Measure a skill, improve it, and install the version that is measurably better."""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 - what scripts/lib reads as "find another Python"
    sys.exit(97)
