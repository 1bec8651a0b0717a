"""Measuring a skill and making it better: one core for the gateway and for a person in the loop."""

from __future__ import annotations

from mega_code.evaluation.outcome import Outcome, Progress
from mega_code.evaluation.static import enhance

__all__ = ["Outcome", "Progress", "enhance"]
