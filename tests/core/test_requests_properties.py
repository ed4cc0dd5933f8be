"""What holds for every history of requests: any cut into prefix and rest, any repeats, work in any order."""

from __future__ import annotations

from datetime import date
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.sla.app.snapshots import Snapshot
from shared import facts, outcomes
from shared.codec import encode_state, state_decoder
from shared.money import Amount
from shared.outcomes import Outcome, Source
from shared.time import DAY, HOUR, Instant
from tests.core.telling import Telling, cancelled, instant, started

Line = tuple[int, facts.Fact]
FEW = settings(max_examples=100, deadline=None)
FIRST, LAST = instant("2026-11-01 00:00"), instant("2028-02-01 00:00")
TICKETS = ("T-1", "T-2", "T-3")
MOMENTS = st.builds(
    lambda days, hours, near: Instant(FIRST + days * DAY + hours * HOUR + near),
    st.integers(0, 420),
    st.sampled_from([0, 7, 8, 9, 12, 15, 16, 17, 23]),
    st.sampled_from([0, 0, 1, -1, HOUR // 2]),
)
SEVERITIES = st.sampled_from(["down", "serious", "moderate", "limited"])
KINDS = st.sampled_from(["account", "account", "bug", "global", "unclassified"])
TICKET = st.sampled_from(TICKETS)
MINUTES = st.sampled_from([0, 1, 30, 45, 60, 150, 300])


def opened(ticket: str, at: Instant, severity: Any, kind: Any) -> facts.RequestOpened:
    return facts.RequestOpened("A-1", "S-1", ticket, severity, kind, at)


OPENED = st.builds(opened, TICKET, MOMENTS, SEVERITIES, KINDS)
WORK = st.one_of(
    st.builds(
        lambda ticket, entry, minutes, at: facts.WorkLogged("A-1", ticket, entry, minutes, at),
        TICKET,
        st.sampled_from(["a", "b", "c"]),
        MINUTES,
        MOMENTS,
    ),
    st.builds(
        lambda ticket, minutes, at: facts.WorkCorrected("A-1", ticket, "a", minutes, at),
        TICKET,
        MINUTES,
        MOMENTS,
    ),
)
NEWS = st.one_of(
    WORK,
    WORK,
    st.builds(lambda t, s, at: facts.SeverityChanged("A-1", t, s, at), TICKET, SEVERITIES, MOMENTS),
    st.builds(lambda t, k, at: facts.RequestClassified("A-1", t, k, at), TICKET, KINDS, MOMENTS),
    st.builds(lambda t, at: facts.FirstResponseSent("A-1", t, at), TICKET, MOMENTS),
    st.builds(lambda t, at: facts.RequestWithdrawn("A-1", t, at), TICKET, MOMENTS),
    st.builds(
        lambda days, price: facts.SubscriptionChanged(
            "A-1", "S-1", date.fromordinal(date(2026, 11, 1).toordinal() + days), price=Amount(price)
        ),
        st.integers(0, 400),
        st.sampled_from([90_000, 200_000, 700_000]),
    ),
    st.sampled_from([cancelled("2027-03-01"), cancelled("2027-12-01")]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Line]:
    """(recorded at, fact), in the order recorded; the last entry is after everything."""
    told: list[facts.Fact] = [started(price="5000.00")]
    told += draw(st.lists(OPENED, min_size=1, max_size=3))
    news = draw(st.lists(st.tuples(MOMENTS, NEWS), min_size=6, max_size=25))
    lines = [(int(FIRST), fact) for fact in told]
    lines += [(int(at), fact) for at, fact in sorted(news, key=lambda line: line[0])]
    return [*lines, (int(LAST), facts.ClockAdvanced())]


def told(lines: list[Line], story: Telling | None = None, *, sourced: bool = False) -> Telling:
    story = story or Telling()
    for number, (at, fact) in enumerate(lines):
        story.at(at).tell(fact, source=Source("facts", 0, number) if sourced else None)
    return story


@given(histories(), st.data())
@FEW
def test_a_prefix_saved_and_read_then_the_rest_is_the_whole(lines: list[Line], data: st.DataObject) -> None:
    whole = told(lines)
    place = data.draw(st.integers(0, len(lines)))
    story = told(lines[:place])
    read = state_decoder(Snapshot).decode(encode_state(Snapshot(story.fold.history)))
    rest = Telling(read.history)
    rest.entries, rest.now = list(story.entries), story.now
    told(lines[place:], rest)
    assert story.bytes_said + rest.bytes_said == whole.bytes_said
    assert rest.fold.next_due == whole.fold.next_due


@given(histories(), st.randoms(use_true_random=False))
@FEW
def test_repeated_facts_change_nothing(lines: list[Line], random: Random) -> None:
    once = told(lines, sourced=True)
    story = Telling()
    for number, (at, fact) in enumerate(lines):
        story.at(at).tell(fact, source=Source("facts", 0, number))
        for repeated in random.sample(range(number + 1), k=min(number, random.choice((0, 0, 1, 3)))):
            assert story.tell(lines[repeated][1], source=Source("facts", 0, repeated)) == []
    assert [without_place(one) for one in story.said] == [without_place(one) for one in once.said]


def without_place(one: Outcome) -> tuple[Any, ...]:
    return tuple(getattr(one, name) for name in one.__struct_fields__ if name not in ("journal", "source"))


@given(histories())
@FEW
def test_what_is_used_is_the_work_that_counts_and_warnings_follow_it(lines: list[Line]) -> None:
    """Worked out anew from all that was accepted: by year, the minutes of requests of kind account."""
    story = told(lines)
    history = story.fold.history
    subscription = history.subscriptions["S-1"]
    for starts_on, year in subscription.years.items():
        end = date(starts_on.year + 1, starts_on.month, starts_on.day)
        end = min(end, subscription.ends_on or end)
        since, until = (instant(f"{day} 00:00") for day in (starts_on, end))
        used = sum(
            entry.minutes
            for request in history.requests.values()
            for entry in request.work.values()
            if request.covered and request.kind == "account" and since <= entry.at < until
        )
        assert year.used_minutes == used
        crossed = [p for p in (75, 90, 100) if used > 0 and used * 100 >= p * year.quota_minutes]
        assert sorted(year.warned) == crossed


@given(histories())
@FEW
def test_warnings_alternate_and_a_due_is_at_risk_once(lines: list[Line]) -> None:
    standing: dict[Any, bool] = {}
    at_risk = set()
    for one in told(lines).said:
        if isinstance(one, outcomes.QuotaWarned):
            place, warned = (one.year_starts_on, one.percent), not isinstance(one, outcomes.QuotaRestored)
            assert standing.get(place, False) != warned
            standing[place] = warned
        elif isinstance(one, outcomes.ResponseAtRisk):
            assert (one.ticket, one.due_at) not in at_risk
            at_risk.add((one.ticket, one.due_at))


@given(st.lists(WORK, max_size=12), st.randoms(use_true_random=False))
@FEW
def test_work_in_any_order_uses_up_the_same(work: list[facts.Fact], random: Random) -> None:
    """Of entries with ids of their own: which came first decides nothing."""
    own = [
        facts.WorkLogged(one.account, one.ticket, f"E-{number}", one.minutes, one.at)
        for number, one in enumerate(work)
        if isinstance(one, facts.WorkLogged)
    ]
    turned = random.sample(own, len(own))
    start: list[Line] = [(int(FIRST), started(price="5000.00"))]
    start += [(int(FIRST), opened(ticket, FIRST, "limited", "account")) for ticket in TICKETS]
    used = [
        [
            (day, year.used_minutes, sorted(year.warned))
            for day, year in told([*start, *((int(LAST), one) for one in order)])
            .fold.history.subscriptions["S-1"]
            .years.items()
        ]
        for order in (own, turned)
    ]
    assert used[0] == used[1]
