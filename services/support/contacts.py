"""Who writes to us: contacts of accounts and the addresses they write from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from msgspec import Struct
from sqlalchemy import Connection, Row, delete, insert, select, true, update

from services.support.saying import Contradiction, Nonsense, Unknown
from services.support.settings import Language
from services.support.tables import addresses, contacts
from shared.database import Clock, lock_id
from shared.mail.address import BadAddress, address

LANGUAGES: tuple[Language, ...] = get_args(Language)
_NAME_MOST = 300


class Contact(Struct, frozen=True):
    """A person of a customer. `addresses` are in lower case, the first one is written to; `letters`: whether
    warnings and notices go to this person; `subscription`: the one this person writes about, where the
    account has several."""

    contact: str
    account: str
    addresses: tuple[str, ...]
    name: str
    language: Language
    letters: bool = True
    subscription: str | None = None


def put(connection: Connection, wanted: Contact, clock: Clock) -> bool:
    """Makes the contact what `wanted` says, addresses and all; returns whether it is new.

    Raises Nonsense for a bad id, address or language; Contradiction for an address of another contact, for a
    contact of another account, and for one who was forgotten.
    """
    found = _checked(wanted)
    lock_id(connection, "contacts")
    known = connection.execute(select(contacts).where(contacts.c.contact == found.contact)).one_or_none()
    if known is not None and known.forgotten_at is not None:
        raise Contradiction(f"contact {found.contact} was forgotten; take another id")
    if known is not None and known.account != found.account:
        raise Contradiction(
            f"contact {found.contact} is of account {known.account}; take another id for account "
            f"{found.account}, requests keep their account"
        )
    _free(connection, found)
    values: dict[str, Any] = {
        "subscription": found.subscription,
        "name": found.name,
        "language": found.language,
        "letters": found.letters,
    }
    if known is None:
        connection.execute(
            insert(contacts).values(
                contact=found.contact, account=found.account, created_at=clock(), **values
            )
        )
    else:
        connection.execute(update(contacts).where(contacts.c.contact == found.contact).values(**values))
    connection.execute(delete(addresses).where(addresses.c.contact == found.contact))
    for place, one in enumerate(found.addresses):
        connection.execute(insert(addresses).values(address=one, contact=found.contact, place=place))
    return known is None


def find(connection: Connection, contact: str) -> Contact:
    """The contact. Raises Unknown, also for one who was forgotten."""
    for one in _read(connection, contacts.c.contact == contact):
        return one
    raise Unknown(f"no contact {contact}; `garant support contact list` lists them")


def by_address(connection: Connection, text: str) -> Contact | None:
    """Whose address it is, in whatever case it is written."""
    owner = select(addresses.c.contact).where(addresses.c.address == text.lower())
    return next(iter(read(connection, owner)), None)


def read(connection: Connection, ids: Any) -> list[Contact]:
    """The contacts whose ids the subquery `ids` gives."""
    return _read(connection, contacts.c.contact.in_(ids))


def listed(connection: Connection, account: str | None = None) -> list[Contact]:
    """Every contact, or an account's, by id; without those who were forgotten."""
    return _read(connection, contacts.c.account == account if account is not None else true())


def letters_to(connection: Connection, account: str) -> list[Contact]:
    """The account's contacts who get warnings and notices and have an address, by id."""
    return [one for one in listed(connection, account) if one.letters and one.addresses]


def _read(connection: Connection, condition: Any) -> list[Contact]:
    rows = connection.execute(
        select(contacts)
        .where(contacts.c.forgotten_at.is_(None))
        .where(condition)
        .order_by(contacts.c.contact)
    ).all()
    by_contact: dict[str, list[str]] = {}
    if rows:
        found = connection.execute(
            select(addresses.c.contact, addresses.c.address)
            .where(addresses.c.contact.in_([row.contact for row in rows]))
            .order_by(addresses.c.place, addresses.c.address)
        )
        for contact, one in found:
            by_contact.setdefault(contact, []).append(one)
    return [_contact(row, by_contact.get(row.contact, ())) for row in rows]


def _contact(row: Row[Any], found: Iterable[str]) -> Contact:
    return Contact(
        row.contact,
        row.account,
        tuple(found),
        row.name or "",
        row.language,
        row.letters,
        row.subscription,
    )


def _checked(wanted: Contact) -> Contact:
    for what, value in (("contact", wanted.contact), ("account", wanted.account)):
        if not 1 <= len(value) <= 200 or not value.isprintable():
            raise Nonsense(f"{what} must be an id of 1 to 200 characters")
    if wanted.subscription is not None and not 1 <= len(wanted.subscription) <= 200:
        raise Nonsense("subscription must be an id of 1 to 200 characters, or none")
    if wanted.language not in LANGUAGES:
        raise Nonsense(f"language must be one of {', '.join(LANGUAGES)}")
    if len(wanted.name) > _NAME_MOST or not wanted.name.isprintable():
        raise Nonsense(f"the name must be one line of at most {_NAME_MOST} characters")
    try:
        found = tuple(dict.fromkeys(address(one).lower() for one in wanted.addresses))
    except BadAddress as error:
        raise Nonsense(f"an address is none: {error}") from None
    return Contact(
        wanted.contact,
        wanted.account,
        found,
        wanted.name,
        wanted.language,
        wanted.letters,
        wanted.subscription,
    )


def _free(connection: Connection, wanted: Contact) -> None:
    taken = connection.execute(
        select(addresses.c.contact).where(
            addresses.c.address.in_(wanted.addresses), addresses.c.contact != wanted.contact
        )
    ).scalar()
    if taken is not None:
        raise Contradiction(f"an address belongs to contact {taken} already; take it from there first")
