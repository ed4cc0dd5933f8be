"""Zammad's webhook: what its tickets and articles mean here, said once however often and in whatever order
they are delivered.

Zammad sends a whole ticket and one article (https://admin-docs.zammad.org, "Webhook Payload"), tries again
when it gets no answer, and in no order. Articles are known by their ids; what a ticket says counts where its
`updated_at` is the latest seen.
"""

from __future__ import annotations

import hmac
from typing import Any, get_args

from msgspec import Struct
from sqlalchemy import Connection, insert, select, update

from services.support import contacts
from services.support.acting import MOVED, assigned_as, locked, subscription_for
from services.support.saying import NO_ACCOUNT, Nonsense, Opening, open_request, say
from services.support.settings import SupportSettings
from services.support.tables import tickets, work_entries, zammad_tickets
from services.support.zammad_payload import Article, Delivery, Ticket
from shared import facts
from shared.database import Clock, lock_id
from shared.time import Instant

KINDS: tuple[facts.Kind, ...] = get_args(facts.Kind)
SEVERITIES: tuple[facts.Severity, ...] = get_args(facts.Severity)

_ANSWERS = {"email", "phone", "web", "sms", "chat", "whatsapp"}
"""Types of articles that reach the customer. A note, also a public one, does not: nobody is told of it."""
_ENDED = {"closed", "merged"}


class Done(Struct, frozen=True):
    """What a delivery changed: the names of the facts that were said, in order."""

    ticket: str | None
    said: tuple[str, ...]
    because: str


def signed(body: bytes, signature: str | None, secret: str) -> bool:
    """Whether `X-Hub-Signature: sha1=...` is the HMAC-SHA1 of the body under the secret."""
    wanted = "sha1=" + hmac.new(secret.encode(), body, "sha1").hexdigest()
    return signature is not None and hmac.compare_digest(wanted.encode(), signature.strip().encode())


def take(connection: Connection, settings: SupportSettings, delivery: Delivery, clock: Clock) -> Done:
    """Says what follows from the delivery. Raises Nonsense, Contradiction.

    An agent's public article that reaches the customer is a response, at the instant it was written; Zammad
    sends its own letters, so none goes out from here. A merged ticket is closed: closing is no response, and
    merging is no way out of a promise.
    """
    ticket, article = delivery.ticket, delivery.article
    own = f"zammad-{ticket.number}"
    lock_id(connection, own)
    said: list[str] = []
    if (known := _known(connection, own)) is None:
        received_at = _received_at(ticket, article)
        if received_at is None:
            return Done(None, (), "no customer has asked anything in this ticket yet")
        open_request(
            connection, _opening(connection, settings, own, ticket, received_at), clock, acknowledge=False
        )
        said.append("RequestOpened")
    newest = _newest(connection, own, ticket.updated_at)
    row = locked(connection, known or own)
    for fact in (
        *_of_article(connection, settings, row, article, newest),
        *(_of_ticket(settings, row, ticket) if newest else ()),
    ):
        if say(connection, fact, clock):
            said.append(type(fact).__name__)
    return Done(row.ticket, tuple(said), "" if said else "nothing new")


def _received_at(ticket: Ticket, article: Article | None) -> int | None:
    """When the customer first asked: the ticket's start if a customer began it, else this article's if it is
    a customer's."""
    if ticket.create_article_sender == "Customer":
        return ticket.created_at
    if article is not None and article.sender == "Customer" and not article.internal:
        return article.created_at
    return None


def _opening(
    connection: Connection, settings: SupportSettings, own: str, ticket: Ticket, received_at: int
) -> Opening:
    known = contacts.by_address(connection, ticket.customer.email) if ticket.customer.email else None
    account = known.account if known else settings.zammad_accounts.get(ticket.organization or "", NO_ACCOUNT)
    subscription = None
    if account != NO_ACCOUNT:
        wanted = known.subscription if known else None
        subscription = subscription_for(connection, account, wanted, received_at, settings.zone)
    return Opening(
        account,
        subscription,
        _severity(settings, ticket) or settings.default_severity,
        _kind(settings, ticket) or "unclassified",
        received_at,
        known.language if known else settings.default_language,
        f"zammad/{ticket.id}",
        known.contact if known else None,
        ticket.title[:300],
        own,
    )


