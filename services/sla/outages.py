"""Cuts, and the credit for each one longer than 24 hours (contract 4, outage credit)."""

from __future__ import annotations

from msgspec import Struct

from services.sla.availability import Span, Status, View
from services.sla.credits import Piece, Worked, by_millisecond, by_started_day, length, within, worked
from services.sla.terms import Version
from shared import calendar
from shared.terms import Exact
from shared.time import HOUR, Instant, format_instant


class Cut(Struct, frozen=True):
    """A maximal stretch of down time: its pieces of down time, ascending; excluded time may lie between.

    `ended` once something other than excluded time has been said after it, or the service window is over.
    """

    pieces: list[Piece]
    ended: bool

    @property
    def start(self) -> int:
        return self.pieces[0][0]


_WAITS = (Status.WAITING, Status.EXCLUDED, Status.EXCLUDED_DOWN)
_SAYS_SOMETHING = (Status.UP, Status.UNMEASURED, Status.DOWN)


def cuts(spans: list[Span], window_over: bool) -> list[Cut]:
    """Every cut in `spans`, which begin outside of any cut and go on past all that is known."""
    found: list[Cut] = []
    pieces: list[Piece] = []
    behind = 0  # the first span after the last piece

    for index, (start, end, status) in enumerate(spans):
        if status is Status.DOWN:
            pieces.append((start, end))
            behind = index + 1
        elif pieces and status is not Status.EXCLUDED_DOWN:
            found.append(Cut(pieces, window_over or _has_ended(spans[behind:])))
            pieces = []
    if pieces:
        found.append(Cut(pieces, window_over or _has_ended(spans[behind:])))
    return found


def _has_ended(after: list[Span]) -> bool:
    """Whether the cut right before `after` has ended: not if it waits for news there, and none came later."""
    if after and after[0][2] not in _WAITS:
        return True
    return any(status in _SAYS_SOMETHING for _, _, status in after)


def concluded(found: list[Cut], closed_until: int | None) -> list[list[Piece]]:
    """The down time of each cut that credits are computed from: all of it when the cut has ended; while it
    lasts, as if it had ended at the end of the last closed month (ms); nothing where no month is closed."""
    result = []
    for cut in found:
        if cut.ended:
            result.append(cut.pieces)
        elif closed_until is not None and (until := within(cut.pieces, cut.start, closed_until)):
            result.append(until)
    return result


def longer(view: View, pieces: list[Piece]) -> bool:
    """Whether the cut is strictly longer than the terms of the day it began allow without a credit."""
    return length(pieces) > terms_of_cut(view, pieces[0][0]).terms.outage.longer_than_hours * HOUR


def terms_of_cut(view: View, start: int) -> Version:
    """The terms a cut that began at `start` is judged by: those of that day."""
    return view.book.on(calendar.local_date(start, view.zone))


def outage_credit(view: View, pieces: list[Piece]) -> Worked:
    """What a longer cut earns."""
    version = terms_of_cut(view, pieces[0][0])
    rule = version.terms.outage
    if isinstance(rule.credit, Exact):
        exact, lines = by_millisecond(view, pieces)
    else:
        exact, lines = by_started_day(view, pieces)
    return worked(
        exact,
        version.version,
        {
            "rule": "exact" if isinstance(rule.credit, Exact) else "started-day",
            "starts_at": format_instant(pieces[0][0]),
            "ends_at": format_instant(pieces[-1][1]),
            "down_ms": length(pieces),
            "longer_than_ms": rule.longer_than_hours * HOUR,
            "days": lines,
        },
    )


def period(start: int) -> str:
    """The part of a credit's name after the cause: the cut's start."""
    return format_instant(Instant(start))
