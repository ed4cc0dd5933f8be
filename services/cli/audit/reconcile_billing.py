"""Billing's books against what the replay gives and what it says it has published."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine

from services.billing.relay import OUTBOX
from services.cli.audit.reconcile_books import records_of
from services.cli.audit.reconcile_kinds import Compared, Difference, difference
from services.cli.audit.reconcile_outcomes import LEFT
from services.cli.audit.reconcile_sheet import Place, Sheet
from services.cli.audit.reconcile_values import differing, replayed_at
from shared.money import format_amount
from shared.settings import KafkaSettings
from shared.topics import SUBSCRIPTION_EVENTS

_AT = "{0}.part = {1}.part AND {0}.off = {1}.off AND {0}.idx = {1}.idx"
_DECIDED = "EXISTS (SELECT 1 FROM quarantined q WHERE q.digest = c.digest AND q.decided)"
"""A person has decided on a credit that billing could not book."""
_UNBOOKED = f"""
FROM concluded c WHERE c.credit IS NOT NULL AND NOT {_DECIDED}
    AND NOT EXISTS (SELECT 1 FROM booked b WHERE {_AT.format("b", "c")})
"""  # noqa: S608
_UNNOTED = f"""
FROM concluded c WHERE c.figures IS NOT NULL AND c.credit IS NULL
    AND NOT EXISTS (SELECT 1 FROM noted n WHERE {_AT.format("n", "c")})
"""  # noqa: S608
_ENTRIES = f"""
SELECT b.sequence, b.part, b.off, b.idx, b.credit, b.figures, c.figures, c.digest = b.digest
FROM booked b LEFT JOIN concluded c ON {_AT.format("c", "b")} AND c.credit IS NOT NULL
LEFT JOIN ends e ON e.part = b.part
WHERE (c.part IS NULL OR c.digest <> b.digest OR c.figures <> b.figures) AND NOT {LEFT.format("b")}
ORDER BY b.sequence
"""  # noqa: S608
_MARKS = f"""
SELECT m.part, m.off, m.idx, c.about, b.credit FROM marks m
LEFT JOIN concluded c ON {_AT.format("c", "m")} AND c.credit IS NOT NULL
LEFT JOIN booked b ON {_AT.format("b", "m")}
LEFT JOIN ends e ON e.part = m.part
WHERE NOT {LEFT.format("m")} AND ((c.part IS NULL AND b.part IS NULL) OR c.digest <> m.digest)
"""  # noqa: S608
_UNMARKED = f"""
SELECT b.sequence, b.credit, b.part, b.off, b.idx FROM booked b
WHERE NOT EXISTS (SELECT 1 FROM marks m WHERE {_AT.format("m", "b")})
"""  # noqa: S608
_WARNINGS = f"""
SELECT n.part, n.off, n.idx, n.about, n.figures, c.figures FROM noted n
LEFT JOIN concluded c ON {_AT.format("c", "n")} AND c.figures IS NOT NULL AND c.credit IS NULL
LEFT JOIN ends e ON e.part = n.part
WHERE (c.part IS NULL OR c.figures <> n.figures) AND NOT {LEFT.format("n")}
"""  # noqa: S608
_SUMS = f"""
SELECT credit, sum(granted), sum(booked) FROM (
    SELECT c.credit, c.amount AS granted, 0 AS booked FROM concluded c
    WHERE c.credit IS NOT NULL AND NOT {_DECIDED}
    UNION ALL
    SELECT b.credit, 0, b.amount FROM booked b LEFT JOIN ends e ON e.part = b.part
    WHERE NOT {LEFT.format("b")}
) GROUP BY credit HAVING sum(granted) <> sum(booked) ORDER BY credit
"""  # noqa: S608
_UNPUBLISHED = f"""
SELECT d.origin, d.about FROM declared d JOIN sent s ON s.origin = d.origin
WHERE NOT EXISTS (
    SELECT 1 FROM told t WHERE t.origin = d.origin AND t.topic = '{SUBSCRIPTION_EVENTS.name}')
