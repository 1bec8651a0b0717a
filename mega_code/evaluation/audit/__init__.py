"""Red flags in a skill folder: what it would make a machine or an agent do that nobody asked for.

Patterns, no judgement: it finds what is written in the usual ways and shows where, for a person or a gate to decide.
"""

from __future__ import annotations

from mega_code.evaluation.audit.author import known_author, policy
from mega_code.evaluation.audit.finding import Finding
from mega_code.evaluation.audit.scan import audit, audit_folder, red_flags

__all__ = ["Finding", "audit", "audit_folder", "known_author", "policy", "red_flags"]