def _of_article(
    connection: Connection, settings: SupportSettings, row: Any, article: Article | None, newest: bool
) -> list[facts.TicketFact]:
    if article is None:
        return []
    found: list[facts.TicketFact] = []
    answers = article.sender == "Agent" and not article.internal and article.type in _ANSWERS
    if answers and article.created_at >= row.received_at:
        found.append(facts.FirstResponseSent(row.account, row.ticket, Instant(article.created_at)))
    entry = f"zammad-{article.id}"
    minutes = int(article.accounted_time * settings.zammad_minutes_per_unit + 0.5)
    known = connection.execute(
        select(work_entries.c.minutes, work_entries.c.at).where(
            work_entries.c.ticket == row.ticket, work_entries.c.entry == entry
        )
    ).one_or_none()
    if known is None and minutes > 0:
        found.append(facts.WorkLogged(row.account, row.ticket, entry, minutes, Instant(article.created_at)))
    elif known is not None and newest and known.minutes != minutes:
        found.append(facts.WorkCorrected(row.account, row.ticket, entry, minutes, Instant(known.at)))
    return found


def _of_ticket(settings: SupportSettings, row: Any, ticket: Ticket) -> list[facts.TicketFact]:
    found: list[facts.TicketFact] = []
    at = Instant(max(ticket.updated_at, row.received_at))
    if (severity := _severity(settings, ticket)) is not None:
        found.append(facts.SeverityChanged(row.account, row.ticket, severity, at))
    if (kind := _kind(settings, ticket)) is not None:
        found.append(facts.RequestClassified(row.account, row.ticket, kind, at))
    if ticket.state in _ENDED:
        found.append(facts.RequestClosed(row.account, row.ticket, at))
    elif row.status == "closed":
        found.append(facts.RequestReopened(row.account, row.ticket, at))
    return found


def _severity(settings: SupportSettings, ticket: Ticket) -> facts.Severity | None:
    """A tag such as `severity:down`, else what the priority means by GARANT_SUPPORT_ZAMMAD_SEVERITIES."""
    for one in SEVERITIES:
        if f"severity:{one}" in ticket.tags:
            return one
    return settings.zammad_severities.get(ticket.priority or "")


def _kind(settings: SupportSettings, ticket: Ticket) -> facts.Kind | None:
    """A tag such as `kind:bug`, else the ticket's own field GARANT_SUPPORT_ZAMMAD_KIND_FIELD."""
    for one in KINDS:
        if f"kind:{one}" in ticket.tags:
            return one
    field = ticket.fields.get(settings.zammad_kind_field)
    return next((one for one in KINDS if one == field), None)


def _known(connection: Connection, own: str) -> str | None:
    """The request here; the one it was assigned anew as, if somebody did."""
    found = connection.execute(select(tickets.c.origin).where(tickets.c.ticket == own)).scalar_one_or_none()
    if found is None:
        return None
    if found.startswith(MOVED):
        return assigned_as(connection, own)
    if not found.startswith("zammad/"):
        raise Nonsense(f"ticket {own} was opened by somebody else; ids that begin with zammad- are Zammad's")
    return own


def _newest(connection: Connection, own: str, updated_at: int) -> bool:
    """Whether nothing later was taken of the ticket; then this is what was taken last."""
    c = zammad_tickets.c
    before = connection.execute(select(c.updated_at).where(c.ticket == own)).scalar_one_or_none()
    if before is None:
        connection.execute(insert(zammad_tickets).values(ticket=own, updated_at=updated_at))
        return True
    if updated_at < before:
        return False
    connection.execute(update(zammad_tickets).where(c.ticket == own).values(updated_at=updated_at))
    return True
