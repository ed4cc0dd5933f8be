"""Webhooks are posted, signed (Standard Webhooks), until they are taken or a day is over.

A call may arrive twice, as where its answer was lost: `webhook-id` is then the same. Redirects are not
followed. An address may hold a secret: logs name the webhook by its id.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Callable
from hashlib import sha256

import httpcore
import structlog
from msgspec import Struct
from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import DBAPIError

from services.status.readers import metrics
from services.status.readers.hooks import forget_old_calls, stop_hook
from services.status.readers.reaching import AddressRefused, CheckedNetwork, Rules, checked_url, trusting
from services.status.tables import hook_calls, hooks
from shared.database import RELAYING, Clock, reading, writing
from shared.failpoints import reach
from shared.leading import leading
from shared.time import DAY, HOUR, MINUTE, SECOND, Instant

log = structlog.get_logger()

ANSWER_MOST = 64 * 1024
WITHIN_S = 10.0
GIVE_UP_MS = DAY
PAUSES_MS = (
    *(5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE),
    *(HOUR, 2 * HOUR, 4 * HOUR, 6 * HOUR),
)
"""Before the second attempt, the third, and so on; the last one from then on."""
_GONE = 410
_AT_ONCE = 20
_EVERY_S = 1.0
_AWAY_S = 5.0


class Posting(Struct, frozen=True):
    """A call on its way."""

    call: str
    hook: str
    url: str
    secret: str
    body: str
    created_at: int
    attempts: int


class Answer(Struct, frozen=True):
    """What came of it: `status` None where nothing answered; `reason` for people."""

    status: int | None
    reason: str

    @property
    def taken(self) -> bool:
        """Whether the webhook has it."""
        return self.status is not None and 200 <= self.status < 300


def signature(secret: str, call: str, seconds: int, body: bytes) -> str:
    """`webhook-signature` of the body posted at `seconds` since the epoch. `secret` is whsec_ and base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{call}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()


async def post(posting: Posting, rules: Rules, now: Instant) -> Answer:
    """Posts once, within ten seconds in all. Never raises, but when cancelled."""
    body, seconds = posting.body.encode(), now // SECOND
    headers: dict[bytes | str, bytes | str] = {
        "content-type": "application/json",
        "user-agent": "Garant-Status/1",
        "webhook-id": posting.call,
        "webhook-timestamp": str(seconds),
        "webhook-signature": signature(posting.secret, posting.call, seconds, body),
    }
    try:
        async with asyncio.timeout(WITHIN_S):
            context = await asyncio.to_thread(trusting, rules)
            async with (
                httpcore.AsyncConnectionPool(
                    context, max_keepalive_connections=0, network_backend=CheckedNetwork(rules)
                ) as pool,
                pool.stream("POST", checked_url(posting.url, rules), headers=headers, content=body) as answer,
            ):
                length = 0
                async for chunk in answer.aiter_stream():
                    length += len(chunk)
                    if length >= ANSWER_MOST:
                        break
                return Answer(answer.status, f"answered {answer.status}")
    except AddressRefused as error:
        return Answer(None, str(error))
    except TimeoutError:
        return Answer(None, f"no whole answer within {WITHIN_S:g} s")
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        return Answer(None, f"no connection: {error}"[:300])
    except (
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.TimeoutException,
        OSError,
        ValueError,
    ) as error:
        return Answer(None, f"no sensible answer ({type(error).__name__})")


async def deliver_calls(
    engine: Engine, rules: Rules, clock: Clock, wake: asyncio.Event, progress: Callable[[], None]
) -> None:
    """Posts for ever, to one webhook one call at a time. `wake` is set when there is something new. While the
    database is away calls wait. On PostgreSQL one instance at a time posts."""
    said = False
    while True:
        progress()
        try:
            await _lead(engine, rules, clock, wake, progress)
        except DBAPIError as error:
            if not said:
                log.warning("status.calls.database-away", kind=type(error).__name__)
            said = True
            progress()
            await asyncio.sleep(_AWAY_S)


