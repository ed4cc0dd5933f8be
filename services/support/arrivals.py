"""A mail as it arrived, read once: what it says, its digests, and what our own server vouches for."""

from __future__ import annotations

import zlib
from hashlib import sha256

from msgspec import Struct

from services.support.authentication import Trust, authenticated
from services.support.intake import Mail, Rules
from services.support.settings import SupportSettings
from services.support.severity import said_severity
from shared.database import Clock
from shared.mail.mailbox import Delivery
from shared.mail.parts import Headers, head
from shared.mail.people import recipients_of
from shared.mail.reading import Incoming, read

_LARGE = 4_000_000


class Arrival(Struct, frozen=True):
    """`packed` is the mail as it was received, compressed (zlib); `unreadable` says why there is nothing to
    make of it."""

    delivery: Delivery
    incoming: Incoming
    headers: Headers
    raw_digest: str
    content_digest: str
    packed: bytes
    unreadable: str | None


def arrival(delivery: Delivery, settings: SupportSettings) -> Arrival:
    """Reads a delivery; any bytes will do."""
    raw = delivery.raw
    incoming = read(raw, own_domain=settings.id_domain())
    headers, _ = head(raw)
    raw_digest = sha256(raw).hexdigest()
    unreadable = None
    if not raw:
        unreadable = delivery.problem or "empty"
    elif "unreadable" in incoming.problems:
        unreadable = "no reading makes sense of it"
    # Without a Message-ID two mails may say the same and be two; the server's own stamps tell them apart. And
    # of what could not be fetched nobody knows what it says.
    content = incoming.content_digest if incoming.message_id is not None else raw_digest
    if not raw:
        content = sha256(f"{delivery.uidvalidity}/{delivery.uid}".encode()).hexdigest()
    # Large is what was compressed before: files. It would take seconds to make them a little smaller.
    packed = zlib.compress(raw, 1 if len(raw) < _LARGE else 0)
    return Arrival(delivery, incoming, headers, raw_digest, content, packed, unreadable)


def mail_of(found: Arrival, number: int, settings: SupportSettings, clock: Clock) -> Mail:
    """The mail to decide about, as message `number`."""
    incoming = found.incoming
    recipients = (*incoming.recipients, *found.headers.all("delivered-to")[:5])
    said = said_severity(incoming.subject, recipients, settings.address)
    trust = Trust(settings.authserv_id, settings.received_hops, settings.stamps_below)
    return Mail(
        incoming,
        min(found.delivery.received_at, clock()),
        authenticated(found.headers, incoming.sender, trust),
        said or settings.default_severity,
        f"mail/{number}",
        to_us=_addressed(found.headers, settings.address),
        unreadable=found.unreadable,
    )


def rules_of(settings: SupportSettings) -> Rules:
    """What is decided by, from the settings."""
    return Rules(
        settings.address,
        frozenset((*settings.staff, settings.address.lower())),
        settings.default_language,
        settings.zone,
        settings.reopen_days,
        bool(settings.authserv_id),
    )


def _addressed(headers: Headers, address: str) -> bool:
    """Whether `address`, with or without a +part, stands in To."""
    to, _ = recipients_of(Headers(tuple(field for field in headers.fields if field[0] == "to")))
    local, _, domain = address.lower().rpartition("@")
    return any(
        (name.partition("+")[0], at) == (local, domain)
        for name, _, at in (one.lower().rpartition("@") for one in to)
    )
