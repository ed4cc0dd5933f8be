"""Real mail servers for tests: Postfix with Dovecot where they are installed, else `garant mailbox`.

Both stand for our own mail server: they put their verdict (Authentication-Results) on top of what they accept
and take away what a sender wrote in their name.
"""

from __future__ import annotations

import os
import smtplib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path

from imapclient import IMAPClient
from msgspec import Struct

from services.cli.local.ports import HOST

AUTHSERV_ID = "mail.garant.example"
USUAL = ("support@garant.example", "letters@garant.example", "staff@garant.example", "anna@demo.example")
SPARE = 100
GONE = "gone.example"
"""Mail to this domain is accepted, and then comes back to its sender as a bounce."""


class Stored(Struct, frozen=True):
    """A message as IMAP shows it; `received` is its INTERNALDATE, with its offset from UTC."""

    uid: int
    raw: bytes
    received: datetime
    flags: tuple[bytes, ...]


class MailServer(ABC):
    """A running mail server of the test's own, with its data below `folder`, on free ports of loopback."""

    kind: str
    host = HOST
    authserv_id = AUTHSERV_ID

    def __init__(self, folder: Path, smtp_port: int, imap_port: int) -> None:
        self.folder = folder
        self.smtp_port = smtp_port
        self.imap_port = imap_port
        spare = [f"user{number}@demo.example" for number in range(SPARE)]
        self.users = {address: f"secret-of-{address.partition('@')[0]}" for address in (*USUAL, *spare)}
        """Password by address."""
        self._spare = iter(spare)
        self._tags = count()
        self._refused: dict[str, str] = {}
        self._bounced: dict[str, str] = {GONE: "5.1.1 no such user"}
        self._verdicts: dict[str, str] = {}

    def new_user(self) -> str:
        """An address whose mailbox no other test has used (100 of them for each server)."""
        return next(self._spare)

    @abstractmethod
    def start(self) -> None:
        """Starts it on its ports and on its data; returns when it answers. Nothing when it runs."""

    @abstractmethod
    def stop(self) -> None:
        """Stops it in order. Nothing when it does not run."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL for every process of it."""

    def remove(self) -> None:
        """Stops it for good."""
        self.stop()

    @abstractmethod
    def recreate_mailbox(self, address: str) -> None:
        """Deletes the INBOX and makes it anew with the same messages: UIDVALIDITY changes, and the UIDs with
        it. Whoever is connected to it is disconnected."""

    @abstractmethod
    def _rules_changed(self) -> None:
        """Makes the next SMTP connection follow `_refused`, `_bounced` and `_verdicts`."""

    def refuse(self, recipient: str, answer: str) -> None:
        """From the next connection on, RCPT TO this address or domain is answered so: "450 4.2.1 later"."""
        self._refused[recipient.lower()] = answer
        self._rules_changed()

    def bounce(self, recipient: str, why: str = "5.1.1 no such user") -> None:
        """From now on mail to this address or domain is accepted and bounces; `gone.example` always does."""
        self._bounced[recipient.lower()] = why
        self._rules_changed()

    def judge(self, sender: str, verdict: str) -> None:
        """What it says to have verified of this envelope sender or domain, for example
        "spf=pass smtp.mailfrom=demo.example; dkim=pass header.d=demo.example"."""
        self._verdicts[sender.lower()] = verdict
        self._rules_changed()

    def be_kind(self) -> None:
        """Forgets `refuse`, `bounce` and `judge`."""
        self._refused, self._bounced, self._verdicts = {}, {GONE: "5.1.1 no such user"}, {}
        self._rules_changed()

    def deliver(
        self, raw: bytes, mail_from: str, rcpt: str | Sequence[str], *, login: bool = False
    ) -> dict[str, tuple[int, bytes]]:
        """Sends by SMTP, `raw` being the whole message; with `login` as the user `mail_from`. Returns the
        recipients that were refused while others were not. Raises smtplib.SMTPException, as when all were."""
        with self.smtp() as client:
            if login:
                client.login(mail_from, self.users[mail_from])
            return client.sendmail(mail_from, [rcpt] if isinstance(rcpt, str) else list(rcpt), raw)

    def smtp(self) -> smtplib.SMTP:
        """A client, connected."""
        # The name: else smtplib asks DNS for this machine's, which can take seconds.
        return smtplib.SMTP(self.host, self.smtp_port, local_hostname="client.example", timeout=60)

    @contextmanager
    def imap(self, address: str) -> Iterator[IMAPClient]:
        """A client logged in as `address`."""
        client = IMAPClient(self.host, self.imap_port, ssl=False, timeout=60)
        try:
            client.login(address, self.users[address])
            client.normalise_times = False
            yield client
        finally:
            client.shutdown()

    def messages(self, address: str, folder: str = "INBOX") -> list[Stored]:
        """What is in the mailbox, by UID; it marks nothing as read."""
        with self.imap(address) as client:
            client.select_folder(folder, readonly=True)
            uids = client.search("ALL")
            found = client.fetch(uids, ["BODY.PEEK[]", "INTERNALDATE", "FLAGS"]) if uids else {}
        return [
            Stored(uid, data[b"BODY[]"], data[b"INTERNALDATE"], tuple(data[b"FLAGS"]))
            for uid, data in sorted(found.items())
        ]

    def uid_validity(self, address: str, folder: str = "INBOX") -> int:
        """UIDVALIDITY as IMAP says it now."""
        with self.imap(address) as client:
            return int(client.select_folder(folder, readonly=True)[b"UIDVALIDITY"])

    def wait_for(
        self, address: str, enough: int | Callable[[list[Stored]], bool] = 1, timeout_s: float = 20.0
    ) -> list[Stored]:
        """`messages` once there are at least `enough` of them (or once `enough` says yes of them): Postfix
        delivers after its 250, not before. Raises TimeoutError."""
        met = enough if callable(enough) else lambda found: len(found) >= enough
        deadline = time.monotonic() + timeout_s
        while not met(found := self.messages(address)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{address} has only {len(found)} messages after {timeout_s:g} s")
            time.sleep(0.05)
        return found


def kinds() -> tuple[str, ...]:
    """The kinds that can run here, the usual one first; `GARANT_TEST_MAIL`=python or debian picks one."""
    from tests.mail.debian_server import can_run

    wanted = os.environ.get("GARANT_TEST_MAIL")
    if wanted not in (None, "", "python", "debian"):
        raise ValueError(f"GARANT_TEST_MAIL is {wanted!r}; it must be python or debian")
    here = ("debian", "python") if can_run() else ("python",)
    return (wanted,) if wanted else here


def mail_server(kind: str, folder: Path) -> MailServer:
    """A server of this kind that does not run yet; call `start`."""
    if kind == "debian":
        from tests.mail.debian_server import DebianServer

        return DebianServer(folder)
    from tests.mail.python_server import PythonServer

    return PythonServer(folder)
