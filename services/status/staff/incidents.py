"""Incidents as staff write them: opened, added to, resolved. Each word is said once, and stays.

Nobody's name is kept: the page speaks for the vendor.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from msgspec import Struct, json
from sqlalchemy import Connection, Row, func, insert, or_, select, update

from services.status import site
from services.status.site import LANGUAGES, Impact, Incident, Status
from services.status.tables import incident_updates, incidents
from shared.database import Clock, lock_id
from shared.time import MINUTE

_AHEAD_MS = 5 * MINUTE
"""How far ahead of our clock another's may be before what it says is taken for a slip."""
_ID = "abcdefghjkmnpqrstuvwxyz23456789"
_ID_LENGTH = 12
_STANDING_IN: tuple[str, ...] = ("en", *(one for one in LANGUAGES if one != "en"))
"""Which of the languages given stands in for one that is not."""


class Unknown(LookupError):
    """No such incident."""


class Nonsense(ValueError):
    """What cannot be; the message says why and what can."""


class Contradiction(Nonsense):
    """The key was used to say something else, or the incident does not allow it as it stands."""


class Opening(Struct, frozen=True):
    """An incident to open. Texts by language, at least one; `at` in ms, None is now."""

    title: Mapping[str, str]
    text: Mapping[str, str]
    impact: Impact
    components: tuple[str, ...]
    status: Status
    at: int | None


class Saying(Struct, frozen=True):
    """Words to add to an incident. What is None stays as it is; `at` in ms, None is now."""

    text: Mapping[str, str]
    status: Status | None
    impact: Impact | None
    components: tuple[str, ...] | None
    at: int | None


def open_incident(
    connection: Connection, opening: Opening, public: Iterable[str], clock: Clock, key: str | None = None
) -> tuple[Incident, bool]:
    """Opens one; returns it and whether it was new. The same key again opens nothing.

    Raises Nonsense for a component that is not in `public` or a time ahead, Contradiction for a key that said
    something else.
    """
    if (before := _under(connection, key, opening)) is not None:
        return incident_of(connection, before), False
    _known(opening.components, public)
    at = _at(opening.at, clock)
    id = _new_id()
    connection.execute(
        insert(incidents).values(
            incident=id,
            title=_packed(opening.title),
            impact=opening.impact,
            components=_packed(opening.components),
            opened_at=at,
            resolved_at=at if opening.status == "resolved" else None,
        )
    )
    _put_down(connection, id, at, opening.status, opening.text, key, opening)
    return incident_of(connection, id), True


def update_incident(
    connection: Connection,
    incident: str,
    saying: Saying,
    public: Iterable[str],
    clock: Clock,
    key: str | None = None,
) -> tuple[Incident, bool]:
    """Adds words to one; returns it and whether they were new. Any status but resolved opens it again.

    Raises Unknown, Nonsense and Contradiction as `open_incident`; Contradiction also for resolving what is
    resolved.
    """
    lock_id(connection, f"incident/{incident}")
    if (before := _under(connection, key, saying, incident)) is not None:
        return incident_of(connection, before), False
    found = incident_of(connection, incident)
    latest = found.updates[0]
    if saying.components is not None:
        _known(saying.components, public)
    at = _at(saying.at, clock)
    if at < found.opened_at:
        raise Nonsense("at: an incident cannot be written about before it was opened")
    status = saying.status or latest.status
    if saying.status == "resolved" and found.resolved_at is not None:
        raise Contradiction(f"incident {incident} is resolved; add words without a status, or open another")
    spoken = [*((one.at, one.status) for one in reversed(found.updates)), (at, status)]
    changed: dict[str, Any] = {"resolved_at": _resolved_at(sorted(spoken, key=lambda one: one[0]))}
    if saying.impact is not None:
        changed["impact"] = saying.impact
    if saying.components is not None:
        changed["components"] = _packed(saying.components)
    connection.execute(update(incidents).where(incidents.c.incident == incident).values(**changed))
    _put_down(connection, incident, at, status, saying.text, key, saying)
    return incident_of(connection, incident), True


