"""What holds for every history: any cut into prefix and rest, any repeats, any order, never paid twice."""

from __future__ import annotations

import json
from collections import defaultdict
from hashlib import sha256
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.sla.app.snapshots import Snapshot
from services.sla.availability import Status, View, availability, month_bounds
from services.sla.credits import length, within
from services.sla.history import History
from services.sla.outages import concluded, cuts, longer
from services.sla.uptime import closed_until, uptime_credit
from shared import facts
from shared.codec import encode_state, state_decoder
from shared.outcomes import CreditGranted, MonthClosed, Outcome, Source
from shared.time import DAY
from tests.core.histories import FIRST, LAST, NEWS, beginnings, histories
from tests.core.telling import HOUR, Telling

Line = tuple[int, facts.Fact]
FEW = settings(max_examples=100, deadline=None)


def told(lines: list[Line], story: Telling | None = None, *, sourced: bool = False) -> Telling:
    story = story or Telling()
    for number, (at, fact) in enumerate(lines):
        story.at(at).tell(fact, source=Source("facts", 0, number) if sourced else None)
    return story


def last_totals(said: list[Outcome]) -> dict[str, int]:
    return {one.credit: int(one.total) for one in said if isinstance(one, CreditGranted)}


def last_months(said: list[Outcome]) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {
        (one.subscription, one.month): (
            one.window_ms,
            one.excluded_ms,
            one.unmeasured_ms,
            one.down_ms,
            one.uptime_percent,
            one.met,
            one.terms,
        )
        for one in said
        if isinstance(one, MonthClosed)
    }


@given(histories(), st.data())
@FEW
def test_a_prefix_saved_and_read_then_the_rest_is_the_whole(lines: list[Line], data: st.DataObject) -> None:
    """The same bytes, wherever the service was stopped."""
    whole = told(lines)
    place = data.draw(st.integers(0, len(lines)))
    story = told(lines[:place])
    read = state_decoder(Snapshot).decode(encode_state(Snapshot(story.fold.history)))
    rest = Telling(read.history)
    rest.entries, rest.now = list(story.entries), story.now
    told(lines[place:], rest)
    assert story.bytes_said + rest.bytes_said == whole.bytes_said
    assert rest.fold.history.digest == whole.fold.history.digest
    assert rest.fold.next_due == whole.fold.next_due


@given(histories(), st.randoms(use_true_random=False))
@FEW
def test_repeated_facts_change_nothing(lines: list[Line], random: Random) -> None:
    """Each entry may come again, later and under a new offset of the journal, from the same source."""
    once = told(lines, sourced=True)
    story = Telling()
    for number, (at, fact) in enumerate(lines):
        story.at(at).tell(fact, source=Source("facts", 0, number))
        for repeated in random.sample(range(number + 1), k=min(number, random.choice((0, 0, 1, 3)))):
            assert story.tell(lines[repeated][1], source=Source("facts", 0, repeated)) == []
    assert last_totals(story.said) == last_totals(once.said)
    assert last_months(story.said) == last_months(once.said)
    assert [type(one) for one in story.said] == [type(one) for one in once.said]


@given(beginnings(), st.lists(NEWS, min_size=6, max_size=20), st.randoms(use_true_random=False))
@FEW
def test_facts_in_any_order_give_the_same_totals(
    start: list[facts.Fact], news: list[facts.Fact], random: Random
) -> None:
    """Told at once when all is over, or one after another as months close. Where "the later said" decides
    (two facts for the same thing), there is nothing to compare: such histories keep their first fact."""
    plain = _without_rivals(news)
    turned = list(plain)
    random.shuffle(turned)
    over = LAST + 7 * HOUR
    at_once = told([(over, fact) for fact in [*start, *plain]])
    meanwhile = sorted(random.randrange(FIRST, LAST) for _ in turned)
    lines = [(int(FIRST), fact) for fact in start]
    lines += list(zip(meanwhile, turned, strict=True))
    as_it_came = told([*lines, (over, facts.ClockAdvanced())])
    nonzero = [
        {credit: total for credit, total in last_totals(story.said).items() if total}
        for story in (at_once, as_it_came)
    ]
    assert nonzero[0] == nonzero[1]
    open_months = [
        {month: figures for month, figures in last_months(story.said).items() if figures[0]}
        for story in (at_once, as_it_came)
    ]
    assert open_months[0] == open_months[1]


