"""A real SMTP server (aiosmtpd) in a thread that can be told to answer, wait or hang up at a given step."""

# ruff: noqa: ARG002, N802 - aiosmtpd calls the methods by these names, with these arguments

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from email import message_from_bytes
from threading import Lock
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from msgspec import Struct

from services.cli.local.ports import HOST, free_port


class Accepted(Struct, frozen=True):
    """A message that arrived whole, whatever was answered then."""

    message_id: str
    mail_from: str
    recipients: tuple[str, ...]
    raw: bytes
    user: str | None
    """Who was logged in."""
    answer: str | None
    """What was answered after the final dot; None when the relay hung up instead."""


class Relay:
    """Takes every message and keeps it in `accepted`, unless told otherwise:

        relay.answer("anna@demo.example", "550 5.1.1 no such user")   # to RCPT TO, from now on
        relay.then(answer="451 4.3.0 later")        # the next message is answered so after its final dot,
        relay.then(hang_up="after-accepting")       # the one after it is kept, but never answered,
        relay.then(hang_up="before-dot")            # for this one the line breaks within DATA,
        relay.then(delay_s=3)                       # and this one waits 3 s for its answer

    `then` is used up message by message (one that got as far as DATA); afterwards all is well again. `mail`,
    when set, is the answer to MAIL FROM. With `users` (password by name) it offers AUTH, and with
    `must_log_in` it takes nothing without.
    """

    host = HOST

    def __init__(self, users: Mapping[str, str] | None = None, *, must_log_in: bool = False) -> None:
        self.port = free_port()
        self.mail: str | None = None
        self.accepted: list[Accepted] = []
        self.connections = 0
        self._users = dict(users or {})
        self._must_log_in = must_log_in
        self._answers: dict[str, str] = {}
        self._next: list[_Step] = []
        self._lock = Lock()
        self._controller: _Controller | None = None

    def start(self) -> None:
        """Listens on `port`, the same one each time."""
        if self._controller is None:
            self._controller = _Controller(self, hostname=self.host, port=self.port, ready_timeout=10)
            self._controller.start()

    def stop(self) -> None:
        """Refuses connections from now on; what it kept stays."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def answer(self, recipient: str, answer: str | None) -> None:
        """What RCPT TO this address gets, e.g. "450 4.2.1 later"; None: 250 again."""
        with self._lock:
            if answer is None:
                self._answers.pop(recipient.lower(), None)
            else:
                self._answers[recipient.lower()] = answer

    def then(self, *, answer: str | None = None, hang_up: str | None = None, delay_s: float = 0.0) -> None:
        """One more message to treat so; `hang_up` is "before-dot" or "after-accepting"."""
        if hang_up not in (None, "before-dot", "after-accepting"):
            raise ValueError(f"no such step to hang up at: {hang_up}")
        with self._lock:
            self._next.append(_Step(answer or "250 2.0.0 OK", hang_up, delay_s))

    def copies(self, message_id: str) -> int:
        """How often a message with this Message-ID arrived whole."""
        return sum(one.message_id == message_id for one in self.accepted)

    def _step(self) -> _Step:
        with self._lock:
            return self._next.pop(0) if self._next else _Step("250 2.0.0 OK", None, 0.0)

    def _recipient(self, address: str) -> str:
        with self._lock:
            return self._answers.get(address.lower(), "250 2.1.5 OK")

    def _login(
        self, server: Any, session: Session, envelope: Envelope, mechanism: str, told: Any
    ) -> AuthResult:
        if not isinstance(told, LoginPassword):
            return AuthResult(success=False, handled=False)
        user = told.login.decode()
        fits = hmac.compare_digest(self._users.get(user, "").encode(), told.password) and user in self._users
        return AuthResult(success=fits, handled=False, auth_data=user)


class _Step(Struct, frozen=True):
    answer: str
    hang_up: str | None
    delay_s: float


class _Handler:
    def __init__(self, relay: Relay) -> None:
        self.relay = relay

    async def handle_MAIL(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.relay.mail is not None:
            return self.relay.mail
        envelope.mail_from = address
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.relay._recipient(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        step: _Step = server.step
        await asyncio.sleep(step.delay_s)
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        kept = step.hang_up is not None or step.answer.startswith("2")
        if kept:
            self.relay.accepted.append(
                Accepted(
                    str(message_from_bytes(raw).get("Message-ID", "")).strip(),
                    "" if envelope.mail_from in (None, "<>") else str(envelope.mail_from),
                    tuple(envelope.rcpt_tos),
                    raw,
                    session.auth_data if session.authenticated else None,
                    None if step.hang_up else step.answer,
                )
            )
        if step.hang_up is not None:
            server.transport.abort()
        return step.answer


class _Server(SMTP):
    line_length_limit = 1024 * 1024

    def __init__(self, relay: Relay, **told: Any) -> None:
        super().__init__(_Handler(relay), **told)
        self._relay = relay
        self.step = _Step("250 2.0.0 OK", None, 0.0)

    async def smtp_DATA(self, arg: str) -> None:
        if self.envelope is None or not self.envelope.rcpt_tos:
            await super().smtp_DATA(arg)
            return
        self.step = self._relay._step()
        if self.step.hang_up == "before-dot":
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self._reader.readuntil(b"\r\n")
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.abort()
            return
        await super().smtp_DATA(arg)


class _Controller(Controller):
    def __init__(self, relay: Relay, **told: Any) -> None:
        super().__init__(_Handler(relay), **told)
        self._relay = relay

    def factory(self) -> SMTP:
        self._relay.connections += 1
        return _Server(
            self._relay,
            hostname="relay.example",
            data_size_limit=200 * 1024 * 1024,
            enable_SMTPUTF8=True,
            auth_require_tls=False,
            auth_required=self._relay._must_log_in,
            authenticator=self._relay._login if self._relay._users else None,
            auth_exclude_mechanism=None if self._relay._users else ("LOGIN", "PLAIN"),
        )
