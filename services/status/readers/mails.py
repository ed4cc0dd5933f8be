"""Mails are handed to notify, which writes and sends them: each again until notify says it has it.

Notify knows each by its id, so that said again it is the same mail. An address leaves the database only here,
in the body of that request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import structlog
from sqlalchemy import Connection, Engine, delete, func, select, update
from sqlalchemy.exc import DBAPIError

from services.status.readers import metrics
from services.status.readers.bulletins import addressed
from services.status.readers.subscribers import CONFIRM_WITHIN_MS, count_subscribers, drop, forget_unconfirmed
from services.status.tables import askings, mails, subscribers
from shared.bulletins import AT_ONCE
from shared.database import SENDING, Clock, reading, writing
from shared.failpoints import reach
from shared.leading import leading
from shared.time import MINUTE, Instant
from shared.tokens import NoToken

log = structlog.get_logger()

_EVERY_S = 1.0
_AWAY_MOST_S = 10.0
_TIMEOUT_S = 30.0
_TIDY_EVERY_MS = MINUTE


class NotifyAway(Exception):
    """Notify takes nothing now; the message says why, without an address."""


class Mail(NamedTuple):
    """A mail with its reader's address, on its way. `reader` names an asking or a subscriber."""

    id: str
    reader: str
    bulletin: dict[str, Any]


class Due(NamedTuple):
    """What there is to do now: mails to hand over, (id, contact) to have forgotten, ids of mails whose
    readers are gone; and how many wait in all."""

    mails: list[Mail]
    forgetting: list[tuple[str, str]]
    gone: list[str]
    waiting: int


async def deliver_mails(
    engine: Engine,
    notify_url: str,
    notify_token: Callable[[], str],
    clock: Clock,
    wake: asyncio.Event,
    progress: Callable[[], None],
) -> None:
    """Hands over for ever, and forgets who did not confirm. `wake` is set when there is something new. Notify
    and the database may be away: mails wait. On PostgreSQL one instance at a time hands over."""
    pause, said = 1.0, ""
    async with httpx.AsyncClient(base_url=notify_url, trust_env=False, timeout=_TIMEOUT_S) as client:
        while True:
            progress()
            try:
                await _lead(engine, client, notify_token, clock, wake, progress)
            except (NotifyAway, DBAPIError, httpx.InvalidURL) as error:
                reason = str(error) if isinstance(error, NotifyAway) else type(error).__name__
                metrics.NOTIFY_AWAY.set(1 if isinstance(error, NotifyAway) else 0)
                pause = 1.0 if reason != said else min(_AWAY_MOST_S, pause * 2)
                if reason != said:
                    log.warning("status.mails.wait", reason=reason)
                said = reason
                await _rest(pause, progress)


async def _rest(seconds: float, progress: Callable[[], None]) -> None:
    while seconds > 0:
        progress()
        await asyncio.sleep(min(2.0, seconds))
        seconds -= 2.0


async def _lead(
    engine: Engine,
    client: httpx.AsyncClient,
    token: Callable[[], str],
    clock: Clock,
    wake: asyncio.Event,
    progress: Callable[[], None],
) -> None:
    """Rounds for as long as this instance leads and everything answers."""
    tidied = 0
    async with leading(engine, SENDING, _EVERY_S, progress):
        while True:
            wake.clear()
            if clock() - tidied >= _TIDY_EVERY_MS:
                tidied = clock()
                await asyncio.to_thread(_tidy, engine, clock)
            if not await _round(engine, client, token, clock):
                await _woken(wake)
            progress()


