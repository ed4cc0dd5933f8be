"""Reads billing's books into the worksheet, in one consistent view, and never writes there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, select

from services.billing.relay import OUTBOX
from services.billing.tables import (
    inbox,
    ledger_entries,
    outbox,
    quarantine,
    quota_warnings,
    subscription_facts,
)
from services.cli.audit.reconcile_log import about, fact_bytes
from services.cli.audit.reconcile_sheet import CREDIT_FIGURES, WARNING_FIGURES, Sheet, digest
from shared.cloudevents import Origin
from shared.codec import encode
from shared.database import reading
from shared.money import Amount

_PLACE = ("journal_partition", "journal_offset", "journal_index")
_READ = ("booked", "marks", "noted", "quarantined", "declared")
_AT_ONCE = 2_000


def read_sent(engine: Engine, sheet: Sheet) -> None:
    """Which declared facts the outbox says the broker has."""
    with reading(engine) as connection:
        for row in _rows(connection, select(outbox.c.sequence).where(outbox.c.sent_at.is_not(None))):
            sheet.add("sent", str(Origin(OUTBOX, 0, row.sequence)))


def read_books(engine: Engine, sheet: Sheet) -> None:
    """Everything billing has booked, noted, put in quarantine and declared; what was read before goes."""
    sheet.clear(*_READ)
    with reading(engine) as connection:
        _booked(connection, sheet)
        for row in _rows(connection, select(inbox)):
            sheet.add("marks", *_place(row), _short(row.digest))
        for row in _rows(connection, select(quota_warnings)):
            kept = {name: getattr(row, name) for name in (*WARNING_FIGURES, "kind")}
            told = f"{row.kind} {row.subscription} {row.year_starts_on} {row.percent} %"
            sheet.add("noted", *_place(row), told, encode(kept).decode())
        for row in _rows(connection, select(quarantine)):
            told = f"{row.credit} revision {row.revision}"
            decided = row.resolved_at is not None
            sheet.add("quarantined", row.id, _short(row.digest), told, row.reason, row.origin, decided)
        for row in _rows(connection, select(subscription_facts.c.sequence, subscription_facts.c.fact)):
            fact = row.fact.encode()
            origin = Origin(OUTBOX, 0, row.sequence)
            sheet.add("declared", str(origin), digest(fact_bytes(fact)), about(fact))


def _booked(connection: Connection, sheet: Sheet) -> None:
    names = ("sequence", *_PLACE, *CREDIT_FIGURES, "record")
    query = select(*(ledger_entries.c[name] for name in names)).where(ledger_entries.c.kind == "credit")
    for row in _rows(connection, query):
        kept: dict[str, Any] = {name: getattr(row, name) for name in CREDIT_FIGURES}
        kept |= {name: Amount(kept[name]) for name in ("amount", "total") if kept[name] is not None}
        told = encode(kept).decode()
        sheet.add(
            "booked", row.sequence, *_place(row), digest(row.record.encode()), row.credit, row.amount, told
        )


def records_of(engine: Engine, sequences: Iterable[int]) -> dict[int, bytes]:
    """The records that ledger entries were booked from, as the ledger keeps them, by sequence."""
    c = ledger_entries.c
    with reading(engine) as connection:
        rows = connection.execute(select(c.sequence, c.record).where(c.sequence.in_(list(sequences))))
        return {row.sequence: row.record.encode() for row in rows}


def _rows(connection: Connection, query: Select[Any]) -> Iterable[Row[Any]]:
    return connection.execution_options(yield_per=_AT_ONCE).execute(query)


def _place(row: Row[Any]) -> tuple[int, ...]:
    return tuple(getattr(row, name) for name in _PLACE)


def _short(hexadecimal: str) -> bytes:
    """A kept SHA-256 as the worksheet has it; what is none agrees with nothing."""
    try:
        return bytes.fromhex(hexadecimal)[:16]
    except ValueError:
        return b""
