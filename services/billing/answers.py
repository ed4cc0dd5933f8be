"""What callers of the HTTP API get: money as strings with two places, instants in UTC, dates local."""

from __future__ import annotations

from datetime import date
from typing import Any

from msgspec import structs
from pydantic import BaseModel, Field

from services.billing.holding import HeldCredit
from services.billing.invoice import Draft, Line
from services.billing.ledger import Balance, Due, Entry
from services.billing.statements import Invoice, Quarantined
from services.billing.subscription import Subscription
from services.billing.warnings import QuotaWarning
from shared.money import format_amount
from shared.time import format_instant


class ShownSubscription(BaseModel):
    account: str
    subscription: str
    deployment: str
    targets: list[str]
    price: str = Field(description="The price of a term in force today, or at the start where it is to come")
    currency: str
    term: str
    starts_on: date
    ends_on: date | None
    language: str

    @classmethod
    def of(cls, known: Subscription, today: date) -> ShownSubscription:
        started, day = known.started, max(today, known.started.starts_on)
        deployment, targets = known.deployment_on(day), known.targets_on(day)
        return cls(
            account=started.account,
            subscription=started.subscription,
            deployment=deployment,
            targets=list(targets),
            price=format_amount(known.price_on(day)),
            currency=started.currency,
            term=started.term,
            starts_on=started.starts_on,
            ends_on=known.ends_on,
            language=started.language,
        )


class ShownCredit(BaseModel):
    account: str
    subscription: str
    credit: str
    cause: str
    period: str
    currency: str
    granted: str
    used: str
    settled: str
    open: str
    held: bool = Field(description="Not deducted until a person releases it: beyond a cap")
    incomplete: bool = Field(description="Not deducted: revisions are missing or do not add up")

    @classmethod
    def of(cls, balance: Balance) -> ShownCredit:
        return cls(
            account=balance.account,
            subscription=balance.subscription,
            credit=balance.credit,
            cause=balance.cause,
            period=balance.period,
            currency=balance.currency,
            granted=format_amount(balance.granted),
            used=format_amount(balance.used),
            settled=format_amount(balance.settled),
            open=format_amount(balance.open),
            held=balance.held,
            incomplete=not balance.agrees,
        )


class ShownWarning(BaseModel):
    account: str
    subscription: str
    year_starts_on: date
    kind: str = Field(description="warned: a threshold was crossed; restored: fallen below again")
    percent: int
    used_minutes: int
    quota_minutes: int
    taken_at: str

    @classmethod
    def of(cls, found: QuotaWarning) -> ShownWarning:
        return cls(**{**structs.asdict(found), "taken_at": format_instant(found.taken_at)})


class ShownEntry(BaseModel):
    sequence: int
    kind: str
    credit: str
    amount: str
    currency: str
    booked_at: str
    revision: int | None
    total: str | None
    invoice: str | None
    reverses: int | None
    note: str | None
    held: bool = Field(description="Beyond a cap, or of a credit that was, and not released")

    @classmethod
    def of(cls, entry: Entry) -> ShownEntry:
        return cls(
            sequence=entry.sequence,
            kind=entry.kind,
            credit=entry.credit,
            amount=format_amount(entry.amount),
            currency=entry.currency,
            booked_at=format_instant(entry.booked_at),
            revision=entry.revision,
            total=None if entry.total is None else format_amount(entry.total),
            invoice=entry.invoice,
            reverses=entry.reverses,
            note=entry.note,
            held=entry.held,
        )


class ShownLine(BaseModel):
    kind: str
    amount: str
    credit: str | None
    cause: str | None
    period: str | None

    @classmethod
    def of(cls, line: Line) -> ShownLine:
        return cls(
            kind=line.kind,
            amount=format_amount(line.amount),
            credit=line.credit,
            cause=line.cause,
            period=line.period,
        )


class ShownDraft(BaseModel):
    subscription: str
    term_start: date
    term_end: date = Field(description="The first date after the term")
    currency: str
    lines: list[ShownLine]
    total: str
    carried_over: str = Field(description="Open credit left for the invoice after this one")
    held: str = Field(description="Open credit beyond a cap: not deducted until a person releases it")

    @classmethod
    def of(cls, draft: Draft) -> ShownDraft:
        return cls(**_document(draft))


class ShownInvoice(ShownDraft):
    number: str
    account: str
    issued_on: date
    language: str
    voided_at: str | None
    void_reason: str | None

    @classmethod
    def of_issued(cls, invoice: Invoice) -> ShownInvoice:
        return cls(
            **_document(invoice),
            number=invoice.number,
            account=invoice.account,
            issued_on=invoice.issued_on,
            language=invoice.language,
            voided_at=None if invoice.voided_at is None else format_instant(invoice.voided_at),
            void_reason=invoice.void_reason,
        )


class ShownDue(BaseModel):
    account: str
    subscription: str
    credit: str
    amount: str
    currency: str
    reason: str

    @classmethod
    def of(cls, due: Due) -> ShownDue:
        return cls(
            account=due.account,
            subscription=due.subscription,
            credit=due.credit,
            amount=format_amount(due.amount),
            currency=due.currency,
            reason=due.reason,
        )


class ShownHeld(BaseModel):
    account: str
    subscription: str
    credit: str
    amount: str = Field(description="All of it that is open: a credit is held whole")
    currency: str
    because: str = Field(description="The cap it is beyond: account-day or day (over all accounts)")
    cap: str
    passed: str = Field(description="What had passed by itself that day under that cap")
    day: date = Field(description="The local date on which it was booked")
    held_at: str

    @classmethod
    def of(cls, held: HeldCredit) -> ShownHeld:
        money = {name: format_amount(getattr(held, name)) for name in ("amount", "cap", "passed")}
        return cls(**{**structs.asdict(held), **money, "held_at": format_instant(held.held_at)})


class Owed(BaseModel):
    """Credits no coming invoice settles, and invoices of terms that no longer begin."""

    credits: list[ShownDue]
    invoices_after_end: list[ShownInvoice]


class ShownQuarantined(BaseModel):
    id: int
    reason: str
    account: str
    subscription: str
    credit: str
    revision: int
    amount: str
    record: str
    origin: str
    first_seen_at: str
    times_seen: int

    @classmethod
    def of(cls, found: Quarantined) -> ShownQuarantined:
        return cls(
            id=found.id,
            reason=found.reason,
            account=found.account,
            subscription=found.subscription,
            credit=found.credit,
            revision=found.revision,
            amount=format_amount(found.amount),
            record=found.record,
            origin=found.origin,
            first_seen_at=format_instant(found.first_seen_at),
            times_seen=found.times_seen,
        )


class Numbers(BaseModel):
    """The numbers of the invoices that were issued, in order."""

    issued: list[str]


class Voided(BaseModel):
    """The invoice that takes the voided one's place, where one was asked for."""

    voided: str
    replaced_by: str | None


def _document(found: Draft | Invoice) -> dict[str, Any]:
    return {
        "subscription": found.subscription,
        "term_start": found.term_start,
        "term_end": found.term_end,
        "currency": found.currency,
        "lines": [ShownLine.of(line) for line in found.lines],
        "total": format_amount(found.total),
        "carried_over": format_amount(found.carried_over),
        "held": format_amount(found.held),
    }
