"""Months and credits of one subscription as a function of everything known (contract 3 and 4)."""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from tests.oracle.clock import (
    DAY,
    HOUR,
    day_start,
    local_date,
    month_first,
    next_day,
    next_month,
    show,
    term_days,
)
from tests.oracle.known import Known, ends_on, in_force, starts_on, window
from tests.oracle.timeline import Cut, Stretch, cuts, month_terms, subscription_stretches, window_in_month


def month_due(known: Known, subscription: str, first: date) -> int:
    """The instant from which the month may be closed."""
    hours = month_terms(known, subscription, first).body["uptime"]["close_after_hours"]
    return int(day_start(next_month(first)) + hours * HOUR)


def months_due(known: Known, subscription: str, until: int, closed: set[date]) -> list[tuple[int, date]]:
    """(due, month) of every month not yet closed that has a window and is due at or before `until`."""
    due, first = [], month_first(starts_on(known, subscription))
    said = [known.starts[subscription], *known.changes.get(subscription, [])]
    if not any(fact.get("targets") for fact in said):
        return []
    while day_start(next_month(first)) <= until:
        if first not in closed:
            at = month_due(known, subscription, first)
            if at <= until and window_in_month(known, subscription, first) > 0:
                due.append((at, first))
        first = next_month(first)
    return due


def daily_rate(known: Known, subscription: str, day: date) -> Fraction:
    """Price in force that day / days of the term that contains it; exact."""
    start = known.starts[subscription]
    months = {"year": 12, "month": 1}[start["term"]]
    days = term_days(starts_on(known, subscription), months, day)
    return Fraction(in_force(known, subscription, "price", day)) / days


