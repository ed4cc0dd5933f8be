"""A component's cuts: maximal stretches of down time, as credits count them (contract 4)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from services.sla import outages
from services.sla.availability import Span, Status
from services.sla.credits import length
from services.status.history.causes import causes_in
from services.status.history.conditions import public_id
from services.status.history.watched import Watched, causes_between, corrections_touching
from services.status.site import Cut

_ENDS_A_CUT = (Status.UP, Status.UNMEASURED)


def begun_before(spans: Sequence[Span], since: int) -> int:
    """The place in `spans` from which on cuts must be looked for anew where history changed from `since` on
    (ms): every cut before it has ended for good."""
    place = max(bisect_right(spans, since - 1, key=lambda span: span[0]) - 1, 0)
    while place and spans[place][2] not in _ENDS_A_CUT:
        place -= 1
    return place


def cuts(component: str, spans: list[Span], watched: Sequence[Watched], down_since: int | None) -> list[Cut]:
    """The cuts in `spans`, ascending; `spans` begin outside of any.

    `down_since`: the component is down now, since then (ms). How long it lasts is known once it was observed
    for a while; until then it is a cut of no length.
    """
    found = []
    for cut in outages.cuts(spans, False):
        ends_at = cut.pieces[-1][1]
        found.append(_cut(component, cut.start, ends_at, cut.ended, length(cut.pieces), watched))
    lasting = bool(found) and found[-1].ends_at is None
    if down_since is not None and not lasting and _status(spans, down_since) is Status.WAITING:
        found.append(_cut(component, down_since, down_since, False, 0, watched))
    return found


def _status(spans: Sequence[Span], at: int) -> Status | None:
    place = bisect_right(spans, at, key=lambda span: span[0]) - 1
    return spans[place][2] if place >= 0 else None


def _cut(component: str, start: int, end: int, ended: bool, down_ms: int, watched: Sequence[Watched]) -> Cut:
    bits = 0
    for each in watched:
        bits |= causes_between(each, start, max(end - 1, start))
    corrected = any(corrections_touching(each, start - 1, end + 1) for each in watched)
    return Cut(
        public_id(component, "cut", start),
        component,
        start,
        end if ended else None,
        down_ms,
        causes_in(bits),
        corrected,
    )