def _without_rivals(news: list[facts.Fact]) -> list[facts.Fact]:
    """The facts of which no two speak of the same thing, so that the order said decides nothing."""
    kept: dict[Any, facts.Fact] = {}
    for fact in news:
        match fact:
            case facts.TargetStateChanged():
                kept.setdefault((fact.target, fact.at), fact)
            case facts.DowntimeCorrected():
                kept.setdefault((fact.target, "correction", fact.at), fact)
            case facts.MaintenanceAnnounced():
                kept.setdefault((fact.target, fact.maintenance), fact)
            case facts.SubscriptionChanged():
                what = isinstance(fact.targets, tuple)
                kept.setdefault((fact.subscription, fact.effective_on, what), fact)
            case facts.SubscriptionCancelled():
                kept.setdefault((fact.subscription, "end"), fact)
            case facts.TargetObserved():
                kept.setdefault(len(kept), fact)
            case _:
                pass  # a cancellation is of the announcement said before it
    return list(kept.values())


@given(histories())
@FEW
def test_no_second_is_paid_for_twice_and_no_total_is_negative(lines: list[Line]) -> None:
    """Every millisecond of a closed month's down time is in a longer cut or counts for the month, not both;
    and what was granted is what that comes to."""
    story = told(lines)
    history = story.fold.history
    assert all(total >= 0 for total in last_totals(story.said).values())
    for subscription in history.subscriptions.values():
        view = View(subscription, history.targets, history.book)
        spans = availability(view, FIRST - 40 * DAY, LAST + 80 * DAY)
        down = [(start, end) for start, end, status in spans if status is Status.DOWN]
        over = view.window_end <= history.recorded_at
        longer_cuts = [cut for cut in concluded(cuts(spans, over), closed_until(view)) if longer(view, cut)]
        pieces = [piece for cut in longer_cuts for piece in cut]
        assert pieces == sorted(set(pieces))
        assert all(length(within(down, *piece)) == length([piece]) for piece in pieces)
        assert {start for start, kept in subscription.outages.items() if kept.total} <= {
            cut[0][0] for cut in longer_cuts
        }
        for month, closed in subscription.months.items():
            figures = closed.figures
            assert figures.excluded_ms + figures.unmeasured_ms + figures.down_ms <= figures.window_ms
            wanted = uptime_credit(view, month, figures, spans, longer_cuts)
            kept = subscription.uptimes.get(month)
            assert (kept.total if kept else 0) == (wanted.total if wanted else 0)
            if wanted:
                in_cuts = length(within(pieces, *month_bounds(view, month)))
                assert wanted.calculation["in_longer_cuts_ms"] == in_cuts
                assert wanted.calculation["counted_ms"] + in_cuts == figures.down_ms


@given(histories())
@FEW
def test_differences_add_up_to_the_total_and_revisions_count(lines: list[Line]) -> None:
    sums: dict[str, int] = defaultdict(int)
    revisions: dict[str, int] = defaultdict(int)
    for one in told(lines).said:
        if isinstance(one, CreditGranted):
            sums[one.credit] += one.amount
            revisions[one.credit] += 1
            assert one.amount != 0
            assert (sums[one.credit], revisions[one.credit]) == (one.total, one.revision)
            assert type(one).__name__ == ("CreditGranted" if one.revision == 1 else "CreditAdjusted")
        elif isinstance(one, MonthClosed):
            revisions[one.subscription + one.month] += 1
            assert revisions[one.subscription + one.month] == one.revision


@given(histories())
@FEW
def test_the_digest_can_be_recomputed_from_entries_and_outcomes(lines: list[Line]) -> None:
    story = told(lines)
    digest, said = bytes.fromhex(sha256(b"").hexdigest()), iter([*story.bytes_said, None])
    outcome = next(said)
    for offset, entry in enumerate(story.entries):
        digest = sha256(digest + entry).digest()
        while outcome is not None and json.loads(outcome)["journal"]["offset"] == offset:
            assert json.loads(outcome)["journal"]["digest"] == digest.hex()
            digest, outcome = sha256(digest + outcome).digest(), next(said)
    assert outcome is None
    assert story.fold.history.digest == digest


@given(histories())
@FEW
def test_the_same_history_gives_the_same_bytes(lines: list[Line]) -> None:
    first, second = told(lines), told(lines)
    assert first.bytes_said == second.bytes_said
    assert isinstance(second.fold.history, History)
