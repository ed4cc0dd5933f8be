"""Watching an IMAP mailbox: every mail above a position is handed over, in order, for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog
from imapclient.exceptions import IMAPClientError, LoginError
from msgspec import Struct

from shared.database import wall_clock
from shared.failpoints import reach
from shared.mail.encoded import harmless
from shared.mail.fetching import Delivery, batches, fetched
from shared.mail.folder import Folder, FolderGone, IdleFailed, Mailbox, Tls
from shared.time import Instant

__all__ = ["Delivery", "Mailbox", "Position", "State", "Tls", "watch", "watching"]

log = structlog.get_logger()

T = TypeVar("T")
R = TypeVar("R")

IDLE_S = 540.0
"""The longest IDLE: servers may end one after half an hour, and routers forget silent connections sooner."""
_AWAY = (OSError, EOFError, IMAPClientError)


class Position(Struct, frozen=True):
    """A place in a mailbox: what is above `uid` has not been taken; another `uidvalidity`, other mails."""

    uidvalidity: int
    uid: int


class State(Struct):
    """How the watching goes; written by the watching thread, read by anybody."""

    connected: bool = False
    since: Instant | None = None
    """When `connected` last changed."""
    checked_at: Instant | None = None
    """When all there was had been taken."""
    error: str | None = None
    """What is wrong now, for people; None while all is well."""
    uidvalidity: int | None = None
    taken: int = 0
    connections: int = 0
    elsewhere: bool = False
    """Another instance watches; this one waits for its turn."""


Take = Callable[[Sequence[Delivery]], None]


def watch(
    mailbox: Mailbox,
    position: Callable[[int], int],
    take: Take,
    stop: threading.Event,
    state: State | None = None,
) -> None:
    """Hands over every mail above `position(uidvalidity)` (0: none taken yet) to `take`, in order of uid,
    until `stop` is set; it ends within a second of that, or within 5 while it is connecting.

    `take` must have put the batch away when it returns: then the position is above it. An exception of
    `take` or `position` ends the watching and is raised; nothing the server does ends it. A mail that cannot
    be fetched three times is handed over with a `problem`. Blocking: run it in a thread (`watching`).
    """
    logging.getLogger("imapclient").setLevel(logging.WARNING)  # else it formats every line of every mail
    watcher = _Watcher(mailbox, position, take, stop, State() if state is None else state)
    ended = threading.Event()
    threading.Thread(target=watcher.guard, args=(ended,), name="mailbox-guard", daemon=True).start()
    try:
        watcher.run()
    finally:
        ended.set()


async def watching(
    mailbox: Mailbox, position: Callable[[int], int], take: Take, state: State | None = None
) -> None:
    """`watch` in a thread of its own, until cancelled. `position` and `take` are called in that thread."""
    loop, stop = asyncio.get_running_loop(), threading.Event()
    ended: asyncio.Future[None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        if not ended.done():
            ended.set_exception(error) if error else ended.set_result(None)

    def run() -> None:
        error = None
        try:
            watch(mailbox, position, take, stop, state)
        except Exception as found:
            error = found
        with contextlib.suppress(RuntimeError):  # the loop is closed, nobody listens any more
            loop.call_soon_threadsafe(tell, error)

    # Not a thread of the loop's pool: the interpreter would wait for it at its end.
    threading.Thread(target=run, name="mailbox", daemon=True).start()
    try:
        await asyncio.shield(ended)
    finally:
        stop.set()
        await asyncio.wait({ended}, timeout=5)


class _Theirs(Exception):
    """What `take` or `position` raised, told apart from what the server does."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _theirs(call: Callable[[T], R], argument: T) -> R:
    try:
        return call(argument)
    except Exception as error:
        raise _Theirs(error) from error


