"""Facts that make no sense where they stand: they are rejected with a reason, and change nothing."""

from __future__ import annotations


class Rejected(ValueError):
    """A fact that makes no sense; the message is the reason."""
