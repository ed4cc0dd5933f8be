"""Who gets the news by mail: asked for, confirmed within 48 hours, ended with one click.

An address is personal data. It stands in `askings` and `subscribers` only, in no log, and is gone once it is
of no use: never confirmed, or unsubscribed. Notify, which has the mails, is then asked to forget it as well.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from hashlib import sha256

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from services.status.site import Language
from services.status.tables import askings, mails, subscribers
from shared.database import Clock, lock_id
from shared.time import DAY, HOUR, Instant

CONFIRM_WITHIN_MS = 48 * HOUR
_FORGET_AGAIN_MS = HOUR
"""A mail may be on its way to notify while its reader leaves: it is told to forget once more."""


class Allowance(Struct, frozen=True):
    """How much one may ask for: confirmation mails to one address in a day, to all in an hour; requests of
    one source in an hour."""

    per_address: int = 3
    in_all: int = 1_000
    per_source: int = 20


ALLOWANCE = Allowance()


class Subscriber(Struct, frozen=True):
    """A reader who confirmed. `components` None: all; `confirmed_at` in ms."""

    subscriber: str
    language: Language
    components: frozenset[str] | None
    confirmed_at: Instant

    def wants(self, components: Collection[str]) -> bool:
        """Whether news of these (none: of everything) concerns the reader."""
        return self.components is None or not components or not self.components.isdisjoint(components)


class TooMany(Exception):
    """So much was asked for that nothing more is sent for now."""


def contact(name: str) -> str:
    """What notify knows an asking or a subscriber by."""
    return f"status-{name}"


def ask(
    connection: Connection,
    address: str,
    language: Language,
    components: Sequence[str] | None,
    body: Callable[[str], str],
    allowance: Allowance,
    clock: Clock,
) -> None:
    """Has a confirmation sent to `address` (normalised); `body` makes its mail of the token. Whether it is
    subscribed already, or was asked for too often, makes no difference to who asks. Raises TooMany where that
    many were asked for in all."""
    now, c = clock(), askings.c
    recent = select(func.count()).select_from(askings)
    if connection.execute(recent.where(c.asked_at > now - HOUR)).scalar_one() >= allowance.in_all:
        raise TooMany
    lock_id(connection, f"address {_digest(address)}")
    his = recent.where(c.address == address, c.asked_at > now - DAY)
    if connection.execute(his).scalar_one() >= allowance.per_address:
        return
    asking, token = f"a{secrets.token_hex(16)}", secrets.token_urlsafe(32)
    connection.execute(
        insert(askings).values(
            asking=asking,
            confirm_digest=_digest(token),
            address=address,
            language=language,
            components=None if components is None else _packed(components),
            asked_at=now,
        )
    )
    put_mails(connection, [mail_row(f"confirm/{asking}", "confirm", asking, body(token), now)])


def can_confirm(connection: Connection, token: str, now: Instant) -> bool:
    """Whether the token of a confirmation mail still confirms something."""
    return _asking(connection, token, now) is not None


def confirm(connection: Connection, token: str, clock: Clock) -> bool:
    """Makes who asked a subscriber, once; who is one already gets the new choice. False: the token is of no
    use (any more)."""
    now, c = clock(), subscribers.c
    asking = _asking(connection, token, now)
    if asking is None:
        return False
    lock_id(connection, f"address {_digest(asking.address)}")
    asking = _asking(connection, token, now)  # as it is now that nobody else changes it
    if asking is None:
        return False
    existing = connection.execute(
        select(c.subscriber).where(c.address == asking.address)
    ).scalar_one_or_none()
    if asking.confirmed_as is not None:
        return bool(asking.confirmed_as == existing)
    choice = {"language": asking.language, "components": asking.components}
    if existing is not None:
        connection.execute(update(subscribers).where(c.subscriber == existing).values(**choice))
    else:
        existing = f"s{secrets.token_hex(16)}"
        connection.execute(
            insert(subscribers).values(
                subscriber=existing,
                address=asking.address,
                confirmed_at=now,
                unsubscribe_token=secrets.token_urlsafe(32),
                **choice,
            )
        )
    mine = askings.c.asking == asking.asking
    connection.execute(update(askings).where(mine).values(confirmed_as=existing))
    return True


def unsubscribe(connection: Connection, token: str, clock: Clock) -> bool:
    """Ends a subscription and forgets its reader at once. False: there is none (any more)."""
    c = subscribers.c
    row = connection.execute(
        select(c.subscriber, c.address).where(c.unsubscribe_token == token)
    ).one_or_none()
    if row is None:
        return False
    _leave(connection, row.subscriber, row.address, clock())
    return True


def drop(connection: Connection, subscriber: str, clock: Clock) -> None:
    """Ends the subscription of a reader whose mails keep coming back."""
    c = subscribers.c
    address = connection.execute(select(c.address).where(c.subscriber == subscriber)).scalar_one_or_none()
    if address is not None:
        _leave(connection, subscriber, address, clock())


def _leave(connection: Connection, subscriber: str, address: str, now: Instant) -> None:
    lock_id(connection, f"address {_digest(address)}")
    connection.execute(delete(subscribers).where(subscribers.c.subscriber == subscriber))
    asked = connection.execute(
        delete(askings).where(askings.c.address == address).returning(askings.c.asking)
    ).scalars()
    _forget(connection, [subscriber, *asked], now)


def forget_unconfirmed(connection: Connection, now: Instant) -> int:
    """Forgets who asked 48 hours ago; those who confirmed stay subscribers. How many it were."""
    old = delete(askings).where(askings.c.asked_at <= now - CONFIRM_WITHIN_MS)
    gone = list(connection.execute(old.returning(askings.c.asking)).scalars())
    _forget(connection, gone, now)
    return len(gone)


def _forget(connection: Connection, names: Sequence[str], now: Instant) -> None:
    for name in names:
        connection.execute(delete(mails).where(mails.c.contact == contact(name)))
    due = tuple(enumerate((now, now + _FORGET_AGAIN_MS)))
    rows = [mail_row(f"forget/{name}/{n}", "forget", name, "", at) for name in names for n, at in due]
    put_mails(connection, rows)


def mail_row(id: str, purpose: str, name: str, body: str, due_at: int) -> dict[str, object]:
    """What notify is to be told of the asking or subscriber `name`, from `due_at` on."""
    return {"id": id, "purpose": purpose, "contact": contact(name), "body": body, "due_at": due_at}


def put_mails(connection: Connection, rows: Sequence[dict[str, object]]) -> None:
    """Puts down what notify is to be told; what is put down already stays as it is."""
    if rows:
        insert_ = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(insert_(mails).on_conflict_do_nothing(index_elements=["id"]), rows)


def all_subscribers(connection: Connection) -> list[Subscriber]:
    """Everybody who confirmed, without their addresses."""
    c = subscribers.c
    rows = connection.execute(select(c.subscriber, c.language, c.components, c.confirmed_at))
    return [
        Subscriber(row.subscriber, row.language, unpacked(row.components), Instant(row.confirmed_at))
        for row in rows
    ]


def count_subscribers(connection: Connection) -> int:
    """How many confirmed."""
    return connection.execute(select(func.count()).select_from(subscribers)).scalar_one()


class _Asking(Struct, frozen=True):
    asking: str
    address: str
    language: str
    components: str | None
    confirmed_as: str | None


def _asking(connection: Connection, token: str, now: Instant) -> _Asking | None:
    c = askings.c
    mine = (c.confirm_digest == _digest(token)) & (c.asked_at > now - CONFIRM_WITHIN_MS)
    columns = [c[name] for name in _Asking.__struct_fields__]
    row = connection.execute(select(*columns).where(mine)).one_or_none()
    return None if row is None else _Asking(**row._mapping)


def unpacked(components: str | None) -> frozenset[str] | None:
    """Public ids as they are kept; None: all."""
    return None if components is None else msgspec.json.decode(components, type=frozenset[str])


def _packed(components: Sequence[str]) -> str:
    return msgspec.json.encode(sorted(set(components))).decode()


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()