def incident_of(connection: Connection, incident: str) -> Incident:
    """One incident with all that was written. Raises Unknown."""
    rows = connection.execute(select(incidents).where(incidents.c.incident == incident)).all()
    if not rows:
        raise Unknown(f"no incident {incident}; `garant incident list` names them")
    return _told(connection, rows)[0]


def incidents_since(connection: Connection, since_ms: int) -> tuple[Incident, ...]:
    """Those that are open, or were opened or resolved at `since_ms` or later; the newest opened first."""
    recent = or_(
        incidents.c.resolved_at.is_(None),
        incidents.c.resolved_at >= since_ms,
        incidents.c.opened_at >= since_ms,
    )
    order = (incidents.c.opened_at.desc(), incidents.c.incident)
    return _told(connection, connection.execute(select(incidents).where(recent).order_by(*order)).all())


def newest_update(connection: Connection) -> int:
    """The number of what was written last, 0 before anything: another one says that there is news."""
    return connection.execute(select(func.max(incident_updates.c.number))).scalar_one() or 0


def every_language(given: Mapping[str, str]) -> dict[str, str]:
    """The text in each language of the site: where there is none, another stands in, English first."""
    other = next(given[language] for language in _STANDING_IN if given.get(language))
    return {language: given.get(language) or other for language in LANGUAGES}


def _told(connection: Connection, rows: Sequence[Row[Any]]) -> tuple[Incident, ...]:
    by_incident: dict[str, list[site.Update]] = {row.incident: [] for row in rows}
    order = (incident_updates.c.at.desc(), incident_updates.c.number.desc())
    wanted = incident_updates.c.incident.in_(by_incident)
    for one in connection.execute(select(incident_updates).where(wanted).order_by(*order)):
        text = every_language(json.decode(one.text, type=dict[str, str]))
        by_incident[one.incident].append(site.Update(one.id, one.at, one.status, text))
    return tuple(
        Incident(
            row.incident,
            every_language(json.decode(row.title, type=dict[str, str])),
            row.impact,
            json.decode(row.components, type=tuple[str, ...]),
            row.opened_at,
            row.resolved_at,
            tuple(by_incident[row.incident]),
        )
        for row in rows
    )


def _under(
    connection: Connection, key: str | None, said: Opening | Saying, incident: str | None = None
) -> str | None:
    """The incident that was spoken of under the key; None where it is new. Raises Contradiction."""
    if key is None:
        return None
    lock_id(connection, f"incident-key/{key}")
    c = incident_updates.c
    row = connection.execute(select(c.incident, c.said).where(c.idempotency_key == key)).one_or_none()
    if row is None:
        return None
    if row.said != _fingerprint(said) or incident not in (None, row.incident):
        raise Contradiction(f"idempotency key {key!r} was used for something else; choose a new one")
    return str(row.incident)


def _put_down(
    connection: Connection,
    incident: str,
    at: int,
    status: Status,
    text: Mapping[str, str],
    key: str | None,
    said: Opening | Saying,
) -> None:
    connection.execute(
        insert(incident_updates).values(
            id=_new_id(),
            incident=incident,
            at=at,
            status=status,
            text=_packed(text),
            idempotency_key=key,
            said=_fingerprint(said),
        )
    )


def _resolved_at(spoken: Sequence[tuple[int, Status]]) -> int | None:
    """Since when (ms) it is resolved, from what was said in order of time; None where it is open."""
    since = None
    for at, status in spoken:
        since = (since or at) if status == "resolved" else None
    return since


def _known(components: Iterable[str], public: Iterable[str]) -> None:
    known = list(public)
    if unknown := [one for one in components if one not in known]:
        names = ", ".join(known) or "none"
        raise Nonsense(f"components: no component {', '.join(unknown)} on the page; there are: {names}")


def _at(given: int | None, clock: Clock) -> int:
    now = clock()
    if given is not None and given > now + _AHEAD_MS:
        raise Nonsense("at: that is in the future; write what has happened")
    return now if given is None else given


def _packed(value: Any) -> str:
    return json.encode(value).decode()


def _fingerprint(said: Opening | Saying) -> str:
    return sha256(type(said).__name__.encode() + json.encode(said, order="sorted")).hexdigest()


def _new_id() -> str:
    return "".join(secrets.choice(_ID) for _ in range(_ID_LENGTH))
