"""Webhooks: where entries are posted to, what is posted, and what still is to be."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from services.status.readers.news import Corrected, Entry, Written, lasted_ms
from services.status.readers.subscribers import unpacked
from services.status.site import Change, Maintenance, Site
from services.status.tables import hook_calls, hooks
from shared.database import Clock
from shared.time import DAY, Instant, format_instant

KEPT_MS = 30 * DAY
"""How long calls that ended are shown."""
_SECRET_BYTES = 32


class UnknownHook(LookupError):
    """No such webhook."""


class OtherHook(ValueError):
    """The idempotency key was used for another webhook."""


class Hook(Struct, frozen=True):
    """A webhook as staff see it. `components` None: all; `stopped`: why nothing is posted any more; `waiting`
    and `given_up`: calls of the last 30 days."""

    hook: str
    url: str
    components: tuple[str, ...] | None
    created_at: Instant
    stopped: str | None
    waiting: int
    given_up: int


class Call(Struct, frozen=True):
    """Something posted, or still to be posted. Instants in ms; `state`: waiting, delivered or given up."""

    call: str
    entry: str
    created_at: Instant
    state: str
    attempts: int
    next_attempt_at: Instant | None
    ended_at: Instant | None
    reason: str


def add_hook(
    connection: Connection, url: str, components: Sequence[str] | None, key: str | None, clock: Clock
) -> tuple[str, str, bool]:
    """Its id, its secret (whsec_...) and whether it is new: under the same `key` there is one. Raises
    OtherHook."""
    chosen = None if components is None else msgspec.json.encode(sorted(set(components))).decode()
    said = sha256(msgspec.json.encode([url, chosen])).hexdigest()
    values = {
        "hook": secrets.token_hex(10),
        "url": url,
        "secret": "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode(),
        "components": chosen,
        "created_at": clock(),
        "idempotency_key": key,
        "said": said,
    }
    insert_ = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert_(hooks).values(**values).on_conflict_do_nothing(index_elements=["idempotency_key"])
    if connection.execute(statement.returning(hooks.c.hook)).one_or_none() is not None:
        return str(values["hook"]), str(values["secret"]), True
    row = connection.execute(select(hooks).where(hooks.c.idempotency_key == key)).one()
    if row.said != said:
        raise OtherHook("this Idempotency-Key was used for another webhook; take a new one")
    return row.hook, row.secret, False


def hooks_listed(connection: Connection) -> list[Hook]:
    """Every webhook, the oldest first."""
    counted = select(hook_calls.c.hook, hook_calls.c.state, func.count().label("number"))
    numbers = {
        (row.hook, row.state): row.number
        for row in connection.execute(counted.group_by(hook_calls.c.hook, hook_calls.c.state))
    }
    rows = connection.execute(select(hooks).order_by(hooks.c.created_at, hooks.c.hook))
    return [_hook(row, numbers) for row in rows]


def hook_of(connection: Connection, hook: str) -> tuple[Hook, list[Call]]:
    """The webhook and its latest calls, the newest first. Raises UnknownHook."""
    found = next((one for one in hooks_listed(connection) if one.hook == hook), None)
    if found is None:
        raise _unknown(hook)
    c = hook_calls.c
    columns = [c[name] for name in Call.__struct_fields__]
    rows = connection.execute(
        select(*columns).where(c.hook == hook).order_by(c.created_at.desc(), c.call).limit(50)
    )
    return found, [_call(row) for row in rows]


def remove_hook(connection: Connection, hook: str) -> None:
    """Ends it, with what was still to be posted. Raises UnknownHook."""
    connection.execute(delete(hook_calls).where(hook_calls.c.hook == hook))
    if connection.execute(delete(hooks).where(hooks.c.hook == hook)).rowcount == 0:
        raise _unknown(hook)


def stop_hook(connection: Connection, hook: str, why: str, now: Instant) -> None:
    """Posts nothing more to it; what waits is given up."""
    connection.execute(update(hooks).where(hooks.c.hook == hook).values(stopped=why))
    mine = (hook_calls.c.hook == hook) & (hook_calls.c.state == "waiting")
    ended = {"state": "given up", "next_attempt_at": None, "ended_at": now, "reason": why}
    connection.execute(update(hook_calls).where(mine).values(**ended))


def put_calls(connection: Connection, site: Site, told: Sequence[Entry], now: Instant) -> None:
    """Puts down what is to be posted to each webhook that wants it, in the caller's transaction."""
    rows = connection.execute(select(hooks).where(hooks.c.stopped.is_(None))).all()
    made = [{"entry": entry.key, "body": _body(site, entry, now)} for entry in told] if rows else []
    calls = [
        _new(row.hook, one["entry"], one["body"], now)
        for row in rows
        for entry, one in zip(told, made, strict=True)
        if _wants(unpacked(row.components), entry) and (entry.at is None or entry.at > row.created_at)
    ]
    if calls:
        connection.execute(insert(hook_calls), calls)


