"""Taking mails in: one transaction for a batch, with everything that follows from each and the position.

What is taken twice is noticed by its place in the mailbox and by its content. A mail with which anything goes
wrong is put into quarantine as it is and holds up nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from services.support import metrics
from services.support.arrivals import Arrival, arrival
from services.support.correspondence import remember
from services.support.filing import advance, bare_row, row_of, store, taken_before
from services.support.intake import Decision, State
from services.support.lookups import look_up
from services.support.saying import Numbered, next_numbers, open_numbered
from services.support.settings import SupportSettings
from services.support.treating import Treated, learn, treat
from shared.database import Clock, lock_id, writing
from shared.failpoints import reach
from shared.mail.mailbox import Delivery

log = structlog.get_logger()

HANDED_OVER = 0
"""The UID of a mail that comes from no mailbox but by SMTP or LMTP: its number becomes its UID."""
_TRIES = 5
_PASSING = ("40P01", "40001")
"""SQLSTATEs of a deadlock or conflict that another transaction won."""


class Taken(Struct, frozen=True):
    """What became of a mail."""

    message: int
    state: State
    reason: str
    ticket: str | None


def take(
    engine: Engine, settings: SupportSettings, mailbox: str, deliveries: Sequence[Delivery], clock: Clock
) -> list[Taken]:
    """Takes the batch in, in order, and commits it with the position above it; what was taken before is left
    out. Raises what the database raises: then nothing of the batch was taken."""
    found = [arrival(one, settings) for one in deliveries]
    careful = False
    for attempt in range(_TRIES):
        try:
            with writing(engine) as connection:
                taken = _take(connection, settings, mailbox, found, clock, careful=careful)
                reach("support.mail.taking")
            reach("support.mail.taken")
            for one in taken:
                metrics.MAILS.labels(one.state).inc()
                log.info("support.mail.taken", message=one.message, state=one.state, ticket=one.ticket)
            return taken
        except Exception as error:
            if attempt + 1 == _TRIES or _lasting(error) or (careful and not _passing(error)):
                raise
            # One of them cannot be taken in. Which one is seen by taking each in a savepoint of its own,
            # which costs more than to do so only now.
            careful = careful or not _passing(error)
            log.warning("support.mail.again", kind=type(error).__name__, careful=careful)
    raise AssertionError("the last try returns or raises")


def _passing(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _PASSING


def _lasting(error: Exception) -> bool:
    """The database itself is in trouble (away, full, locked): no mail's fault."""
    return isinstance(error, OperationalError) and not _passing(error)


def _take(
    connection: Connection,
    settings: SupportSettings,
    mailbox: str,
    every: Sequence[Arrival],
    clock: Clock,
    *,
    careful: bool,
) -> list[Taken]:
    lock_id(connection, "support.taking")
    before = taken_before(connection, mailbox, every)
    new = [one for one in every if (one.delivery.uidvalidity, one.delivery.uid) not in before]
    known = look_up(connection, [(one.incoming, one.content_digest) for one in new])
    taken: list[Taken] = []
    rows: list[dict[str, Any]] = []
    ids: dict[str, str] = {}
    pending: list[Numbered] = []
    for number, one in zip(next_numbers(connection, "messages", len(new)), new, strict=True):
        if one.delivery.uid == HANDED_OVER:
            one = replace(one, delivery=replace(one.delivery, uid=number))
        if careful:
            treated = _with_care(connection, settings, mailbox, one, number, known, clock)
        else:
            treated = treat(connection, settings, one, number, known, clock, pending)
            rows.append(row_of(mailbox, one, number, treated.decision, treated.ticket, clock))
            if treated.digest is not None and treated.ticket is not None:
                ids.setdefault(treated.digest, treated.ticket)
        learn(known, one, number, treated)
        taken.append(Taken(number, treated.decision.state, treated.decision.reason, treated.ticket))
    open_numbered(connection, pending, clock)
    reach("support.mail.opening")
    store(connection, rows, [one.packed for one in new] if rows else [])
    remember(connection, ids)
    reach("support.mail.storing")
    advance(connection, mailbox, [one for one in every if one.delivery.uid != HANDED_OVER])
    return taken


def _with_care(
    connection: Connection,
    settings: SupportSettings,
    mailbox: str,
    one: Arrival,
    number: int,
    known: Any,
    clock: Clock,
) -> Treated:
    try:
        with connection.begin_nested():
            treated = treat(connection, settings, one, number, known, clock)
            row = row_of(mailbox, one, number, treated.decision, treated.ticket, clock)
            store(connection, [row], [one.packed])
            if treated.digest is not None and treated.ticket is not None:
                remember(connection, {treated.digest: treated.ticket})
            return treated
    except Exception as error:
        if _lasting(error) or _passing(error):
            raise
        log.error("support.mail.failed", message=number, kind=type(error).__name__)
        decision = Decision("quarantined", f"unreadable: {type(error).__name__} while it was taken in")
        store(connection, [bare_row(mailbox, one, number, decision, clock)], [one.packed])
        return Treated(decision, None)
