"""The HTTP API of billing: declare subscriptions, read the books, issue, void, settle.

Every route but health and metrics wants `Authorization: Bearer TOKEN`. Errors say what to do next.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import Engine

from services.billing import answers, bodies, issuing, metrics, statements
from services.billing.booking import entries_of
from services.billing.database import Clock, reading, writing
from services.billing.declaring import Contradiction, Unknown, declare, every_subscription, subscription_of
from services.billing.ledger import balances
from services.billing.page import invoice_page
from services.billing.subscription import Nonsense, Subscription
from shared.calendar import add_months, local_date
from shared.facts import SubscriptionFact

Check = Callable[[], list[str]]
"""Answers what is wrong; an empty list is well."""
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]

_AHEAD_MONTHS = 24
"""How far ahead invoices may be issued: a slip of the keys would issue years of them, and they stay."""
_bearer = HTTPBearer(auto_error=False, description="GARANT_BILLING_TOKEN")


def build_api(
    engine: Engine, rules: issuing.Rules, token: str, clock: Clock, live: Check, ready: Check
) -> FastAPI:
    """The application; `live` and `ready` answer /live and /ready."""
    # The framework's own page loads its scripts from elsewhere; the description itself is at /openapi.json.
    api = FastAPI(title="Garant billing", version="1", docs_url=None, redoc_url=None)
    _errors(api)
    _health(api, live, ready)

    def allowed(shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
        if shown is None or not secrets.compare_digest(shown.credentials.encode(), token.encode()):
            raise HTTPException(
                401,
                "Show the billing service's token: `Authorization: Bearer ...` (GARANT_BILLING_TOKEN).",
                {"WWW-Authenticate": "Bearer"},
            )

    guarded = [Depends(allowed)]
    _subscriptions(api, engine, rules, clock, guarded)
    _books(api, engine, rules, clock, guarded)
    return api


def _errors(api: FastAPI) -> None:
    def answer(status: int) -> Callable[[Request, Exception], JSONResponse]:
        return lambda _request, error: JSONResponse({"detail": str(error)}, status)

    api.add_exception_handler(Unknown, answer(404))
    api.add_exception_handler(Contradiction, answer(409))
    api.add_exception_handler(Nonsense, answer(422))


def _health(api: FastAPI, live: Check, ready: Check) -> None:
    def answer(wrong: list[str]) -> JSONResponse:
        return JSONResponse({"ok": not wrong, "wrong": wrong}, 503 if wrong else 200)

    @api.get("/live", tags=["health"])
    async def is_live() -> Response:
        """Whether the service's loops advance; when not, restart it."""
        return answer(live())

    @api.get("/ready", tags=["health"])
    async def is_ready() -> Response:
        """Whether the database is migrated and the consumer has its partitions."""
        return answer(ready())

    @api.get("/metrics", tags=["health"])
    async def counts() -> Response:
        """What the service counts, for Prometheus."""
        return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)


def _subscriptions(
    api: FastAPI, engine: Engine, rules: issuing.Rules, clock: Clock, guarded: list[Any]
) -> None:
    def today() -> date:
        return local_date(clock(), rules.zone)

    def said(fact: SubscriptionFact, key: str | None, response: Response) -> answers.ShownSubscription:
        known, new = declare(engine, fact, clock, key)
        response.status_code = 201 if new else 200
        return answers.ShownSubscription.of(known, today())

    def found(subscription: str) -> Subscription:
        with reading(engine) as connection:
            return subscription_of(connection, subscription)

    @api.post("/subscriptions", dependencies=guarded, status_code=201, tags=["subscriptions"])
    def start(body: bodies.Start, response: Response, key: Key = None) -> answers.ShownSubscription:
        """Starts a subscription. Said again word for word it changes nothing (200); with other words: 409."""
        return said(body.fact(), key, response)

    @api.post(
        "/subscriptions/{subscription}/changes",
        dependencies=guarded,
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
        dependencies=guarded,
        status_code=201,
        tags=["subscriptions"],
    )
    def cancel(
        subscription: str, body: bodies.Cancellation, response: Response, key: Key = None
    ) -> answers.ShownSubscription:
        """Ends a subscription; of two ends the later said counts."""
        account = found(subscription).started.account
        return said(body.fact(account, subscription), key, response)

    @api.get("/subscriptions", dependencies=guarded, tags=["subscriptions"])
    def listed() -> list[answers.ShownSubscription]:
        """Every subscription as it stands today."""
        with reading(engine) as connection:
            known = [subscription_of(connection, one) for one in every_subscription(connection)]
        return [answers.ShownSubscription.of(one, today()) for one in known]

    @api.get("/subscriptions/{subscription}", dependencies=guarded, tags=["subscriptions"])
    def shown(subscription: str) -> answers.ShownSubscription:
        """One subscription as it stands today."""
        return answers.ShownSubscription.of(found(subscription), today())

    @api.get("/subscriptions/{subscription}/next-invoice", dependencies=guarded, tags=["invoices"])
    def next_invoice(subscription: str) -> answers.ShownDraft | None:
        """The next invoice as it would be issued now; null where no other term begins."""
        with reading(engine) as connection:
            known = subscription_of(connection, subscription)
            term = issuing.next_term(connection, known)
            if term is None:
                return None
            return answers.ShownDraft.of(issuing.preview(connection, known, term, rules))