def put_test(connection: Connection, hook: str, now: Instant) -> str:
    """Puts down a test to be posted to the webhook, whatever it wants; the call's id. Raises UnknownHook."""
    if connection.execute(select(hooks.c.hook).where(hooks.c.hook == hook)).one_or_none() is None:
        raise _unknown(hook)
    connection.execute(update(hooks).where(hooks.c.hook == hook).values(stopped=None))
    entry = f"test/{secrets.token_hex(10)}"
    call = _new(hook, entry, _said("test", entry, now, {}), now)
    connection.execute(insert(hook_calls).values(**call))
    return str(call["call"])


def forget_old_calls(connection: Connection, now: Instant) -> None:
    """Forgets calls that ended 30 days ago."""
    connection.execute(delete(hook_calls).where(hook_calls.c.ended_at < now - KEPT_MS))


def _wants(components: frozenset[str] | None, entry: Entry) -> bool:
    return components is None or not entry.components or not components.isdisjoint(entry.components)


def _new(hook: str, entry: str, body: str, now: Instant) -> dict[str, Any]:
    return {
        "call": "msg_" + sha256(f"{hook}/{entry}".encode()).hexdigest()[:40],
        "hook": hook,
        "entry": entry,
        "body": body,
        "created_at": now,
        "state": "waiting",
        "attempts": 0,
        "next_attempt_at": now,
        "reason": "",
    }


def _body(site: Site, entry: Entry, now: Instant) -> str:
    what = entry.what
    data: dict[str, Any]
    match what:
        case Change():
            kind = "component.changed"
            data = {
                **_component(site, what.component),
                "condition": what.condition,
                "before": what.before,
                "at": format_instant(what.at),
                "confirmed_at": format_instant(what.confirmed_at),
                "causes": list(what.causes),
                "lasted_ms": lasted_ms(site, what),
            }
        case Written(incident, update_):
            kind = "incident.updated"
            data = {
                "incident": incident.id,
                "title": dict(incident.title),
                "impact": incident.impact,
                "components": [_component(site, one) for one in incident.components],
                "status": update_.status,
                "text": dict(update_.text),
                "at": format_instant(update_.at),
            }
        case Maintenance():
            kind = f"maintenance.{what.phase}"
            data = {
                "maintenance": what.id,
                "components": [_component(site, one) for one in what.components],
                "starts_at": format_instant(what.starts_at),
                "ends_at": format_instant(what.ends_at),
                "excluded": what.excluded,
            }
        case Corrected():
            kind = "component.corrected"
            data = {**_component(site, what.component), "period": what.period}
    return _said(kind, entry.key, now, data)


def _component(site: Site, id: str) -> dict[str, Any]:
    found = site.components.get(id)
    return {"component": id, "name": dict(found.name) if found else {}}


def _said(kind: str, entry: str, now: Instant, data: dict[str, Any]) -> str:
    body = {"type": kind, "timestamp": format_instant(now), "entry": entry, "data": data}
    return msgspec.json.encode(body).decode()


def _hook(row: Row[Any], numbers: dict[tuple[str, str], int]) -> Hook:
    chosen = unpacked(row.components)
    return Hook(
        row.hook,
        row.url,
        None if chosen is None else tuple(sorted(chosen)),
        Instant(row.created_at),
        row.stopped,
        numbers.get((row.hook, "waiting"), 0),
        numbers.get((row.hook, "given up"), 0),
    )


def _call(row: Row[Any]) -> Call:
    found = dict(row._mapping)
    for name in ("created_at", "next_attempt_at", "ended_at"):
        found[name] = None if found[name] is None else Instant(found[name])
    return Call(**found)


def _unknown(hook: str) -> UnknownHook:
    return UnknownHook(f"no webhook {hook}; `garant status hook list` lists them")
