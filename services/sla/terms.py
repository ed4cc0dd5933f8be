"""Which terms are in force when (contract 7)."""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from services.sla.support_hours import weekly_minutes
from shared import calendar
from shared.facts import TermsPublished
from shared.terms import (
    BUILT_IN,
    BUILT_IN_VERSION,
    Allowances,
    SupportTerms,
    Terms,
    minutes_of_allowance,
)


class NotAcceptable(ValueError):
    """Terms that cannot take effect; the message says why."""


class Version(Struct, frozen=True):
    """A document of terms under its name. `number` counts those accepted, from 1; the built-in one is 0."""

    version: str
    effective_on: date
    terms: Terms
    number: int


class Book(Struct):
    """The accepted versions that are in force on some day, in the order of `effective_on`, the built-in one
    before them all; `accepted` has every one in the order said: a request is judged by its own for ever."""

    versions: list[Version] = []
    accepted: list[Version] = []

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

    def numbered(self, number: int) -> Version:
        """The version accepted as number `number`; 0 is the built-in one."""
        return self.accepted[number - 1] if number else _BUILT_IN


_BUILT_IN = Version(BUILT_IN_VERSION, date.min, BUILT_IN, 0)

_LONGEST_WEEKS = 520


def publish(book: Book, fact: TermsPublished, recorded_at: int, zone_is_settled: bool) -> None:
    """Accepts `fact` into the book. Of two for one date the later said counts.

    Raises NotAcceptable: too late, of another zone, or with a support week in which a deadline would never
    come due. The first published may be of any date, and may bring its own zone as long as no subscription
    has been read in the old one (`zone_is_settled`).
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
    _within_reach(fact.terms.support)
    kept = [found for found in book.versions if found.effective_on != fact.effective_on]
    new = Version(fact.version, fact.effective_on, fact.terms, len(book.accepted) + 1)
    book.accepted.append(new)
    book.versions = sorted([*kept, new], key=lambda found: found.effective_on)


def _within_reach(support: SupportTerms) -> None:
    """Raises NotAcceptable for a first response that would not be due within ten years."""
    weekly, rows = weekly_minutes(support), support.first_response
    longest = max(
        minutes_of_allowance(getattr(row, severity), support)
        for row in (rows.cloud, rows.on_premises)
        for severity in Allowances.__struct_fields__
    )
    if longest > weekly * _LONGEST_WEEKS:
        raise NotAcceptable(
            f"a first response within {longest} minutes of open time would not be due within ten years of "
            f"{weekly} open minutes a week; give the week more hours"
        )
