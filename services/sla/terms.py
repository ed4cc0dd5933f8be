"""Which terms are in force when (contract 7)."""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from shared import calendar
from shared.facts import TermsPublished
from shared.terms import BUILT_IN, BUILT_IN_VERSION, Terms


class NotAcceptable(ValueError):
    """Terms that cannot take effect; the message says why."""


class Version(Struct, frozen=True):
    """A document of terms under its name."""

    version: str
    effective_on: date
    terms: Terms


class Book(Struct):
    """Every accepted version in the order of `effective_on`; the built-in ones are before them all."""

    versions: list[Version] = []

    @property
    def zone(self) -> str:
        """The one zone all terms have."""
        return self.versions[0].terms.zone if self.versions else BUILT_IN.zone

    def on(self, day: date) -> Version:
        """The version in force on the local date `day`."""
        for found in reversed(self.versions):
            if found.effective_on <= day:
                return found
        return _BUILT_IN


_BUILT_IN = Version(BUILT_IN_VERSION, date.min, BUILT_IN)


def publish(book: Book, fact: TermsPublished, recorded_at: int, zone_is_settled: bool) -> None:
    """Accepts `fact` into the book. Of two for one date the later said counts.

    Raises NotAcceptable: too late, or of another zone. The first published may be of any date, and may
    bring its own zone as long as no subscription has been read in the old one (`zone_is_settled`).
    """
    first = not book.versions
    if fact.terms.zone != book.zone and (zone_is_settled or not first):
        raise NotAcceptable(f"terms have the zone {book.zone}; {fact.terms.zone} cannot replace it")
    try:
        calendar.zone(fact.terms.zone)
    except calendar.UnknownZone as error:
        raise NotAcceptable(str(error)) from None
    recorded_on = calendar.local_date(recorded_at, fact.terms.zone)
    if not first and fact.effective_on < recorded_on:
        raise NotAcceptable(f"terms recorded on {recorded_on} cannot take effect on {fact.effective_on}")
    kept = [found for found in book.versions if found.effective_on != fact.effective_on]
    kept.append(Version(fact.version, fact.effective_on, fact.terms))
    book.versions = sorted(kept, key=lambda found: found.effective_on)
