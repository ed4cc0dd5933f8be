"""The HTTP API of billing: declare subscriptions, read the books, issue, void, settle.

Every route but health and metrics wants `Authorization: Bearer TOKEN`. Errors say what to do next.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import Engine

from services.billing import answers, bodies, holding, issuing, metrics, statements
from services.billing.booking import entries_of
from services.billing.declaring import Contradiction, Unknown, declare, every_subscription, subscription_of
from services.billing.ledger import balances
from services.billing.page import invoice_page
from services.billing.settings import TOKEN
from services.billing.subscription import Nonsense, Subscription
from services.billing.warnings import warnings_of
from shared.calendar import add_months, local_date
from shared.database import Clock, reading, writing
from shared.facts import SubscriptionFact
from shared.http import Check, Key, add_health, answer_errors, guarded, new_api

_AHEAD_MONTHS = 24
"""How far ahead invoices may be issued: a slip of the keys would issue years of them, and they stay."""


def build_api(
    engine: Engine, rules: issuing.Rules, token: str, clock: Clock, live: Check, ready: Check
) -> FastAPI:
    """The application; `live` and `ready` answer /live and /ready."""
    api = new_api("Garant billing")
    answer_errors(api, {Unknown: 404, Contradiction: 409, Nonsense: 422})
    add_health(api, live, ready, metrics.REGISTRY)
    may = guarded(TOKEN, token)
    _subscriptions(api, engine, rules, clock, may)
    _books(api, engine, rules, clock, may)
    return api


def _subscriptions(api: FastAPI, engine: Engine, rules: issuing.Rules, clock: Clock, may: list[Any]) -> None:
    def today() -> date:
        return local_date(clock(), rules.zone)

    def said(fact: SubscriptionFact, key: str | None, response: Response) -> answers.ShownSubscription:
        known, new = declare(engine, fact, clock, key)
        response.status_code = 201 if new else 200
        return answers.ShownSubscription.of(known, today())

    def found(subscription: str) -> Subscription:
        with reading(engine) as connection:
            return subscription_of(connection, subscription)

    @api.post("/subscriptions", dependencies=may, status_code=201, tags=["subscriptions"])
    def start(body: bodies.Start, response: Response, key: Key = None) -> answers.ShownSubscription:
        """Starts a subscription. Said again word for word it changes nothing (200); with other words: 409."""
        return said(body.fact(), key, response)

    @api.post(
        "/subscriptions/{subscription}/changes",
        dependencies=may,
        status_code=201,
        tags=["subscriptions"],
    )
    def change(
        subscription: str, body: bodies.Change, response: Response, key: Key = None
    ) -> answers.ShownSubscription:
        """Changes price, deployment or targets from a date on. A fee already invoiced stays."""
        account = found(subscription).started.account
        return said(body.fact(account, subscription), key, response)

    @api.post(
        "/subscriptions/{subscription}/cancellation",
        dependencies=may,
        status_code=201,
        tags=["subscriptions"],
    )
    def cancel(
        subscription: str, body: bodies.Cancellation, response: Response, key: Key = None
    ) -> answers.ShownSubscription:
        """Ends a subscription; of two ends the later said counts."""
        account = found(subscription).started.account
        return said(body.fact(account, subscription), key, response)

    @api.get("/subscriptions", dependencies=may, tags=["subscriptions"])
    def listed() -> list[answers.ShownSubscription]:
        """Every subscription as it stands today."""
        with reading(engine) as connection:
            known = [subscription_of(connection, one) for one in every_subscription(connection)]
        return [answers.ShownSubscription.of(one, today()) for one in known]

    @api.get("/subscriptions/{subscription}", dependencies=may, tags=["subscriptions"])
    def shown(subscription: str) -> answers.ShownSubscription:
        """One subscription as it stands today."""
        return answers.ShownSubscription.of(found(subscription), today())

    @api.get("/subscriptions/{subscription}/next-invoice", dependencies=may, tags=["invoices"])
    def next_invoice(subscription: str) -> answers.ShownDraft | None:
        """The next invoice as it would be issued now; null where no other term begins."""
        with reading(engine) as connection:
            known = subscription_of(connection, subscription)
            term = issuing.next_term(connection, known)
            if term is None:
                return None
            return answers.ShownDraft.of(issuing.preview(connection, known, term, rules))


def _books(api: FastAPI, engine: Engine, rules: issuing.Rules, clock: Clock, may: list[Any]) -> None:
    @api.get("/subscriptions/{subscription}/credits", dependencies=may, tags=["credits"])
    def credits(subscription: str) -> list[answers.ShownCredit]:
        """Each credit: granted, used by invoices, settled by hand, open."""
        with reading(engine) as connection:
            found = balances(entries_of(connection, subscription))
        return [answers.ShownCredit.of(one) for one in found]

    @api.get("/subscriptions/{subscription}/ledger", dependencies=may, tags=["credits"])
    def ledger(subscription: str) -> list[answers.ShownEntry]:
        """Every ledger entry, in the order it was booked."""
        with reading(engine) as connection:
            return [answers.ShownEntry.of(one) for one in entries_of(connection, subscription)]

    @api.get("/subscriptions/{subscription}/quota-warnings", dependencies=may, tags=["support quota"])
    def quota_warnings(subscription: str) -> list[answers.ShownWarning]:
        """When its support quota ran low, and was restored; the oldest first."""
        with reading(engine) as connection:
            return [answers.ShownWarning.of(one) for one in warnings_of(connection, subscription)]

    @api.get("/subscriptions/{subscription}/invoices", dependencies=may, tags=["invoices"])
    def invoices(subscription: str) -> list[answers.ShownInvoice]:
        """A subscription's invoices, oldest first."""
        with reading(engine) as connection:
            return [
                answers.ShownInvoice.of_issued(one)
                for one in statements.invoices_of(connection, subscription)
            ]

    @api.get("/invoices", dependencies=may, tags=["invoices"])
    def all_invoices() -> list[answers.ShownInvoice]:
        """Every invoice, oldest first."""
        with reading(engine) as connection:
            return [answers.ShownInvoice.of_issued(one) for one in statements.invoices_of(connection)]

    @api.post("/invoices", dependencies=may, tags=["invoices"])
    def issue(body: bodies.Issue) -> answers.Numbers:
        """Issues what is due through a date, also one to come; what was issued stays as it is."""
        if body.through > add_months(local_date(clock(), rules.zone), _AHEAD_MONTHS):
            raise Nonsense(f"{body.through} is more than {_AHEAD_MONTHS} months ahead; give an earlier date")
        issued = issuing.issue_due(engine, body.through, rules, clock)
        metrics.INVOICES.inc(len(issued))
        return answers.Numbers(issued=issued)

    @api.get("/invoices/{number}", dependencies=may, tags=["invoices"])
    def invoice(number: str) -> answers.ShownInvoice:
        """One invoice."""
        with reading(engine) as connection:
            return answers.ShownInvoice.of_issued(statements.invoice_of(connection, number))

    @api.get("/invoices/{number}/page", dependencies=may, tags=["invoices"])
    def page(number: str) -> HTMLResponse:
        """One invoice as a page to print, in its own language."""
        with reading(engine) as connection:
            return HTMLResponse(invoice_page(statements.invoice_of(connection, number)))

    @api.post("/invoices/{number}/void", dependencies=may, tags=["invoices"])
    def void(number: str, body: bodies.Void) -> answers.Voided:
        """Voids an invoice: the credits it used are open again."""
        again = issuing.void(engine, number, body.reason, rules, clock, replace=body.replace)
        return answers.Voided(voided=number, replaced_by=again)

    @api.post("/subscriptions/{subscription}/settlements", dependencies=may, tags=["credits"])
    def settle(subscription: str, body: bodies.Settlement) -> list[answers.ShownCredit]:
        """Notes that a person paid a credit out, or waived what cannot be taken back."""
        issuing.settle(
            engine, subscription, body.credit, body.hundredths(), body.settlement, body.reason, clock
        )
        return credits(subscription)

    @api.get("/held", dependencies=may, tags=["needs a person"])
    def held() -> list[answers.ShownHeld]:
        """Credits beyond a cap: booked, and on no invoice until a person releases them."""
        with reading(engine) as connection:
            return [answers.ShownHeld.of(one) for one in holding.held_now(connection)]

    @api.post("/subscriptions/{subscription}/releases", dependencies=may, tags=["needs a person"])
    def release(subscription: str, body: bodies.Releasing) -> list[answers.ShownCredit]:
        """Lets the next invoice use a held credit. Said again under its id it changes nothing."""
        holding.release(engine, subscription, body.said(), clock)
        return credits(subscription)

    @api.get("/owed", dependencies=may, tags=["needs a person"])
    def owed() -> answers.Owed:
        """What no coming invoice settles by itself."""
        with reading(engine) as connection:
            return answers.Owed(
                credits=[answers.ShownDue.of(one) for one in statements.owed_now(connection)],
                invoices_after_end=[
                    answers.ShownInvoice.of_issued(one) for one in statements.invoiced_after_end(connection)
                ],
            )

    @api.get("/quarantine", dependencies=may, tags=["needs a person"])
    def quarantine() -> list[answers.ShownQuarantined]:
        """Records that contradict the books and wait for a decision."""
        with reading(engine) as connection:
            return [answers.ShownQuarantined.of(one) for one in statements.quarantined(connection)]

    @api.post("/quarantine/{id}/resolution", dependencies=may, status_code=204, tags=["needs a person"])
    def resolve(id: int, body: bodies.Resolution) -> Response:
        """Notes what a person decided; the record itself stays where it is."""
        with writing(engine) as connection:
            statements.resolve(connection, id, body.resolution, clock)
        return Response(status_code=204)
