"""Why a credit was granted: the promise, what happened, the terms, the sum (contract 2, 3 and 4).

Pure: the log's own records in, one document out. Nothing is computed a second way: states, cuts and terms
come from the replayed fold, the sum from the credit itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from msgspec import Struct

from services.cli.audit.arithmetic import Step, steps
from services.cli.audit.credit_history import Replayed, Revision, Told
from services.cli.audit.promise import Promise, promise, terms_used
from services.sla.availability import View, availability, known_until, month_bounds, target_periods
from services.sla.outages import cuts
from services.sla.subscriptions import Figures
from services.sla.terms import Version
from services.sla.timeline import Seen, Timeline, stretches
from shared import facts
from shared.calendar import local_date
from shared.errors import NeedsAPerson
from shared.money import Amount
from shared.outcomes import Credit
from shared.time import HOUR, Instant, format_instant, parse_instant

AROUND = HOUR
"""How far the state before a cut is shown, and the one after it where it was known by then (ms)."""


class Unfounded(NeedsAPerson):
    """A credit stands on the log that does not follow from the journal."""


class Stretch(Struct, frozen=True):
    """A target's state from one instant to another; `because` holds the votes it was concluded from."""

    target: str
    starts_at: Instant
    ends_at: Instant
    state: str
    because: tuple[facts.Because, ...]


class Correction(Struct, frozen=True):
    target: str
    starts_at: Instant
    ends_at: Instant
    state: str
    reason: str
    author: str


class Maintenance(Struct, frozen=True):
    """`counts` says whether it is excluded time by the terms, and why."""

    target: str
    maintenance: str
    starts_at: Instant
    ends_at: Instant
    counts: str


class RevisionLine(Struct, frozen=True):
    revision: int
    recorded_at: Instant | None
    recorded_with: str
    amount: Amount
    total: Amount


class Proof(Struct, frozen=True):
    """`agrees`: replaying `entries` of the journal gave the very bytes on the log; `digest` is the running
    digest of all that stands before the last revision."""

    agrees: bool
    partition: int
    offset: int
    entries: int
    digest: str


class Explanation(Struct, frozen=True):
    """`starts_at` and `ends_at` are the cut's, or those of (month ∩ service window); `down_ms` its down time
    (ms), `counted_ms` what of it this credit is for. `lasts`: the cut had not ended yet. `figures` are the
    month's, None for a cut."""

    credit: str
    account: str
    subscription: str
    cause: str
    period: str
    currency: str
    total: Amount
    zone: str
    promise: Promise
    starts_at: Instant
    ends_at: Instant
    down_ms: int
    lasts: bool
    counted_ms: int
    figures: Figures | None
    stretches: tuple[Stretch, ...]
    corrections: tuple[Correction, ...]
    maintenance: tuple[Maintenance, ...]
    terms: str
    terms_used: dict[str, str]
    steps: tuple[Step, ...]
    exact: str
    revisions: tuple[RevisionLine, ...]
    proof: Proof
    claims: tuple[Told, ...]
    """The changes of state in it, with where in the probe results each comes from."""


