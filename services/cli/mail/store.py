"""The mailboxes on disk: an SQLite file in which a committed message stays, with its UID, come what may."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from msgspec import Struct

from shared.errors import NeedsAPerson

INBOX = "INBOX"
_TABLES = """
CREATE TABLE IF NOT EXISTS folder (
  id INTEGER PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL, object_id TEXT NOT NULL,
  uid_validity INTEGER NOT NULL UNIQUE, next_uid INTEGER NOT NULL, subscribed INTEGER NOT NULL DEFAULT 0,
  UNIQUE (user, name)
) STRICT;
CREATE TABLE IF NOT EXISTS content (id INTEGER PRIMARY KEY, raw BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS letter (
  folder INTEGER NOT NULL REFERENCES folder, uid INTEGER NOT NULL, received_ms INTEGER NOT NULL,
  flags TEXT NOT NULL, email_id TEXT NOT NULL, content INTEGER NOT NULL REFERENCES content,
  PRIMARY KEY (folder, uid)
) STRICT;
CREATE INDEX IF NOT EXISTS letter_content ON letter (content);
CREATE TABLE IF NOT EXISTS last_validity (value INTEGER NOT NULL) STRICT;
"""


class MailboxesInUse(NeedsAPerson):
    """Another process has the mailboxes open."""


class Folder(Struct, frozen=True):
    """A mailbox as IMAP means it. `uid_validity` is never used for another one again."""

    id: int
    name: str
    object_id: str
    uid_validity: int
    next_uid: int
    subscribed: int


class Letter(Struct, frozen=True):
    """A message in a folder, without its bytes: those are `Store.raw(content)`."""

    uid: int
    received_ms: int
    flags: str
    email_id: str
    content: int


class Store:
    """The file at `path`. What a method has written is on disk when it returns (fsync), or nothing of it is.

    Methods block, and may be called from any thread. Raises sqlite3.Error; MailboxesInUse on opening.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._lock = Lock()
        self._db = sqlite3.connect(path, timeout=2, isolation_level=None, check_same_thread=False)
        try:
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
                self._db.execute(f"PRAGMA {pragma}")
            self._db.executescript(f"BEGIN EXCLUSIVE; {_TABLES} COMMIT;")
        except sqlite3.OperationalError as error:
            self._db.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise MailboxesInUse(
                f"Another process has the mailboxes in {path} open: stop the other `garant mailbox`, or run "
                "this one on another GARANT_HOME."
            ) from None

    def close(self) -> None:
        """Closes the file; what was committed is in it."""
        with self._lock:
            self._db.close()

    def ensure_inboxes(self, users: Iterable[str]) -> None:
        """Gives each of `users` an INBOX that has none."""
        with self._transaction():
            have = {user for (user,) in self._db.execute("SELECT user FROM folder WHERE name=?", (INBOX,))}
            for user in users:
                if user not in have:
                    self._add(user, INBOX)

    def folders(self, user: str) -> list[Folder]:
        """The user's folders."""
        with self._lock:
            return self._rows(user)

    def add_folder(self, user: str, name: str) -> Folder:
        """A new empty folder."""
        with self._transaction():
            self._add(user, name)
            return next(one for one in self._rows(user) if one.name == name)

    def rename_folders(self, user: str, names: Iterable[tuple[str, str]]) -> None:
        """Renames each (before, after); who renames INBOX moves its messages and gets a new INBOX."""
        with self._transaction():
            for before, after in names:
                self._db.execute("UPDATE folder SET name=? WHERE user=? AND name=?", (after, user, before))
                if before == INBOX:
                    self._add(user, INBOX)

    def remove_folder(self, folder: int) -> None:
        """Removes the folder and what is in it."""
        with self._transaction():
            uids = [uid for (uid,) in self._db.execute("SELECT uid FROM letter WHERE folder=?", (folder,))]
            self._remove(folder, uids)
            self._db.execute("DELETE FROM folder WHERE id=?", (folder,))

    def subscribe(self, folder: int, subscribed: bool) -> None:
        """What LSUB lists."""
        with self._transaction():
            self._db.execute("UPDATE folder SET subscribed=? WHERE id=?", (int(subscribed), folder))

    def letters(self, folder: int) -> list[Letter]:
        """Everything in the folder by UID."""
        with self._lock:
            rows = self._db.execute(
                "SELECT uid, received_ms, flags, email_id, content FROM letter WHERE folder=? ORDER BY uid",
                (folder,),
            )
            return [Letter(*row) for row in rows]

    def raw(self, content: int) -> bytes | None:
        """The bytes of a message as they were accepted; None when it was removed."""
        with self._lock:
            row = self._db.execute("SELECT raw FROM content WHERE id=?", (content,)).fetchone()
        return None if row is None else bytes(row[0])

    def append(self, folders: Sequence[int], raw: bytes, received_ms: int, flags: str = "") -> list[Letter]:
        """The message in all of `folders` or in none, with the UIDs it got, in their order."""
        with self._transaction():
            content = self._db.execute("INSERT INTO content (raw) VALUES (?)", (raw,)).lastrowid
            assert content is not None  # noqa: S101 - an INSERT has one
            email_id = "M" + uuid.uuid4().hex
            return [self._put(folder, received_ms, flags, email_id, content) for folder in folders]

    def copy(self, folder: int, uid: int, to: int, *, move: bool = False) -> Letter | None:
        """Copies (or moves) a message; None when there is no such message any more."""
        with self._transaction():
            row = self._db.execute(
                "SELECT received_ms, flags, email_id, content FROM letter WHERE folder=? AND uid=?",
                (folder, uid),
            ).fetchone()
            if row is None:
                return None
            copied = self._put(to, *row)
            if move:
                self._remove(folder, [uid])
            return copied

    def set_flags(self, folder: int, uid: int, flags: str) -> None:
        """The permanent flags, separated by spaces."""
        with self._transaction():
            self._db.execute("UPDATE letter SET flags=? WHERE folder=? AND uid=?", (flags, folder, uid))

    def remove(self, folder: int, uids: Iterable[int]) -> None:
        """Removes messages, and their bytes once no folder has them."""
        with self._transaction():
            self._remove(folder, uids)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, user: str) -> list[Folder]:
        rows = self._db.execute(
            "SELECT id, name, object_id, uid_validity, next_uid, subscribed FROM folder WHERE user=?", (user,)
        )
        return [Folder(*row) for row in rows]

    def _add(self, user: str, name: str) -> None:
        last = self._db.execute("SELECT max(value) FROM last_validity").fetchone()[0] or 0
        validity = max(int(time.time()), last + 1)
        self._db.execute("DELETE FROM last_validity")
        self._db.execute("INSERT INTO last_validity VALUES (?)", (validity,))
        self._db.execute(
            "INSERT INTO folder (user, name, object_id, uid_validity, next_uid) VALUES (?, ?, ?, ?, 1)",
            (user, name, "F" + uuid.uuid4().hex, validity),
        )

    def _put(self, folder: int, received_ms: int, flags: str, email_id: str, content: int) -> Letter:
        uid = self._db.execute("SELECT next_uid FROM folder WHERE id=?", (folder,)).fetchone()[0]
        self._db.execute("UPDATE folder SET next_uid=? WHERE id=?", (uid + 1, folder))
        self._db.execute(
            "INSERT INTO letter VALUES (?, ?, ?, ?, ?, ?)",
            (folder, uid, received_ms, flags, email_id, content),
        )
        return Letter(uid, received_ms, flags, email_id, content)

    def _remove(self, folder: int, uids: Iterable[int]) -> None:
        for uid in uids:
            row = self._db.execute(
                "DELETE FROM letter WHERE folder=? AND uid=? RETURNING content", (folder, uid)
            ).fetchone()
            if row is not None:
                self._db.execute(
                    "DELETE FROM content WHERE id=? AND NOT EXISTS (SELECT 1 FROM letter WHERE content=?)",
                    (row[0], row[0]),
                )
