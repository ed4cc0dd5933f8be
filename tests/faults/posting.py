"""Mail around a desk under test: into its mailbox, by LMTP as our own server's queue does, and back as
copies."""

from __future__ import annotations

import smtplib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.core.support_mail import ANNA, SERVER
from tests.mail.relay import Relay
from tests.mail.servers import MailServer


def letter(name: str, to: str, text: str = "Please look.") -> bytes:
    """A mail of Anna's."""
    headers = (f"From: {ANNA}", f"To: {to}", f"Subject: {name}", f"Message-ID: <{name}@demo.example>")
    return "\r\n".join([*headers, "", text, ""]).encode()


def stamped(raw: bytes) -> bytes:
    """It, as our own server hands it on: it vouches for the sender."""
    stamps = f"Authentication-Results: {SERVER}; dkim=pass header.d=demo.example\r\n"
    return stamps.encode() + f"Received: from x by {SERVER}; now\r\n".encode() + raw


def append(server: MailServer, address: str, *raw: bytes) -> None:
    """Puts mails into a mailbox."""
    with server.imap(address) as client:
        for one in raw:
            client.append("INBOX", one)


def empty(server: MailServer, address: str) -> None:
    """Takes all mails out of a mailbox."""
    with server.imap(address) as client:
        client.select_folder("INBOX")
        if uids := client.search("ALL"):
            client.delete_messages(uids)
            client.expunge()


@contextmanager
def copies(relay: Relay, server: MailServer, address: str) -> Iterator[None]:
    """What the relay takes for `address` too arrives in its mailbox, in order, a moment later."""
    over, done = threading.Event(), [len(relay.accepted)]

    def carry() -> None:
        while not over.wait(0.05):
            arrived = relay.accepted[done[0] :]
            done[0] += len(arrived)
            if ours := [one.raw for one in arrived if address in one.recipients]:
                append(server, address, *ours)

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(20)


class Queue:
    """Mails for the desk's LMTP port; each is tried again until its 250 came, as our server's queue does."""

    def __init__(self, port: int, to: str) -> None:
        self.port, self.to = port, to
        self.tries = 0
        self._waiting: list[bytes] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, raw: bytes) -> None:
        self._waiting.append(raw)

    def empty(self) -> bool:
        return not self._waiting

    def close(self) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._over.wait(0.05):
            if not self._waiting:
                continue
            try:
                with smtplib.LMTP("127.0.0.1", self.port, timeout=20) as client:
                    client.sendmail(ANNA, [self.to], self._waiting[0])
                self._waiting.pop(0)
            except (OSError, smtplib.SMTPException):
                self.tries += 1
                time.sleep(0.2)
