"""The mailboxes that pymap serves: its in-memory ones, written through to the store before anyone sees them.

pymap's own Maildir backend is no home for mail that must stay as it came: it parses and rewrites every
message, moves its index across file systems without fsync, leaves its lock behind when killed and has IDLE
poll.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TypeVar
from weakref import WeakSet

from pymap.backend.dict.mailbox import (
    LoadedMessage,
    MailboxData,
    MailboxSet,
    Message,
    _ContentCache,
    _ThreadCache,
)
from pymap.concurrent import Event
from pymap.context import connection_exit
from pymap.flags import FlagOp
from pymap.interfaces.message import CachedMessage
from pymap.listtree import ListTree
from pymap.mime import MessageContent
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials import FetchRequirement, ObjectId
from pymap.parsing.specials.flag import Flag, Recent, Wildcard, get_system_flags
from pymap.selected import SelectedMailbox

from services.cli.mail.store import INBOX, Folder, Letter, Store

T = TypeVar("T")
R = TypeVar("R")
GOODBYE_S = 0.2
"""How long after BYE the connection of a session is closed whose folder is gone."""


class Writer:
    """Writes one thing at a time: first to the disk, then where IMAP sees it, in the order of the UIDs."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._alone = asyncio.Lock()

    async def write(self, work: Callable[[], T], then: Callable[[T], R]) -> R:
        """`then(work())` with `work` in a thread. A client that goes away meanwhile does not part the two."""

        async def both() -> R:
            async with self._alone:
                return then(await asyncio.to_thread(work))

        return await asyncio.shield(asyncio.create_task(both()))


class StoredMessage(Message):
    """A message whose bytes stay in the store until somebody fetches them."""

    __slots__ = ["_letter", "_store"]

    def __init__(self, letter: Letter, store: Store, *, recent: bool = False) -> None:
        super().__init__(
            letter.uid,
            datetime.fromtimestamp(letter.received_ms / 1000, UTC),
            [Flag(flag.encode()) for flag in letter.flags.split()],
            email_id=ObjectId(letter.email_id.encode()),
            recent=recent,
        )
        self._letter = letter
        self._store = store

    async def load_content(self, requirement: FetchRequirement) -> LoadedMessage:
        """Reads and parses the bytes if the command needs them."""
        if requirement.has_none(FetchRequirement.CONTENT):
            return LoadedMessage(self, requirement, None)
        return LoadedMessage(self, requirement, await asyncio.to_thread(self._parsed))

    def _parsed(self) -> MessageContent | None:
        raw = self._store.raw(self._letter.content)
        return None if raw is None else MessageContent.parse(raw)


class Mailbox(MailboxData):
    """One folder. `name` is None once it is deleted."""

    def __init__(self, folder: Folder, writer: Writer) -> None:
        super().__init__(_ContentCache(), _ThreadCache())
        self.folder = folder.id
        self.name: str | None = folder.name
        self.subscribed = bool(folder.subscribed)
        self._writer = writer
        self._leaving: WeakSet[AsyncExitStack] = WeakSet()
        self._mailbox_id = ObjectId(folder.object_id.encode())
        self._uid_validity = folder.uid_validity
        self._max_uid = folder.next_uid - 1
        for letter in writer.store.letters(folder.id):
            self._messages[letter.uid] = StoredMessage(letter, writer.store)
        self._mod_sequences.update(list(self._messages))

    @property
    def permanent_flags(self) -> frozenset[Flag]:
        """All of the standard's, and any keyword."""
        return (get_system_flags() - {Recent}) | {Wildcard}

    async def update_selected(
        self, selected: SelectedMailbox, *, wait_on: Event | None = None
    ) -> SelectedMailbox:
        """Tells a session what is new, after waiting for that if `wait_on` is given (IDLE)."""
        if self._left(selected):
            selected.set_deleted()
            await self._send_away(wait_on)
            return selected
        # pymap waits for the next change even if one came since the session last looked: it would sleep on.
        seen = selected.mod_sequence == self._mod_sequences.highest
        waits = wait_on is not None and seen and not wait_on.is_set()
        return await super().update_selected(selected, wait_on=wait_on if waits else None)

    async def _send_away(self, wait_on: Event | None) -> None:
        """pymap says BYE to a session whose folder is gone, but lets it idle on: the connection is closed."""
        connection = connection_exit.get()
        if connection not in self._leaving:
            self._leaving.add(connection)
            loop = asyncio.get_running_loop()
            loop.call_later(GOODBYE_S, lambda: loop.create_task(connection.aclose()))
        elif wait_on is not None:
            await wait_on.wait()

    def _left(self, selected: SelectedMailbox) -> bool:
        return selected.lookup != self.name or selected.mailbox_id != self.mailbox_id

    def called(self, name: str | None) -> None:
        """Its new name; sessions that had it selected by the old one are sent away."""
        self.name = name
        self._updated.set()

    def arrived(self, letter: Letter, *, recent: bool | None = None) -> Message:
        """Shows what the store has; whoever idles hears of it. `recent` None: if no session is told now."""
        if recent is None:
            watching = self.selected_set.any_selected
            recent = watching is None
            if watching is not None:
                watching.session_flags.add_recent(letter.uid)
        message = StoredMessage(letter, self._writer.store, recent=recent)
        self._max_uid = letter.uid
        self._messages[letter.uid] = message
        self._mod_sequences.update([letter.uid])
        self._updated.set()
        return message

    def left(self, uids: list[int]) -> None:
        """Forgets what the store removed."""
        for uid in uids:
            self._messages.pop(uid, None)
        self._mod_sequences.expunge(uids)
        self._updated.set()

    async def append(self, append_msg: AppendMessage, *, recent: bool = False) -> Message:
        """IMAP's APPEND: the date is the client's, if it gave one."""
        when = append_msg.when.timestamp() if append_msg.when is not None else time.time()
        flags = _text(append_msg.flag_set)
        return await self._writer.write(
            lambda: self._writer.store.append(
                [self.folder], bytes(append_msg.literal), int(when * 1000), flags
            ),
            lambda letters: self.arrived(letters[0], recent=recent),
        )

    async def copy(self, uid: int, destination: MailboxData, *, recent: bool = False) -> int | None:
        """IMAP's COPY."""
        return await self._transfer(uid, destination, recent, move=False)

    async def move(self, uid: int, destination: MailboxData, *, recent: bool = False) -> int | None:
        """IMAP's MOVE: in one or in the other, never in none."""
        return await self._transfer(uid, destination, recent, move=True)

    async def _transfer(self, uid: int, destination: MailboxData, recent: bool, *, move: bool) -> int | None:
        assert isinstance(destination, Mailbox)  # noqa: S101 - there are no others
        to = destination

        def show(letter: Letter | None) -> int | None:
            if letter is None:
                return None
            if move:
                self.left([uid])
            to.arrived(letter, recent=recent)
            return letter.uid

        return await self._writer.write(
            lambda: self._writer.store.copy(self.folder, uid, to.folder, move=move), show
        )

    async def update(
        self, uid: int, cached_msg: CachedMessage, flag_set: frozenset[Flag], mode: FlagOp
    ) -> Message:
        """IMAP's STORE."""
        message = await self.get(uid, cached_msg)
        flags = mode.apply(message.permanent_flags, flag_set) - {Recent, Wildcard}
        if message.expunged or flags == message.permanent_flags:
            return message

        def show(_: None) -> Message:
            message.permanent_flags = flags
            self._mod_sequences.update([uid])
            self._updated.set()
            return message

        return await self._writer.write(
            lambda: self._writer.store.set_flags(self.folder, uid, _text(flags)), show
        )

    async def delete(self, uids: Iterable[int]) -> None:
        """IMAP's EXPUNGE."""
        gone = [uid for uid in uids if uid in self._messages]
        if gone:
            await self._writer.write(
                lambda: self._writer.store.remove(self.folder, gone), lambda _: self.left(gone)
            )


