"""Credits are a function of history; events are differences (contract 4).

At each point of conclusion the closed months and the wanted total of each credit are computed from history
as it stands; where they differ from what was said, a new revision says so. Nothing is ever edited.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal, cast

from msgspec import Struct

from services.sla import ordered
from services.sla.availability import Span, Status, View, availability, known_since, known_until, month_bounds
from services.sla.credits import Piece, Worked
from services.sla.ordered import by_key, place
from services.sla.outages import concluded, cuts, longer, outage_credit, period, terms_of_cut
from services.sla.subscriptions import Closed, Figures, Granted
from services.sla.timeline import NEVER
from services.sla.uptime import closed_until, month_figures, next_close, uptime_credit
from shared import calendar
from shared.money import Amount


class MonthSaid(Struct, frozen=True):
    """A month closed, or said anew."""

    month: date
    revision: int
    figures: Figures


class CreditSaid(Struct, frozen=True):
    """A credit granted (revision 1) or adjusted: `amount` is the difference to what was granted."""

    cause: Literal["uptime", "outage"]
    period: str
    revision: int
    amount: Amount
    worked: Worked


Said = MonthSaid | CreditSaid

_NOTHING = Figures(-1, 0, 0, 0, None, None, "")


def next_due(view: View) -> int | None:
    """The next instant (ms) at which time alone concludes something for the subscription: a month closes or
    the service window ends."""
    window_is_open = view.subscription.looked_at < view.window_end < NEVER
    closing = next_close(view)
    found = [view.window_end] if window_is_open else []
    return min([*found, closing[0]] if closing else found, default=None)


def on_time(view: View, due: int) -> list[Said]:
    """What is concluded because it is `due`, the subscription's next due instant (ms)."""
    since = due
    closing = next_close(view)
    if closing is not None and closing[0] <= due:
        month = closing[1]
        place(view.subscription.months, month, Closed(0, _NOTHING), by_key)
        since = min(since, month_bounds(view, month)[0])
    return on_change(view, since, due)


def on_change(view: View, since: int, now: int) -> list[Said]:
    """What is concluded at `now` when history may have changed from `since` on (ms)."""
    subscription = view.subscription
    now = subscription.looked_at = max(subscription.looked_at, now)
    month, start = _whole_cuts(view, max(since, view.window_start))
    closed_end = closed_until(view)
    end = max(known_until(view), now, closed_end or now) + 1
    spans = availability(view, start, end)
    longer_cuts = _longer_cuts(view, spans, now >= view.window_end, closed_end)

    months: list[Said] = []
    credits: list[CreditSaid] = []
    for closed_month, closed in ordered.since(subscription.months, month, by_key):
        terms = view.terms_of(closed_month).version
        figures = month_figures(view, closed_month, spans, terms)
        if figures != closed.figures:
            closed.revision, closed.figures = closed.revision + 1, figures
            months.append(MonthSaid(closed_month, closed.revision, figures))
        wanted = uptime_credit(view, closed_month, figures, spans, longer_cuts) or _nothing(terms)
        credits += _difference(subscription.uptimes, closed_month, wanted, "uptime", month_name(closed_month))
    outages = {cut[0][0]: outage_credit(view, cut) for cut in longer_cuts}
    granted = ordered.since(subscription.outages, start, by_key)
    for cut_start in sorted({*outages, *(known for known, _ in granted)}):
        wanted = outages.get(cut_start) or _nothing(terms_of_cut(view, cut_start).version)
        credits += _difference(subscription.outages, cut_start, wanted, "outage", period(cut_start))
    return months + sorted(credits, key=lambda said: (said.cause, said.period))


def _longer_cuts(
    view: View, spans: list[Span], window_over: bool, closed_end: int | None
) -> list[list[Piece]]:
    sight = id(spans), window_over, closed_end  # the same availability is the same object, kept in `shared`
    if (known := view.shared.get(sight)) is not None:
        return cast("list[list[Piece]]", known)
    pieces = concluded(cuts(spans, window_over), closed_end)
    view.shared[sight] = found = [cut for cut in pieces if longer(view, cut)]
    return found


def month_name(month: date) -> str:
    """How a month is written: "2026-11"."""
    return f"{month.year:04d}-{month.month:02d}"


def _whole_cuts(view: View, since: int) -> tuple[date, int]:
    """The first month to look at again, and its first instant: back to where no cut may be in progress."""
    month = calendar.month_of(calendar.local_date(since, view.zone))
    first = max(view.window_start, known_since(view))
    while True:
        start = month_bounds(view, month)[0]
        if start <= first:
            return month, start
        before = availability(view, start - 1, start)
        if not before or before[0][2] in (Status.UP, Status.UNMEASURED):
            return month, start
        month = calendar.add_months(month, -1)


def _difference(
    granted: dict[Any, Granted],
    key: Any,
    wanted: Worked,
    cause: Literal["uptime", "outage"],
    named: str,
) -> list[CreditSaid]:
    before = granted.get(key)
    amount = wanted.total - (before.total if before else 0)
    if amount == 0:
        return []
    revision = before.revision + 1 if before else 1
    place(granted, key, Granted(revision, wanted.total), by_key)
    return [CreditSaid(cause, named, revision, Amount(amount), wanted)]


def _nothing(terms: str) -> Worked:
    """No credit is wanted; where one was granted, it is taken back."""
    return Worked(Amount(0), terms, {"rule": "none", "exact": "0"})