def rounded(exact: Fraction) -> int:
    """Hundredths, half up."""
    return int((exact * 100 + Fraction(1, 2)) // 1) if exact else 0


def money(hundredths: int) -> str:
    sign = "-" if hundredths < 0 else ""
    return f"{sign}{abs(hundredths) // 100}.{abs(hundredths) % 100:02d}"


@dataclass(frozen=True)
class Wanted:
    """The whole of one credit, in hundredths of the currency unit."""

    cause: str
    period: str
    total: int
    terms: str


class View:
    """One subscription as seen at journal time `now` with some of its months closed."""

    def __init__(self, known: Known, subscription: str, now: int, far: int) -> None:
        self.known, self.subscription = known, subscription
        self.stretches: list[Stretch] = subscription_stretches(known, subscription, far)
        end = window(known, subscription)[1]
        self.cuts: list[Cut] = cuts(self.stretches, end is not None and end <= now)
        self._figures: dict[date, dict[str, Any]] = {}  # a memory of `figures`

    def _first_day(self, first: date) -> date:
        return max(first, starts_on(self.known, self.subscription))

    def figures(self, first: date) -> dict[str, Any]:
        """The fields of MonthClosed from `window_ms` on."""
        if first not in self._figures:
            self._figures[first] = self._counted(first)
        return self._figures[first]

    def _counted(self, first: date) -> dict[str, Any]:
        start, end = day_start(first), day_start(next_month(first))
        spent = {"down": 0, "excluded": 0, "unmeasured": 0, "up": 0, "none": 0}
        for part in self.stretches:
            if part.start < end and start < part.end:
                spent[part.state] += min(part.end, end) - max(part.start, start)
        total = sum(spent.values()) - spent["none"]
        measured = total - spent["excluded"] - spent["unmeasured"]
        terms = month_terms(self.known, self.subscription, first)
        percent, met = None, None
        if measured > 0:
            uptime = Fraction(measured - spent["down"], measured)
            met = uptime >= Fraction(terms.body["uptime"]["target_percent"]) / 100
            thousandths = uptime * 100_000 // 1
            percent = f"{thousandths // 1000}.{thousandths % 1000:03d}"
        return {
            "window_ms": total,
            "excluded_ms": spent["excluded"],
            "unmeasured_ms": spent["unmeasured"],
            "down_ms": spent["down"],
            "uptime_percent": percent,
            "met": met,
            "terms": terms.version,
        }

    def wanted(self, closed: set[date]) -> dict[str, Wanted]:
        """Every credit that is not zero, by its id."""
        reach = max((day_start(next_month(first)) for first in closed), default=None)
        found: dict[str, Wanted] = {}
        in_longer: list[tuple[int, int]] = []
        for cut in self.cuts:
            if cut.lasting and reach is None:
                continue
            parts = cut.until(reach) if cut.lasting and reach is not None else list(cut.parts)
            terms = self.known.terms_on(local_date(cut.start))
            if sum(end - start for start, end in parts) <= terms.body["outage"]["longer_than_hours"] * HOUR:
                continue
            in_longer += parts
            if terms.body["outage"]["credit"]["rule"] == "exact":
                exact = self._to_the_millisecond(parts)
            else:
                exact = sum((self._rate(day) for day in _started_days(parts)), Fraction(0))
            period = show(cut.start)
            found[f"{self.subscription}/outage/{period}"] = Wanted(
                "outage", period, rounded(exact), terms.version
            )
        for first in sorted(closed):
            total = self._uptime_credit(first, in_longer)
            period, terms = f"{first:%Y-%m}", month_terms(self.known, self.subscription, first)
            found[f"{self.subscription}/uptime/{period}"] = Wanted(
                "uptime", period, rounded(total), terms.version
            )
        return found

    def _uptime_credit(self, first: date, in_longer: list[tuple[int, int]]) -> Fraction:
        figures = self.figures(first)
        if figures["met"] is not False:
            return Fraction(0)
        start, end = day_start(first), day_start(next_month(first))
        clipped = [
            (max(part.start, start), min(part.end, end)) for part in self.stretches if part.state == "down"
        ]
        down = [part for part in clipped if part[0] < part[1]]
        rest = [part for part in down if not any(s <= part[0] and part[1] <= e for s, e in in_longer)]
        length = sum(e - s for s, e in rest)
        rule = month_terms(self.known, self.subscription, first).body["uptime"]["credit"]
        if rule["rule"] == "exact":
            return self._to_the_millisecond(rest)
        if rule["rule"] == "tiers":
            measured = figures["window_ms"] - figures["excluded_ms"] - figures["unmeasured_ms"]
            reached = Fraction(100 * (measured - length), measured)
            tiers = [
                (Fraction(tier["below_percent"]), Fraction(tier["percent_of_fee"]))
                for tier in rule["tiers"]
                if reached < Fraction(tier["below_percent"])
            ]
            return min(tiers)[1] / 100 * self._fee(first) if tiers else Fraction(0)
        return -(-length // DAY) * self._rate(self._first_day(first))

    def _fee(self, first: date) -> Fraction:
        day, fee = self._first_day(first), Fraction(0)
        ends = ends_on(self.known, self.subscription)
        while day < next_month(first) and (ends is None or day < ends):
            fee += self._rate(day)
            day = next_day(day)
        return fee

    def _rate(self, day: date) -> Fraction:
        return daily_rate(self.known, self.subscription, day)

    def _to_the_millisecond(self, parts: list[tuple[int, int]]) -> Fraction:
        total = Fraction(0)
        for start, end in parts:
            while start < end:
                day = local_date(start)
                midnight = day_start(next_day(day))
                stop = min(end, midnight)
                total += self._rate(day) * Fraction(stop - start, midnight - day_start(day))
                start = stop
        return total


def _started_days(parts: list[tuple[int, int]]) -> list[date]:
    """The local date on which each started 24 hours of down time begins."""
    days: list[date] = []
    passed = 0
    for start, end in parts:
        while len(days) * DAY < passed + end - start:
            days.append(local_date(start + len(days) * DAY - passed))
        passed += end - start
    return days
