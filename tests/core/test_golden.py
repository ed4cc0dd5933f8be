"""The wire format, byte for byte: one instance of each fact and each outcome, as it stands on the log.

A change of these files is a change of meaning: it needs a new name or an upcaster, not a new golden file.
"""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import UNSET

from shared import facts, outcomes
from shared.codec import (
    Undecodable,
    decode_credit,
    decode_entry,
    decode_fact,
    decode_line,
    decode_outcome,
    decode_probe_fact,
    encode,
    type_of,
)
from shared.money import Amount
from shared.outcomes import Source, Stamp
from shared.terms import Tier, Tiers
from shared.time import Instant
from tests.core.telling import instant, published, terms_with

GOLDEN = Path(__file__).parent / "golden"
AT, LATER = instant("2026-11-20 11:00"), instant("2026-11-21 17:00:00.001")
STAMP = Stamp(2, 4711, 1, "00" * 31 + "ff")
CALCULATION = {
    "rule": "started-day",
    "down_ms": 108_000_001,
    "days": [{"date": date(2026, 11, 20), "price": "1200.00", "term_days": 365}],
    "exact": "480/73",
}
CREDIT = ("A-1", "S-1", "S-1/outage/2026-11-20T10:00:00.000Z")

FACTS: list[facts.Fact] = [
    facts.TargetDeclared(
        "app",
        "Application",
        60,
        (facts.Check("icmp", True), facts.Check("tcp:443", False)),
        ("zurich", "geneva"),
        2,
        3,
        AT,
    ),
    facts.ProbeResult("app", "tcp:443", "zurich", AT, "up", 1234, None),
    facts.ProbeResult("app", "tcp:443", "zurich", AT, "down", None, "refusé"),
    facts.MaintenanceAnnounced("app", "M-1", AT, LATER, Instant(AT - 172_800_000)),
    facts.MaintenanceCancelled("app", "M-1", AT),
    facts.TargetStateChanged(
        "app",
        AT,
        "down",
        LATER,
        (facts.Because("icmp", "zurich", "timeout"), facts.Because("icmp", "bern", None)),
    ),
    facts.TargetObserved("app", LATER),
    facts.DowntimeCorrected("app", AT, LATER, "unmeasured", "power cut at the probe", "staff-7", LATER),
    facts.SubscriptionStarted(
        "A-1", "S-1", "on-premises", ("app", "db"), Amount(120_000), "CHF", "year", date(2026, 11, 1), "fr"
    ),
    facts.SubscriptionChanged("A-1", "S-1", date(2026, 12, 1), Amount(5), "cloud", ()),
    facts.SubscriptionChanged("A-1", "S-1", date(2026, 12, 1), UNSET, UNSET, ("app",)),
    facts.SubscriptionCancelled("A-1", "S-1", date(2027, 11, 1)),
    facts.RequestOpened("A-1", "S-1", "T-1", "serious", "unclassified", AT),
    facts.RequestOpened("A-1", None, "T-2", "limited", "bug", AT),
    facts.SeverityChanged("A-1", "T-1", "down", AT),
    facts.RequestClassified("A-1", "T-1", "account", AT),
    facts.FirstResponseSent("A-1", "T-1", AT),
    facts.WorkLogged("A-1", "T-1", "W-1", 45, AT),
    facts.WorkCorrected("A-1", "T-1", "W-1", 30, AT),
    facts.RequestClosed("A-1", "T-1", AT),
    facts.RequestReopened("A-1", "T-1", AT),
    facts.RequestWithdrawn("A-1", "T-1", AT),
    published(
        terms_with(
            uptime_credit=Tiers((Tier(Decimal("99.5"), Decimal("10")), Tier(Decimal("95"), Decimal("50.25"))))
        ),
        "2027-01-01",
        "2027-01-01",
        major=True,
    ),
    facts.ClockAdvanced(),
]

OUTCOMES: list[outcomes.Outcome] = [
    outcomes.MonthClosed(
        "A-1",
        "S-1",
        "2026-11",
        1,
        2_592_000_000,
        0,
        3_600_000,
        108_000_001,
        "95.827",
        False,
        "2023-02-02",
        STAMP,
    ),
    outcomes.MonthClosed("A-1", "S-1", "2026-12", 2, 0, 0, 0, 0, None, None, "2023-02-02", STAMP),
    outcomes.CreditGranted(
        *CREDIT,
        1,
        "outage",
        "2026-11-20T10:00:00.000Z",
        Amount(658),
        Amount(658),
        "CHF",
        "2023-02-02",
        CALCULATION,
        STAMP,
    ),
    outcomes.CreditAdjusted(
        *CREDIT,
        2,
        "outage",
        "2026-11-20T10:00:00.000Z",
        Amount(-329),
        Amount(329),
        "CHF",
        "2023-02-02",
        {**CALCULATION, "days": []},
        STAMP,
    ),
    outcomes.ResponseDue("A-1", "S-1", "T-1", 1, "serious", LATER, AT, "2023-02-02", STAMP),
    outcomes.ResponseAtRisk("A-1", "S-1", "T-1", LATER, STAMP),
    outcomes.ResponseMet("A-1", "S-1", "T-1", LATER, AT, STAMP),
    outcomes.ResponseMissed("A-1", "S-1", "T-1", AT, STAMP),
    outcomes.ResponseLate("A-1", "S-1", "T-1", AT, LATER, 3_600_001, STAMP),
    outcomes.RequestUncovered("A-1", "T-1", STAMP),
    outcomes.QuotaOpened("A-1", "S-1", date(2026, 11, 1), 60, 0, "2023-02-02", STAMP),
    outcomes.QuotaChanged("A-1", "S-1", date(2026, 11, 1), 120, 45, "2023-02-02", STAMP),
    outcomes.QuotaUsed("A-1", "S-1", date(2026, 11, 1), "T-1", 45, 60, STAMP),
    outcomes.QuotaWarned("A-1", "S-1", date(2026, 11, 1), 75, 45, 60, STAMP),
    outcomes.QuotaRestored("A-1", "S-1", date(2026, 11, 1), 75, 30, 60, STAMP),
    outcomes.TermsNoticeDue("A-1", "2027-01-01", date(2027, 1, 1), STAMP),
    outcomes.FactRejected(
        "subscription S-1 has already started", Source("subscription.events", 2, 41), STAMP
    ),
    outcomes.FactRejected("a price cannot be negative", None, STAMP),
]


