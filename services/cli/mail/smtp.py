"""aiosmtpd, an SMTP server, as our own: takes mail for its users, stamps it, says 250 when it is on disk."""

# ruff: noqa: ARG002, N802 - aiosmtpd calls the methods by these names, with these arguments

from __future__ import annotations

import hmac
import shutil
import sqlite3
import time
import uuid
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from services.cli.mail.bounce import report
from services.cli.mail.imap import Imap
from services.cli.mail.rules import Rules, read_rules, rule_for
from services.cli.mail.settings import MB, MailboxSettings
from services.cli.mail.stamps import stamped
from services.cli.mail.users import mailbox_of

_log = structlog.get_logger()
NO_ROOM = "452 4.3.1 Insufficient system storage, try again later"


class Smtp(SMTP):
    """Longer lines than RFC 5321 allows are taken as well: other servers take them, and send them on."""

    line_length_limit = 1024 * 1024


class Handler:
    """The answers of the server; aiosmtpd calls the methods by their names."""

    def __init__(self, imap: Imap, settings: MailboxSettings, data: Path, rules: Path | None) -> None:
        self._imap = imap
        self._settings = settings
        self._data = data
        self._rules = rules
        self.full = False
        """Whether the last message that came found no room."""

    def server(self) -> SMTP:
        """A new one for each connection."""
        return Smtp(
            self,
            hostname=self._settings.authserv_id,
            ident="Garant's local mailbox",
            data_size_limit=self._settings.size_limit_mb * MB,
            enable_SMTPUTF8=True,
            auth_require_tls=False,
            authenticator=self._login,
        )

    def _login(
        self, server: Any, session: Session, envelope: Envelope, mechanism: str, told: Any
    ) -> AuthResult:
        if not isinstance(told, LoginPassword):
            return AuthResult(success=False, handled=False)
        user = told.login.decode("utf-8", "replace").lower()
        password = self._imap.users.get(user)
        fits = password is not None and hmac.compare_digest(password.encode(), told.password)
        return AuthResult(success=fits, handled=False, auth_data=user if fits else None)

    async def handle_MAIL(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Takes any sender; the empty one is that of reports."""
        if not self._has_room(0):
            return NO_ROOM
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """550 for whoever has no mailbox here: it relays nothing."""
        rules = read_rules(self._rules)
        if refusal := rule_for(address, rules.refuse):
            return refusal
        if rule_for(address, rules.bounce) is None and mailbox_of(address, self._imap.users) is None:
            return f"550 5.1.1 <{address}>: no such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        """250 means that it is on disk in every recipient's mailbox."""
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        sender = "" if envelope.mail_from in (None, "<>") else str(envelope.mail_from)
        rules, letter_id = read_rules(self._rules), uuid.uuid4().hex[:12].upper()
        if not self._has_room(len(raw)):
            return NO_ROOM
        try:
            await self._deliver(raw, sender, session, envelope, rules, letter_id)
        except sqlite3.Error as error:
            self.full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            _log.error("letter not kept", id=letter_id, error=str(error))
            return NO_ROOM if self.full else "451 4.3.0 Cannot write the mailbox, try again later"
        _log.info("letter kept", id=letter_id, bytes=len(raw), recipients=len(envelope.rcpt_tos))
        return f"250 2.0.0 OK {letter_id}"

    async def _deliver(
        self, raw: bytes, sender: str, session: Session, envelope: Envelope, rules: Rules, letter_id: str
    ) -> None:
        now, users, server = time.time(), self._imap.users, self._settings.authserv_id
        date = format_datetime(datetime.fromtimestamp(now, UTC))
        stamp = partial(stamped, authserv_id=server, letter_id=letter_id, date=date)
        failed = {one: why for one in envelope.rcpt_tos if (why := rule_for(one, rules.bounce))}
        boxes = [mailbox_of(one, users) for one in envelope.rcpt_tos if one not in failed]
        if arriving := list(dict.fromkeys(box for box in boxes if box)):
            verdict = self._verdict(session, sender, rules)
            whole = stamp(raw, sender=sender, verdict=verdict, client=_client(session))
            await self._imap.deliver(arriving, whole, int(now * 1000))
        if failed and sender and (back_to := mailbox_of(sender, users)):
            told = report(raw, sender=sender, failed=failed, server=server, date=date)
            whole = stamp(told, sender="", verdict="auth=none", client=f"{server} ([127.0.0.1])")
            await self._imap.deliver([back_to], whole, int(now * 1000))

    def _verdict(self, session: Session, sender: str, rules: Rules) -> str:
        user = session.auth_data if session.authenticated else None
        if isinstance(user, str) and user == sender.lower():
            return f"auth=pass smtp.auth={user} smtp.mailfrom={sender}"
        return rule_for(sender, rules.verdicts) or "auth=none"

    def _has_room(self, size: int) -> bool:
        # Twice: the message goes into the log of the database and then into the database.
        needed = self._settings.min_free_mb * MB + 2 * size
        self.full = shutil.disk_usage(self._data).free < needed
        return not self.full


def _client(session: Session) -> str:
    peer = session.peer[0] if isinstance(session.peer, tuple) else "unknown"
    said = "".join(char for char in (session.host_name or "unknown") if char.isalnum() or char in ".-:[]_")
    return f"{said} ([{peer}])"
