"""How a request stands, in words."""

from __future__ import annotations

from services.support.spans import since_or_until

_WORDS = {
    "unheard": "not judged yet",
    "uncovered": "nothing promised",
    "answered": "✓ answered",
    "closed": "closed",
    "withdrawn": "withdrawn",
}


def said(standing: str, due_at: int | None, now: int) -> str:
    """How a request stands, in words that need no colour."""
    if due_at is None or standing in _WORDS:
        return _WORDS.get(standing, standing)
    mark = {"overdue": "‼ overdue", "at-risk": "! at risk,"}.get(standing, "due")
    return f"{mark} {since_or_until(due_at, now)}"
