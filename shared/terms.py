"""The terms of service as a document (contract 7): complete, typed; the published page's are built in."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

Hours = Annotated[int, Meta(ge=0, le=100_000)]


def _between(name: str, value: Decimal, least: int, most: int) -> None:
    if not value.is_finite() or not least <= value <= most:
        raise ValueError(f"{name} must be between {least} and {most}, not {value}")


class StartedDay(Struct, frozen=True, tag_field="rule", tag="started-day"):
    """Each started 24 hours earn one daily rate."""


class Exact(Struct, frozen=True, tag_field="rule", tag="exact"):
    """Each millisecond of down time earns its local date's rate divided by that date's milliseconds."""


class Tier(Struct, frozen=True):
    below_percent: Decimal
    percent_of_fee: Decimal

    def __post_init__(self) -> None:
        _between("below_percent", self.below_percent, 0, 100)
        _between("percent_of_fee", self.percent_of_fee, 0, 1_000)


class Tiers(Struct, frozen=True, tag_field="rule", tag="tiers"):
    """A percentage of the month's fee by the uptime reached; the lowest tier reached counts."""

    tiers: tuple[Tier, ...]


class Maintenance(Struct, frozen=True):
    excluded: bool
    notice_hours: Hours


class UptimeTerms(Struct, frozen=True):
    target_percent: Decimal
    close_after_hours: Hours
    bridge_hours: Hours
    maintenance: Maintenance
    credit: StartedDay | Exact | Tiers

    def __post_init__(self) -> None:
        _between("target_percent", self.target_percent, 0, 100)


class OutageTerms(Struct, frozen=True):
    longer_than_hours: Hours
    credit: StartedDay | Exact


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

LocalTime = Annotated[str, Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$(?!\n)")]
Interval = tuple[LocalTime, LocalTime]
"""Local times of one date, e.g. ("08:00", "17:00"); one that ends when it begins is empty."""


def minute_of_day(time: str) -> int:
    """Minutes after midnight of "08:00" or "24:00"."""
    return int(time[:2]) * 60 + int(time[3:])


def _in_order(intervals: tuple[Interval, ...]) -> None:
    for start, end in intervals:
        if minute_of_day(end) < minute_of_day(start):
            raise ValueError(f"opening hours {start} to {end} end before they begin; over midnight takes two")


class HolidayHours(Struct, frozen=True):
    """Another opening for one date: a half-day, or hours on a Sunday."""

    date: date
    hours: tuple[Interval, ...]

    def __post_init__(self) -> None:
        _in_order(self.hours)


class Week(Struct, frozen=True):
    mon: tuple[Interval, ...] = ()
    tue: tuple[Interval, ...] = ()
    wed: tuple[Interval, ...] = ()
    thu: tuple[Interval, ...] = ()
    fri: tuple[Interval, ...] = ()
    sat: tuple[Interval, ...] = ()
    sun: tuple[Interval, ...] = ()

    def __post_init__(self) -> None:
        for name in WEEKDAYS:
            _in_order(getattr(self, name))


Allowance = Annotated[str, Meta(pattern=r"^[0-9]{1,4}(h|bd)$(?!\n)")]


class Allowances(Struct, frozen=True):
    down: Allowance
    serious: Allowance
    moderate: Allowance
    limited: Allowance


class FirstResponseTerms(Struct, frozen=True, rename={"on_premises": "on-premises"}):
    """First-response allowances by deployment and severity."""

    cloud: Allowances
    on_premises: Allowances


class SupportTerms(Struct, frozen=True):
    week: Week
    business_day_minutes: Annotated[int, Meta(ge=1, le=1_440)]
    holidays: tuple[date | HolidayHours, ...]
    at_risk_percent: Annotated[int, Meta(ge=1, le=100)]
    news_grace_minutes: Annotated[int, Meta(ge=0, le=100_000)]
    first_response: FirstResponseTerms


def minutes_of_allowance(allowance: Allowance, terms: SupportTerms) -> int:
    """The open minutes of "4h" or "2bd"; a business day has the terms' `business_day_minutes`."""
    if allowance.endswith("bd"):
        return int(allowance[:-2]) * terms.business_day_minutes
    return int(allowance[:-1]) * 60


class QuotaTerms(Struct, frozen=True):
    chf_per_hour: Decimal
    warn_percent: tuple[Annotated[int, Meta(ge=1, le=1_000)], ...]

    def __post_init__(self) -> None:
        _between("chf_per_hour", self.chf_per_hour, 1, 1_000_000_000)


class Terms(Struct, frozen=True):
    """One complete document of terms. Every field is required: half a promise is none."""

    zone: str
    uptime: UptimeTerms
    outage: OutageTerms
    support: SupportTerms
    quota: QuotaTerms


BUILT_IN_VERSION = "2023-02-02"

_OFFICE_HOURS: tuple[Interval, ...] = (("08:00", "17:00"),)

BUILT_IN = Terms(
    zone="Europe/Zurich",
    uptime=UptimeTerms(
        target_percent=Decimal("99.5"),
        close_after_hours=6,
        bridge_hours=6,
        maintenance=Maintenance(excluded=False, notice_hours=48),
        credit=StartedDay(),
    ),
    outage=OutageTerms(longer_than_hours=24, credit=StartedDay()),
    support=SupportTerms(
        week=Week(
            mon=_OFFICE_HOURS, tue=_OFFICE_HOURS, wed=_OFFICE_HOURS, thu=_OFFICE_HOURS, fri=_OFFICE_HOURS
        ),
        business_day_minutes=540,
        holidays=(),
        at_risk_percent=75,
        news_grace_minutes=5,
        first_response=FirstResponseTerms(
            cloud=Allowances(down="1h", serious="4h", moderate="1bd", limited="2bd"),
            on_premises=Allowances(down="4h", serious="1bd", moderate="2bd", limited="3bd"),
        ),
    ),
    quota=QuotaTerms(chf_per_hour=Decimal("1000"), warn_percent=(75, 90, 100)),
)
"""The published page of 2 February 2023, in force from the beginning."""