def explained(revisions: Sequence[Revision], replay: Replayed) -> Explanation:
    """The explanation of a credit from its revisions, ascending, and the journal up to the last of them.

    Raises Unfounded."""
    credit = revisions[-1].credit
    history = replay.history
    if not replay.said:
        raise Unfounded(
            f"The journal leads to no credit {credit.credit}: replayed from its beginning to offset "
            f"{credit.journal.offset} of partition {credit.journal.partition} it never says it. "
            "Do not pay it; find out who wrote it to the log."
        )
    view = View(history.subscriptions[credit.subscription], history.targets, history.book)
    if credit.cause == "outage":
        start, end, down_ms, lasts = _cut(view, revisions)
        version, figures = view.book.on(local_date(start, view.zone)), None
        shown = (start - AROUND, max(end, min(end + AROUND, known_until(view))))
    else:
        month = date.fromisoformat(f"{credit.period}-01")
        bounds = month_bounds(view, month)
        start, end = max(bounds[0], view.window_start), min(bounds[1], view.window_end)
        lasts, version = False, view.terms_of(month)
        figures = view.subscription.months[month].figures
        down_ms, shown = figures.down_ms, (start, end)
    found = list(_stretches(view, replay, *shown))
    if figures is not None:
        found = [one for one in found if one.state != _WORDS[Seen.UP]]
    else:
        found = [one for one in found if one.ends_at >= start and one.starts_at <= end]
    return Explanation(
        credit=credit.credit,
        account=credit.account,
        subscription=credit.subscription,
        cause=credit.cause,
        period=credit.period,
        currency=credit.currency,
        total=credit.total,
        zone=view.zone,
        promise=promise(credit.cause, version.terms),
        starts_at=Instant(start),
        ends_at=Instant(end),
        down_ms=down_ms,
        lasts=lasts,
        counted_ms=credit.calculation.get("counted_ms", credit.calculation.get("down_ms", 0)),
        figures=figures,
        stretches=tuple(found),
        corrections=tuple(_corrections(view, replay, start, end)),
        maintenance=tuple(_maintenance(view, start, end)),
        terms=credit.terms,
        terms_used=terms_used(credit.cause, version),
        steps=steps(credit),
        exact=str(credit.calculation.get("exact", "0")),
        revisions=tuple(_revision(one.credit, replay) for one in revisions),
        proof=Proof(
            replay.said == [one.data for one in revisions],
            credit.journal.partition,
            credit.journal.offset,
            replay.entries,
            credit.journal.digest,
        ),
        claims=tuple(_claims(view, replay, start, end, found)),
    )


def _cut(view: View, revisions: Sequence[Revision]) -> tuple[int, int, int, bool]:
    """The cut's start and end, its down time (ms), and whether it lasts, as the last revision that wanted a
    credit saw it: one that was taken back is no longer in the history."""
    start = parse_instant(revisions[-1].credit.period)
    worked = next(
        (one.credit.calculation for one in reversed(revisions) if "ends_at" in one.credit.calculation), None
    )
    end = parse_instant(worked["ends_at"]) if worked else start
    over = view.window_end <= view.subscription.looked_at
    spans = availability(view, start, max(known_until(view), view.subscription.looked_at) + 1)
    still = [cut for cut in cuts(spans, over) if cut.start == start]
    return start, end, int(worked["down_ms"]) if worked else 0, any(not cut.ended for cut in still)


_WORDS = {
    Seen.UP: "up",
    Seen.DOWN: "down",
    Seen.UNMEASURED: "unmeasured",
    Seen.SILENT: "unmeasured",
    Seen.WAITING: "unmeasured",
}


def _stretches(view: View, replay: Replayed, start: int, end: int) -> Iterator[Stretch]:
    """What each target was seen as from `start` to `end`, in the order of time."""
    for target in _targets(view, start, end):
        told = replay.targets.get(target, [])
        timeline = view.targets.get(target) or Timeline()
        for begins, ends, seen in stretches(timeline, start, end, view.bridge_ms):
            because = _because(told, begins, seen) if seen in (Seen.DOWN, Seen.UNMEASURED) else ()
            yield Stretch(target, Instant(begins), Instant(ends), _WORDS[seen], because)


def _because(told: Sequence[Told], at: int, seen: Seen) -> tuple[facts.Because, ...]:
    """The votes of the last said change to that state at or before `at`."""
    said = [one.fact for one in told if isinstance(one.fact, facts.TargetStateChanged)]
    found = [one for one in said if one.at <= at and one.state == seen.name.lower()]
    return max(found, key=lambda one: one.at).because if found else ()


