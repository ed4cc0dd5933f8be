"""Booking: a credit the SLA service concluded becomes a ledger entry, once, or goes to quarantine.

Entry and inbox mark are one transaction. Two unique keys make a second booking impossible: the record's
journal position, and (subscription, cause, period, revision). They are permanent: a repeat after years
is still a repeat.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, Row, insert, or_, select, update

from services.billing.caps import DEFAULT_CAPS, Caps
from services.billing.checking import CHECKED, IS_HELD, ask, keep
from services.billing.database import lock_subscription
from services.billing.ledger import Entry
from services.billing.tables import cap_checks, inbox, ledger_entries, quarantine
from shared.calendar import local_date
from shared.codec import encode
from shared.database import Clock, writing
from shared.failpoints import reach
from shared.money import Amount
from shared.outcomes import Credit
from shared.time import Instant

Booked = Literal["booked", "held", "repeat", "quarantined"]

_entry_columns: list[ColumnElement[Any]] = [
    IS_HELD.label(name) if name == "held" else ledger_entries.c[name] for name in Entry.__struct_fields__
]


def unfit(credit: Credit) -> str | None:
    """Why no ledger can hold this record: text too long for its column or a number out of its range.

    Such a record is no credit of ours; at the database it would fail for ever.
    """
    texts = {
        "account": (credit.account, 200),
        "subscription": (credit.subscription, 200),
        "credit": (credit.credit, 500),
        "period": (credit.period, 200),
        "currency": (credit.currency, 3),
    }
    for name, (value, most) in texts.items():
        if not 0 < len(value) <= most or "\0" in value:
            return f"{name} is empty, too long or not text"
    place = credit.journal
    for name, number in {
        "revision": credit.revision,
        "journal.partition": place.partition,
        "journal.index": place.index,
    }.items():
        if not 0 <= number < 2**31:
            return f"{name} is out of range"
    if not 0 <= place.offset < 2**63:
        return "journal.offset is out of range"
    return None


def book(engine: Engine, credit: Credit, origin: str, clock: Clock, caps: Caps = DEFAULT_CAPS) -> Booked:
    """Takes one record of sla.credits.

    booked: a new ledger entry, whatever is known of the subscription (it is money). held: booked the same,
    but beyond a cap: no invoice deducts it until a person releases it. repeat: the same record was booked
    before; nothing changes. quarantined: it contradicts what is booked, or itself; nothing is booked and a
    person must decide. `origin` says where the record lay, for that person.
    """
    record = encode(credit)
    with writing(engine) as connection:
        lock_subscription(connection, credit.subscription)
        earlier = _earlier(connection, credit)
        if any(row.record == record.decode() for row in earlier):
            return "repeat"
        if reason := _contradiction(connection, credit, earlier):
            _quarantine(connection, credit, record, reason, origin, clock())
            return "quarantined"
        place = {
            "journal_partition": credit.journal.partition,
            "journal_offset": credit.journal.offset,
            "journal_index": credit.journal.index,
        }
        now = clock()
        day = local_date(now, caps.zone)
        verdict = ask(connection, credit, day, caps)
        connection.execute(insert(inbox).values(**place, digest=sha256(record).hexdigest(), taken_at=now))
        entry = connection.execute(
            insert(ledger_entries)
            .values(
                **place,
                kind="credit",
                account=credit.account,
                subscription=credit.subscription,
                credit=credit.credit,
                cause=credit.cause,
                period=credit.period,
                revision=credit.revision,
                amount=credit.amount,
                total=credit.total,
                currency=credit.currency,
                record=record.decode(),
                booked_at=now,
            )
            .returning(ledger_entries.c.sequence)
        ).scalar_one()
        keep(connection, entry, credit, day, verdict)
        reach("billing.inbox.booking")
        return "held" if verdict.because and credit.amount > 0 else "booked"


def _earlier(connection: Connection, credit: Credit) -> list[Row[tuple[str, str, str, str, str]]]:
    """What is booked of this record's journal position or of its (subscription, cause, period, revision)."""
    c = ledger_entries.c
    here = (
        (c.journal_partition == credit.journal.partition)
        & (c.journal_offset == credit.journal.offset)
        & (c.journal_index == credit.journal.index)
    )
    same = (
        (c.subscription == credit.subscription)
        & (c.cause == credit.cause)
        & (c.period == credit.period)
        & (c.revision == credit.revision)
    )
    return list(
        connection.execute(select(c.record, c.credit, c.currency, c.account, c.cause).where(or_(here, same)))
    )


def _contradiction(
    connection: Connection, credit: Credit, earlier: list[Row[tuple[str, str, str, str, str]]]
) -> str | None:
    if earlier:
        return "the same record or revision is booked with other content"
    if credit.credit != f"{credit.subscription}/{credit.cause}/{credit.period}":
        return "its id does not name its subscription, cause and period"
    if credit.revision < 1 or (credit.revision == 1 and credit.amount != credit.total):
        return "its revision, amount and total contradict each other"
    c = ledger_entries.c
    known = connection.execute(
        select(c.account, c.currency)
        .where(c.subscription == credit.subscription, c.credit == credit.credit, c.kind == "credit")
        .limit(1)
    ).one_or_none()
    if known is not None and (known.account, known.currency) != (credit.account, credit.currency):
        return "an earlier revision names another account or currency"
    return None


def _quarantine(
    connection: Connection, credit: Credit, record: bytes, reason: str, origin: str, now: Instant
) -> None:
    digest = sha256(record).hexdigest()
    again = connection.execute(
        update(quarantine).where(quarantine.c.digest == digest).values(times_seen=quarantine.c.times_seen + 1)
    )
    if again.rowcount:
        return
    connection.execute(
        insert(quarantine).values(
            digest=digest,
            reason=reason,
            account=credit.account,
            subscription=credit.subscription,
            credit=credit.credit,
            revision=credit.revision,
            amount=credit.amount,
            record=record.decode(),
            origin=origin,
            first_seen_at=now,
            times_seen=1,
        )
    )


def entries_of(connection: Connection, subscription: str) -> list[Entry]:
    """The ledger of `subscription`, in the order it was booked."""
    rows = connection.execute(
        select(*_entry_columns)
        .outerjoin_from(ledger_entries, cap_checks, CHECKED)
        .where(ledger_entries.c.subscription == subscription)
        .order_by(ledger_entries.c.sequence)
    )
    return [_entry(row) for row in rows]


def _entry(row: Row[tuple[Any, ...]]) -> Entry:
    found = dict(row._mapping)
    found["amount"] = Amount(found["amount"])
    found["booked_at"] = Instant(found["booked_at"])
    if found["total"] is not None:
        found["total"] = Amount(found["total"])
    return Entry(**found)
