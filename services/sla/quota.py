"""The support quota: an hour for each full CHF 1'000 a subscription year, and warnings before it runs out
(contract 6).

Like credits: what a year's quota and used minutes are is worked out from history as it stands; what differs
from what was said is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache, partial

from services.sla.deadlines import Entry, Request
from services.sla.spoken import Unstamped
from services.sla.subscriptions import Subscription, Year
from services.sla.terms import Book
from shared import calendar, outcomes

_MONTHS = 12
_DAY = timedelta(days=1)


def next_due(subscription: Subscription, zone: str) -> int | None:
    """The next instant (ms) at which time alone changes the quota: a year begins, or a price comes into force
    in the last year that began."""
    following = _next_year(subscription)
    begins = None if _ended(subscription, following) else calendar.day_start(following, zone)
    today = calendar.local_date(subscription.looked_at, zone)
    prices = [
        calendar.day_start(day, zone)
        for day in subscription.prices.days
        if today < day < following and subscription.years
    ]
    return min([*prices, *([] if begins is None else [begins])], default=None)


def on_time(
    subscription: Subscription, requests: Mapping[str, Request], book: Book, due: int
) -> list[Unstamped]:
    """What is concluded because `due` (ms) has come: a year opens, or a higher price is in force."""
    now = subscription.looked_at = max(subscription.looked_at, due)
    following, today = _next_year(subscription), calendar.local_date(now, book.zone)
    if following > today or _ended(subscription, following):
        return restated(subscription, requests, book, now)
    quota, version = _quota(subscription, following, book, today)
    subscription.years[following] = year = Year(quota, version)
    for ticket in subscription.worked:
        _recount(subscription, following, ticket, requests[ticket], book.zone)
    names = _of(subscription, following)
    opened = partial(outcomes.QuotaOpened, *names, quota, year.used_minutes, version)
    return [opened, *_warnings(subscription, following, book)]


def restated(
    subscription: Subscription, requests: Mapping[str, Request], book: Book, now: int
) -> list[Unstamped]:
    """What is concluded at `now` (ms) when price, terms or service window may have changed."""
    said: list[Unstamped] = []
    today = calendar.local_date(now, book.zone)
    for starts_on, year in subscription.years.items():
        changed: list[Unstamped] = []
        quota = _quota(subscription, starts_on, book, today)
        if quota != (year.quota_minutes, year.terms):
            year.quota_minutes, year.terms = quota
            names = _of(subscription, starts_on)
            changed.append(partial(outcomes.QuotaChanged, *names, quota[0], year.used_minutes, quota[1]))
        for ticket in sorted(subscription.worked):
            changed += _recount(subscription, starts_on, ticket, requests[ticket], book.zone)
        said += changed + (_warnings(subscription, starts_on, book) if changed else [])
    return said


def reclassified(subscription: Subscription, ticket: str, request: Request, book: Book) -> list[Unstamped]:
    """What is concluded when the kind of a request has changed: all its work comes along."""
    said: list[Unstamped] = []
    for starts_on in subscription.years:
        if changed := _recount(subscription, starts_on, ticket, request, book.zone):
            said += changed + _warnings(subscription, starts_on, book)
    return said


def entered(
    subscription: Subscription, ticket: str, request: Request, before: Entry | None, after: Entry, book: Book
) -> list[Unstamped]:
    """What is concluded when an entry of the request has become `after`; `before` None: it is new."""
    subscription.worked[ticket] = None
    said: list[Unstamped] = []
    if request.kind != "account":
        return said
    for starts_on, year in subscription.years.items():
        in_year = _dates(subscription, starts_on)
        minutes = year.counted.get(ticket, 0) + _minutes(after, in_year, book.zone)
        if before is not None:
            minutes -= _minutes(before, in_year, book.zone)
        if changed := _used(subscription, starts_on, ticket, minutes):
            said += changed + _warnings(subscription, starts_on, book)
    return said


def _recount(
    subscription: Subscription, starts_on: date, ticket: str, request: Request, zone: str
) -> list[Unstamped]:
    in_year = _dates(subscription, starts_on)
    minutes = sum(_minutes(entry, in_year, zone) for entry in request.work.values())
    return _used(subscription, starts_on, ticket, minutes if request.kind == "account" else 0)


def _used(subscription: Subscription, starts_on: date, ticket: str, minutes: int) -> list[Unstamped]:
    """Says how much of the year is used now that `minutes` of it are the ticket's, if that is news."""
    year = subscription.years[starts_on]
    before = year.counted.get(ticket, 0)
    if minutes == before:
        return []
    year.counted[ticket] = minutes
    year.used_minutes += minutes - before
    names = _of(subscription, starts_on)
    return [partial(outcomes.QuotaUsed, *names, ticket, year.used_minutes, year.quota_minutes)]


def _warnings(subscription: Subscription, starts_on: date, book: Book) -> list[Unstamped]:
    """Each crossing of a threshold once; falling below again re-arms it, and says so."""
    year, said = subscription.years[starts_on], list[Unstamped]()
    used, quota = year.used_minutes, year.quota_minutes
    percents = _percents(book.on(starts_on).terms.quota.warn_percent)
    if year.warned:
        year.warned = [percent for percent in year.warned if percent in percents]
    for percent in percents:
        crossed = used > 0 and used * 100 >= percent * quota
        if crossed == (percent in year.warned):
            continue
        if crossed:
            year.warned.append(percent)
        else:
            year.warned.remove(percent)
        kind = outcomes.QuotaWarned if crossed else outcomes.QuotaRestored
        said.append(partial(kind, *_of(subscription, starts_on), percent, used, quota))
    return said


@lru_cache(maxsize=64)
def _percents(warn_percent: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(warn_percent)))


def _quota(subscription: Subscription, starts_on: date, book: Book, today: date) -> tuple[int, str]:
    """The year's quota in minutes, by the highest price in force on any of its dates up to today, and the
    version of its terms: those in force on its first day."""
    last = min(_end(subscription, starts_on), today + _DAY)
    prices = [subscription.prices.on(starts_on)]
    prices += [
        price
        for day, price in zip(subscription.prices.days, subscription.prices.values, strict=True)
        if starts_on < day < last
    ]
    annual = Fraction(max(prices) * (_MONTHS // subscription.term_months), 100)
    version = book.on(starts_on)
    return int(annual // Fraction(version.terms.quota.chf_per_hour)) * 60, version.version


def _dates(subscription: Subscription, starts_on: date) -> tuple[date, date]:
    """The year's dates in the service window: the first, and the first after them."""
    end = _end(subscription, starts_on)
    return starts_on, end if subscription.ends_on is None else min(end, subscription.ends_on)


def _minutes(entry: Entry, dates: tuple[date, date], zone: str) -> int:
    """The entry's minutes if it was done on one of the dates."""
    return entry.minutes if dates[0] <= calendar.local_date(entry.at, zone) < dates[1] else 0


def _next_year(subscription: Subscription) -> date:
    """First date of the first year that is not opened; years are counted from the original `starts_on`."""
    return calendar.term_start(subscription.starts_on, _MONTHS, len(subscription.years))


def _end(subscription: Subscription, starts_on: date) -> date:
    """The first date after the year that begins on `starts_on`."""
    number = starts_on.year - subscription.starts_on.year
    return calendar.term_start(subscription.starts_on, _MONTHS, number + 1)


def _ended(subscription: Subscription, day: date) -> bool:
    return subscription.ends_on is not None and day >= subscription.ends_on


def _of(subscription: Subscription, starts_on: date) -> tuple[str, str, date]:
    return subscription.account, subscription.subscription, starts_on
