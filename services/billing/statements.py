"""What the books say, for people: invoices, what is owed, what needs a person, what was quarantined."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct
from sqlalchemy import Connection, RowMapping, func, select, update

from services.billing.booking import entries_of
from services.billing.declaring import Unknown, every_subscription, subscription_of
from services.billing.invoice import Line
from services.billing.issuing import next_term
from services.billing.ledger import Due, balances, owed
from services.billing.tables import invoice_lines, invoices, ledger_entries, outbox, quarantine, voids
from shared.database import Clock
from shared.money import Amount
from shared.time import Instant


class Invoice(Struct, frozen=True):
    """An invoice as issued; `voided_at` and `void_reason` where it was voided since."""

    number: str
    account: str
    subscription: str
    term_start: date
    term_end: date
    issued_on: date
    language: str
    currency: str
    lines: tuple[Line, ...]
    total: Amount
    carried_over: Amount
    held: Amount
    """Open credit that waited for a person when it was issued, and so is not deducted."""
    voided_at: Instant | None
    void_reason: str | None


class Quarantined(Struct, frozen=True):
    """A record that contradicts the books, with where it lay and how often it came."""

    id: int
    reason: str
    account: str
    subscription: str
    credit: str
    revision: int
    amount: Amount
    record: str
    origin: str
    first_seen_at: Instant
    times_seen: int


_invoices = select(invoices, voids.c.voided_at, voids.c.reason).outerjoin(voids)


def invoice_of(connection: Connection, number: str) -> Invoice:
    """The invoice `number`. Raises Unknown."""
    row = connection.execute(_invoices.where(invoices.c.number == number)).mappings().one_or_none()
    if row is None:
        raise Unknown(f"no invoice {number}; see `garant billing invoices`")
    return _invoice(connection, row)


def invoices_of(connection: Connection, subscription: str | None = None) -> list[Invoice]:
    """Every invoice (of one subscription), oldest first."""
    query = _invoices.order_by(invoices.c.issued_at, invoices.c.number)
    if subscription is not None:
        query = query.where(invoices.c.subscription == subscription)
    return [_invoice(connection, row) for row in connection.execute(query).mappings().all()]


def _invoice(connection: Connection, row: RowMapping) -> Invoice:
    lines = connection.execute(
        select(invoice_lines).where(invoice_lines.c.number == row["number"]).order_by(invoice_lines.c.line)
    )
    return Invoice(
        number=row["number"],
        account=row["account"],
        subscription=row["subscription"],
        term_start=row["term_start"],
        term_end=row["term_end"],
        issued_on=row["issued_on"],
        language=row["language"],
        currency=row["currency"],
        lines=tuple(
            Line(line.kind, Amount(line.amount), line.credit, line.cause, line.period) for line in lines
        ),
        total=Amount(row["total"]),
        carried_over=Amount(row["carried_over"]),
        held=Amount(row["held"]),
        voided_at=None if row["voided_at"] is None else Instant(row["voided_at"]),
        void_reason=row["reason"],
    )


def owed_now(connection: Connection) -> list[Due]:
    """Credit that no coming invoice will settle by itself, for every subscription the ledger knows; what a
    cap holds comes first."""
    ids = connection.execute(
        select(ledger_entries.c.subscription).distinct().order_by(ledger_entries.c.subscription)
    )
    found = [due for subscription in ids.scalars() for due in _owed_of(connection, subscription)]
    return sorted(found, key=lambda due: due.reason != "beyond-cap")


def _owed_of(connection: Connection, subscription: str) -> list[Due]:
    found = balances(entries_of(connection, subscription))
    try:
        known = subscription_of(connection, subscription)
    except Unknown:
        return owed(found, account=None, currency=None, ended=False)
    ended = next_term(connection, known) is None
    return owed(found, account=known.started.account, currency=known.started.currency, ended=ended)


def invoiced_after_end(connection: Connection) -> list[Invoice]:
    """Standing invoices of terms that, since a cancellation, no longer begin: a person must void them."""
    found = []
    for subscription in every_subscription(connection):
        ends_on = subscription_of(connection, subscription).ends_on
        if ends_on is None:
            continue
        found += [
            invoice
            for invoice in invoices_of(connection, subscription)
            if invoice.term_start >= ends_on and invoice.voided_at is None
        ]
    return found


def quarantined(connection: Connection) -> Sequence[Quarantined]:
    """The records in quarantine that nobody has decided on yet."""
    names = Quarantined.__struct_fields__
    rows = connection.execute(
        select(*(quarantine.c[name] for name in names))
        .where(quarantine.c.resolved_at.is_(None))
        .order_by(quarantine.c.id)
    ).mappings()
    return [
        Quarantined(
            **{
                **row,
                "amount": Amount(row["amount"]),
                "first_seen_at": Instant(row["first_seen_at"]),
            }
        )
        for row in rows
    ]


def resolve(connection: Connection, id: int, resolution: str, clock: Clock) -> None:
    """Notes what a person decided on a quarantined record. Raises Unknown where it is not waiting for one."""
    done = connection.execute(
        update(quarantine)
        .where(quarantine.c.id == id, quarantine.c.resolved_at.is_(None))
        .values(resolved_at=clock(), resolution=resolution)
    )
    if not done.rowcount:
        raise Unknown(f"no undecided record {id} in quarantine; see `garant billing quarantine`")


def unsent(connection: Connection) -> int:
    """How many facts the broker has not acknowledged yet."""
    return int(
        connection.execute(
            select(func.count()).select_from(outbox).where(outbox.c.sent_at.is_(None))
        ).scalar_one()
    )