class _Watcher:
    """What one `watch` holds: its session, and how often which mail could not be fetched."""

    def __init__(
        self,
        mailbox: Mailbox,
        position: Callable[[int], int],
        take: Take,
        stop: threading.Event,
        state: State,
    ) -> None:
        self.mailbox, self.position, self.take = mailbox, position, take
        self.stop, self.state = stop, state
        self.folder: Folder | None = None
        self.failed: dict[int, int] = {}
        self.no_idle_until = 0.0

    def guard(self, ended: threading.Event) -> None:
        """Cuts the session when asked to stop, so that nobody waits for a silent server."""
        while not ended.is_set():
            if self.stop.wait(0.2) and self.folder is not None:
                self.folder.cut()
                return

    def run(self) -> None:
        pause = 1.0
        while not self.stop.is_set():
            try:
                self.folder = Folder(self.mailbox)
                while not self.stop.is_set():
                    if self.hand_over(self.folder):
                        pause = 1.0
                        self.wait(self.folder)
            except _Theirs as error:
                raise error.error from None
            except IdleFailed:
                self.no_idle_until = time.monotonic() + 3_600
                log.warning("mail.mailbox.no_idle", folder=self.mailbox.folder)
            except _AWAY as error:
                if not self.stop.is_set():
                    self.tell(False, _why(error, self.mailbox))
                    log.warning("mail.mailbox.away", reason=self.state.error, again_in_s=pause)
                    self.stop.wait(pause)
                    pause = min(self.mailbox.retry_s, pause * 2)
            finally:
                if self.folder is not None:
                    self.folder.close()
        self.tell(False, None)

    def tell(self, connected: bool, error: str | None) -> None:
        if connected is not self.state.connected:
            self.state.connected, self.state.since = connected, wall_clock()
            self.state.connections += connected
        self.state.error = error

    def wait(self, folder: Folder) -> None:
        if folder.can_idle and time.monotonic() >= self.no_idle_until:
            folder.idle(min(self.mailbox.poll_s, IDLE_S))
        else:
            self.stop.wait(self.mailbox.poll_s)

    def hand_over(self, folder: Folder) -> bool:
        """Hands over what is above the position. False: look again at once.

        So it is after anything was found: of what arrived meanwhile the server may have told in passing, and
        then IDLE does not tell it again.
        """
        uidvalidity = folder.select()
        if self.state.uidvalidity not in (None, uidvalidity):
            log.warning("mail.mailbox.made_anew", folder=self.mailbox.folder, uidvalidity=uidvalidity)
            self.failed.clear()
        self.state.uidvalidity = uidvalidity
        self.tell(True, self.state.error)
        before = self.state.taken
        for found in folder.above(_theirs(self.position, uidvalidity)):
            for batch in batches(self.mailbox, found, self.failed):
                if self.stop.is_set():
                    return False
                deliveries = fetched(folder, self.mailbox, uidvalidity, batch, self.failed)
                reach("mail.mailbox.fetched")
                _theirs(self.take, deliveries)
                reach("mail.mailbox.taken")
                self.state.taken += len(deliveries)
                for one in deliveries:
                    self.failed.pop(one.uid, None)
                if self.mailbox.mark_seen and not folder.mark_seen([one.uid for one in deliveries]):
                    log.warning("mail.mailbox.not_marked", folder=self.mailbox.folder)
                if len(deliveries) < len(batch):
                    return False
        self.state.checked_at, self.state.error = wall_clock(), None
        return self.state.taken == before


def _why(error: Exception, mailbox: Mailbox) -> str:
    """What is wrong, for the person who can mend it."""
    said = str(error) or type(error).__name__
    if mailbox.password:
        said = said.replace(mailbox.password, "(password)")
    said, at = harmless(said, 200), f"{mailbox.host}:{mailbox.port}"
    if isinstance(error, LoginError):
        return f"the mail server {at} refuses the login: {said}"
    if isinstance(error, FolderGone):
        return f"the folder {mailbox.folder} at {at} cannot be opened: {said}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {at} is not trusted: {said}"
    return f"the mail server {at} is away: {said}"
