"""Which rules the folds follow, as one number."""

from __future__ import annotations

from typing import Final

RULES_VERSION: Final = 1
"""Raise it with every change after which the same journal, or the same probe results, could give other bytes.
Instances of different rules never share the work (docs/adr/0013): one of the new waits until the last of the
old has left. What is promised changes by terms in the journal, not by this."""