def _text(flags: Iterable[Flag]) -> str:
    return " ".join(sorted(bytes(flag).decode("ascii") for flag in flags))


class Mailboxes(MailboxSet):
    """One user's folders."""

    def __init__(self, user: str, writer: Writer) -> None:
        super().__init__()
        self.user = user
        self._writer = writer
        self._all = {folder.name: Mailbox(folder, writer) for folder in writer.store.folders(user)}

    @property
    def inbox(self) -> Mailbox:
        """Where mail is delivered to."""
        return self._all[INBOX]

    async def set_subscribed(self, name: str, subscribed: bool) -> None:
        """Kept across restarts; a folder that is not there cannot be subscribed to."""
        box = self._all.get(name)
        if box is not None:
            await asyncio.to_thread(self._writer.store.subscribe, box.folder, subscribed)
            box.subscribed = subscribed

    async def list_subscribed(self) -> ListTree:
        """INBOX always is."""
        return self._tree(name for name, box in self._all.items() if box.subscribed)

    async def list_mailboxes(self) -> ListTree:
        """Every folder."""
        return self._tree(self._all)

    def _tree(self, names: Iterable[str]) -> ListTree:
        return ListTree(self.delimiter).update(INBOX, *(name for name in names if name != INBOX))

    async def get_mailbox(self, name: str) -> Mailbox:
        """Raises KeyError."""
        return self._all[INBOX if name.upper() == INBOX else name]

    async def add_mailbox(self, name: str) -> ObjectId:
        """Raises ValueError when it exists."""
        if name in self._all:
            raise ValueError(name)

        def show(folder: Folder) -> ObjectId:
            self._all[name] = box = Mailbox(folder, self._writer)
            return box.mailbox_id

        return await self._writer.write(lambda: self._writer.store.add_folder(self.user, name), show)

    async def delete_mailbox(self, name: str) -> None:
        """With what is in it. Raises KeyError."""
        box = self._all[name]

        def show(_: None) -> None:
            del self._all[name]
            box.called(None)

        await self._writer.write(lambda: self._writer.store.remove_folder(box.folder), show)

    async def rename_mailbox(self, before: str, after: str) -> None:
        """With its inferiors. INBOX leaves its messages to `after` and begins anew (RFC 3501, 6.3.5), with a
        new UIDVALIDITY. Raises KeyError, ValueError."""
        tree = self._tree(self._all)
        if tree.get(before) is None:
            raise KeyError(before)
        if tree.get(after) is not None:
            raise ValueError(after)
        names = [(old, new) for old, new in tree.get_renames(before, after) if old in self._all]

        def show(_: None) -> None:
            for old, new in names:
                self._all[new] = box = self._all.pop(old)
                box.called(new)
            for folder in self._writer.store.folders(self.user):
                if folder.name not in self._all:
                    self._all[folder.name] = Mailbox(folder, self._writer)

        await self._writer.write(lambda: self._writer.store.rename_folders(self.user, names), show)