def golden(name: str) -> list[bytes]:
    return (GOLDEN / name).read_bytes().splitlines()


FACT_LINES = list(zip(FACTS, golden("facts.jsonl"), strict=True))
OUTCOME_LINES = list(zip(OUTCOMES, golden("outcomes.jsonl"), strict=True))


def name(value: Any) -> str:
    return type(value).__name__ if hasattr(value, "__struct_fields__") else ""


@pytest.mark.parametrize(("fact", "line"), FACT_LINES, ids=name)
def test_a_fact_has_these_bytes_and_is_read_from_them(fact: facts.Fact, line: bytes) -> None:
    assert encode(fact) == line
    assert decode_fact(line) == fact
    assert type_of(line) == type(fact).__name__


@pytest.mark.parametrize(("outcome", "line"), OUTCOME_LINES, ids=name)
def test_an_outcome_has_these_bytes_and_is_read_from_them(outcome: outcomes.Outcome, line: bytes) -> None:
    assert encode(outcome) == line
    found = decode_outcome(line)
    assert (type(found), encode(found)) == (type(outcome), line)


def test_there_is_one_of_each() -> None:
    assert {type(fact) for fact in FACTS} == set(get_args(facts.Fact))
    assert {type(outcome) for outcome in OUTCOMES} == set(get_args(outcomes.Outcome))


@pytest.mark.parametrize(("record", "line"), [*FACT_LINES, *OUTCOME_LINES], ids=name)
def test_type_comes_first_then_the_fields_in_their_order(record: Any, line: bytes) -> None:
    fields = [field for field in record.__struct_fields__ if getattr(record, field) is not UNSET]
    assert list(json.loads(line)) == ["type", *fields]


@pytest.mark.parametrize(("record", "line"), [*FACT_LINES, *OUTCOME_LINES], ids=name)
def test_unknown_fields_are_ignored(record: Any, line: bytes) -> None:
    decode: Any = decode_fact if isinstance(record, facts.Fact) else decode_outcome
    later = {"later": {"a": [1, None]}, **json.loads(line), "even_later": "x"}
    assert encode(decode(json.dumps(later).encode())) == line


@pytest.mark.parametrize(("record", "line"), [*FACT_LINES, *OUTCOME_LINES], ids=name)
def test_a_missing_field_is_refused(record: Any, line: bytes) -> None:
    decode: Any = decode_fact if isinstance(record, facts.Fact) else decode_outcome
    optional = {"price", "deployment", "targets"} if isinstance(record, facts.SubscriptionChanged) else set()
    for field in json.loads(line).keys() - optional:
        rest = {name: value for name, value in json.loads(line).items() if name != field}
        with pytest.raises(Undecodable, match=field):
            decode(json.dumps(rest).encode())


@pytest.mark.parametrize(
    "data",
    [b'{"type":"FactForgotten"}', b'{"type":7}', b"{}", b"[]", b"", b"\xff", b'{"type":"ClockAdvanced"} 1'],
)
def test_an_unknown_type_is_refused(data: bytes) -> None:
    for decode in (decode_fact, decode_outcome, decode_probe_fact, decode_credit):
        with pytest.raises(Undecodable):
            decode(data)


def test_facts_are_no_outcomes_and_outcomes_no_facts() -> None:
    for line in golden("facts.jsonl"):
        with pytest.raises(Undecodable):
            decode_outcome(line)
    for line in golden("outcomes.jsonl"):
        with pytest.raises(Undecodable):
            decode_fact(line)


def test_a_journal_entry_has_these_bytes() -> None:
    """The fact in it stays the bytes it was."""
    said = b'{"type":"TargetObserved","target":"app","through":"2026-11-20T10:00:00.000Z","later":1}'
    for source, written in (
        (None, b"null"),
        (Source("uptime.changes", 3, 7), b'{"topic":"uptime.changes","partition":3,"offset":7}'),
    ):
        line = b'{"recorded_at":"2026-11-20T10:00:00.000Z","source":%s,"fact":%s}' % (written, said)
        found = decode_entry(line)
        assert (found.recorded_at, found.source, bytes(found.fact)) == (AT, source, said)
        assert encode(found) == line
        assert decode_line(line).source == source


def test_a_replay_line_may_leave_the_source_out() -> None:
    line = decode_line(b'{"fact": {"type": "ClockAdvanced"}, "recorded_at": "2026-11-20T10:00:00.000Z"}')
    assert (line.recorded_at, line.source) == (AT, None)
    with pytest.raises(Undecodable):
        decode_entry(b'{"fact":{"type":"ClockAdvanced"},"recorded_at":"2026-11-20T10:00:00.000Z"}')


def test_the_two_facts_of_probe_results_are_read_by_their_own_decoder() -> None:
    for fact, line in FACT_LINES:
        if isinstance(fact, facts.ProbeFact):
            assert decode_probe_fact(line) == fact
        else:
            with pytest.raises(Undecodable):
                decode_probe_fact(line)
