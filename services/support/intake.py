"""What a mail is and what follows from it: decided once, from the mail and what is known, by nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal

from msgspec import Struct

from services.support.authentication import Verdict
from services.support.contacts import Contact
from services.support.saying import NO_ACCOUNT, Opening
from shared.calendar import local_date
from shared.facts import FirstResponseSent, RequestReopened, Severity, TicketFact
from shared.mail.reading import Incoming
from shared.time import DAY, Instant

State = Literal[
    "opened",
    "threaded",
    "staff",
    "repeat",
    "automatic",
    "bounce",
    "own",
    "quarantined",
    "released",
    "discarded",
]
"""Values of the column `state` of `messages`; a person makes the last two of what was quarantined."""


class Rules(Struct, frozen=True):
    """What the settings say. `staff` are addresses in lower case, `authenticating` whether our mail server's
    word is known at all."""

    address: str
    staff: frozenset[str]
    default_language: str
    zone: str
    reopen_days: int
    authenticating: bool


class Mail(Struct, frozen=True):
    """A mail as read. `received_at` is when our own server had it, never what the sender says; `unreadable`
    says why nothing can be made of it; `to_us` whether it is addressed to us rather than copied."""

    incoming: Incoming
    received_at: int
    verdict: Verdict
    severity: Severity
    origin: str
    to_us: bool = True
    unreadable: str | None = None


class Thread(Struct, frozen=True):
    """A request the mail refers to. `requester` is the address of whoever asked, if known; `closed_at` (ms)
    when it was closed last."""

    ticket: str
    account: str
    status: str
    requester: str | None
    closed_at: int | None = None


class Term(Struct, frozen=True):
    """A subscription of the sender's account; `ends_on` is exclusive."""

    subscription: str
    starts_on: date
    ends_on: date | None


class Earlier(Struct, frozen=True):
    """A mail taken before that has the same content."""

    message: int
    state: State
    ticket: str | None


class Known(Struct, frozen=True):
    """What was looked up for one mail. `threads` are those it refers to, the likeliest first; `ours`: it is a
    letter we sent; `bounced`: it reports on a letter (its id, or "" where it is none of ours)."""

    contact: Contact | None = None
    terms: Sequence[Term] = ()
    threads: Sequence[Thread] = ()
    earlier: Earlier | None = None
    ours: bool = False
    bounced: str | None = None


class Decision(Struct, frozen=True):
    """What becomes of a mail: its state and why, the request it belongs to (`opening`: a new one), what is
    said, whether a letter may answer, and whether its text is to be sent on to the requester."""

    state: State
    reason: str
    ticket: str | None = None
    contact: str | None = None
    opening: Opening | None = None
    says: tuple[TicketFact, ...] = ()
    answer: bool = False
    send_on: bool = False


def decide(mail: Mail, known: Known, rules: Rules) -> Decision:
    """What becomes of the mail. Only an authenticated person's mail opens, joins or answers a request."""
    incoming = mail.incoming
    if known.ours:
        return Decision("own", "a copy of our own letter")
    if known.bounced is not None:
        what = f"letter {known.bounced} did not arrive" if known.bounced else "of none of our letters"
        return Decision("bounce", what)
    contact = known.contact.contact if known.contact and mail.verdict.domain else None
    if incoming.automatic is not None:
        joined = _first(_joinable(mail, known))
        return Decision(
            "automatic",
            f"{incoming.automatic} ({incoming.automatic_because})",
            ticket=joined.ticket if joined and mail.verdict.domain else None,
            contact=contact,
        )
    if (earlier := known.earlier) is not None and not _better(mail, earlier):
        return Decision("repeat", f"a copy of message {earlier.message}", earlier.ticket, contact)
    if mail.unreadable is not None:
        return Decision("quarantined", f"unreadable: {mail.unreadable}")
    if incoming.sender is None:
        return Decision("quarantined", "no single From address: nobody knows who wrote it")
    if mail.verdict.domain is None:
        return Decision("quarantined", _unauthenticated(rules))
    if incoming.own and incoming.sender.lower() == rules.address.lower():
        return Decision("quarantined", "it bears a Message-ID of ours that we never gave")
    if incoming.sender.lower() in rules.staff:
        return _of_staff(mail, known)
    joined = _first(one for one in _joinable(mail, known) if _alive(one, mail.received_at, rules))
    if joined is not None:
        return _joins(mail, joined, contact)
    return _opens(mail, known, rules)


