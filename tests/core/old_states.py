"""Histories whose states, as earlier versions saved them, are in tests/core/saved."""

from __future__ import annotations

from shared.facts import ProbeFact, RequestOpened, WorkLogged
from shared.time import MINUTE
from tests.core.probing import T0, WORDS, declared, result
from tests.core.telling import (
    Telling,
    announced,
    called_off,
    closed,
    corrected,
    instant,
    november,
    published,
    started,
    terms_with,
)

_LETTERS = "uu?uu.du?dd?d"
_SPOOLED = "ud?"


def records() -> list[tuple[ProbeFact, int]]:
    """Targets up, in doubt with a pause inside a run, never seen, and with slots that wait for a vote."""
    found: list[tuple[ProbeFact, int]] = []
    places = ("zrh", "gva", "fra")
    for name in ("steady", "silent", "waiting"):
        found.append((declared(("icmp", "tcp:443"), places, target=name), T0))
    found.append((declared(("icmp",), ("zrh",), target="doubt", confirm_down=4, confirm_up=2), T0))
    for minute, letter in enumerate(_LETTERS):
        at = T0 + minute * MINUTE
        if letter != ".":
            error = None if letter == "u" else "timeout"
            found.append((result(at, WORDS[letter], "zrh", error=error, target="doubt"), at + 700))
        for check in ("icmp", "tcp:443"):
            for place in places:
                found.append((result(at, "up", place, check, target="steady"), at + 800))
                if place != "fra" or minute < len(_LETTERS) - 2:
                    error = "refused" if place == "gva" else None
                    outcome = WORDS[_SPOOLED[minute % 3]]
                    found.append((result(at, outcome, place, check, error, "waiting"), at + 900))
    return found


def story() -> Telling:
    """Months, credits, corrections, maintenance, terms, notices, work."""
    told = november(("2026-11-10 00:00", "2026-11-12 00:00"), terms=terms_with(excluded=True))
    told.tell(announced("2026-11-20 00:00", "2026-11-21 00:00"), called_off("2026-11-20 12:00"))
    told.tell(announced("2026-11-16 00:00", "2026-11-17 00:00", name="M-2"))
    told.tell(corrected("2026-11-25 00:00", "2026-11-25 09:00", "down"))
    told.tell(corrected("2026-11-15 00:00", "2026-11-15 09:00", "down"))
    told.tell(
        RequestOpened("A-1", "S-1", "T-1", "serious", "account", instant("2026-11-30 10:00")),
        WorkLogged("A-1", "T-1", "1", 50, instant("2026-11-30 11:00")),
    )
    closed(told)
    told.tell(published(terms_with(), "2027", "2027-01-01", major=True), started("S-2", "A-2"))
    return told
