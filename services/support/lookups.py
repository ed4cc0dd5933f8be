"""What is known about the mails of a batch, looked up in a few queries however many they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from sqlalchemy import Connection, select

from services.support import contacts as people
from services.support.contacts import Contact
from services.support.intake import Earlier, Term, Thread
from services.support.saying import facts_of
from services.support.tables import addresses, messages, subscriptions, thread_ids, tickets
from services.support.threads import digest, tickets_named
from shared.database import lock_id
from shared.facts import RequestClosed
from shared.mail.reading import Incoming

_AT_ONCE = 500


class Lookups(Struct):
    """By address in lower case, account, content digest, digest of a Message-ID, and ticket."""

    contacts: dict[str, Contact]
    terms: dict[str, list[Term]]
    earlier: dict[str, Earlier]
    ticket_of: dict[str, str]
    threads: dict[str, Thread]

    def threads_of(self, incoming: Incoming) -> list[Thread]:
        """The requests the mail refers to, the likeliest first: the tokens in its subject, then what it
        refers to, from the mail it answers backwards."""
        named = tickets_named(incoming.subject)
        for reference in reversed(incoming.references):
            if (ticket := self.ticket_of.get(digest(reference))) is not None:
                named.append(ticket)
        return [self.threads[ticket] for ticket in dict.fromkeys(named) if ticket in self.threads]


def look_up(connection: Connection, mails: Sequence[tuple[Incoming, str]]) -> Lookups:
    """What is known about each mail, given with its content digest.

    The requests they may join stay locked until the transaction ends. They are locked here, all of them and
    in one order, before anything else is: whoever says a fact locks a request first, too.
    """
    ids = {digest(one) for incoming, _ in mails for one in incoming.references}
    ids |= {digest(one.message_id) for one, _ in mails if one.own and one.message_id is not None}
    ticket_of = {
        row.digest: row.ticket
        for some in _portions(ids)
        for row in connection.execute(select(thread_ids).where(thread_ids.c.digest.in_(some)))
    }
    named = {ticket for incoming, _ in mails for ticket in tickets_named(incoming.subject)}
    found = sorted(named | set(ticket_of.values()))
    for ticket in found:
        lock_id(connection, ticket)
    by_address = _contacts(connection, {(incoming.sender or "").lower() for incoming, _ in mails})
    return Lookups(
        by_address,
        _terms(connection, {one.account for one in by_address.values()}),
        _earlier(connection, {content for _, content in mails}),
        ticket_of,
        threads(connection, found),
    )


def threads(connection: Connection, wanted: Iterable[str]) -> dict[str, Thread]:
    """The requests among `wanted` that exist."""
    rows = [
        row
        for some in _portions(wanted)
        for row in connection.execute(select(tickets).where(tickets.c.ticket.in_(some)))
    ]
    by_mail = {int(row.origin[5:]): row.ticket for row in rows if row.origin.startswith("mail/")}
    requesters: dict[str, str] = {}
    for some in _portions(row.contact for row in rows if row.contact is not None):
        first = select(addresses).where(addresses.c.contact.in_(some), addresses.c.place == 0)
        by_contact = {one.contact: one.address for one in connection.execute(first)}
        requesters |= {row.ticket: by_contact[row.contact] for row in rows if row.contact in by_contact}
    for numbers in _portions(by_mail):
        mails = select(messages.c.message, messages.c.sender).where(messages.c.message.in_(numbers))
        requesters |= {by_mail[one.message]: one.sender for one in connection.execute(mails) if one.sender}
    return {
        row.ticket: Thread(
            row.ticket,
            row.account,
            row.status,
            requesters.get(row.ticket),
            _closed_at(connection, row.ticket) if row.status == "closed" else None,
        )
        for row in rows
    }


def _closed_at(connection: Connection, ticket: str) -> int | None:
    closings = [fact.at for fact in facts_of(connection, ticket) if isinstance(fact, RequestClosed)]
    return closings[-1] if closings else None


def _contacts(connection: Connection, wanted: set[str]) -> dict[str, Contact]:
    found: dict[str, Contact] = {}
    for some in _portions(wanted):
        owners = select(addresses.c.contact).where(addresses.c.address.in_(some))
        for contact in people.read(connection, owners):
            found |= {one: contact for one in contact.addresses if one in wanted}
    return found


def _terms(connection: Connection, accounts: set[str]) -> dict[str, list[Term]]:
    found: dict[str, list[Term]] = {}
    for some in _portions(accounts):
        for row in connection.execute(select(subscriptions).where(subscriptions.c.account.in_(some))):
            found.setdefault(row.account, []).append(Term(row.subscription, row.starts_on, row.ends_on))
    return found


def _earlier(connection: Connection, contents: set[str]) -> dict[str, Earlier]:
    """Of several with one content the one that became something, else the first."""
    c = messages.c
    found: dict[str, Earlier] = {}
    for some in _portions(contents):
        query = select(c.content_digest, c.message, c.state, c.ticket)
        for row in connection.execute(query.where(c.content_digest.in_(some)).order_by(c.message)):
            known = found.get(row.content_digest)
            if row.state != "repeat" and (known is None or known.state in ("quarantined", "discarded")):
                found[row.content_digest] = Earlier(row.message, row.state, row.ticket)
    return found


def _portions(wanted: Iterable[object]) -> Iterable[list[object]]:
    every = list(dict.fromkeys(wanted))
    return (every[at : at + _AT_ONCE] for at in range(0, len(every), _AT_ONCE))
