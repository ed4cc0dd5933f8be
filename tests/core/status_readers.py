"""For the tests of news: an empty, migrated status database of each kind, Sites made by hand, readers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine, select

from services.status.database import PAGE
from services.status.readers.subscribers import Allowance, ask, confirm
from services.status.site import (
    LANGUAGES,
    Change,
    Component,
    Condition,
    Cut,
    Day,
    Group,
    Incident,
    Maintenance,
    Month,
    Phase,
    Site,
    Texts,
    Update,
)
from services.status.tables import hook_calls, mails, subscribers
from shared.database import migrate, open_engine, reading, writing
from shared.time import HOUR, parse_instant
from tests.core.billing_books import SetClock, empty_url

NOW = parse_instant("2026-11-24T12:00:00.000Z")
ANNA, BEAT = "anna@demo.example", "beat@demo.example"
PLENTY = Allowance(per_address=1_000, in_all=100_000, per_source=100_000)


@contextmanager
def empty_page(kind: str, directory: Path) -> Iterator[Engine]:
    """An engine on a migrated, empty database."""
    with empty_url(kind, directory) as url:
        engine = open_engine(url, PAGE)
        migrate(engine, PAGE)
        try:
            yield engine
        finally:
            engine.dispose()


def clock(at: int = NOW) -> SetClock:
    found = SetClock()
    found.now = parse_instant("2026-11-24T12:00:00.000Z") if at == NOW else type(NOW)(at)
    return found


def same(text: str) -> Texts:
    return dict.fromkeys(LANGUAGES, text)


def component(
    id: str = "api",
    name: str = "",
    *,
    days: tuple[Day, ...] = (),
    months: tuple[Month, ...] = (),
    **more: Any,
) -> Component:
    """A component that is up, with nothing in its past but what is given."""
    rest = {"condition": Condition.UP, "since": 0, "as_of": NOW, "cuts": (), **more}
    return Component(
        id=id,
        name=same(name or id.upper()),
        description=same(""),
        group="g",
        days=days,
        months=months,
        **rest,
    )


def change(
    condition: Condition,
    at: int = NOW,
    of: str = "api",
    *,
    before: Condition = Condition.UP,
    corrected: bool = False,
) -> Change:
    return Change(
        f"{of}{at}{condition.value}", of, at, condition, before, confirmed_at=at + 1, corrected=corrected
    )


def cut(starts_at: int, ends_at: int | None, of: str = "api") -> Cut:
    return Cut(f"{of}{starts_at}", of, starts_at, ends_at, (ends_at or NOW) - starts_at)


def incident(*updates: Update, components: tuple[str, ...] = ("api",), id: str = "i1") -> Incident:
    """`updates` oldest first."""
    newest_first = tuple(reversed(updates))
    return Incident(id, same("Slow answers"), "minor", components, updates[0].at, None, newest_first)


def update(id: str = "u1", at: int = NOW, text: str = "We look.\n\nMore soon.") -> Update:
    return Update(id, at, "investigating", same(text))


def maintenance(phase: Phase = Phase.ANNOUNCED, id: str = "m1", starts_at: int = NOW + HOUR) -> Maintenance:
    return Maintenance(id, ("api",), starts_at, starts_at + HOUR, NOW, phase, False)


def site(
    *components: Component,
    changes: Sequence[Change] = (),
    incidents: tuple[Incident, ...] = (),
    maintenance: tuple[Maintenance, ...] = (),
    url: str = "https://status.acme.example",
) -> Site:
    """A page; `changes` oldest first, all put into November 2026."""
    shown = components or (component(),)
    by_month = {date(2026, 11, 1): tuple(reversed(changes))} if changes else {}
    return Site(
        vendor="Acme SA",
        product=same("Acme Suite"),
        url=url,
        contact="",
        zone="Europe/Zurich",
        written_at=NOW,
        news_at=NOW,
        silent=False,
        silent_after_ms=90 * 60_000,
        groups=(Group("g", same(""), tuple(one.id for one in shown)),),
        components={one.id: one for one in shown},
        incidents=incidents,
        maintenance=maintenance,
        changes=by_month,
    )


def read_up(engine: Engine, address: str, components: list[str] | None, at: int, language: Any = "fr") -> str:
    """Subscribes and confirms at once; the subscriber's id."""
    tokens: list[str] = []

    def body(token: str) -> str:
        tokens.append(token)
        return "{}"

    with writing(engine) as connection:
        ask(connection, address, language, components, body, PLENTY, clock(at))
        assert confirm(connection, tokens[0], clock(at))
        connection.execute(mails.delete().where(mails.c.purpose == "confirm"))
    with reading(engine) as connection:
        c = subscribers.c
        return str(connection.execute(select(c.subscriber).where(c.address == address)).scalar_one())


def put_down(engine: Engine) -> list[tuple[str, dict[str, Any]]]:
    """The news put down: (reader's address, what the mail is about), in order of their ids."""
    with reading(engine) as connection:
        people = {row.subscriber: row.address for row in connection.execute(select(subscribers))}
        rows = connection.execute(select(mails).where(mails.c.purpose == "news").order_by(mails.c.id)).all()
    return [
        (people[row.contact.removeprefix("status-")], msgspec.json.decode(row.body)["about"]) for row in rows
    ]


def calls(engine: Engine) -> list[dict[str, Any]]:
    """What is put down for webhooks."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(hook_calls).order_by(hook_calls.c.created_at, hook_calls.c.call)
        ).all()
    return [msgspec.json.decode(row.body) for row in rows]
