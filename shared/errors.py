"""What stops a command with a message instead of a traceback."""

from __future__ import annotations


class NeedsAPerson(RuntimeError):
    """Something only a person can mend; the message says what is wrong and what to do next."""
