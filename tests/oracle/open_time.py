"""Random calendars and arrivals: where the product's open time and the minute-by-minute model disagree."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from services.sla.support_hours import SupportHours
from shared.codec import decode_fact, encode
from shared.facts import TermsPublished
from shared.terms import BUILT_IN
from shared.time import DAY, HOUR, MINUTE
from tests.oracle.office import DAYS, Office, zone_named

AT_ONCE = 500
ZONES = (
    *("Europe/Zurich", "Europe/Zurich", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"),
    *("America/St_Johns", "Pacific/Apia", "Asia/Kathmandu", "Africa/Casablanca", "Europe/Dublin"),
)
"""Half-hour summer time, a skipped date, clocks taken back over midnight, negative summer time."""
TIMES = ("00:00", "00:01", "01:30", "02:00", "02:30", "03:00", "08:00", "12:00", "13:00", "17:00", "23:30")


def interval(rng: random.Random) -> list[str]:
    start, end = sorted(rng.choices([*TIMES, "24:00"], k=2))
    return [start, end]


def calendar(rng: random.Random, near: date) -> tuple[str, dict[str, Any], list[Any]]:
    """A zone, a week with some open time, and holidays around a date."""
    week = {day: [interval(rng) for _ in range(rng.choice([0, 1, 1, 2, 3]))] for day in DAYS}
    week[rng.choice(DAYS)] = [["08:00", "17:00"]]
    holidays: list[Any] = []
    for _ in range(rng.choice([0, 0, 2, 6])):
        day = (near + timedelta(days=rng.randrange(-2, 12))).isoformat()
        hours = [interval(rng) for _ in range(rng.choice([0, 1, 2]))]
        holidays.append({"date": day, "hours": hours} if rng.random() < 0.6 else day)
    return rng.choice(ZONES), week, holidays


def arrival(rng: random.Random, zone: str, near: date) -> int:
    """An instant near a time at which something opens, closes or changes, to the millisecond."""
    hour, minute = map(int, rng.choice(TIMES).split(":"))
    at, fold = (near.year, near.month, near.day, hour, minute), rng.choice([0, 1])
    local = datetime(*at, tzinfo=zone_named(zone), fold=fold)
    ms = int(local.timestamp()) * 1000 + rng.choice([0, 0, 1, -1, MINUTE, -MINUTE, 12_345])
    return ms + rng.choice([0, 0, DAY, 2 * DAY])


SUMMER_TIME = (
    *(date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 24), date(2026, 10, 25), date(2011, 12, 29)),
    *(date(2010, 11, 6), date(2010, 11, 7), date(2026, 11, 1), date(2026, 4, 4), date(2016, 10, 30)),
)


def differences(first: int) -> list[str]:
    """The cases from seed `first` on in which product and model do not agree."""
    found = []
    for seed in range(first, first + AT_ONCE):
        rng = random.Random(seed)
        near = (
            rng.choice(SUMMER_TIME)
            if rng.random() < 0.5
            else date(2026, 1, 1) + timedelta(days=rng.randrange(700))
        )
        zone, week, holidays = calendar(rng, near)
        support = terms_of(zone, week, holidays).support
        product, model = SupportHours(zone, support), Office(zone, week, holidays)
        start = arrival(rng, zone, near)
        allowance = rng.choice([0, 1, MINUTE, HOUR, 4 * HOUR, 9 * HOUR, 18 * HOUR, rng.randrange(20 * HOUR)])
        case = f"seed {seed}: {zone} {week} {holidays} from {start} for {allowance}"
        due = product.after(start, allowance)
        until = start + rng.randrange(3 * DAY)
        if (
            due != model.after(start, allowance)
            or not product.between(start, due) == model.between(start, due) == allowance
            or product.between(start, until) != model.between(start, until)
        ):
            found.append(case)
    return found


def terms_of(zone: str, week: dict[str, Any], holidays: list[Any]) -> Any:
    """The built-in terms with another week, through the form in which terms are published."""
    support = {"week": week, "holidays": holidays}
    plain = TermsPublished("t", date(2026, 1, 1), major=False, terms=BUILT_IN)
    document = msgspec.json.decode(encode(plain))
    document["terms"]["zone"] = zone
    document["terms"]["support"] |= support
    fact = decode_fact(msgspec.json.encode(document))
    assert isinstance(fact, TermsPublished)
    return fact.terms
