"""Monthly uptime and the credit for a month that missed it (contract 3, and 4, uptime credit)."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any

from services.sla.availability import (
    UNMEASURED,
    Span,
    Status,
    View,
    month_bounds,
    target_periods,
)
from services.sla.credits import (
    Piece,
    Worked,
    by_millisecond,
    length,
    rate_line,
    started_days,
    within,
    worked,
)
from services.sla.subscriptions import Figures, daily_rate
from shared import calendar
from shared.terms import Exact, Tiers
from shared.time import HOUR


def month_figures(view: View, month: date, spans: list[Span], terms: str) -> Figures:
    """The month's figures from `spans`, which cover (month ∩ service window); `terms` is the version
    that judges it. The promise is missed strictly below the target, decided in whole numbers."""
    start, end = month_bounds(view, month)
    totals = dict.fromkeys(Status, 0)
    for begins, ends, status in spans:
        if begins < end and ends > start:
            totals[status] += min(ends, end) - max(begins, start)
    window_ms = sum(totals.values()) - totals[Status.NO_TARGET]
    excluded_ms = totals[Status.EXCLUDED] + totals[Status.EXCLUDED_DOWN]
    unmeasured_ms = sum(totals[status] for status in UNMEASURED)
    down_ms = totals[Status.DOWN]
    measured_ms = window_ms - excluded_ms - unmeasured_ms
    missed = measured_ms > 0 and _below(view, month, measured_ms, down_ms)
    return Figures(
        window_ms,
        excluded_ms,
        unmeasured_ms,
        down_ms,
        shown_percent(measured_ms - down_ms, measured_ms) if measured_ms else None,
        not missed if measured_ms else None,
        terms,
    )


def _below(view: View, month: date, measured_ms: int, down_ms: int) -> bool:
    target = Fraction(view.terms_of(month).terms.uptime.target_percent)
    return (measured_ms - down_ms) * 100 < measured_ms * target


def shown_percent(up_ms: int, measured_ms: int) -> str:
    """The percentage, floored to three decimals: 99.4999 never shows as 99.5."""
    thousandths = up_ms * 100_000 // measured_ms
    return f"{thousandths // 1_000}.{thousandths % 1_000:03d}"


def uptime_credit(
    view: View, month: date, figures: Figures, spans: list[Span], longer_cuts: list[list[Piece]]
) -> Worked | None:
    """What a closed month that missed the promise earns, for down time that belongs to no longer cut."""
    if figures.met is not False:
        return None
    start, end = month_bounds(view, month)
    down = within([(a, b) for a, b, status in spans if status is Status.DOWN], start, end)
    paid = {piece for cut in longer_cuts for piece in within(cut, start, end)}
    unpaid = [piece for piece in down if piece not in paid]  # a longer cut holds a piece whole or not at all
    version = view.terms_of(month)
    rule = version.terms.uptime.credit
    measured_ms = figures.window_ms - figures.excluded_ms - figures.unmeasured_ms
    calculation: dict[str, Any] = {
        "rule": "exact" if isinstance(rule, Exact) else "tiers" if isinstance(rule, Tiers) else "started-day",
        "measured_ms": measured_ms,
        "down_ms": figures.down_ms,
        "in_longer_cuts_ms": length(paid),
        "counted_ms": length(unpaid),
        "uptime_percent": figures.uptime_percent,
        "target_percent": str(version.terms.uptime.target_percent),
    }
    if isinstance(rule, Exact):
        exact, lines = by_millisecond(view, unpaid)
        return worked(exact, version.version, {**calculation, "days": lines})
    if isinstance(rule, Tiers):
        exact, extra = _by_tier(view, month, rule, measured_ms, length(unpaid))
        return worked(exact, version.version, {**calculation, **extra})
    day = view.first_day(month)
    count = started_days(length(unpaid))
    exact = daily_rate(view.subscription, day) * count
    return worked(exact, version.version, {**calculation, "days": [rate_line(view, day)] * count})


def _by_tier(
    view: View, month: date, rule: Tiers, measured_ms: int, counted_ms: int
) -> tuple[Fraction, dict[str, Any]]:
    """A percentage of the month's fee by the uptime reached without the longer cuts' down time."""
    reached = [
        tier
        for tier in rule.tiers
        if (measured_ms - counted_ms) * 100 < measured_ms * Fraction(tier.below_percent)
    ]
    lowest = min(reached, key=lambda tier: tier.below_percent, default=None)
    percent = Fraction(lowest.percent_of_fee) if lowest else Fraction(0)
    end_on = calendar.next_month(month)
    if view.subscription.ends_on is not None:
        end_on = min(end_on, view.subscription.ends_on)
    fee = sum(
        (daily_rate(view.subscription, day) for day in calendar.dates(view.first_day(month), end_on)),
        Fraction(0),
    )
    shown = {
        "uptime_without_longer_cuts_percent": shown_percent(measured_ms - counted_ms, measured_ms),
        "below_percent": str(lowest.below_percent) if lowest else None,
        "percent_of_fee": str(lowest.percent_of_fee) if lowest else "0",
        "fee": str(fee / 100),
    }
    return fee * percent / 100, shown


def next_close(view: View) -> tuple[int, date] | None:
    """When the next month closes, and which: the calendar month's end + `close_after_hours` of its terms.

    A month in which the subscription has no window (or no target) is not closed.
    """
    best: tuple[int, date] | None = None
    month = calendar.month_of(view.subscription.starts_on)
    last_change = view.subscription.targets.days[-1]
    while True:
        while month in view.subscription.months:
            month = calendar.next_month(month)
        start, end = month_bounds(view, month)
        if start >= view.window_end or (best is not None and end > best[0]):
            return best
        served = _is_served(view, max(start, view.window_start), min(end, view.window_end))
        if served:
            due = end + view.terms_of(month).terms.uptime.close_after_hours * HOUR
            best = min(best, (due, month)) if best else (due, month)
        if not served and month > last_change and not view.subscription.targets.values[-1]:
            return best
        month = calendar.next_month(month)


def _is_served(view: View, start: int, end: int) -> bool:
    return start < end and any(names for _, _, names in target_periods(view, start, end))


def closed_until(view: View) -> int | None:
    """The end of the last closed month (ms)."""
    months = view.subscription.months
    return month_bounds(view, next(reversed(months)))[1] if months else None
