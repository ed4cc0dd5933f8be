"""Records of released versions: this version reads them, writes the same bytes, and concludes the same."""

from __future__ import annotations

from shared.cloudevents import parse_origin
from shared.codec import (
    Undecodable,
    decode_entry,
    decode_fact,
    decode_known_entry,
    decode_outcome,
    encode,
    type_of,
)
from shared.topics import (
    CREDITS,
    DEADLINES,
    JOURNAL,
    MONTHS,
    NOTICES,
    PROBE_RESULTS,
    QUOTA,
    REJECTED,
    SUBSCRIPTION_EVENTS,
    TERMS_EVENTS,
    TICKET_EVENTS,
    UPTIME_CHANGES,
    key_of,
)
from tests.upgrade import refold
from tests.upgrade.conftest import Left
from tests.upgrade.story import NOT_FACTS

FACTS = (PROBE_RESULTS, UPTIME_CHANGES, SUBSCRIPTION_EVENTS, TICKET_EVENTS, TERMS_EVENTS)
OUTCOMES = (MONTHS, CREDITS, DEADLINES, QUOTA, NOTICES, REJECTED)


def test_given_facts_of_a_released_version_then_they_are_read_and_written_again_as_the_same_bytes(
    left: Left,
) -> None:
    for topic in FACTS:
        unread = []
        for record in left.records(topic):
            assert record.value is not None
            try:
                fact = decode_fact(record.value)
            except Undecodable:
                unread.append((record.key, record.value))
                continue
            if (record.key, record.value) == NOT_FACTS.get(topic.name):
                unread.append((record.key, record.value))
                continue
            assert encode(fact) == record.value
            assert key_of(fact) == record.key
            assert record.headers["ce_type"] == f"garant.{type_of(record.value)}"
        assert unread == [strange for name, strange in NOT_FACTS.items() if name == topic.name]


def test_given_a_journal_of_a_released_version_then_entries_are_read_and_written_as_the_same_bytes(
    left: Left,
) -> None:
    unknown = []
    for record in left.records(JOURNAL):
        assert record.value is not None
        entry = decode_entry(record.value)
        assert encode(entry) == record.value
        known = decode_known_entry(record.value)
        if known is None:
            unknown.append(bytes(entry.fact))
        else:
            assert encode(known) == record.value
    assert unknown == [NOT_FACTS["ticket.events"][1]]


def test_given_outcomes_of_a_released_version_then_they_are_read_and_written_as_the_same_bytes(
    left: Left,
) -> None:
    for topic in OUTCOMES:
        for record in left.records(topic):
            assert record.value is not None
            outcome = decode_outcome(record.value)
            assert type(outcome) in topic.records
            assert encode(outcome) == record.value
            assert key_of(outcome) == record.key
            stamp = outcome.journal
            place = parse_origin(record.headers["origin"])
            assert place == (JOURNAL.name, stamp.partition, stamp.offset, stamp.index)


def test_given_the_history_of_a_released_version_then_its_replay_gives_the_outcomes_that_it_gave(
    left: Left,
) -> None:
    said = [record.value for topic in OUTCOMES for record in left.records(topic)]
    assert sorted(refold.outcomes(left.records(JOURNAL))) == sorted(set(said))  # type: ignore[type-var]
    changes = [
        record.value
        for record in left.records(UPTIME_CHANGES)
        if record.headers.get("ce_source") == "/garant/sla/uptime"
    ]
    assert sorted(refold.changes(left.records(PROBE_RESULTS))) == sorted(set(changes))  # type: ignore[type-var]