async def _lead(
    engine: Engine, rules: Rules, clock: Clock, wake: asyncio.Event, progress: Callable[[], None]
) -> None:
    running: dict[asyncio.Task[Answer], Posting] = {}
    tidied = 0
    async with leading(engine, RELAYING, _EVERY_S, progress):
        try:
            while True:
                progress()
                wake.clear()
                if clock() - tidied >= HOUR:
                    tidied = clock()
                    await asyncio.to_thread(_tidy, engine, clock)
                ended = [(running.pop(task), task.result()) for task in list(running) if task.done()]
                if ended:
                    reach("status.calls.posted")
                    await asyncio.to_thread(_note, engine, ended, clock())
                busy = {one.hook for one in running.values()}
                for one in await asyncio.to_thread(_due, engine, clock(), busy):
                    running[asyncio.create_task(post(one, rules, clock()))] = one
                woken = asyncio.create_task(wake.wait())
                await asyncio.wait({*running, woken}, timeout=_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
        finally:
            for task in running:
                task.cancel()


def _tidy(engine: Engine, clock: Clock) -> None:
    with writing(engine) as connection:
        forget_old_calls(connection, clock())


def _due(engine: Engine, now: Instant, busy: set[str]) -> list[Posting]:
    """The oldest call that is due of each webhook that is not at one, as many as may run at once."""
    c = hook_calls.c
    columns = [c[name] for name in ("call", "hook", "body", "created_at", "attempts")]
    due = (
        select(*columns, hooks.c.url, hooks.c.secret)
        .join(hooks, hooks.c.hook == c.hook)
        .where(c.state == "waiting", c.next_attempt_at <= now, hooks.c.stopped.is_(None))
        .where(c.hook.not_in(busy))
        .order_by(c.created_at, c.call)
        .limit(20 * _AT_ONCE)
    )
    with reading(engine) as connection:
        rows = connection.execute(due).all()
    first: dict[str, Posting] = {}
    for row in rows:
        first.setdefault(row.hook, Posting(**row._mapping))
    return list(first.values())[: max(0, _AT_ONCE - len(busy))]


def _note(engine: Engine, ended: list[tuple[Posting, Answer]], now: Instant) -> None:
    with writing(engine) as connection:
        for posting, answer in ended:
            result = _noted(connection, posting, answer, now)
            metrics.CALLS.labels(result).inc()
            log.info(
                "status.call",
                hook=posting.hook,
                call=posting.call,
                result=result,
                attempt=posting.attempts + 1,
                reason=answer.reason,
            )


def _noted(connection: Connection, posting: Posting, answer: Answer, now: Instant) -> str:
    """ "delivered", "failed" or "given up"; a webhook removed meanwhile has no call any more."""
    attempts, mine = posting.attempts + 1, hook_calls.c.call == posting.call
    noted: dict[str, object] = {"attempts": attempts, "reason": answer.reason, "next_attempt_at": None}
    if answer.taken:
        noted |= {"state": "delivered", "ended_at": now}
    else:
        again = now + PAUSES_MS[min(attempts, len(PAUSES_MS)) - 1]
        if again > posting.created_at + GIVE_UP_MS:
            noted |= {
                "state": "given up",
                "ended_at": now,
                "reason": f"given up after a day: {answer.reason}",
            }
            log.warning("status.call.given-up", hook=posting.hook, call=posting.call, reason=answer.reason)
        else:
            noted |= {"state": "waiting", "next_attempt_at": again}
    connection.execute(update(hook_calls).where(mine).values(**noted))
    if answer.status == _GONE:
        stop_hook(connection, posting.hook, "it answered 410: gone", now)
        log.warning("status.hook.stopped", hook=posting.hook, reason="it answered 410: gone")
        return "given up"
    return {"waiting": "failed"}.get(str(noted["state"]), str(noted["state"]))