def _targets(view: View, start: int, end: int) -> list[str]:
    start, end = max(start, view.window_start), min(end, view.window_end)
    names = [name for _, _, found in target_periods(view, start, end) for name in found]
    return list(dict.fromkeys(names))


def _claims(view: View, replay: Replayed, start: int, end: int, found: Sequence[Stretch]) -> Iterator[Told]:
    """The last said change of state where down time begins, and where it ends, in the order of time."""
    edges = {
        (one.target, at)
        for one in found
        if one.state == _WORDS[Seen.DOWN]
        for at in (one.starts_at, one.ends_at)
        if start <= at <= end
    }
    last = {
        (target, one.fact.at): one
        for target in _targets(view, start, end)
        for one in replay.targets.get(target, ())
        if isinstance(one.fact, facts.TargetStateChanged)
    }
    yield from (last[edge] for edge in sorted(edges & last.keys(), key=lambda edge: (edge[1], edge[0])))


def _corrections(view: View, replay: Replayed, start: int, end: int) -> Iterator[Correction]:
    for target in _targets(view, start, end):
        for one in replay.targets.get(target, ()):
            fact = one.fact
            if isinstance(fact, facts.DowntimeCorrected) and fact.starts_at < end and fact.ends_at > start:
                yield Correction(target, fact.starts_at, fact.ends_at, fact.state, fact.reason, fact.author)


def _maintenance(view: View, start: int, end: int) -> Iterator[Maintenance]:
    for target in _targets(view, start, end):
        timeline = view.targets.get(target) or Timeline()
        for name, planned in timeline.maintenance.items():
            ends_at = planned.ends_at if planned.cancelled_at is None else planned.cancelled_at
            ends_at = min(planned.ends_at, ends_at)
            if planned.starts_at < end and planned.ends_at > start:
                notice_ms = planned.starts_at - planned.announced_at
                version = view.terms_of(local_date(max(planned.starts_at, start), view.zone).replace(day=1))
                counts = _counts(version, notice_ms, ends_at > planned.starts_at)
                yield Maintenance(
                    target, name, Instant(planned.starts_at), Instant(max(ends_at, planned.starts_at)), counts
                )


def _counts(version: Version, notice_ms: int, held: bool) -> str:
    rule = version.terms.uptime.maintenance
    if not rule.excluded:
        return f"no: terms {version.version} count maintenance like any other time"
    if not held:
        return "no: cancelled before it began"
    if notice_ms < rule.notice_hours * HOUR:
        return f"no: announced less than {rule.notice_hours} h before"
    return "yes: this time is excluded"


def _revision(credit: Credit, replay: Replayed) -> RevisionLine:
    told = replay.causes.get(credit.journal.offset)
    return RevisionLine(
        credit.revision,
        told.recorded_at if told else None,
        _event(told.fact) if told else "a fact that was rejected",
        credit.amount,
        credit.total,
    )


def _event(fact: facts.Fact) -> str:
    """What a journal entry says, in a few words."""
    match fact:
        case facts.ClockAdvanced():
            return "time went on: a month closed or the service window ended"
        case facts.TargetStateChanged():
            return f"news: {fact.target} {fact.state} from {format_instant(fact.at)}"
        case facts.TargetObserved():
            return f"news: {fact.target} watched until {format_instant(fact.through)}"
        case facts.DowntimeCorrected():
            return f"correction by {fact.author}: {fact.reason}"
        case facts.MaintenanceAnnounced() | facts.MaintenanceCancelled():
            return f"maintenance {fact.maintenance} of {fact.target}"
        case facts.SubscriptionStarted():
            return f"start of {fact.subscription}"
        case facts.SubscriptionChanged():
            return f"change of {fact.subscription} from {fact.effective_on}"
        case facts.SubscriptionCancelled():
            return f"end of {fact.subscription} on {fact.ends_on}"
        case facts.TermsPublished():
            return f"terms {fact.version}, in force from {fact.effective_on}"
        case _:
            return type(fact).__name__