def _books(api: FastAPI, engine: Engine, rules: issuing.Rules, clock: Clock, guarded: list[Any]) -> None:
    @api.get("/subscriptions/{subscription}/credits", dependencies=guarded, tags=["credits"])
    def credits(subscription: str) -> list[answers.ShownCredit]:
        """Each credit: granted, used by invoices, settled by hand, open."""
        with reading(engine) as connection:
            found = balances(entries_of(connection, subscription))
        return [answers.ShownCredit.of(one) for one in found]

    @api.get("/subscriptions/{subscription}/ledger", dependencies=guarded, tags=["credits"])
    def ledger(subscription: str) -> list[answers.ShownEntry]:
        """Every ledger entry, in the order it was booked."""
        with reading(engine) as connection:
            return [answers.ShownEntry.of(one) for one in entries_of(connection, subscription)]

    @api.get("/subscriptions/{subscription}/invoices", dependencies=guarded, tags=["invoices"])
    def invoices(subscription: str) -> list[answers.ShownInvoice]:
        """A subscription's invoices, oldest first."""
        with reading(engine) as connection:
            return [
                answers.ShownInvoice.of_issued(one)
                for one in statements.invoices_of(connection, subscription)
            ]

    @api.get("/invoices", dependencies=guarded, tags=["invoices"])
    def all_invoices() -> list[answers.ShownInvoice]:
        """Every invoice, oldest first."""
        with reading(engine) as connection:
            return [answers.ShownInvoice.of_issued(one) for one in statements.invoices_of(connection)]

    @api.post("/invoices", dependencies=guarded, tags=["invoices"])
    def issue(body: bodies.Issue) -> answers.Numbers:
        """Issues what is due through a date, also one to come; what was issued stays as it is."""
        if body.through > add_months(local_date(clock(), rules.zone), _AHEAD_MONTHS):
            raise Nonsense(f"{body.through} is more than {_AHEAD_MONTHS} months ahead; give an earlier date")
        issued = issuing.issue_due(engine, body.through, rules, clock)
        metrics.INVOICES.inc(len(issued))
        return answers.Numbers(issued=issued)

    @api.get("/invoices/{number}", dependencies=guarded, tags=["invoices"])
    def invoice(number: str) -> answers.ShownInvoice:
        """One invoice."""
        with reading(engine) as connection:
            return answers.ShownInvoice.of_issued(statements.invoice_of(connection, number))

    @api.get("/invoices/{number}/page", dependencies=guarded, tags=["invoices"])
    def page(number: str) -> HTMLResponse:
        """One invoice as a page to print, in its own language."""
        with reading(engine) as connection:
            return HTMLResponse(invoice_page(statements.invoice_of(connection, number)))

    @api.post("/invoices/{number}/void", dependencies=guarded, tags=["invoices"])
    def void(number: str, body: bodies.Void) -> answers.Voided:
        """Voids an invoice: the credits it used are open again."""
        again = issuing.void(engine, number, body.reason, rules, clock, replace=body.replace)
        return answers.Voided(voided=number, replaced_by=again)

    @api.post("/subscriptions/{subscription}/settlements", dependencies=guarded, tags=["credits"])
    def settle(subscription: str, body: bodies.Settlement) -> list[answers.ShownCredit]:
        """Notes that a person paid a credit out, or waived what cannot be taken back."""
        issuing.settle(
            engine, subscription, body.credit, body.hundredths(), body.settlement, body.reason, clock
        )
        return credits(subscription)

    @api.get("/owed", dependencies=guarded, tags=["needs a person"])
    def owed() -> answers.Owed:
        """What no coming invoice settles by itself."""
        with reading(engine) as connection:
            return answers.Owed(
                credits=[answers.ShownDue.of(one) for one in statements.owed_now(connection)],
                invoices_after_end=[
                    answers.ShownInvoice.of_issued(one) for one in statements.invoiced_after_end(connection)
                ],
            )

    @api.get("/quarantine", dependencies=guarded, tags=["needs a person"])
    def quarantine() -> list[answers.ShownQuarantined]:
        """Records that contradict the books and wait for a decision."""
        with reading(engine) as connection:
            return [answers.ShownQuarantined.of(one) for one in statements.quarantined(connection)]

    @api.post("/quarantine/{id}/resolution", dependencies=guarded, status_code=204, tags=["needs a person"])
    def resolve(id: int, body: bodies.Resolution) -> Response:
        """Notes what a person decided; the record itself stays where it is."""
        with writing(engine) as connection:
            statements.resolve(connection, id, body.resolution, clock)
        return Response(status_code=204)
