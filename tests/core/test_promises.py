"""The fold of the journal: its order, what it rejects, the digest that proves it, repeats, and time."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from services.sla.history import History
from services.sla.promises import JournalBroken, Promises, entry
from shared import facts
from shared.codec import encode
from shared.outcomes import FactRejected, Source
from shared.time import Instant
from tests.core.telling import (
    HOUR,
    Telling,
    after,
    announced,
    called_off,
    cancelled,
    closed,
    corrected,
    credits,
    instant,
    months,
    november,
    observed,
    reasons,
    started,
    state,
    totals,
)


def rejected(fact: facts.Fact | bytes) -> str:
    story = Telling().at("2026-11-01 00:00")
    (reason,) = reasons(story.tell(fact, source=Source("subscription.events", 2, 41)))
    assert story.said[0].source == Source("subscription.events", 2, 41)  # type: ignore[union-attr]
    assert story.fold.history.targets == {}
    return reason


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        (corrected(2, 1, "up"), "a correction cannot end before it starts"),
        (announced(2, 1), "a maintenance cannot end before it starts"),
        (called_off(1), "maintenance M-1 of target app was never announced"),
        (
            facts.ProbeResult("app", "icmp", "zrh", Instant(0), "up", 1, None),
            "ProbeResult belongs on probe.results, not in the journal",
        ),
        (
            facts.TargetDeclared("app", "App", 60, (), (), 2, 2, Instant(0)),
            "TargetDeclared belongs on probe.results, not in the journal",
        ),
        (b'{"type":"SomethingNew","account":"A-1"}', "Invalid value 'SomethingNew' - at `$.type`"),
        (b'{"account":"A-1"}', "Object missing required field `type`"),
        (b"[]", "Expected `object`, got `array`"),
        (b"7", "Expected `object`, got `int`"),
        (
            b'{"type":"TargetObserved","target":"app","through":"tomorrow"}',
            "'tomorrow' is not an instant; write it as 2026-11-01T00:00:00.000Z (UTC) - at `$.through`",
        ),
        (
            b'{"type":"TargetObserved","target":"app","through":["2026"]}',
            "Expected `str`, got `list` - at `$.through`",
        ),
        (
            b'{"type":"TargetObserved","target":"app"}',
            "Object missing required field `through`",
        ),
    ],
)
def test_a_fact_that_makes_no_sense_is_rejected_with_a_reason_and_where_it_came_from(
    fact: facts.Fact | bytes, reason: str
) -> None:
    assert rejected(fact) == reason


def test_a_cancellation_is_known_by_its_target_too() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(announced("2026-11-10 00:00", "2026-11-11 00:00"))
    assert reasons(story.tell(called_off("2026-11-05 00:00", target="db"))) == [
        "maintenance M-1 of target db was never announced"
    ]


def test_what_is_due_is_concluded_before_the_fact_of_the_entry() -> None:
    """The correction comes with the entry that closes the month: first the close, then the restatement."""
    story = november(after("2026-11-10 10:00", 5 * HOUR))
    story.at("2026-12-01 06:00")
    said = story.tell(corrected("2026-11-10 10:00", "2026-11-10 15:00", "up"))
    assert [(type(one).__name__, one.journal.index) for one in said] == [
        ("MonthClosed", 0),
        ("CreditGranted", 1),
        ("MonthClosed", 2),
        ("CreditAdjusted", 3),
    ]
    assert totals(said) == {}


def test_everything_due_is_concluded_in_time_order_then_by_account() -> None:
    """The end of a window on 20 November, then the months, each for all accounts before the next."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(started("S-1", "A-2"), started("S-2", "A-1"), started("S-3", "A-3"))
    story.tell(cancelled("2026-11-20", "S-3", "A-3"), state("2026-11-01 00:00", "down"))
    story.tell(observed("2026-11-25 00:00"))
    said = story.passes("2027-01-01 06:00")
    assert [(one.account, type(one).__name__) for one in said] == [  # type: ignore[union-attr]
        ("A-3", "CreditGranted"),
        ("A-1", "MonthClosed"),
        ("A-1", "CreditGranted"),
        ("A-2", "MonthClosed"),
        ("A-2", "CreditGranted"),
        ("A-3", "MonthClosed"),
        ("A-1", "MonthClosed"),
        ("A-2", "MonthClosed"),
    ]


def test_the_next_due_instant_is_when_the_journal_needs_an_entry() -> None:
    story = Telling().at("2026-11-01 00:00")
    assert story.fold.next_due is None
    story.tell(started())
    assert story.fold.next_due == instant("2026-12-01 06:00")
    story.tell(cancelled("2026-11-20"))
    assert story.fold.next_due == instant("2026-11-20 00:00")
    story.passes("2026-11-20 00:00")
    assert story.fold.next_due == instant("2026-12-01 06:00")
    assert Promises(story.fold.history).next_due == instant("2026-12-01 06:00")
    closed(story)
    assert story.fold.next_due is None
    assert Promises(story.fold.history).next_due is None