ORDER BY length(d.origin), d.origin
"""  # noqa: S608
_UNDECLARED = f"""
SELECT t.topic, t.tpart, t.toff, t.about, t.origin, d.about FROM told t
LEFT JOIN declared d ON d.origin = t.origin
WHERE t.origin >= '{OUTBOX}/' AND t.origin < '{OUTBOX}0' AND (d.digest IS NULL OR d.digest <> t.digest)
ORDER BY t.topic, t.tpart, t.toff
"""  # noqa: S608
_MOST_READ_AGAIN = 1_000


def behind(sheet: Sheet) -> bool:
    """Whether billing lacks a credit or a warning still."""
    return bool(sheet.count(f"SELECT EXISTS (SELECT 1 {_UNBOOKED}) OR EXISTS (SELECT 1 {_UNNOTED})"))


def differences(settings: KafkaSettings, engine: Engine, sheet: Sheet) -> Iterator[Difference]:
    """Everything in which billing's books are not what the journal leads to."""
    yield from _credits(sheet)
    yield from _entries(settings, engine, sheet)
    yield from _inbox(sheet)
    for credit, granted, booked in sheet.rows(_SUMS):
        detail = f"{format_amount(granted)} by the journal, {format_amount(booked)} in the ledger"
        yield difference("sum-differs", credit, credit, detail)
    yield from _warnings(sheet)
    waiting = "SELECT id, about, reason, origin FROM quarantined WHERE NOT decided ORDER BY id"
    for id, about, reason, origin in sheet.rows(waiting):
        yield difference("quarantine-undecided", str(id), about, f"{reason}; it lies at {origin}")
    for origin, about in sheet.rows(_UNPUBLISHED):
        yield difference("fact-unpublished", origin, about)
    for topic, part, off, about, origin, declared in sheet.rows(_UNDECLARED):
        detail = f"billing declared nothing as {origin}"
        if declared is not None:
            detail = f"what billing declared as {origin} is {declared}, with other content"
        yield difference("fact-undeclared", f"{topic}/{part}/{off}", about, detail)


def _credits(sheet: Sheet) -> Iterator[Difference]:
    query = f"""SELECT c.part, c.off, c.idx, c.about, m.part IS NOT NULL, q.id {
        _UNBOOKED.replace(
            "FROM concluded c",
            "FROM concluded c LEFT JOIN marks m ON "
            + _AT.format("m", "c")
            + " LEFT JOIN quarantined q ON q.digest = c.digest",
            1,
        )
    } ORDER BY c.part, c.off, c.idx"""
    for part, off, idx, about, marked, waiting in sheet.rows(query):
        detail = "the inbox says that it was booked: its entry was removed" if marked else ""
        if waiting is not None:
            detail = f"it waits in quarantine as {waiting}"
        yield difference("credit-unbooked", str(Place(part, off, idx)), about, detail)


def _entries(settings: KafkaSettings, engine: Engine, sheet: Sheet) -> Iterator[Difference]:
    found = sheet.rows(_ENTRIES)
    again = {row[0]: Place(*row[1:4]) for row in found if row[6] == row[5]}
    again = dict(list(again.items())[:_MOST_READ_AGAIN])
    right, records = replayed_at(settings, again.values()), records_of(engine, again)
    for sequence, part, off, idx, credit, kept, given, same_record in found:
        if given is None:
            yield difference("entry-extra", str(sequence), credit, f"its place is {Place(part, off, idx)}")
            continue
        told = [differing(given.encode(), kept.encode(), "in the ledger")] if kept != given else []
        if sequence in again and again[sequence] in right:
            told.append(differing(right[again[sequence]], records[sequence], "in the record it keeps"))
        elif not same_record:
            told.append("the record it keeps has other bytes")
        yield difference("entry-differs", str(sequence), credit, "; ".join(told))


def _inbox(sheet: Sheet) -> Iterator[Difference]:
    for part, off, idx, about, booked in sheet.rows(_MARKS):
        place = str(Place(part, off, idx))
        if about is None:
            yield difference("mark-extra", place, "an inbox mark")
        else:
            yield difference("mark-differs", place, booked or about, "its digest is of another record")
    for sequence, credit, part, off, idx in sheet.rows(_UNMARKED):
        detail = f"ledger entry {sequence} has no mark in the inbox"
        yield difference("mark-differs", str(Place(part, off, idx)), credit, detail)


def _warnings(sheet: Sheet) -> Iterator[Difference]:
    missing = f"SELECT c.part, c.off, c.idx, c.about {_UNNOTED} ORDER BY c.part, c.off, c.idx"
    for part, off, idx, about in sheet.rows(missing):
        yield difference("warning-missing", str(Place(part, off, idx)), about)
    for part, off, idx, about, kept, given in sheet.rows(_WARNINGS):
        place = str(Place(part, off, idx))
        if given is None:
            yield difference("warning-extra", place, about)
        else:
            detail = differing(given.encode(), kept.encode(), "in billing")
            yield difference("warning-differs", place, about, detail)


def compared(sheet: Sheet) -> Iterator[Compared]:
    """How much of billing's books was compared."""
    for table, what in (
        ("booked", "billing: ledger"),
        ("marks", "billing: inbox"),
        ("noted", "billing: quota warnings"),
    ):
        left = f"SELECT count(*) FROM {table} x LEFT JOIN ends e ON e.part = x.part WHERE {LEFT.format('x')}"  # noqa: S608
        yield Compared(what, sheet.count(f"SELECT count(*) FROM {table}"), left=sheet.count(left))  # noqa: S608
    yield Compared("billing: quarantine", sheet.count("SELECT count(*) FROM quarantined"))
    declared, sent = (sheet.count(f"SELECT count(*) FROM {table}") for table in ("declared", "sent"))  # noqa: S608
    yield Compared("billing: outbox", declared, left=declared - sent)
