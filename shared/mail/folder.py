"""One IMAP session on one folder: what the server says, without its quirks."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from imapclient import SEEN, IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, IMAPClientReadOnlyError
from msgspec import Struct

from shared.database import wall_clock
from shared.time import Instant

Tls = Literal["implicit", "starttls", "none"]

_CONNECT_S = 5.0
_WINDOW = 50_000
"""UIDs asked for at once: imaplib refuses a line of more than a million bytes."""
_LISTED = 500


class Mailbox(Struct, frozen=True):
    """The mailbox and how to watch it. Certificates are verified, by `ca_file` if given. A batch holds up to
    `batch_messages` or `batch_bytes`; of a mail above `max_bytes` only the first `cut_bytes` are fetched."""

    host: str
    port: int
    user: str
    password: str
    folder: str = "INBOX"
    tls: Tls = "implicit"
    ca_file: str | None = None
    mark_seen: bool = False
    poll_s: float = 30.0
    """How often to look without being told; also where the server has no IDLE."""
    timeout_s: float = 60.0
    retry_s: float = 60.0
    """The longest wait before connecting again."""
    batch_messages: int = 50
    batch_bytes: int = 8_000_000
    max_bytes: int = 120_000_000
    cut_bytes: int = 1_048_576

    def __repr__(self) -> str:  # no password in any trace
        return f"Mailbox({self.host}:{self.port}, {self.folder}, tls={self.tls})"


class Found(Struct, frozen=True):
    """A mail in the folder, not fetched yet. What the server would not tell is 0, or now."""

    uid: int
    size: int
    received_at: Instant


class FolderGone(IMAPClientError):  # type: ignore[misc]
    """The folder cannot be opened; the message is the server's."""


class IdleFailed(IMAPClientError):  # type: ignore[misc]
    """The server says it has IDLE, and has it not."""


class Folder:
    """A session. Any method may raise OSError or IMAPClientError: then the session is of no more use."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._uidnext: int | None = None
        self._read_only = False
        context = ssl.create_default_context(cafile=mailbox.ca_file)
        client = IMAPClient(
            mailbox.host,
            mailbox.port,
            ssl=mailbox.tls == "implicit",
            ssl_context=context,
            timeout=SocketTimeout(_CONNECT_S, mailbox.timeout_s),
        )
        self._client: Any = client
        try:
            client.normalise_times = False
            if mailbox.tls == "starttls":
                client.starttls(context)
            client.login(mailbox.user, mailbox.password)
            self.can_idle = bool(client.has_capability("IDLE"))
        except BaseException:
            self.cut()
            raise

    def cut(self) -> None:
        """Ends the session at once; another thread that waits for the server is told by an error."""
        with contextlib.suppress(OSError):
            self._client.socket().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Frees what the session holds."""
        self.cut()
        with contextlib.suppress(OSError, IMAPClientError):
            self._client.shutdown()

    def select(self) -> int:
        """Opens the folder, again if it was open, and gives its UIDVALIDITY. Raises FolderGone."""
        name = self._mailbox.folder
        try:
            told = self._client.select_folder(name, readonly=not self._mailbox.mark_seen or self._read_only)
        except IMAPClientReadOnlyError:
            self._read_only = True
            return self.select()
        except IMAPClientAbortError:
            raise
        except IMAPClientError as error:
            raise FolderGone(str(error)) from None
        self._uidnext = told.get(b"UIDNEXT")
        if not isinstance(told.get(b"UIDVALIDITY"), int):
            raise FolderGone("the server gives no UIDVALIDITY")
        return int(told[b"UIDVALIDITY"])

    def above(self, uid: int) -> Iterator[list[Found]]:
        """The mails with a higher uid, in order."""
        first, window = uid + 1, _WINDOW
        while self._uidnext is None or first < self._uidnext:
            last = None if self._uidnext is None else min(first + window, self._uidnext) - 1
            told = self._client.search(["UID", f"{first}:{last or '*'}"])
            uids = sorted(found for found in told if found >= first)  # "n:*" names the last one in any case
            for at in range(0, len(uids), _LISTED):
                yield self._listed(uids[at : at + _LISTED])
            if last is None:
                return
            first, window = last + 1, window if uids else window * 4

    def _listed(self, uids: list[int]) -> list[Found]:
        told: dict[int, dict[bytes, Any]] = {}
        try:
            told = self._client.fetch(uids, ["RFC822.SIZE", "INTERNALDATE"])
        except IMAPClientAbortError:
            raise
        except IMAPClientError:  # one of them is broken: it will be found when it is fetched
            told = {}
        found = []
        for uid in uids:
            one = told.get(uid, {})
            size, date = one.get(b"RFC822.SIZE"), one.get(b"INTERNALDATE")
            received = Instant(date.timestamp() * 1_000) if date is not None else wall_clock()
            found.append(Found(uid, size if isinstance(size, int) else 0, received))
        return found

    def fetch(self, uids: Sequence[int]) -> dict[int, bytes]:
        """The mails, without marking them as read; those the server did not give are missing."""
        told = self._client.fetch(uids, ["BODY.PEEK[]"])
        return {uid: one[b"BODY[]"] for uid, one in told.items() if isinstance(one.get(b"BODY[]"), bytes)}

    def beginning(self, uid: int) -> bytes | None:
        """The first `cut_bytes` of a mail; None if the server did not give them."""
        told = self._client.fetch([uid], [f"BODY.PEEK[]<0.{self._mailbox.cut_bytes}>"]).get(uid, {})
        return next((data for name, data in told.items() if name.startswith(b"BODY[]") and data), None)

    def mark_seen(self, uids: Sequence[int]) -> bool:
        """Marks mails as read. Whether the server does."""
        if self._read_only:
            return False
        try:
            self._client.add_flags(uids, [SEEN], silent=True)
        except IMAPClientAbortError:
            raise
        except IMAPClientError:
            return False
        return True

    def idle(self, seconds: float) -> None:
        """Waits until the server tells something, or for so long. Raises IdleFailed."""
        try:
            self._client.idle()
        except IMAPClientAbortError:
            raise
        except IMAPClientError as error:
            raise IdleFailed(str(error)) from None
        if not self._told_already():
            self._client.idle_check(timeout=seconds)
        self._client.idle_done()

    def _told_already(self) -> bool:
        # What came in one packet with the "+ idling" lies in imaplib's reader, where idle_check's poll of
        # the socket does not see it: a mail that arrived just then would wait for the next one.
        reader = getattr(self._client._imap, "file", None)
        connection = self._client.socket()
        connection.setblocking(False)
        try:
            return bool(reader is not None and reader.peek(1))
        except OSError:
            return False
        finally:
            connection.settimeout(self._mailbox.timeout_s)