def test_a_fact_with_a_source_taken_before_changes_nothing() -> None:
    """Repeats by a retry, a rebalance or a stale twin: even with another content."""
    story = november(after("2026-11-10 10:00", 5 * HOUR))
    down = corrected("2026-11-12 00:00", "2026-11-14 00:00", "down")
    source = Source("uptime.changes", 3, 7)
    assert len(credits(story.tell(down, source=source))) == 1
    again = corrected("2026-11-12 00:00", "2026-11-14 00:00", "up", at="2026-12-11 00:00")
    assert story.tell(down, source=source) == []
    assert story.tell(again, source=Source("uptime.changes", 3, 6)) == []
    assert story.tell(b"[]", source=source) == []
    assert len(credits(story.tell(again, source=Source("uptime.changes", 2, 6)))) == 1
    assert story.fold.history.sources == {"uptime.changes/3": 7, "uptime.changes/2": 6}


def test_a_repeat_still_moves_time() -> None:
    story = november()
    source = Source("uptime.changes", 0, 0)
    story.tell(observed("2026-12-01 00:00"), source=source)
    said = story.at("2026-12-01 06:00").tell(observed("2026-12-01 00:00"), source=source)
    assert len(months(said)) == 1


def test_facts_without_a_source_are_all_taken() -> None:
    story = november()
    assert len(reasons(story.tell(started(), started()))) == 2


def test_a_record_at_or_below_the_position_says_nothing() -> None:
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"))
    digest = story.fold.history.digest
    for offset, data in enumerate(story.entries):
        assert story.fold.apply(offset, data) == []
    assert (story.fold.history.digest, story.fold.history.position) == (digest, len(story.entries) - 1)


def test_offset_gaps_are_normal() -> None:
    """Control records and retries take offsets in a real journal."""
    fold, said = Promises(History()), []
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"))
    for offset, data in enumerate(story.entries):
        said += fold.apply(offset * 3, data)
    assert totals(each.outcome for each in said) == totals(story.said)
    assert {each.outcome.journal.offset % 3 for each in said} == {0}


def test_time_never_goes_back_in_the_fold() -> None:
    """An entry stamped earlier than the one before it is taken at the time of that one."""
    story = november()
    closed(story, "2027-01-01 06:00")
    early = entry(instant("2026-10-01 00:00"), encode(started("S-2", starts_on="2026-12-01")))
    said = [spoken.outcome for spoken in story.fold.apply(len(story.entries), early)]
    assert [month.month for month in months(said)] == ["2026-12"]
    assert story.fold.history.recorded_at == instant("2027-01-01 06:00")


@pytest.mark.parametrize("data", [b"", b"no JSON", b"{}", b'{"recorded_at":"2026-11-01T00:00:00.000Z"}'])
def test_a_record_that_is_no_entry_stops_the_fold(data: bytes) -> None:
    """Skipping is how money gets lost."""
    with pytest.raises(
        JournalBroken, match=r"sla\.journal/4 offset 9 is no journal entry .* restore the topic"
    ):
        Promises(History(partition=4)).apply(9, data)


def test_the_digest_proves_every_entry_and_outcome() -> None:
    """Ten lines anyone can write: SHA-256 over the digest so far and the next record, entries and outcomes
    in their order; each outcome names the digest before it."""
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"), after("2026-11-20 10:00", 5 * HOUR))
    closed(story)
    story.tell(corrected("2026-11-20 00:00", "2026-11-20 23:00", "down"), started())
    digest, outcomes = sha256(b"").digest(), list(story.bytes_said)
    for offset, recorded in enumerate(story.entries):
        digest = sha256(digest + recorded).digest()
        while outcomes and json.loads(outcomes[0])["journal"]["offset"] == offset:
            assert json.loads(outcomes[0])["journal"]["digest"] == digest.hex()
            digest = sha256(digest + outcomes.pop(0)).digest()
    assert outcomes == []
    assert story.fold.history.digest == digest
    assert isinstance(story.said[-1], FactRejected)


def test_outcomes_of_an_entry_are_numbered_and_name_their_partition() -> None:
    fold = Promises(History(partition=2))
    told = (started(), state("2026-11-01 00:00", "down"), observed("2026-12-01 00:00"), facts.ClockAdvanced())
    said = [
        each.outcome.journal
        for offset, fact in enumerate(told)
        for each in fold.apply(offset, entry(instant("2026-12-01 06:00"), encode(fact)))
    ]
    assert {stamp.partition for stamp in said} == {2}
    for offset in {stamp.offset for stamp in said}:
        indexes = [stamp.index for stamp in said if stamp.offset == offset]
        assert indexes == list(range(len(indexes)))


def test_an_entry_keeps_the_fact_as_it_was_said() -> None:
    """Unknown fields too, in their order; only the blanks around them go."""
    said = b' { "type" : "ClockAdvanced" ,  "later" : "a  b" } '
    assert entry(0, said, Source("t", 1, 2)) == (
        b'{"recorded_at":"1970-01-01T00:00:00.000Z","source":{"topic":"t","partition":1,"offset":2},'
        b'"fact":{"type":"ClockAdvanced","later":"a  b"}}'
    )
