"""Mail handed over by our own mail server, by SMTP or LMTP: 250 once it is committed, 451 while it cannot be.

Whoever reaches the port is believed, Authentication-Results and all: it is for our own server only.
"""

from __future__ import annotations

import asyncio
from email.utils import mktime_tz, parsedate_tz
from typing import Any

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP
from sqlalchemy import Engine

from services.support.settings import SupportSettings
from services.support.taking import HANDED_OVER, take
from shared.database import Clock
from shared.failpoints import reach
from shared.mail.mailbox import Delivery
from shared.mail.parts import head
from shared.time import DAY, SECOND, Instant

log = structlog.get_logger()

_LINE_MOST = 1_048_576
_QUEUED_MOST_MS = 7 * DAY
_TAKEN = "250 2.0.0 taken in"
_LATER = "451 4.3.0 not now; what was sent is not kept here, try again"


class _Smtp(SMTP):
    line_length_limit = _LINE_MOST


class _Lmtp(LMTP):
    line_length_limit = _LINE_MOST


class _Handler:
    """What the protocol asks of us; `name` is the mailbox's in the database."""

    def __init__(
        self, engine: Engine, settings: SupportSettings, name: str, clock: Clock, go: asyncio.Event
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._name = name
        self._clock = clock
        self._go = go

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        # LMTP answers the data for each recipient; with one there is one answer, also to what goes wrong.
        if envelope.rcpt_tos and self._name == "lmtp":
            return "452 4.5.3 one recipient at a time"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if not self._go.is_set():
            return _LATER
        reach("support.handed-over.received")
        try:
            await asyncio.to_thread(self._take, envelope)
            reach("support.handed-over.taken")
        except Exception as error:  # an answer of 5xx would give the mail back to who wrote it
            log.error("support.mail.not_taken", by=self._name, kind=type(error).__name__)
            return _LATER
        return _TAKEN

    def _take(self, envelope: Any) -> None:
        added = [f"Return-Path: <{(envelope.mail_from or '').strip('<>')}>"]  # the library says "<>" for none
        added += [f"Delivered-To: {one}" for one in envelope.rcpt_tos[:5]]
        top = "".join(f"{' '.join(line.split())}\r\n" for line in added).encode("utf-8", "surrogateescape")
        raw = top + bytes(envelope.content)
        received = _received_at(raw, self._settings.received_hops, self._clock())
        delivery = Delivery(0, HANDED_OVER, received, len(raw), raw)
        take(self._engine, self._settings, self._name, [delivery], self._clock)


def _received_at(raw: bytes, hops: int, now: int) -> Instant:
    """When the first of our own servers had it: that one's Received field says, if it says so sensibly. The
    mail may have waited for us in its queue."""
    fields = head(raw)[0].all("received")
    if len(fields) >= hops:
        try:
            parsed = parsedate_tz(fields[hops - 1].rpartition(";")[2].strip()[:100])
            said = None if parsed is None else mktime_tz(parsed) * SECOND
        except (ValueError, OverflowError, TypeError):
            said = None
        if said is not None and now - _QUEUED_MOST_MS <= said <= now:
            return Instant(said)
    return Instant(now)


async def listen(
    engine: Engine, settings: SupportSettings, clock: Clock, go: asyncio.Event
) -> list[asyncio.Server]:
    """Starts what the settings ask for, SMTP and LMTP; close the servers to end it. Until `go` is set the
    answer to any mail is to come later."""
    loop = asyncio.get_running_loop()
    servers = []
    for kind, name, port in (
        (_Smtp, "smtp", settings.smtp_in_port),
        (_Lmtp, "lmtp", settings.lmtp_in_port),
    ):
        if not port:
            continue
        handler = _Handler(engine, settings, name, clock, go)

        def protocol(kind: type[SMTP] = kind, handler: _Handler = handler) -> SMTP:
            return kind(
                handler,
                data_size_limit=settings.max_message_bytes,
                enable_SMTPUTF8=True,
                hostname=settings.id_domain(),
                ident="garant",
                loop=loop,
            )

        servers.append(await loop.create_server(protocol, settings.mail_in_host, port))
        log.info("support.mail_in.listening", by=name, port=port)
    return servers