async def _woken(wake: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(wake.wait(), _EVERY_S)
    except TimeoutError:
        return


def _tidy(engine: Engine, clock: Clock) -> None:
    with writing(engine) as connection:
        if forgotten := forget_unconfirmed(connection, clock()):
            log.info("status.unconfirmed-forgotten", askings=forgotten)
        metrics.SUBSCRIBERS.set(count_subscribers(connection))


async def _round(engine: Engine, client: httpx.AsyncClient, token: Callable[[], str], clock: Clock) -> int:
    """Hands over what is due, at most a hundred; how many it were. Raises NotifyAway."""
    due = await asyncio.to_thread(_due, engine, clock())
    metrics.MAILS_WAITING.set(due.waiting)
    if due.mails:
        answers = await _hand_over(client, token, due.mails)
        reach("status.mails.handed-over")
        await asyncio.to_thread(_note, engine, due.mails, answers, clock)
    for id, contact in due.forgetting:
        await _ask(client, token, "DELETE", f"/contacts/{contact}", None)
        due.gone.append(id)
    if due.gone:
        await asyncio.to_thread(_remove, engine, due.gone)
    return len(due.mails) + len(due.gone)


def _due(engine: Engine, now: Instant) -> Due:
    with reading(engine) as connection:
        c = mails.c
        left = c.refused.is_(None)
        waiting = connection.execute(select(func.count()).select_from(mails).where(left)).scalar_one()
        rows = connection.execute(
            select(mails).where(left, c.due_at <= now).order_by(c.due_at, c.id).limit(AT_ONCE)
        )
        found = Due([], [], [], waiting)
        for row in rows:
            name = row.contact.removeprefix("status-")
            reader = _reader(connection, row.purpose, name, now)
            if row.purpose == "forget":
                found.forgetting.append((row.id, row.contact))
            elif reader is None:
                found.gone.append(row.id)
            else:
                found.mails.append(Mail(row.id, name, addressed(row.body, row.id, row.contact, *reader)))
    return found


def _reader(connection: Connection, purpose: str, name: str, now: Instant) -> tuple[str, str] | None:
    """Address and unsubscribing token ("" before confirmation) of an asking or a subscriber; None: gone."""
    a, s = askings.c, subscribers.c
    if purpose == "confirm":
        asked = (a.asking == name) & (a.asked_at > now - CONFIRM_WITHIN_MS)
        address = connection.execute(select(a.address).where(asked)).scalar_one_or_none()
        return None if address is None else (address, "")
    row = connection.execute(select(s.address, s.unsubscribe_token).where(s.subscriber == name)).one_or_none()
    return None if row is None else (row.address, row.unsubscribe_token)


async def _hand_over(client: httpx.AsyncClient, token: Callable[[], str], due: list[Mail]) -> dict[str, str]:
    """What notify says of each: a letter's state, "bouncing", or why it refuses it ("refused: ...")."""
    body = {"bulletins": [one.bulletin for one in due]}
    answer = await _ask(client, token, "POST", "/bulletins", body)
    if answer.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
        return {one["id"]: one["state"] for one in answer.json()}
    if len(due) == 1:
        return {due[0].id: f"refused: {_fields(answer)}"}
    found: dict[str, str] = {}
    for one in due:  # one of them keeps the others from being taken
        found |= await _hand_over(client, token, [one])
    return found


def _fields(answer: httpx.Response) -> str:
    """Which fields notify does not take, without what they hold."""
    try:
        return "; ".join(".".join(str(part) for part in one["loc"]) for one in answer.json()["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return "unprocessable"


async def _ask(
    client: httpx.AsyncClient, token: Callable[[], str], method: str, path: str, body: Any
) -> httpx.Response:
    """Notify's answer: good, or 422. Raises NotifyAway for any other."""
    try:
        shown = {"Authorization": f"Bearer {token()}"}
        answer = await client.request(method, path, json=body, headers=shown)
    except NoToken as error:
        raise NotifyAway(str(error)) from None
    except httpx.HTTPError as error:
        reason = f"notify does not answer ({type(error).__name__}); see GARANT_STATUS_NOTIFY_URL"
        raise NotifyAway(reason) from None
    if answer.is_error and answer.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
        what = "see GARANT_STATUS_NOTIFY_TOKEN" if answer.status_code in (401, 403) else "see its log"
        raise NotifyAway(f"notify answered {answer.status_code}; {what}")
    metrics.NOTIFY_AWAY.set(0)
    return answer


def _note(engine: Engine, due: list[Mail], answers: dict[str, str], clock: Clock) -> None:
    with writing(engine) as connection:
        for mail in due:
            state = answers.get(mail.id, "")
            mine = mails.c.id == mail.id
            if not state:
                continue
            if state.startswith("refused: "):
                connection.execute(update(mails).where(mine).values(refused=state))
                metrics.MAILS.labels("refused").inc()
                log.error("status.mail.refused", mail=mail.id, reason=state)
                continue
            connection.execute(delete(mails).where(mine))
            if state == "bouncing":
                drop(connection, mail.reader, clock)
                log.info("status.subscriber-dropped", subscriber=mail.reader, reason="mail keeps coming back")
            metrics.MAILS.labels("bouncing" if state == "bouncing" else "taken").inc()
        reach("status.mails.noting")


def _remove(engine: Engine, ids: list[str]) -> None:
    with writing(engine) as connection:
        connection.execute(delete(mails).where(mails.c.id.in_(ids)))