def term_on(wanted: str | None, terms: Sequence[Term], day: date) -> str | None:
    """The subscription a request received on `day` is asked under: the one `wanted` if it is active then,
    else the active one that began first, else the one that ended last, else the next to begin."""
    active = [one for one in terms if one.starts_on <= day and (one.ends_on is None or day < one.ends_on)]
    for one in sorted(active, key=lambda one: (one.subscription != wanted, one.starts_on, one.subscription)):
        return one.subscription
    ended = [
        (one.ends_on, one.subscription) for one in terms if one.ends_on is not None and one.ends_on <= day
    ]
    if ended:
        return max(ended)[1]
    return min(((one.starts_on, one.subscription) for one in terms), default=(day, None))[1]


def _better(mail: Mail, earlier: Earlier) -> bool:
    """A copy somebody forged and sent first must not swallow the true one."""
    return mail.verdict.domain is not None and earlier.state in ("quarantined", "discarded")


def _unauthenticated(rules: Rules) -> str:
    if not rules.authenticating:
        return "nobody is authenticated: GARANT_SUPPORT_AUTHSERV_ID is not set"
    return "our mail server does not vouch for the sender"


def _joinable(mail: Mail, known: Known) -> list[Thread]:
    """The requests that are the sender's own: of the same account; where there is none, the same person's."""
    account = known.contact.account if known.contact else NO_ACCOUNT
    sender = (mail.incoming.sender or "").lower()
    return [
        one
        for one in known.threads
        if one.account == account and (account != NO_ACCOUNT or (one.requester or "").lower() == sender)
    ]


def _alive(thread: Thread, received_at: int, rules: Rules) -> bool:
    if thread.status == "closed":
        return thread.closed_at is None or received_at <= thread.closed_at + rules.reopen_days * DAY
    return thread.status == "open"


def _first(threads: Iterable[Thread]) -> Thread | None:
    return next(iter(threads), None)


def _joins(mail: Mail, thread: Thread, contact: str | None) -> Decision:
    if thread.status == "open":
        return Decision("threaded", "belongs to a request", thread.ticket, contact)  # a nudge moves nothing
    # It may have been received before the request was closed, unread: the closing was what came first.
    at = Instant(max(mail.received_at, thread.closed_at or 0))
    reopened = RequestReopened(thread.account, thread.ticket, at)
    return Decision("threaded", "reopens a request", thread.ticket, contact, says=(reopened,))


def _opens(mail: Mail, known: Known, rules: Rules) -> Decision:
    contact, incoming = known.contact, mail.incoming
    day = local_date(mail.received_at, rules.zone)
    opening = Opening(
        account=contact.account if contact else NO_ACCOUNT,
        subscription=term_on(contact.subscription, known.terms, day) if contact else None,
        severity=mail.severity,
        kind="unclassified",
        received_at=mail.received_at,
        language=contact.language if contact else rules.default_language,
        origin=mail.origin,
        contact=contact.contact if contact else None,
        subject=incoming.subject,
    )
    who = "of a contact" if contact else "of somebody we do not know"
    wanted = not incoming.reply_unwanted and incoming.return_path != ""
    return Decision("opened", f"a request {who}", None, opening.contact, opening, answer=wanted)


def _of_staff(mail: Mail, known: Known) -> Decision:
    incoming = mail.incoming
    thread = _first(known.threads)
    if thread is None:
        return Decision("quarantined", "a mail of our staff that belongs to no request")
    told = {one.lower() for one in incoming.recipients}
    answers = thread.requester is not None and thread.requester.lower() in told
    if not answers and not mail.to_us:
        return Decision("staff", "a note: it went to others, with us in copy", thread.ticket)
    if not answers and thread.requester is None:
        return Decision("quarantined", "an answer of our staff, and nobody is known to send it on to")
    if not answers and incoming.attachments:
        return Decision(
            "quarantined", "an answer with attachments: send it to the customer yourself, with us in copy"
        )
    response = FirstResponseSent(thread.account, thread.ticket, Instant(mail.received_at))
    why = "an answer to the customer" if answers else "an answer, sent on to the customer"
    return Decision("staff", why, thread.ticket, says=(response,), send_on=not answers)
