"""Support requests in the journal: what facts about tickets mean, and what follows (contract 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from services.sla import deadlines, quota, subscriptions
from services.sla.deadlines import Concluded, Entry, Judged, Request
from services.sla.history import History
from services.sla.rejection import Rejected
from services.sla.spoken import Unstamped
from services.sla.subscriptions import Subscription
from services.sla.support_hours import SupportHours
from shared import calendar, facts, outcomes
from shared.time import Instant


class Requests:
    """The requests of one journal partition. Open time is worked out once for each document of terms."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._hours: dict[int, SupportHours] = {}
        # Closing is no response, reopening starts no new wait: nothing follows from either.
        self._decide: dict[type[Any], Callable[[Request, Any], list[Unstamped]]] = {
            facts.WorkLogged: self._logged,
            facts.WorkCorrected: self._corrected,
            facts.SeverityChanged: self._severity_changed,
            facts.FirstResponseSent: self._responded,
            facts.RequestWithdrawn: self._withdrawn,
            facts.RequestClassified: self._classified,
        }

    def decided(self, fact: facts.TicketFact) -> list[Unstamped]:
        """What `fact` concludes. Raises Rejected for one that makes no sense."""
        if isinstance(fact, facts.RequestOpened):
            return self._opened(fact)
        request = self._history.requests.get(fact.ticket)
        if request is None:
            raise Rejected(f"ticket {fact.ticket} was never opened")
        if request.account != fact.account:
            raise Rejected(f"ticket {fact.ticket} is not of account {fact.account}")
        decide = self._decide.get(type(fact))
        return [] if decide is None else decide(request, fact)

    def on_time(self, ticket: str) -> list[Unstamped]:
        """What is concluded because the request wakes."""
        request = self._history.requests[ticket]
        return [self._said(ticket, request, deadlines.on_time(request, self._judged(request)))]

    def _opened(self, fact: facts.RequestOpened) -> list[Unstamped]:
        history = self._history
        if fact.ticket in history.requests:
            raise Rejected(f"ticket {fact.ticket} is open already")
        day = calendar.local_date(fact.received_at, history.book.zone)
        subscription = history.subscriptions.get(fact.subscription or "")
        if (
            subscription is None
            or subscription.account != fact.account
            or not subscriptions.active(subscription, day)
        ):
            history.requests[fact.ticket] = Request(
                fact.account, "", False, fact.kind, fact.severity, fact.received_at
            )
            return [partial(outcomes.RequestUncovered, fact.account, fact.ticket)]
        history.requests[fact.ticket] = request = Request(
            fact.account,
            subscription.subscription,
            True,
            fact.kind,
            fact.severity,
            fact.received_at,
            subscription.deployments.on(day),
            history.book.on(day).number,
        )
        deadlines.opened(request, self._judged(request))
        return [self._due(fact.ticket, request)]

    def _severity_changed(self, request: Request, fact: facts.SeverityChanged) -> list[Unstamped]:
        said = deadlines.severity_changed(request, self._judged(request), fact.severity, fact.at)
        return [self._due(fact.ticket, request)] if said else []

    def _responded(self, request: Request, fact: facts.FirstResponseSent) -> list[Unstamped]:
        concluded = deadlines.responded(request, fact.at)
        return [] if concluded is None else [self._said(fact.ticket, request, concluded)]

    def _withdrawn(self, request: Request, fact: facts.RequestWithdrawn) -> list[Unstamped]:
        del fact
        deadlines.withdrawn(request)
        return []

    def _classified(self, request: Request, fact: facts.RequestClassified) -> list[Unstamped]:
        request.kind = fact.kind
        if not request.covered or not request.work:
            return []
        return quota.reclassified(self._asked_under(request), fact.ticket, request, self._history.book)

    def _logged(self, request: Request, fact: facts.WorkLogged) -> list[Unstamped]:
        if fact.entry in request.work:
            raise Rejected(f"ticket {fact.ticket} has an entry {fact.entry} already; correct it instead")
        return self._entered(request, fact, None)

    def _corrected(self, request: Request, fact: facts.WorkCorrected) -> list[Unstamped]:
        if fact.entry not in request.work:
            raise Rejected(f"ticket {fact.ticket} has no entry {fact.entry}")
        return self._entered(request, fact, request.work[fact.entry])

    def _entered(
        self, request: Request, fact: facts.WorkLogged | facts.WorkCorrected, before: Entry | None
    ) -> list[Unstamped]:
        if fact.minutes < 0:
            raise Rejected("minutes cannot be negative")
        request.work[fact.entry] = after = Entry(fact.minutes, fact.at)
        if not request.covered:
            return []
        subscription = self._asked_under(request)
        return quota.entered(subscription, fact.ticket, request, before, after, self._history.book)

    def _asked_under(self, request: Request) -> Subscription:
        return self._history.subscriptions[request.subscription]

    def _judged(self, request: Request) -> Judged:
        """What the request is judged by: the document it was recorded under, for ever."""
        book = self._history.book
        terms = book.numbered(request.terms).terms
        hours = self._hours.get(request.terms)
        if hours is None:
            hours = self._hours[request.terms] = SupportHours(book.zone, terms.support)
        return Judged(terms.support, hours, request.deployment)

    def _due(self, ticket: str, request: Request) -> Unstamped:
        return partial(
            outcomes.ResponseDue,
            request.account,
            request.subscription,
            ticket,
            request.revision,
            request.severity,
            Instant(request.due_at),
            Instant(request.at_risk_at),
            self._history.book.numbered(request.terms).version,
        )

    def _said(self, ticket: str, request: Request, concluded: Concluded) -> Unstamped:
        names = (request.account, request.subscription, ticket, Instant(request.due_at))
        if concluded == "at risk":
            return partial(outcomes.ResponseAtRisk, *names)
        if concluded == "missed":
            return partial(outcomes.ResponseMissed, *names)
        at = Instant(request.response_at or 0)
        if concluded == "met":
            return partial(outcomes.ResponseMet, *names, at)
        late_by_ms = self._judged(request).hours.between(request.due_at, at)
        return partial(outcomes.ResponseLate, *names, at, late_by_ms)
