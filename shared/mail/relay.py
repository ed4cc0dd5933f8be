"""Handing a letter to the mail relay (SMTP): what it answered, and whether it may have the letter."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import Awaitable, Callable

import aiosmtplib

from shared.failpoints import reach
from shared.mail.answers import Accepted, InDoubt, Later, Refused, Relay, Result, Tls
from shared.mail.encoded import harmless

__all__ = ["Accepted", "Copyless", "InDoubt", "Later", "Line", "Refused", "Relay", "Result", "Tls", "submit"]

Copyless = Callable[[], Awaitable[None]]
"""Awaited before any of the letter is sent if the relay refuses our own copy's address."""

_ADDRESS = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+")
_LINE_END = re.compile(rb"\r\n?|\n")
_BROKEN = (aiosmtplib.SMTPException, OSError, EOFError)
_NO_ENTRY = (530, 534, 535, 538)
"""The relay wants a login that we lack: no letter's fault."""


class Line:
    """One connection to the relay, opened when needed, kept for the next letter. For one task at a time."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._smtp: aiosmtplib.SMTP | None = None

    async def submit(
        self, mail_from: str, to: str, copy_to: str | None, data: bytes, copyless: Copyless | None = None
    ) -> Result:
        """Hands over one letter, envelope to `to` and, if given, `copy_to`. Raises only when cancelled, and
        what `copyless` raises.

        If `to` is refused nothing is sent. If `copy_to` is refused the letter goes without.
        """
        try:
            smtp = await self._start(mail_from, len(data))
            if not isinstance(smtp, aiosmtplib.SMTP):
                return smtp
            if refusal := await self._name(smtp, to):
                return await self._withdrawn(smtp, refusal)
            unnamed = None
            if copy_to is not None and copy_to != to:
                unnamed = await self._name(smtp, copy_to)
                if unnamed is not None and unnamed.code is None:
                    return unnamed
                if unnamed is not None and copyless is not None:
                    await copyless()
            reach("mail.relay.named")
            return await self._data(smtp, data, copy_to is not None and unnamed is None, unnamed)
        except _BROKEN as error:
            self._drop()
            return Later(None, f"the connection to the relay broke: {_line(error)}")
        except BaseException:
            self._drop()  # the letter is half said: nothing else may follow on this connection
            raise

    async def _start(self, mail_from: str, size: int) -> aiosmtplib.SMTP | Refused | Later:
        """A connection on which the relay has taken our sender; else what came of it."""
        last = not (self._smtp and self._smtp.is_connected)
        while True:
            try:
                smtp = self._smtp if self._smtp and self._smtp.is_connected else await self._open()
            except (*_BROKEN, ValueError) as error:
                return Later(None, f"the relay cannot be reached: {_line(error)}", reached=False)
            try:
                most = smtp.esmtp_extensions.get("size", "").strip()
                if most.isdigit() and 0 < int(most) < size:
                    return Refused(552, f"the letter has {size} bytes, the relay takes {most}")
                answer = await smtp.execute_command(b"MAIL", b"FROM:<" + mail_from.encode("ascii") + b">")
            except _BROKEN as error:
                self._drop()
                if last:
                    return Later(None, f"the connection to the relay broke: {_line(error)}")
            else:
                if answer.code == 250:
                    return smtp
                self._drop()
                if last:
                    # Nothing of the letter was said yet, so the letter cannot be the reason.
                    text = f"the relay does not take our sender: {answer.code} {_line(answer.message)}"
                    return Later(None, text, reached=False)
            last = True  # the relay had meanwhile closed the connection we kept: once more, on a new one

    async def _open(self) -> aiosmtplib.SMTP:
        relay = self._relay
        context = None if relay.tls == "none" else await asyncio.to_thread(_context, relay.ca_file)
        self._smtp = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            username=relay.user or None,
            password=relay.password or None,
            local_hostname=relay.ehlo or None,
            timeout=relay.timeout_s,
            use_tls=relay.tls == "implicit",
            start_tls=relay.tls == "starttls",
            tls_context=context,
        )
        await self._smtp.connect()
        if self._smtp.is_ehlo_or_helo_needed:
            try:
                await self._smtp.ehlo()
            except aiosmtplib.SMTPHeloError:
                await self._smtp.helo()
        return self._smtp

    async def _name(self, smtp: aiosmtplib.SMTP, to: str) -> Refused | Later | None:
        """Names one recipient; None if the relay takes it."""
        answer = await smtp.execute_command(b"RCPT", b"TO:<" + to.encode("ascii", "replace") + b">")
        return None if answer.code in (250, 251, 252) else self._judged(answer.code, answer.message)

    def _judged(self, code: int, said: str) -> Refused | Later:
        if code == 421 or code in _NO_ENTRY:
            self._drop()
            return Later(None, f"{code} {_line(said)}", reached=code == 421)
        return Refused(code, _line(said)) if 500 <= code <= 599 else Later(code, _line(said))

    async def _withdrawn(self, smtp: aiosmtplib.SMTP, result: Refused | Later) -> Result:
        """Takes the begun letter back, so that the connection can be used for the next."""
        if smtp.is_connected:
            try:
                if (await smtp.execute_command(b"RSET")).code != 250:
                    self._drop()
            except _BROKEN:
                self._drop()
        return result

    async def _data(
        self, smtp: aiosmtplib.SMTP, data: bytes, copied: bool, unnamed: Refused | Later | None
    ) -> Result:
        answer = await smtp.execute_command(b"DATA")
        if answer.code != 354:
            return await self._withdrawn(smtp, self._judged(answer.code, answer.message))
        lines = _LINE_END.sub(b"\r\n", data.removesuffix(b"\n").removesuffix(b"\r")) + b"\r\n"
        await self._write(smtp, re.sub(rb"(?m)^\.", b"..", lines))
        if not smtp.is_connected:
            raise aiosmtplib.SMTPServerDisconnected("closed while the letter was sent")
        # Up to here the relay cannot have it. From the final dot on it can, until it says no.
        reach("mail.relay.said")
        try:
            answer = await smtp.execute_command(b".", timeout=self._relay.answer_s)
            reach("mail.relay.answered")
        except _BROKEN as error:
            self._drop()
            return InDoubt(f"no answer after the letter was sent: {_line(error)}")
        if 200 <= answer.code <= 299:
            refusal = "" if unnamed is None else f"; without our copy: {unnamed.code} {unnamed.text}"
            return Accepted(_line(answer.message) + refusal, copied)
        if 400 <= answer.code <= 599:
            return self._judged(answer.code, answer.message)
        self._drop()
        return InDoubt(f"no sensible answer after the letter was sent: {answer.code}")

    async def _write(self, smtp: aiosmtplib.SMTP, data: bytes) -> None:
        """Writes until nothing is left in this process: the final dot must not wait in a buffer with the
        letter, or its loss could not be told from the letter's."""
        transport = smtp.transport
        if not isinstance(transport, asyncio.WriteTransport):
            raise aiosmtplib.SMTPServerDisconnected("closed before the letter was sent")
        transport.write(data)
        left, since = transport.get_write_buffer_size(), time.monotonic()
        while left and smtp.is_connected:
            await asyncio.sleep(0.002)
            now = transport.get_write_buffer_size()
            if now < left:
                left, since = now, time.monotonic()
            elif time.monotonic() - since > self._relay.timeout_s:
                raise aiosmtplib.SMTPServerDisconnected("the relay takes nothing more of the letter")

    def _drop(self) -> None:
        if self._smtp is not None:
            if self._smtp.transport is not None and isinstance(self._smtp.transport, asyncio.Transport):
                self._smtp.transport.abort()
            self._smtp.close()
            self._smtp = None

    async def close(self) -> None:
        """Says good-bye, briefly."""
        if self._smtp is not None and self._smtp.is_connected:
            with contextlib.suppress(*_BROKEN):
                await self._smtp.quit(timeout=1)
        self._drop()


async def submit(
    relay: Relay,
    mail_from: str,
    to: str,
    copy_to: str | None,
    data: bytes,
    copyless: Copyless | None = None,
) -> Result:
    """`Line.submit` on a connection of its own."""
    line = Line(relay)
    try:
        return await line.submit(mail_from, to, copy_to, data, copyless)
    finally:
        await line.close()


def _context(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _line(said: object) -> str:
    """What a relay or a library said, as one short line without addresses."""
    if isinstance(said, aiosmtplib.SMTPResponseException):
        said = f"{said.code} {said.message}"
    text = str(said).encode("utf-8", "replace").decode()
    return harmless(_ADDRESS.sub("(address)", text), 200) or type(said).__name__
